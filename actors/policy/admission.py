"""How many starts the dispatcher commits at once, and how far ahead of the free slots."""

from typing import Final

PIPELINE_S: Final = 0.005
"""Work that is claimed ahead where bodies are short: about what a commit and its way to the executor may take."""
MAX_AHEAD: Final = 256
"""Starts claimed ahead at most."""
_WEIGHT: Final = 0.1


class Lookahead:
    """How many starts to claim ahead of the free slots, learnt from how long bodies took.

    A start is committed before its body begins, and while it is being committed the slot would stand idle. Where bodies are
    short, as many further starts are claimed as keep the slots busy for that time (Little's law); where they are long, none
    is, so that what shows as running is running. One long body takes the lead back to nothing at once.
    """

    def __init__(self) -> None:
        self._mean_s: float | None = None

    def observe(self, duration_s: float) -> None:
        """A run took this long."""
        if self._mean_s is None or duration_s > PIPELINE_S:
            self._mean_s = duration_s
        else:
            self._mean_s += _WEIGHT * (duration_s - self._mean_s)

    def ahead(self, slots: int) -> int:
        """Starts to claim beyond the free slots."""
        if self._mean_s is None or self._mean_s >= PIPELINE_S:
            return 0
        return min(MAX_AHEAD, int(slots * PIPELINE_S / max(self._mean_s, 1e-6)))
