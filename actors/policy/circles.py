"""Whether tasks that are about to be stored would wait for themselves: over "depends on" and "waits for its child".

The search goes backwards, from a newcomer to all that would wait for it: its parent, those above, and what is blocked on any
of them. Forwards it would meet all children of every parent on its way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Waiters = Callable[[Iterable[int]], Iterable[int]]
Steps = Callable[[Iterable[int]], Iterable[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A submission with dependencies, before it has an id."""

    id: int
    """Negative, and its own in the search."""
    waits_for: frozenset[int]
    waited_by: frozenset[int]
    """Its parent, the dependents that it takes over from the task whose place it takes; for a rerun the running task."""
    stands_for: int | None = None
    """The task whose place it takes."""


def find_circle(newcomers: Sequence[Newcomer], all_waiters: Waiters, waiters: Steps) -> tuple[int, ...] | None:
    """The tasks along a circle that these would close together, each waiting for the next; None where there is none.

    Args:
        newcomers: what is to be stored in one go.
        all_waiters: of stored tasks: they, and all that wait for them, directly or through others.
        waiters: of stored tasks: (who waits, for which of them), one step.
    """
    waiting: dict[int, list[Newcomer]] = {}
    for newcomer in newcomers:
        for dependency in newcomer.waits_for:
            waiting.setdefault(dependency, []).append(newcomer)
    for newcomer in newcomers:
        reached = _reach(newcomer, waiting, all_waiters)
        if not newcomer.waits_for.isdisjoint(reached):
            return _trace(newcomer, {one.id: one for one in newcomers}, waiting, waiters)
    return None


def _reach(start: Newcomer, waiting: Mapping[int, Sequence[Newcomer]], all_waiters: Waiters) -> set[int]:
    """All that would wait for a newcomer, itself included."""
    seen = {start.id}
    work = [start]
    while work:
        at = work.pop()
        asked = at.waited_by - seen
        found = {at.id}
        if asked:
            found |= set(all_waiters(asked)) - seen
        seen |= found
        for task_id in found & waiting.keys():
            for other in waiting[task_id]:
                if other.id not in seen:
                    seen.add(other.id)
                    work.append(other)
    return seen


def _trace(
    start: Newcomer, newcomers: Mapping[int, Newcomer], waiting: Mapping[int, Sequence[Newcomer]], waiters: Steps
) -> tuple[int, ...]:
    """The shortest way back to the newcomer: level by level, as it is only gone to tell of it."""
    next_of: dict[int, int] = {start.id: start.id}
    level = [start.id]
    while level:
        pairs = [
            (waiter, task_id) for task_id in level if task_id in newcomers for waiter in newcomers[task_id].waited_by
        ]
        pairs += [(other.id, task_id) for task_id in level for other in waiting.get(task_id, ())]
        pairs += waiters([task_id for task_id in level if task_id > 0])
        level.clear()
        for waiter, task_id in pairs:
            if waiter not in next_of:
                next_of[waiter] = task_id
                level.append(waiter)
        closing = [dependency for dependency in start.waits_for if dependency in next_of]
        if closing:
            return _line(min(closing), start.id, next_of, newcomers)
    raise AssertionError("asked only where there is a circle")


def _line(first: int, last: int, next_of: Mapping[int, int], newcomers: Mapping[int, Newcomer]) -> tuple[int, ...]:
    """Ids that a user knows, from a dependency to what waits for the newcomer."""
    line = [first]
    while line[-1] != last:
        line.append(next_of[line[-1]])
    known = [newcomers[task_id].stands_for if task_id in newcomers else task_id for task_id in line]
    return tuple(dict.fromkeys(task_id for task_id in known if task_id is not None))
