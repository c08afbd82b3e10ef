"""Which part of the ready queue is held in memory: lines come up as their lanes are met, and ask the store for pages.

Memory does not grow with the queue: a line is refilled where little of it is left, and cut short where much of it was told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from millrace.actors.policy.ageing import Ages
from millrace.actors.policy.lines import Line, Place
from millrace.actors.policy.scopes import Scopes
from millrace.actors.policy.standing import Standing
from millrace.model.lanes import Lane

WINDOW: Final = 2048
"""Ready tasks in memory, over all lanes; and at least ``LEAST_PAGE`` of each lane that has so many."""
MOST_PAGE: Final = 1024
LEAST_PAGE: Final = 16


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a lane that is wanted of the store."""

    lane: Lane
    after: Place
    limit: int


class Window:
    """See the module.

    Args:
        scopes: what bounds starts.
        standing: where lines stand.
        ages: how waiting raises priority; None: not at all.
        preempt_at: tasks of this stored priority and more urgent ones preempt; None: none does.
    """

    def __init__(self, scopes: Scopes, standing: Standing, *, ages: Ages | None, preempt_at: int | None) -> None:
        self._scopes = scopes
        self._standing = standing
        self._ages = ages
        self._preempt_at = -1 if preempt_at is None else preempt_at
        self.lines: dict[int, Line] = {}
        self.urgent: dict[int, Line] = {}
        """Lines of tasks that preempt."""
        self._hungry: dict[int, Line] = {}
        """Lines of which more is wanted of the store."""
        self.are_lanes_known = False
        self._looks = 0
        """Looks for all lanes that are under way besides the first."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, here or in the store."""
        return self.are_lanes_known and not (self.lines or self._looks)

    def line(self, lane: Lane) -> Line:
        """The line of a lane, made where there is none."""
        line = self.lines.get(lane.number)
        if line is None:
            ages = self._ages
            line = Line(
                lane,
                ages=ages is not None,
                floor=lane.priority if ages is None else ages.floor(lane.priority),
                is_complete=self.are_lanes_known and not self._looks,
            )
            self.lines[lane.number] = line
            if lane.priority <= self._preempt_at:
                self.urgent[lane.number] = line
            if not line.is_complete:
                self._standing.count_demand(line)
                self._standing.to_open(line)
                self.want_more(line)
        return line

    def forget(self, line: Line) -> None:
        """Nothing of the line is in memory; it is kept where the store may have more."""
        if not len(line) and line.is_complete:
            del self.lines[line.lane.number]
            self._hungry.pop(line.lane.number, None)
            self.urgent.pop(line.lane.number, None)
            if line.scopes is not None:
                self._scopes.unref(line.scopes)

    def lost_first(self, line: Line) -> None:
        """The first of the line is another, or there is none."""
        if line.order is None:
            self.gone(line)
            return
        self._standing.to_open(line)
        self.refill(line)

    def gone(self, line: Line) -> None:
        """Nothing is left of the line in memory: it may have stood in the open for others that wait for the same."""
        line.bin = None
        scopes = line.scopes or ()
        self.forget(line)
        for scope in scopes:
            self._standing.expose(scope, line)

    # What is wanted of the store

    def look_again(self) -> None:
        """All lanes are to be found once more: until they are, one that is new may have tasks in the store."""
        self._looks += 1

    def found(self, lanes: Iterable[Lane], *, is_last: bool) -> None:
        """Lanes that have ready tasks in the store; with ``is_last`` all have been named, and others come only as they are told."""
        for lane in lanes:
            line = self.line(lane)
            if not line.is_complete and not len(line):
                self.want_more(line)
        if is_last and self.are_lanes_known:
            self._looks -= 1
        self.are_lanes_known |= is_last

    def refill(self, line: Line) -> None:
        """The line has lost some: more is wanted where the store has more and little of it is here."""
        if not line.is_complete:
            left = len(line) * 4
            if left < LEAST_PAGE or left < min(MOST_PAGE, WINDOW // len(self.lines)):
                self.want_more(line)

    def want_more(self, line: Line) -> None:
        """A page of the line is wanted, where there is more and none is on its way."""
        if not line.is_complete and not line.is_asked:
            self._hungry[line.lane.number] = line

    def pages(self) -> list[Page]:
        """What is wanted of the store, once."""
        if not self._hungry:
            return []
        limit = max(LEAST_PAGE, min(MOST_PAGE, WINDOW // len(self.lines)))
        wanted: list[Page] = []
        for line in self._hungry.values():
            if not line.is_asked and not line.is_complete:
                line.is_asked = True
                wanted.append(Page(line.lane, line.horizon, limit))
        self._hungry.clear()
        return wanted
