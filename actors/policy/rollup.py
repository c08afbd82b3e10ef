"""How far tasks with children are (behaviour.md, section 23): what is known of a tree's progress, without a clock or IO.

A task with children in its round is at (settled + the sum of its active children's fractions) / all of them; any other is
where its run has reported. A change climbs as a difference, so a parent costs the same for five children as for a hundred
thousand. Shares are whole numbers, so that sums of them have no rounding error that could add up, or show as a fall.
A task whose run reports less than before, or begins anew, shows that itself; its share in its parent stays where it was, so
that what is above falls only when children are added.

Memory: a node for each active task that has reported or has children in its round; none for those that only wait.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ONE: Final = 1 << 60
"""The whole of a task; every float from a hundredth on is a whole number of its parts."""


@dataclass(slots=True)
class _Node:
    """What is known of one active task."""

    parent_id: int | None
    own: int | None = None
    """The last report of its run."""
    settled: int = 0
    total: int = 0
    """Children of the present round; 0: the task is where its run says."""
    live: int = 0
    """Sum of the shares of its active children."""
    at: int = 0
    """Its share in its parent."""
    shown: float | None = None
    """Where its readers see it; None where nothing is known of the present run."""


class Rollup:
    """See the module. Of one thread at a time."""

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {}
        self._stale: dict[int, None] = {}
        """Nodes to be computed anew, in the order in which they changed."""

    def __len__(self) -> int:
        return len(self._nodes)

    def report(self, task_id: int, parent_id: int | None, fraction: float | None) -> None:
        """The run of a task has reported (0 to 1); None: it has ended, or begins anew."""
        node = self._nodes.get(task_id)
        if node is None:
            if fraction is None:
                return
            node = self._nodes[task_id] = _Node(parent_id)
        node.own = None if fraction is None else round(fraction * ONE)
        self._stale[task_id] = None

    def count(self, task_id: int, parent_id: int | None, settled: int, total: int) -> None:
        """A task has so many children in its round, and so many of them have settled."""
        node = self._nodes.get(task_id)
        if node is None:
            if not total:
                return
            node = self._nodes[task_id] = _Node(parent_id)
        node.settled, node.total = settled, total
        self._stale[task_id] = None

    def drop(self, task_id: int) -> bool:
        """A task has settled; whether it was known. Its parent's counters say so themselves."""
        node = self._nodes.pop(task_id, None)
        if node is None:
            return False
        self._stale.pop(task_id, None)
        parent = None if node.parent_id is None else self._nodes.get(node.parent_id)
        if parent is not None and node.parent_id is not None:
            parent.live -= node.at
            self._stale[node.parent_id] = None
        return True

    def has_children(self, task_id: int) -> bool:
        """Whether a task has children in its round."""
        node = self._nodes.get(task_id)
        return node is not None and node.total > 0

    def fraction(self, task_id: int) -> float | None:
        """Where a task is, as of the last ``climb``; None where nothing is known of it."""
        node = self._nodes.get(task_id)
        return None if node is None else node.shown

    def climb(self) -> Iterable[int]:
        """Carry every change up its tree. Returns the tasks that have moved."""
        moved: dict[int, None] = {}
        stale, self._stale = self._stale, {}
        for task_id in stale:
            place: int | None = task_id
            while place is not None:
                node = self._nodes.get(place)
                if node is None:
                    break
                before, shown = node.at, node.shown
                _compute(node)
                if node.shown is None and not node.at:
                    del self._nodes[place]
                if node.at == before and node.shown == shown:
                    break
                moved[place] = None
                parent = None if node.parent_id is None else self._nodes.get(node.parent_id)
                if parent is not None:
                    parent.live += node.at - before
                place = node.parent_id
        return moved


def _compute(node: _Node) -> None:
    if node.total:
        sum_of_all = node.settled * ONE + max(0, node.live)
        node.at = min(ONE, sum_of_all // node.total)
        # Divided once, so that 2 of 3 is 2 / 3 and not a rounding of its share.
        node.shown = min(1.0, sum_of_all / (node.total * ONE))
    else:
        node.at = max(node.at, node.own or 0)
        node.shown = None if node.own is None else node.own / ONE
