"""A start: what it takes of the limits while it is under way, and what stands in its way before."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from millrace.actors.policy.lines import Line, Order
from millrace.actors.policy.scopes import Scope, Scopes
from millrace.model.rows import Phase, Ready


@dataclass(slots=True)
class Holding:
    """A start, from its claim to its end: what it takes of the limits."""

    task: Ready
    effective: int
    scopes: tuple[Scope, ...] = ()
    is_lent: bool = False
    number: int = 0
    """Its place in the order of starts."""


@dataclass(frozen=True, slots=True)
class Wanting:
    """An urgent task that lacks nothing but slots, and the scopes that have none; beside those of the scheduler."""

    task: Ready
    full: tuple[Scope, ...]


class Aside:
    """The verdict that a task cannot start, and that whoever says so keeps it until it can."""


ASIDE: Final = Aside()
Gate = Callable[[Ready, int], Scope | Aside | None]
"""Asked last, with the effective priority: a scope that holds the task's line up, ``ASIDE``, or None where it may start."""


def lacking_slots(
    lines: Iterable[Line], scopes: Scopes, *, slots: int, is_full: bool, now: float
) -> list[tuple[int, Wanting]]:
    """The first tasks of lines that lack nothing but slots, with their effective priorities, in the order of starts.

    Args:
        lines: whose tasks preempt.
        scopes: what bounds them.
        slots: of the scheduler, and as many tasks at most.
        is_full: whether none of these is free.
        now: monotonic seconds.
    """
    found: list[tuple[Order, Wanting]] = []
    for line in lines:
        bounds = scopes.of_line(line, now)
        full = tuple(scope for scope in bounds if scope.bucket is None and not scope.has_room(now))
        if any(scope.is_paused for scope in full) or not (full or is_full):
            continue
        has_tokens = all(scope.has_room(now) for scope in bounds if scope.bucket is not None)
        for order, task in line.firsts(slots):
            if has_tokens or task.phase == Phase.FINALIZER:
                found.append((order, Wanting(task, full)))
    found.sort(key=lambda each: each[0])
    return [(order[0], wanting) for order, wanting in found[:slots]]
