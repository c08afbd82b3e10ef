"""What a run came to, for its counter: every end has exactly one outcome, of the closed set."""

from typing import get_args

import pytest

from millrace.model.errors import InterruptReason
from millrace.model.families import RUN_RESULTS
from millrace.model.outcomes import RunKind, RunOutcome, result_of, result_of_given_up


def outcome(kind: RunKind, asked: str | None) -> RunOutcome:
    return RunOutcome(1, 1, 1, "a::b", kind, asked=asked)


@pytest.mark.parametrize(
    ("kind", "asked", "expected"),
    [
        (RunKind.RETURNED, None, "succeeded"),
        (RunKind.RETURNED, "cancelled", "succeeded"),
        (RunKind.FAILED, None, "failed"),
        (RunKind.FAILED, "timeout", "timed_out"),
        (RunKind.FAILED, "cancelled", "failed"),
        (RunKind.INTERRUPTED, None, "cancelled"),
        (RunKind.INTERRUPTED, "cancelled", "cancelled"),
        (RunKind.INTERRUPTED, "superseded", "cancelled"),
        (RunKind.INTERRUPTED, "parent_failed", "cancelled"),
        (RunKind.INTERRUPTED, "shutdown", "interrupted"),
        (RunKind.INTERRUPTED, "paused", "interrupted"),
        (RunKind.INTERRUPTED, "preempted", "preempted"),
        (RunKind.UNRUNNABLE, None, "failed"),
    ],
)
def test_the_outcome_of_a_run(kind: RunKind, asked: str | None, expected: str) -> None:
    """What the function did decides, and where it stopped because it was asked to, what for."""
    assert result_of(outcome(kind, asked)) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("timeout", "timed_out"), ("cancelled", "cancelled"), ("shutdown", "interrupted"), (None, "cancelled")],
)
def test_the_outcome_of_a_run_that_is_given_up(asked: str | None, expected: str) -> None:
    """It has the outcome that it was asked to have."""
    assert result_of_given_up(asked) == expected


@pytest.mark.parametrize("asked", [None, *get_args(InterruptReason)])
@pytest.mark.parametrize("kind", list(RunKind))
def test_every_end_is_in_the_closed_set(kind: RunKind, asked: str | None) -> None:
    """Whatever happened, the label has a value that is there from the start."""
    assert result_of(outcome(kind, asked)) in RUN_RESULTS
    assert result_of_given_up(asked) in RUN_RESULTS
