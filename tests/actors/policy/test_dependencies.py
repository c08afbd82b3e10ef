"""What the end of a dependency means, as a table (S-247, S-249)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.dependencies import BadEnd, Meaning, decide, failure_of_dependency

BAD = ["failed", "dead_letter", "cancelled", "expired", "dependency_failed", "superseded"]


def end(status: str, error: str | None = None, policy: str = "cancel", task_id: int = 3) -> BadEnd:
    return BadEnd(task_id, "a::b", status, error, policy)


@pytest.mark.parametrize("status", BAD)
@pytest.mark.parametrize("its_policy", ["cancel", "fail", "ignore"])
@pytest.mark.parametrize("policy", ["cancel", "fail", "ignore"])
def test_every_bad_end_by_every_policy(status: str, its_policy: str, policy: str) -> None:
    """S-247: the dependent's policy decides, but that what failed under FAIL leaves its dependents to an operator."""
    is_kept = status == "dependency_failed" and its_policy == "fail"
    expected = Meaning.MET if policy == "ignore" else Meaning.KEPT if is_kept else Meaning.FAILED
    assert decide(end(status, policy=its_policy), policy) is expected


def test_the_error_names_the_direct_one_and_the_first() -> None:
    """S-249: one line of the first failure goes all the way down, however long the chain."""
    error = failure_of_dependency(end("failed", "ValueError: boom\nsecond line", task_id=1))
    assert error == "dependency 1 (a::b) ended failed: ValueError: boom"
    for task_id in range(2, 50):
        error = failure_of_dependency(end("dependency_failed", error, task_id=task_id))
        assert error == (
            f"dependency {task_id} (a::b) ended dependency_failed; "
            "first failure: dependency 1 (a::b) ended failed: ValueError: boom"
        )
    assert failure_of_dependency(end("cancelled")) == "dependency 3 (a::b) ended cancelled"


@given(st.text())
def test_whatever_the_first_error_says(message: str) -> None:
    """S-249: also a message that looks like one of ours is quoted, and does not grow on its way."""
    first = failure_of_dependency(end("failed", message))
    second = failure_of_dependency(end("dependency_failed", first))
    third = failure_of_dependency(end("dependency_failed", second, task_id=4))
    assert second.endswith(f"; first failure: {first}")
    assert third.endswith(f"; first failure: {first}")
    assert len(third) < 700
