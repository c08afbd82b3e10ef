"""Runs that end because they were asked to make room, or by a pause: what their tasks are then, and when they go on.

Who asks, and when, is the dispatcher's to decide: here the test asks.
"""

from typing import Any, Literal

import pytest
from staging import WAIT_S, Gate, Stage, await_status, calm_down, heard_until, kinds, of_task

from millrace import Completed, Context, Domain, Outcome, Preempted, Resumed, Scheduler, TaskStatus
from millrace.actors.requests import Reconcile, ResumePreempted


@pytest.fixture
def gate(stage: Stage) -> Gate:
    made = stage.gate()
    made.open()
    return made


@pytest.fixture
def body(domain: Domain, gate: Gate) -> Any:
    """A task that runs until it is asked to stop, and returns where it runs for the second time."""
    runs: list[int] = []

    @domain.task(group="a")
    def body(ctx: Context) -> int:
        runs.append(ctx.id)
        if len(runs) == 1:
            gate.hold()
            assert ctx.wait_cancelled(WAIT_S)
            ctx.check_cancelled()
        return len(runs)

    return body


def stop(scheduler: Scheduler, outcome: Outcome[Any], reason: Literal["preempted", "paused"]) -> None:
    """Ask its run to stop."""
    (run,) = scheduler._runtime.executors.runs()
    assert scheduler._runtime.executors.interrupt(outcome.id, run.claim.run, reason)


def test_a_preempted_task_is_paused_until_it_may_go_on(stage: Stage, domain: Domain, body: Any, gate: Gate) -> None:
    """S-106, S-107, S-087: attempt and retries are unchanged, and it begins anew."""
    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    stop(scheduler, outcome, "preempted")
    record = await_status(outcome, TaskStatus.PAUSED)
    assert (record.attempt, record.retries, record.error) == (1, 0, None)
    scheduler._runtime.persistence.tell(ResumePreempted())
    assert outcome.result(WAIT_S) == 2
    assert outcome.handle.record().attempt == 1
    events = heard_until(subscription, lambda event: isinstance(event, Completed))
    assert kinds(of_task(events, outcome.id))[1:] == ["Dispatched", "Preempted", "Resumed", "Dispatched", "Completed"]


def test_a_preempted_task_is_pending_after_a_restart(stage: Stage, domain: Domain, body: Any, gate: Gate) -> None:
    """S-357: what it made room for is looked at anew."""
    before = stage.started(domain)
    outcome = before.submit(body)
    gate.await_arrivals(1)
    stop(before, outcome, "preempted")
    await_status(outcome, TaskStatus.PAUSED)
    before.stop()
    after = stage.scheduler(domain)
    subscription = after.subscribe(kinds=[Resumed, Completed])
    assert after.task(outcome.id).status is TaskStatus.PAUSED
    after.start()
    assert kinds([subscription.get(WAIT_S), subscription.get(WAIT_S)]) == ["Resumed", "Completed"]


def test_a_preempted_task_goes_on_where_the_dispatcher_is_replaced(
    stage: Stage, domain: Domain, body: Any, gate: Gate
) -> None:
    """S-374: the one that would have let it go on is no more."""
    scheduler = stage.started(domain)
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    stop(scheduler, outcome, "preempted")
    await_status(outcome, TaskStatus.PAUSED)
    scheduler._runtime.persistence.tell(Reconcile())
    assert outcome.result(WAIT_S) == 2


def test_a_preempted_task_of_a_paused_group_waits_for_both(stage: Stage, domain: Domain, body: Any, gate: Gate) -> None:
    """S-113, S-114: no pause counts it twice, and none lets it go while another reason holds it."""
    scheduler = stage.started(domain)
    subscription = scheduler.subscribe(kinds=[Preempted, Resumed])
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    stop(scheduler, outcome, "preempted")
    await_status(outcome, TaskStatus.PAUSED)
    assert scheduler.pause_group("a") == 1
    scheduler._runtime.persistence.tell(ResumePreempted())
    calm_down(scheduler)
    assert scheduler.task(outcome.id).status is TaskStatus.PAUSED
    assert scheduler.resume_group("a") == 1
    assert outcome.result(WAIT_S) == 2
    scheduler.stop()
    assert kinds(list(subscription)) == ["Preempted", "Resumed"]


def test_a_pause_that_is_over_before_its_body_stops_holds_nothing(
    stage: Stage, domain: Domain, body: Any, gate: Gate
) -> None:
    """S-120: Paused when the body has ended, and Resumed with it."""
    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    stop(scheduler, outcome, "paused")
    assert outcome.result(WAIT_S) == 2
    events = heard_until(subscription, lambda event: isinstance(event, Completed))
    assert kinds(of_task(events, outcome.id))[1:] == ["Dispatched", "Paused", "Resumed", "Dispatched", "Completed"]


def test_a_stopped_task_can_be_cancelled(stage: Stage, domain: Domain, body: Any, gate: Gate) -> None:
    """S-140: nothing of it runs, so it settles at once, and what would have let it go on finds nothing."""
    scheduler = stage.started(domain)
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    stop(scheduler, outcome, "preempted")
    await_status(outcome, TaskStatus.PAUSED)
    assert scheduler.cancel(outcome.id).settled
    scheduler._runtime.persistence.tell(ResumePreempted())
    calm_down(scheduler)
    assert scheduler.task(outcome.id).status is TaskStatus.CANCELLED
