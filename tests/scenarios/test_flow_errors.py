"""What a caller is told who took a task for a flow, or a flow for one that is open still."""

from typing import Any

import pytest
from staging import WAIT_S, Stage

from millrace import Context, Domain, InvalidTask, ParentClosed, Retention, TaskNotFound


def test_what_is_no_flow_is_told_from_what_is_nothing(stage: Stage, domain: Domain) -> None:
    """A task that exists is not said to be none of the store; nor is a flow called a task."""

    @domain.task()
    def body(ctx: Context) -> None:
        """Nothing to do."""

    scheduler = stage.started(domain)
    outcome = scheduler.submit(body)
    for _ in ("active, or hardly settled", "settled"):
        with pytest.raises(TaskNotFound, match=r"^task 1: expected a flow, found a task that is none$") as caught:
            scheduler.open_flow(outcome.id)
        assert (caught.value.exists, caught.value.pruned) == (True, False)
        with pytest.raises(TaskNotFound, match=r"^task 1: expected a series, found a task that is of none"):
            scheduler.pause_schedule(outcome.id)
        outcome.wait(WAIT_S)
    with pytest.raises(TaskNotFound, match=r"^flow 99: .* no such flow was ever stored here$") as caught:
        scheduler.open_flow(99)
    assert not caught.value.exists
    with pytest.raises(TaskNotFound, match=r"^flow 'import': .* no such flow was ever stored here, or it was pruned"):
        scheduler.open_flow("import")
    with pytest.raises(TaskNotFound, match=r"^task 99: .* no such task was ever stored here$"):
        scheduler.cancel_schedule(99)
    ended = scheduler.flow("trip")
    ended.finish()
    ended.wait(WAIT_S)
    scheduler.prune(Retention(0))
    with pytest.raises(TaskNotFound, match=rf"^flow {ended.id}: .* it was pruned from the history"):
        scheduler.open_flow(ended.id)
    with pytest.raises(TaskNotFound, match=rf"^flow {ended.id}: .* it was pruned from the history"):
        ended.cancel()


def test_a_change_of_an_ended_flow_says_that_it_has_ended(stage: Stage, domain: Domain) -> None:
    """Nobody wanted to add a child, and a root task is no way out."""
    flow = stage.started(domain).flow("trip")
    flow.fail("no train")
    with pytest.raises(
        ParentClosed, match=rf"^flow {flow.id}: expected one whose end is not decided, it is .*; open a new"
    ):
        flow.fail("no train")
    with pytest.raises(ParentClosed, match="expected one whose end is not decided"):
        flow.finish()
    with pytest.raises(ParentClosed, match="expected one whose end is not decided"):
        flow.update(1)


def test_an_error_that_is_none_says_what_came(stage: Stage, domain: Domain) -> None:
    """Text that is not empty is what the record has in the end."""
    flow = stage.started(domain).flow("trip")
    wrong: Any = 5
    with pytest.raises(InvalidTask, match=r"^error: expected a text that says why, got int"):
        flow.fail(wrong)
    with pytest.raises(InvalidTask, match=r"^error: expected a text that says why, got an empty one"):
        flow.fail("")
