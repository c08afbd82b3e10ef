"""What the end of a run means, and what follows: tables of section 5, 8 and 10, and what holds for all rows."""

from fractions import Fraction
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy import ends
from millrace.actors.policy.ends import Step
from millrace.model.catalog import Traits
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Phase, Row

FIELDS: Final = dict.fromkeys(Row.__struct_fields__, 0) | {
    "id": 1,
    "name": "play::body",
    "key": "k",
    "label": "l",
    "status": "running",
    "phase": int(Phase.BODY),
    "executing": 1,
    "run": 3,
    "round": 1,
    "holds_key": 1,
    "fail_fast": 1,
    "started_at_ms": 5,
}
NONE: Final = [
    "memo",
    "parent_id",
    "run_at_ms",
    "max_failures",
    "child_concurrency",
    "first_failure",
    "closing",
    "error",
    "traceback",
    "cancel_requested_at_ms",
    "superseded_by",
    "rerun",
    "options",
    "duration_s",
    "progress",
]
BARE, FULL = Traits(has_finalizer=False, has_hook=False), Traits(has_finalizer=True, has_hook=True)


def row(**values: Any) -> Row:
    """A row whose body executes, but for what is given."""
    fields: dict[str, Any] = FIELDS | dict.fromkeys(NONE) | values
    return Row(**{name: fields[name] for name in Row.__struct_fields__})


def outcome(kind: RunKind = RunKind.RETURNED, **values: Any) -> RunOutcome:
    """An end of that run."""
    return RunOutcome(1, values.pop("run", 3), int(Phase.BODY), "play::body", kind, **values)


rows = st.builds(
    row,
    phase=st.sampled_from([int(phase) for phase in Phase]),
    executing=st.integers(0, 1),
    closing=st.sampled_from([None, "failed", "dead_letter", "cancelled", "superseded"]),
    child_total=st.integers(3, 9),
    child_active=st.integers(0, 3),
    child_failed=st.integers(0, 3),
    fail_fast=st.integers(0, 1),
    max_failures=st.none() | st.integers(0, 4) | st.floats(0, 1),
    flow_open=st.integers(0, 1),
    is_flow=st.integers(0, 1),
    started_at_ms=st.none() | st.just(5),
)
outcomes = st.builds(
    outcome,
    kind=st.sampled_from(RunKind),
    asked=st.none() | st.sampled_from(["cancelled", "superseded", "shutdown", "timeout", "preempted", "child_failed"]),
    error=st.none() | st.just("it broke"),
    retryable=st.booleans(),
    retry_delay_s=st.none() | st.floats(0, 60),
)


@pytest.mark.parametrize(
    ("held", "found", "is_current"),
    [
        (row(), outcome(), True),
        (row(), outcome(run=2), False),
        (row(), outcome(run=4), False),
        (row(executing=0, status="pending"), outcome(), False),
        (None, outcome(), False),
    ],
    ids=["the run under way", "an earlier run", "a later run", "nothing executes", "settled"],
)
def test_the_fence(held: Row | None, found: RunOutcome, is_current: bool) -> None:
    """S-095: only the end of the run that the row says is under way counts."""
    assert ends.is_current(held, found) is is_current


@pytest.mark.parametrize(
    ("found", "end"),
    [
        (outcome(), ends.Succeeded()),
        (outcome(asked="shutdown"), ends.Succeeded()),
        (outcome(RunKind.INTERRUPTED), ends.CancelItself()),
        (outcome(RunKind.INTERRUPTED, asked="shutdown"), ends.PutBack("shutdown")),
        (outcome(RunKind.INTERRUPTED, asked="preempted"), ends.PutBack("preempted")),
        (outcome(RunKind.INTERRUPTED, asked="paused"), ends.PutBack("paused")),
        (outcome(RunKind.FAILED, retryable=True, retry_delay_s=2.0), ends.Retry(2.0)),
        (outcome(RunKind.FAILED, retryable=True, retry_delay_s=0.0), ends.Retry(0.0)),
        (outcome(RunKind.FAILED, retryable=True), ends.GiveUp("dead_letter")),
        (outcome(RunKind.FAILED), ends.GiveUp("failed")),
        (outcome(RunKind.UNRUNNABLE, error="why"), ends.Park("why")),
    ],
)
def test_the_end_of_a_run(found: RunOutcome, end: ends.RunEnd) -> None:
    """S-086 to S-089, S-127, S-416."""
    assert ends.decide_end(row(), found) == end


@given(st.sampled_from(["failed", "dead_letter", "cancelled", "superseded"]), outcomes)
def test_a_decided_end_stays_whatever_the_body_did(closing: str, found: RunOutcome) -> None:
    """S-090, S-131: no retry, no memo, no other end."""
    assert ends.decide_end(row(closing=closing, status="cancelling"), found) == ends.WindDown()


