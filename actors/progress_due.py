"""When progress is written and told next, and of which tasks: a tick is armed by the first change after the last one.

So where nothing changes there is none. The two intervals differ: what is due for one of them may have time for the other.
"""

from collections.abc import Callable
from itertools import islice
from typing import Final

from millrace.actors.times import Times

WRITE_EVERY_S: Final = 0.5
"""A task's progress is written at most so often."""
SHORTEST_S: Final = 0.01
"""Ticks for events come no closer than this, whatever the interval."""
MAX_ROWS: Final = 500
"""Tasks that a tick writes or tells of at most; the rest follows in further ones."""


class Due:
    """See the module. Its owner's lock guards it.

    Args:
        times: the clocks.
        interval_s: seconds between two events of a task at least; None: no events.
        is_heard: whether anybody subscribes to events.
        arm: has a tick come in so many seconds.
    """

    def __init__(
        self,
        times: Times,
        interval_s: float | None,
        *,
        is_heard: Callable[[], bool],
        arm: Callable[[float], None],
    ) -> None:
        self._times = times
        self._interval_s = None if interval_s is None else max(SHORTEST_S, interval_s)
        self.are_told = interval_s is not None
        """Whether there are events of progress."""
        self._is_heard = is_heard
        self._arm = arm
        self.clear()

    def clear(self) -> None:
        """Nothing is due, and no tick is on its way."""
        self.unwritten: dict[int, None] = {}
        self.untold: dict[int, None] = {}
        self._in_flight: tuple[dict[int, None], dict[int, None]] = ({}, {})
        """What the tick under way has taken from either: it comes back where the commit fails."""
        self.is_armed = False
        self._written_at = self._told_at = float("-inf")

    def add(self, changed: dict[int, None]) -> None:
        """These tasks have moved."""
        self.unwritten.update(changed)
        self.untold.update(changed)

    def arm(self, *, is_unwritten: bool = True, is_untold: bool = True) -> None:
        """Have a tick come when what has just changed may be written or told, unless one is on its way."""
        if self.is_armed:
            return
        dues: list[float] = []
        if is_unwritten:
            dues.append(self._written_at + WRITE_EVERY_S)
        if is_untold and self._interval_s is not None and self._is_heard():
            dues.append(self._told_at + self._interval_s)
        if dues:
            self.is_armed = True
            self._arm(max(0.0, min(dues) - self._times.monotonic()))

    def tick(self) -> None:
        """The tick is here. What the last one took, and did not see committed, is due as before."""
        self.is_armed = False
        unwritten, untold = self._in_flight
        self.unwritten |= unwritten
        self.untold |= untold

    def take(self, now: float) -> tuple[dict[int, None], dict[int, None]]:
        """The tasks that are due to be written, and to be told, now."""
        to_write: dict[int, None] = {}
        to_tell: dict[int, None] = {}
        if now >= self._written_at + WRITE_EVERY_S:
            to_write = _take(self.unwritten)
            self._written_at = now if not self.unwritten else self._written_at
        if self._interval_s is None or not self._is_heard():
            self.untold.clear()
        elif now >= self._told_at + self._interval_s:
            to_tell = _take(self.untold)
            self._told_at = now if not self.untold else self._told_at
        self._in_flight = (to_write, to_tell)
        return self._in_flight

    def committed(self) -> None:
        """What the tick took is written and told."""
        self._in_flight = ({}, {})


def _take(ids: dict[int, None]) -> dict[int, None]:
    """Take the first out, as many as one tick handles."""
    taken = dict.fromkeys(islice(ids, MAX_ROWS))
    for task_id in taken:
        del ids[task_id]
    return taken
