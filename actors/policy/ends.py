"""What the end of a run means, and what a task does next when nothing of it executes (behaviour.md, sections 5, 8 and 10)."""

from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction
from typing import Final, TypeAlias

from millrace.model.catalog import Traits
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Phase, Row

REPEATED: Final = frozenset({"shutdown", "preempted", "paused"})
"""A run stopped for one of these is repeated, and it costs no retry."""
PAUSING: Final = frozenset({"preempted", "paused"})
"""Of these, those after which the task is paused, and not pending."""
WITHDRAWN: Final = frozenset({"cancelled", "superseded"})
"""Ends by intent: the hook runs, and no child counts as failed for it."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The body or finalizer returned."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed and is repeated."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It failed for good."""

    status: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """It was asked to stop and did: it is repeated, at no cost."""

    reason: str


@dataclass(frozen=True, slots=True)
class CancelItself:
    """It raised the interruption although nobody had asked."""


@dataclass(frozen=True, slots=True)
class Park:
    """This program cannot run it."""

    reason: str


@dataclass(frozen=True, slots=True)
class WindDown:
    """The end was decided while it ran; whatever it did counts no more."""


@dataclass(frozen=True, slots=True)
class HookDone:
    """The cancel hook is over."""

    error: str | None


RunEnd: TypeAlias = Succeeded | Retry | GiveUp | PutBack | CancelItself | Park | WindDown | HookDone


def is_current(row: Row | None, outcome: RunOutcome) -> bool:
    """The fence: whether the outcome is that of the run which the row says is under way."""
    return row is not None and row.executing == 1 and row.run == outcome.run


def decide_end(row: Row, outcome: RunOutcome) -> RunEnd:  # noqa: PLR0911 - one a decision
    """What a run's end means for its task. ``row`` is as committed before; the outcome must be current."""
    if row.phase == Phase.HOOK:
        if outcome.kind is RunKind.INTERRUPTED and outcome.asked in REPEATED and outcome.asked:
            return PutBack(outcome.asked)
        return HookDone(outcome.error)
    if row.closing is not None:
        return WindDown()
    match outcome.kind:
        case RunKind.RETURNED:
            return Succeeded()
        case RunKind.INTERRUPTED:
            return PutBack(outcome.asked) if outcome.asked in REPEATED and outcome.asked else CancelItself()
        case RunKind.UNRUNNABLE:
            return Park(outcome.error or "it cannot be run here")
        case RunKind.FAILED:
            if outcome.retry_delay_s is not None:
                return Retry(outcome.retry_delay_s)
            return GiveUp("dead_letter" if outcome.retryable else "failed")


def fails_now(row: Row) -> bool:
    """Whether the children that have failed so far are one too many, whatever the others do."""
    if isinstance(row.max_failures, float) or not row.fail_fast:
        return False
    return row.child_failed > (row.max_failures or 0)


def fails_in_the_end(row: Row) -> bool:
    """Whether too many children have failed, now that all have ended.

    A float is a share of the round's children, taken as the decimal it was written as: 0.29 of 100 tolerates 29.
    """
    if row.max_failures is None:
        return bool(row.fail_fast) and row.child_failed > 0
    if isinstance(row.max_failures, float):
        return row.child_failed > Fraction(repr(row.max_failures)) * row.child_total
    return row.child_failed > row.max_failures


def failure_of_children(row: Row, first: str) -> str:
    """The error of a parent that failed because of its children; ``first`` tells of the first of them."""
    return first if row.child_failed == 1 else f"{first} ({row.child_failed} of {row.child_total} children failed)"


class Step(Enum):
    """What a task does next when a run of it or of a child has ended."""

    STAY = auto()
    """Something of it executes, or it is queued: nothing to decide now."""
    WAIT = auto()
    """Its body is done or its end decided, and children are active."""
    FINALIZE = auto()
    HOOK = auto()
    FAIL = auto()
    """Too many of its children failed."""
    SETTLE = auto()
    """It settles: with ``closing`` where that is set, else COMPLETED."""


def next_step(row: Row, traits: Traits | None) -> Step:  # noqa: PLR0911 - one a step
    """What follows for a task. A program that does not know the task (``traits`` None) runs no hook of it."""
    if row.executing:
        return Step.STAY
    if row.closing is not None:
        if row.child_active:
            return Step.WAIT
        is_hook_due = (
            row.closing in WITHDRAWN and row.started_at_ms is not None and traits is not None and traits.has_hook
        )
        return Step.HOOK if is_hook_due else Step.SETTLE
    if row.phase not in (Phase.CHILDREN, Phase.TAIL):
        return Step.STAY
    if row.child_active or row.flow_open:
        return Step.WAIT
    if fails_in_the_end(row):
        return Step.FAIL
    if row.phase == Phase.CHILDREN and not row.is_flow and (traits is None or traits.has_finalizer):
        return Step.FINALIZE
    return Step.SETTLE