@given(outcomes)
def test_a_hook_is_over_unless_a_stop_interrupted_it(found: RunOutcome) -> None:
    """S-150, S-151: its error is noted; one that a shutdown cut short is due again."""
    end = ends.decide_end(row(phase=int(Phase.HOOK), closing="cancelled", status="cancelling"), found)
    if found.kind is RunKind.INTERRUPTED and found.asked in ends.REPEATED:
        assert end == ends.PutBack(found.asked or "")
    else:
        assert end == ends.HookDone(found.error)


@given(rows, outcomes)
def test_every_end_has_a_meaning(held: Row, found: RunOutcome) -> None:
    """The decision is total, and changes nothing of what it is given."""
    before = repr(held)
    assert ends.decide_end(held, found) is not None
    assert repr(held) == before


@pytest.mark.parametrize(
    ("fail_fast", "max_failures", "failed", "total", "now", "in_the_end"),
    [
        (1, None, 0, 9, False, False),
        (1, None, 1, 9, True, True),
        (0, None, 9, 9, False, False),
        (1, 5, 5, 9, False, False),
        (1, 5, 6, 9, True, True),
        (0, 5, 5, 9, False, False),
        (0, 5, 6, 9, False, True),
        (1, 0.1, 3, 30, False, False),
        (1, 0.1, 4, 30, False, True),
        (0, 0.29, 29, 100, False, False),
        (0, 0.29, 30, 100, False, True),
        (1, 0, 1, 1, True, True),
        (1, 1.0, 9, 9, False, False),
        (1, 0.0, 1, 9, False, True),
    ],
)
def test_how_many_failures_are_too_many(  # noqa: PLR0917 - the columns of the table
    fail_fast: int, max_failures: float | None, failed: int, total: int, now: bool, in_the_end: bool
) -> None:
    """S-180, S-181: an int with `fail_fast` is judged at the first too many, all else when body and children are done."""
    held = row(fail_fast=fail_fast, max_failures=max_failures, child_failed=failed, child_total=total)
    assert (ends.fails_now(held), ends.fails_in_the_end(held)) == (now, in_the_end)


@given(st.integers(1, 1000), st.integers(0, 100))
def test_a_share_is_exact(total: int, percent: int) -> None:
    """As the decimal it was written as: no float's error makes a failure more or less."""
    for failed in range(0, total + 1, max(1, total // 10)):
        held = row(max_failures=percent / 100, child_failed=failed, child_total=total)
        assert ends.fails_in_the_end(held) == (failed > Fraction(percent, 100) * total)


@pytest.mark.parametrize(
    ("held", "traits", "step"),
    [
        (row(), FULL, Step.STAY),
        (row(executing=0, status="pending"), FULL, Step.STAY),
        (row(executing=0, phase=2, child_total=3, child_active=1), FULL, Step.WAIT),
        (row(executing=0, phase=2), FULL, Step.FINALIZE),
        (row(executing=0, phase=2), BARE, Step.SETTLE),
        (row(executing=0, phase=2), None, Step.FINALIZE),
        (row(executing=0, phase=3), FULL, Step.SETTLE),
        (row(executing=0, phase=3, child_total=1, child_active=1), FULL, Step.WAIT),
        (row(executing=0, phase=2, child_total=3, child_failed=1), FULL, Step.FAIL),
        (row(executing=0, phase=2, is_flow=1, flow_open=1), None, Step.WAIT),
        (row(executing=0, phase=2, is_flow=1), None, Step.SETTLE),
        (row(executing=0, phase=2, closing="cancelled"), FULL, Step.HOOK),
        (row(executing=0, phase=2, closing="cancelled", started_at_ms=None), FULL, Step.SETTLE),
        (row(executing=0, phase=2, closing="cancelled"), BARE, Step.SETTLE),
        (row(executing=0, phase=2, closing="superseded"), FULL, Step.HOOK),
        (row(executing=0, phase=2, closing="cancelled"), None, Step.SETTLE),
        (row(executing=0, phase=2, closing="failed"), FULL, Step.SETTLE),
        (row(executing=0, phase=2, closing="cancelled", child_total=1, child_active=1), FULL, Step.WAIT),
    ],
)
def test_what_follows(held: Row, traits: Traits | None, step: Step) -> None:
    """S-148, S-170 to S-174, S-417, S-421."""
    assert ends.next_step(held, traits) is step


@given(rows, st.sampled_from([None, BARE, FULL]))
def test_nothing_ends_over_active_children(held: Row, traits: Traits | None) -> None:
    """S-170: no task settles, runs its hook or its finalizer while a child of it is active, or something of it executes."""
    step = ends.next_step(held, traits)
    if held.executing:
        assert step is Step.STAY
    elif held.child_active:
        assert step in (Step.WAIT, Step.STAY)
    if step is Step.HOOK:
        assert traits is not None
        assert traits.has_hook
