"""Which runs are asked to stop for an urgent task, and when those that did go on: S-101 to S-107.

A *scope* is anything that bounds how many run at once: ``GLOBAL``, or ("domain", name), ("group", name), ("parent", id). A
run occupies one slot of each of its scopes. An urgent task waits for one in those of its scopes that are full, and only a
run that occupies all of these can help it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from millrace.model.rows import Phase

Scope: TypeAlias = tuple[str, str | int]

GLOBAL: Final[Scope] = ("global", "")
PATIENCE_S: Final = 1.0
"""A run that was asked so long ago and goes on is not counted on any more."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A ready task of stored priority at most ``preempt_at`` that lacks nothing but slots."""

    task_id: int
    priority: int
    """The stored one."""
    full: frozenset[Scope]
    """Those of its scopes that have no slot free; at least one."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """A run that takes slots now: not one that lends them while it waits for another task."""

    task_id: int
    priority: int
    """The stored one."""
    started: int
    """Its place in the order of starts: larger is later."""
    phase: Phase
    scopes: frozenset[Scope]
    """All in which it takes a slot."""
    asked_since: float | None
    """When it was first asked to stop, for whatever reason (monotonic); None: it was not."""

    def helps(self, newcomer: Newcomer) -> bool:
        """Whether its end lets the newcomer start."""
        return newcomer.full <= self.scopes


def choose_victims(newcomers: Sequence[Newcomer], occupants: Iterable[Occupant], now: float) -> list[int]:
    """The runs to ask to stop with "preempted", as task ids, in the order of the newcomers that they are asked for.

    Each newcomer has one run that ends for it. Runs that were asked less than a second ago will end for somebody already.

    Args:
        newcomers: in the order in which they would start; as many as there are, or as there are slots.
        occupants: all that run.
        now: monotonic seconds.
    """
    runs = list(occupants)
    waiting = list(newcomers)
    for run in runs:
        if run.asked_since is not None and now - run.asked_since < PATIENCE_S:
            _serve(run, waiting)
    victims: list[int] = []
    free = sorted((run for run in runs if run.asked_since is None and run.phase == Phase.BODY), key=_rank)
    for newcomer in waiting:
        victim = next((run for run in free if run.priority > newcomer.priority and run.helps(newcomer)), None)
        if victim is not None:
            free.remove(victim)
            victims.append(victim.task_id)
    return victims


def patience_ends_in(occupants: Iterable[Occupant], now: float) -> float | None:
    """Seconds until a run that was asked is not counted on any more, and another may have to be; None: none was asked."""
    left = [run.asked_since + PATIENCE_S - now for run in occupants if run.asked_since is not None]
    return min((each for each in left if each > 0), default=None)


def goes_on(
    priority: int,
    *,
    preempt_at: int | None,
    is_urgent_waiting: bool,
    has_free_slot: bool,
    running: Collection[int],
) -> bool:
    """Whether a task that was preempted is PENDING again.

    Args:
        priority: its stored priority.
        preempt_at: the threshold; None: nothing preempts any more.
        is_urgent_waiting: whether some task at or above the threshold waits for a slot.
        has_free_slot: whether one of the global slots is free.
        running: stored priorities of the runs that take slots.
    """
    if preempt_at is None:
        return True
    if is_urgent_waiting:
        return False
    return has_free_slot or not any(each <= preempt_at and each < priority for each in running)


def _serve(run: Occupant, waiting: list[Newcomer]) -> None:
    """Count a run that is about to end for one that it helps: of these, for one whom few others can help."""
    helped = [(-len(each.full), at) for at, each in enumerate(waiting) if run.helps(each)]
    if helped:
        del waiting[min(helped)[1]]


def _rank(run: Occupant) -> tuple[int, int, int]:
    """The least urgent, then the latest started, then the higher id."""
    return (-run.priority, -run.started, -run.task_id)
