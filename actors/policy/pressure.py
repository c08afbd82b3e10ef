"""Pressure and throttle: work that can wait does while the machine is busy with other things. S-290 to S-294."""

from collections.abc import Mapping
from math import isnan

from millrace.actors.policy.smoothing import OUT_OF_DATE_S
from millrace.model.limits import DEFAULT_THROTTLE, Throttle
from millrace.model.priority import LEAST_URGENT


class Pressure:
    """What each source last said, and what that holds."""

    def __init__(self, throttle: Throttle = DEFAULT_THROTTLE) -> None:
        self._steps = throttle.steps
        self._said: dict[str, tuple[float, float]] = {}
        """Pressure and time, by source."""

    def told(self, pressures: Mapping[str, float | None], now: float) -> None:
        """What sources have said now, a number each; None: it raised, or said no number, and is left out."""
        for source, value in pressures.items():
            if value is None or isnan(value):
                self._said.pop(source, None)
            else:
                self._said[source] = (min(1.0, max(0.0, value)), now)

    def by_source(self, now: float) -> dict[str, float]:
        """0..1 of each source that has answered in the last 10 s, by name."""
        said = sorted(self._said.items())
        return {source: value for source, (value, at) in said if now - at < OUT_OF_DATE_S}

    def value(self, now: float) -> float:
        """The largest; 0.0 without any."""
        return max(self.by_source(now).values(), default=0.0)

    def held_from(self, now: float) -> int:
        """The most urgent effective priority that waits now; all that are less urgent do too. 256: nothing waits."""
        if not self._said:
            return LEAST_URGENT + 1
        value = self.value(now)
        return min((int(priority) for priority, above in self._steps if above < value), default=LEAST_URGENT + 1)

    def holds(self, effective_priority: int, now: float) -> bool:
        """Whether a body or finalizer of that effective priority waits."""
        return effective_priority >= self.held_from(now)

    def due_in(self, now: float) -> float | None:
        """Seconds until a source will be out of date if it says nothing meanwhile; None: there is none."""
        times = [at + OUT_OF_DATE_S - now for _, at in self._said.values() if now - at < OUT_OF_DATE_S]
        return min(times, default=None)
