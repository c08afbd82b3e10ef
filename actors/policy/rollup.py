"""How far tasks with children are (behaviour.md, section 23): what is known of a tree's progress, without a clock or IO.

A task with children in its round is at the weighted mean of theirs: a settled one counts as whole, an active one as far as it
is. A child weighs as many bytes as it has in all; where that is unknown, the mean of those that are known. Any other task is
where its run has reported. A change climbs as a difference to the sums over a parent's children, so a parent costs the same
for five children as for a hundred thousand. Shares are whole numbers, so that sums of them have no rounding error that could
add up, or show as a fall.
A task whose run reports less than before, or begins anew, shows that itself; its share in its parent stays where it was, so
that what is above falls only when children are added. The same where a child's size becomes known late: what had been shown
stays until the others have caught up.

Memory: a node for each active task that has reported or has children in its round; none for those that only wait.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from millrace.model.rows import ChildBytes

ONE: Final = 1 << 60
"""The whole of a task; every float from a hundredth on is a whole number of its parts."""


class Share(NamedTuple):
    """What a task is in its parent: how far, and its bytes where they are known."""

    at: int = 0
    done: int | None = None
    size: int | None = None


NO_SHARE: Final = Share()


@dataclass(slots=True)
class _Below:
    """Sums over the children of one round."""

    settled: ChildBytes
    active: ChildBytes
    live: int = 0
    """Of the shares of active children; and of those whose size is known."""
    sized_live: int = 0
    weighed: int = 0
    """Of these shares, each times its size."""

    def add(self, share: Share, sign: int) -> None:
        """An active child is as far as this (1), or no more (-1)."""
        self.live += sign * share.at
        if share.size is not None:
            self.sized_live += sign * share.at
            self.weighed += sign * share.size * share.at
        _add(self.active, share, sign)

    def ratio(self, settled: int, total: int) -> tuple[int, int]:
        """How far all of them are together, as (n, of)."""
        whole = settled * ONE + max(0, self.live)
        size, sized = self.settled.size + self.active.size, self.settled.sized + self.active.sized
        if not size:
            return whole, total * ONE
        known = self.settled.size * ONE + self.weighed
        others = max(0, whole - self.settled.sized * ONE - self.sized_live)
        # Each of the others weighs size / sized: both sides are multiplied by ``sized``, so that nothing is rounded.
        return sized * known + size * others, size * total * ONE


@dataclass(slots=True)
class _Node:
    """What is known of one active task."""

    parent_id: int | None
    own: int | None = None
    """The last report of its run, and its bytes."""
    own_done: int | None = None
    own_size: int | None = None
    settled: int = 0
    total: int = 0
    """Children of the present round; 0: the task is where its run says."""
    below: _Below | None = None
    share: Share = NO_SHARE
    shown: float | None = None
    """Where its readers see it; None where nothing is known of the present run."""
    may_fall: bool = False
    """Children were added to it, or to one below it."""

    def below_now(self) -> _Below:
        """The sums over its children."""
        if self.below is None:
            self.below = _Below(ChildBytes(), ChildBytes())
        return self.below

    def compute(self) -> None:
        """Bring what is shown and its share up to what is known now."""
        if self.total:
            self._compute_from_children(self.below_now())
        else:
            # What its run before has told stands in its parent until this one tells something.
            done, size = (self.own_done, self.own_size) if self.own_done is not None else self.share[1:]
            self.share = Share(max(self.share.at, self.own or 0), done, size)
            self.shown = None if self.own is None else self.own / ONE
        self.may_fall = False

    def _compute_from_children(self, below: _Below) -> None:
        part, whole = below.ratio(self.settled, self.total)
        at = min(ONE, part * ONE // whole)
        done, size = self.own_done, self.own_size
        if below.settled.counted or below.active.counted:
            done = below.settled.done + below.active.done
            size = below.settled.size + below.active.size
            if below.settled.sized + below.active.sized < self.total:
                size = None
        if at < self.share.at and self.shown is not None and not self.may_fall:
            at = self.share.at
        else:
            # Divided once, so that 2 of 3 is 2 / 3 and not a rounding of its share.
            self.shown = min(1.0, part / whole)
        self.share = Share(at, done, size)


def _add(sums: ChildBytes, share: Share, sign: int) -> None:
    """One child more (1) or less (-1)."""
    if share.done is not None:
        sums.done += sign * share.done
        sums.counted += sign
    if share.size is not None:
        sums.size += sign * share.size
        sums.sized += sign


class Rollup:
    """See the module. Of one thread at a time."""

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {}
        self._stale: dict[int, None] = {}
        """Nodes to be computed anew."""

    def __len__(self) -> int:
        return len(self._nodes)

    def report(
        self,
        task_id: int,
        parent_id: int | None,
        fraction: float | None,
        done: int | None = None,
        size: int | None = None,
    ) -> None:
        """The run of a task has reported (0 to 1, and bytes); with nothing at all it has ended, or begins anew."""
        node = self._nodes.get(task_id)
        if node is None:
            if fraction is None and done is None:
                return
            node = self._nodes[task_id] = _Node(parent_id)
        node.own = None if fraction is None else round(fraction * ONE)
        node.own_done, node.own_size = done, size
        self._stale[task_id] = None

    def count(self, task_id: int, parent_id: int | None, settled: int, total: int) -> None:
        """A task has so many children in its round, and so many of them have settled."""
        node = self._nodes.get(task_id)
        if node is None:
            if not total:
                return
            node = self._nodes[task_id] = _Node(parent_id)
        if total != node.total or settled < node.settled:
            node.may_fall = True
        node.settled, node.total = settled, total
        if not total:
            node.below = None  # a new round begins
        self._stale[task_id] = None

    def restore(self, task_id: int, settled: ChildBytes) -> None:
        """The bytes of a counted task's settled children are these."""
        node = self._nodes.get(task_id)
        if node is not None and node.total:
            node.below_now().settled = settled
            node.may_fall = True
            self._stale[task_id] = None

    def drop(self, task_id: int) -> bool:
        """A task has settled; whether it was known. Its parent's counters say so themselves."""
        node = self._nodes.pop(task_id, None)
        if node is None:
            return False
        self._stale.pop(task_id, None)
        parent = None if node.parent_id is None else self._nodes.get(node.parent_id)
        if parent is not None and node.parent_id is not None:
            below = parent.below_now()
            below.add(node.share, -1)
            _add(below.settled, node.share, 1)
            self._stale[node.parent_id] = None
        return True

    def has_children(self, task_id: int) -> bool:
        """Whether a task has children in its round."""
        node = self._nodes.get(task_id)
        return node is not None and node.total > 0

    def children(self, task_id: int) -> tuple[int, int]:
        """How many children of a task's round have settled, and how many there are."""
        node = self._nodes.get(task_id)
        return (0, 0) if node is None else (node.settled, node.total)

    def fraction(self, task_id: int) -> float | None:
        """Where a task is, as of the last ``climb``; None where nothing is known of it."""
        node = self._nodes.get(task_id)
        return None if node is None else node.shown

    def bytes_of(self, task_id: int) -> tuple[int | None, int | None]:
        """Bytes done and in all of a task, as of the last ``climb``, where they are known."""
        node = self._nodes.get(task_id)
        return (None, None) if node is None else (node.share.done, node.share.size)

    def climb(self) -> Iterable[int]:
        """Carry every change up its tree, each task once: children are younger than their parents, so the youngest comes first.

        Returns the tasks that have moved.
        """
        moved: dict[int, None] = {}
        due = [-task_id for task_id in self._stale]
        heapq.heapify(due)
        while due:
            task_id = -heapq.heappop(due)
            del self._stale[task_id]
            node = self._nodes.get(task_id)
            if node is None:
                continue
            before, shown, may_fall = node.share, node.shown, node.may_fall
            node.compute()
            if node.shown is None and node.share == NO_SHARE:
                del self._nodes[task_id]
            if node.share == before and node.shown == shown:
                continue
            moved[task_id] = None
            parent = None if node.parent_id is None else self._nodes.get(node.parent_id)
            if parent is not None and node.parent_id is not None:
                below = parent.below_now()
                below.add(before, -1)
                below.add(node.share, 1)
                parent.may_fall |= may_fall
                if node.parent_id not in self._stale:
                    self._stale[node.parent_id] = None
                    heapq.heappush(due, -node.parent_id)
        return moved
