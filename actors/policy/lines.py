"""A line: the ready tasks of one lane, of which the most urgent end is in memory.

Everything ready in the store that comes before the line's horizon is here; what comes after may be. So the first of the line is the
first of its lane, however little of it is in memory. A line with nothing in memory and more in the store stands where the next of
it can be at best: nothing is chosen over it before its next page has come.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from millrace.model.lanes import Lane
from millrace.model.rows import Ready

Order = tuple[int, int, int]
"""Effective priority, phase, id: the order of starts."""
Place = tuple[int, int]
"""Where a task stands in its lane: (phase, id), or (since when it waits, id) where tasks age."""
START: Final[Place] = (-(1 << 62), 0)
END: Final[Place] = (1 << 62, 0)
STALE: Final = 64
"""Places in a heap that nobody stands at any more, beyond as many as are of use, before they are cleared out."""


class _Lines:
    """Lines in a heap by the orders that they had when they were put in; those of another order by now are forgotten late.

    Where waiting raises priority, what is forgotten lies behind what is not, and would never come up to be taken out: so it is
    cleared out once there is more of it than of the rest.
    """

    __slots__ = ("_count", "_heap", "_most")

    def __init__(self) -> None:
        self._heap: list[tuple[Order, int, Line]] = []
        self._count = 0
        self._most = STALE

    def _add(self, line: "Line") -> None:
        if line.order is None:
            return
        self._count += 1
        heapq.heappush(self._heap, (line.order, self._count, line))
        if len(self._heap) > self._most:
            places = {entry[2]: entry for entry in self._heap if entry[0] == entry[2].order}
            self._heap = sorted(entry for line, entry in places.items() if self._has(line))
            self._most = 2 * len(self._heap) + STALE

    def _has(self, line: "Line") -> bool:
        """Whether the line is one of these still, as far as is known here."""
        del line
        return True


class Bin(_Lines):
    """Lines that wait for the same thing, the most urgent first. A line is in one bin at a time."""

    __slots__ = ()

    def push(self, line: "Line") -> None:
        """The line is in this bin now, by its present order."""
        line.bin = self
        self._add(line)

    def _has(self, line: "Line") -> bool:
        return line.bin is self

    def others_from(self) -> Order | None:
        """No line but the first comes before this; None: there is no other."""
        heap = self._heap
        return min((entry[0] for entry in heap[1:3]), default=None)

    def first(self) -> "Line | None":
        """The most urgent line, left where it is."""
        while self._heap:
            order, _, line = self._heap[0]
            if line.bin is self and line.order == order:
                return line
            heapq.heappop(self._heap)
        return None


class Watch(_Lines):
    """Lines that are looked at apart from the bins they are in, the most urgent first."""

    __slots__ = ()

    def note(self, line: "Line") -> None:
        """The line is to be looked at, by its present order."""
        self._add(line)

    def first(self, is_there: "Callable[[Line], bool]") -> "Line | None":
        """The most urgent line of which that is so still."""
        while self._heap:
            order, _, line = self._heap[0]
            if line.order == order and is_there(line):
                return line
            heapq.heappop(self._heap)
        return None


class Line:
    """See the module.

    Args:
        lane: whose line.
        ages: whether tasks gain priority by waiting, so that who has waited longer comes first.
        floor: the most urgent that a task of the lane can become.
        is_complete: whether the store has nothing of the lane that will not be told.
    """

    __slots__ = (
        "_ages",
        "_floor",
        "_heap",
        "_members",
        "_orders",
        "bin",
        "bound",
        "demand",
        "horizon",
        "is_asked",
        "lane",
        "order",
        "scopes",
    )

    def __init__(self, lane: Lane, *, ages: bool, floor: int, is_complete: bool) -> None:
        self.lane = lane
        self._ages = ages
        self._floor = floor
        self._members: dict[int, Ready] = {}
        self._orders: dict[int, Order] = {}
        self._heap: list[Order] = []
        self.horizon: Place = END if is_complete else START
        self.order: Order | None = self._best_beyond()
        """Of the first, or the best that it can be where that is in the store; None where the line is empty."""
        self.is_asked = False
        """A page of it is on its way."""
        self.bin: Bin | None = None
        self.demand = 0
        """How many ready tasks the shares have been told of."""
        self.bound: int | None = None
        """The bound of its parent, as last told."""
        self.scopes: tuple[Any, ...] | None = None
        """What bounds its starts; None until it is looked for."""

    def __len__(self) -> int:
        return len(self._members)

    @property
    def is_complete(self) -> bool:
        """Whether the store has nothing of the lane that is not here."""
        return self.horizon == END

    def place(self, task: Ready) -> Place:
        """Where a task stands in the lane."""
        return (task.since_ms, task.id) if self._ages else (task.phase, task.id)

    def covers(self, task: Ready) -> bool:
        """Whether the task belongs to what is in memory."""
        return self.place(task) <= self.horizon

    def add(self, task: Ready, order: Order) -> None:
        """Put a task in, or at its new place."""
        self._members[task.id] = task
        before = self._orders.get(task.id)
        if before == order:
            return
        self._orders[task.id] = order
        heapq.heappush(self._heap, order)
        if len(self._heap) > 2 * len(self._orders) + STALE:
            self._heap = sorted(self._orders.values())
        if len(self._members) == 1 or self.order is None or order < self.order:
            self.order = order
        elif before == self.order:
            self._find_first()

    def get(self, task_id: int) -> Ready | None:
        """A task of the line."""
        return self._members.get(task_id)

    def order_of(self, task_id: int) -> Order:
        """The order of a task of the line."""
        return self._orders[task_id]

    def clear(self) -> list[int]:
        """Forget all: the store has it. The ids of what went."""
        gone = list(self._members)
        self.horizon, self.is_asked = START, False
        self._drop(gone)
        return gone

    def first(self) -> Ready | None:
        """The first task, left where it is; None where it is still in the store, or the line is empty."""
        return None if self.order is None else self._members.get(self.order[2])

    def firsts(self, count: int) -> list[tuple[Order, Ready]]:
        """The first so many tasks in memory, in the order of starts."""
        return [(order, self._members[order[2]]) for order in heapq.nsmallest(count, self._orders.values())]

    def take(self, count: int, before: Order | None) -> list[tuple[Order, Ready]]:
        """Take out the first tasks, up to a number and to a place in the order of starts; none from one on that has crashed."""
        heap, orders, members = self._heap, self._orders, self._members
        taken: list[tuple[Order, Ready]] = []
        while heap and len(taken) < count:
            order = heap[0]
            task_id = order[2]
            if orders.get(task_id) != order:
                heapq.heappop(heap)
                continue
            task = members[task_id]
            if task.crashes or (before is not None and order >= before):
                break
            heapq.heappop(heap)
            del orders[task_id], members[task_id]
            taken.append((order, task))
        self._find_first()
        return taken

    def remove(self, task_id: int) -> Ready | None:
        """Take a task out; None where it is not here."""
        task = self._members.pop(task_id, None)
        if task is not None:
            del self._orders[task_id]
            if self.order is not None and self.order[2] == task_id:
                self._find_first()
        return task

    def _find_first(self) -> None:
        heap, orders = self._heap, self._orders
        while heap and orders.get(heap[0][2]) != heap[0]:
            heapq.heappop(heap)
        self.order = heap[0] if heap else self._best_beyond()

    def _best_beyond(self) -> Order | None:
        """The best place in the order of starts that a task can have which is not in memory."""
        if self.is_complete:
            return None
        return (self._floor, -1, 0) if self._ages else (self.lane.priority, *self.horizon)

    def extend(self, page: Sequence[Ready], limit: int) -> None:
        """The page after the horizon has come, which was asked for with that limit: its tasks are to be added."""
        self.is_asked = False
        if len(page) < limit:
            self.horizon = END
        elif page:
            self.horizon = max(self.horizon, self.place(page[-1]))
        if not self._members:
            self.order = self._best_beyond()

    def trim(self, capacity: int) -> list[int]:
        """Forget what comes last of the line beyond the capacity: the store has it. The ids of what went."""
        ordered = sorted(self._members.values(), key=self.place)
        gone = [task.id for task in ordered[capacity:]]
        self.horizon = self.place(ordered[capacity - 1])
        self._drop(gone)
        return gone

    def _drop(self, ids: Iterable[int]) -> None:
        for task_id in ids:
            del self._members[task_id]
            del self._orders[task_id]
        self._heap = sorted(self._orders.values())
        self.order = self._heap[0] if self._heap else self._best_beyond()
