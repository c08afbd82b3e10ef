"""What a submission does to the holder of its key: the table of section 2."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.duplicates import Duplicate, Keep, Replace, Requeue, Upgrade, decide
from millrace.model.rows import Row

ACTIVE: Final = ["pending", "running", "waiting", "parked"]


def holder(status: str, phase: int, priority: int) -> Row:
    """The active task that holds the key."""
    values = dict.fromkeys(Row.__struct_fields__, 0) | {"status": status, "phase": phase, "priority": priority}
    return Row(**values)  # type: ignore[arg-type]  # the other fields do not matter


@pytest.mark.parametrize(
    ("status", "phase", "policy", "priority", "decision"),
    [
        ("pending", 1, "skip", 200, Keep()),
        ("pending", 1, "skip", 128, Keep()),
        ("pending", 1, "skip", 5, Upgrade(5)),
        ("parked", 1, "skip", 5, Upgrade(5)),
        ("running", 1, "skip", 200, Requeue(200)),
        ("waiting", 2, "skip", 128, Requeue(128)),
        ("pending", 0, "skip", 128, Requeue(128)),
        ("running", 0, "skip", 128, Requeue(128)),
        ("pending", 1, "reject", 5, Keep(is_rejected=True)),
        ("running", 1, "reject", 5, Keep(is_rejected=True)),
        ("pending", 1, "supersede", 200, Replace()),
        ("running", 1, "supersede", 200, Replace()),
    ],
)
def test_the_first_duplicate(status: str, phase: int, policy: str, priority: int, decision: Duplicate) -> None:
    """Of a task at priority 128."""
    held = holder(status, phase, 128)
    assert decide(held, policy, priority=priority, rerun_priority=None, is_same_as_rerun=False) == decision


@pytest.mark.parametrize(
    ("priority", "is_same", "decision"),
    [
        (100, True, Keep()),
        (120, True, Keep()),
        (50, True, Requeue(50)),
        (200, False, Requeue(100)),
        (50, False, Requeue(50)),
    ],
)
def test_a_further_duplicate_of_a_running_task(priority: int, is_same: bool, decision: Duplicate) -> None:
    """Its rerun at 100 takes the newest submission and the most urgent of their priorities; nothing new changes nothing."""
    held = holder("running", 1, 128)
    assert decide(held, "skip", priority=priority, rerun_priority=100, is_same_as_rerun=is_same) == decision


@given(
    st.sampled_from(ACTIVE),
    st.integers(0, 3),
    st.integers(0, 255),
    st.integers(0, 255),
    st.none() | st.integers(0, 255),
    st.booleans(),
)
def test_a_skip_never_makes_anything_less_urgent(  # noqa: PLR0917 - hypothesis gives them by position
    status: str, phase: int, held_at: int, priority: int, rerun: int | None, is_same: bool
) -> None:
    """An upgrade is more urgent than the holder, a rerun no less than the one before and than this submission."""
    decision = decide(
        holder(status, phase, held_at), "skip", priority=priority, rerun_priority=rerun, is_same_as_rerun=is_same
    )
    match decision:
        case Upgrade(upgraded):
            assert upgraded == priority < held_at
        case Requeue(rerun_at):
            assert rerun_at <= priority
            assert rerun is None or rerun_at <= rerun
        case Keep(is_rejected):
            assert not is_rejected
        case Replace():
            pytest.fail("a skip replaces nothing")
