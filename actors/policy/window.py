"""Which part of the ready queue is held in memory: its most urgent end, bounded, and known to be complete up to a place.

Everything ready in the store that comes before the horizon is in the window; what comes after may be. So the first of
the window is the first of the whole queue, however little of it is here.

Some tasks come in no page: children that their supervisor offers. They are kept here also beyond the horizon, and come into
the window when the horizon gets there; there are as many as bounded parents let run.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Final

from millrace.model.rows import Ready

Place = tuple[int, int, int]
"""Priority, phase, id: the order of starts."""
START: Final[Place] = (-1, 0, 0)
END: Final[Place] = (1 << 30, 0, 0)


class Window:
    """A bounded heap of ready tasks.

    Args:
        capacity: tasks held when full; up to twice as many between two trims.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._heap: list[Place] = []
        self._members: dict[int, Ready] = {}
        self._kept: set[int] = set()
        """Members, and tasks beyond the horizon, that no page has."""
        self._beyond: dict[int, Ready] = {}
        self._horizon: Place = START
        """The window has everything up to here."""

    def __len__(self) -> int:
        return len(self._members)

    @property
    def horizon(self) -> Place:
        """Where the next page begins."""
        return self._horizon

    @property
    def is_complete(self) -> bool:
        """Whether the store has nothing ready that is not here."""
        return self._horizon == END

    @property
    def is_low(self) -> bool:
        """Whether it is time to ask for the next page."""
        return not self.is_complete and len(self._members) * 4 < self._capacity

    def offer(self, tasks: Iterable[Ready], *, is_kept: bool = False) -> None:
        """Tasks have become ready, or changed their place. Those beyond the horizon stay in the store, but with ``is_kept``."""
        for task in tasks:
            place = (task.priority, task.phase, task.id)
            if is_kept:
                self._kept.add(task.id)
            if place <= self._horizon:
                self._add(task, place)
            elif is_kept:
                self._beyond[task.id] = task
        if len(self._members) > 2 * self._capacity:
            self._trim()

    def extend(self, page: Sequence[Ready], limit: int) -> None:
        """The page of the store after the horizon, which was asked for with that limit."""
        for task in page:
            self._add(task, (task.priority, task.phase, task.id))
        if len(page) < limit:
            self._horizon = END
        elif page:
            last = page[-1]
            self._horizon = max(self._horizon, (last.priority, last.phase, last.id))
        beyond, self._beyond = self._beyond, {}
        self.offer(beyond.values(), is_kept=True)

    def pop(self) -> Ready | None:
        """Take out the first; None where the window is empty."""
        while self._heap:
            place = heapq.heappop(self._heap)
            task = self._members.get(place[2])
            if task is not None and (task.priority, task.phase, task.id) == place:
                del self._members[task.id]
                self._kept.discard(task.id)
                return task
        return None

    def peek(self) -> Ready | None:
        """The first, left where it is."""
        while self._heap:
            place = self._heap[0]
            task = self._members.get(place[2])
            if task is not None and (task.priority, task.phase, task.id) == place:
                return task
            heapq.heappop(self._heap)
        return None

    def discard(self, task_id: int) -> bool:
        """Take out a task by its id; False where it is not here."""
        self._kept.discard(task_id)
        return (self._members.pop(task_id, None) or self._beyond.pop(task_id, None)) is not None

    def _add(self, task: Ready, place: Place) -> None:
        if self._members.get(task.id) != task:
            self._members[task.id] = task
            heapq.heappush(self._heap, place)

    def _trim(self) -> None:
        """Forget the less urgent half: the store has it, but for what no page has."""
        places = sorted((task.priority, task.phase, task.id) for task in self._members.values())
        first, rest = places[: self._capacity], places[self._capacity :]
        self._beyond |= {place[2]: self._members[place[2]] for place in rest if place[2] in self._kept}
        self._members = {place[2]: self._members[place[2]] for place in first}
        self._heap = first
        self._horizon = first[-1]
