"""Runs that end because they were asked to make room, or by a pause that is over: what their tasks are, and when they go on."""

from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, await_status, calm_down, heard_until, kinds, of_task

from millrace import Completed, Context, Domain, Preempted, Resumed, TaskStatus
from millrace.actors.requests import Reconcile


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


@pytest.fixture
def urgent_gate(stage: Stage) -> Gate:
    return stage.gate()


@pytest.fixture
def urgent(domain: Domain, urgent_gate: Gate) -> Any:
    """A task for which others make room, and that runs until the test lets it end."""

    @domain.task(priority=0)
    def urgent(ctx: Context) -> str:
        urgent_gate.hold()
        return "urgent"

    return urgent


def test_a_preempted_task_is_paused_until_it_may_go_on(
    stage: Stage, domain: Domain, *, body: Any, gate: Gate, urgent: Any, urgent_gate: Gate
) -> None:
    """S-106, S-107, S-087: attempt and retries are unchanged, and it begins anew."""
    scheduler = stage.started(domain, max_concurrency=1)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    scheduler.submit(urgent)
    urgent_gate.await_arrivals(1)
    record = scheduler.task(outcome.id)
    assert (record.status, record.attempt, record.retries, record.error) == (TaskStatus.PAUSED, 1, 0, None)
    urgent_gate.open()
    assert outcome.result(WAIT_S) == 2
    assert outcome.handle.record().attempt == 1
    events = heard_until(subscription, lambda event: isinstance(event, Completed) and event.task_id == outcome.id)
    assert kinds(of_task(events, outcome.id))[1:] == ["Dispatched", "Preempted", "Resumed", "Dispatched", "Completed"]


def test_a_preempted_task_goes_on_after_a_restart(
    stage: Stage, domain: Domain, *, body: Any, gate: Gate, urgent: Any, urgent_gate: Gate
) -> None:
    """S-357: what it made room for is looked at anew."""
    before = stage.started(domain, max_concurrency=1)
    outcome = before.submit(body)
    gate.await_arrivals(1)
    more_urgent = before.submit(urgent)
    urgent_gate.await_arrivals(1)
    assert before.task(outcome.id).status is TaskStatus.PAUSED
    urgent_gate.open()
    before.pause()  # what is stopped now stays so over the restart
    before.stop()
    after = stage.scheduler(domain)
    after.resume()
    after.start()
    subscription = after.subscribe(kinds=[Completed])
    for task_id in (outcome.id, more_urgent.id):
        while not after.task(task_id).status.is_terminal:
            subscription.get(WAIT_S)
    assert after.task(outcome.id).memo == 2


def test_a_preempted_task_goes_on_where_the_dispatcher_is_replaced(
    stage: Stage, domain: Domain, *, body: Any, gate: Gate, urgent: Any, urgent_gate: Gate
) -> None:
    """S-374: the one that would have let it go on is no more, so it waits for a slot like any other."""
    scheduler = stage.started(domain, max_concurrency=1)
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    scheduler.submit(urgent)
    urgent_gate.await_arrivals(1)
    scheduler._runtime.persistence.tell(Reconcile())
    assert await_status(outcome, TaskStatus.PENDING).attempt == 1
    urgent_gate.open()
    assert outcome.result(WAIT_S) == 2


def test_a_preempted_task_of_a_paused_group_waits_for_both(
    stage: Stage, domain: Domain, *, body: Any, gate: Gate, urgent: Any, urgent_gate: Gate
) -> None:
    """S-113, S-114: it is counted like any other, and goes on when neither reason holds it any more."""
    scheduler = stage.started(domain, max_concurrency=1)
    subscription = scheduler.subscribe(kinds=[Preempted, Resumed])
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    more_urgent = scheduler.submit(urgent)
    urgent_gate.await_arrivals(1)
    assert scheduler.pause_group("a") == 1
    urgent_gate.open()
    more_urgent.wait(WAIT_S)
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
    release = stage.gate()

    @domain.task()
    def dawdler(ctx: Context) -> bool:
        if ctx.wait_cancelled(0 if release.arrived else WAIT_S):
            release.hold()
            ctx.check_cancelled()
        return True

    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(dawdler)
    heard_until(subscription, lambda event: kinds([event]) == ["Dispatched"])
    scheduler.pause()
    release.await_arrivals(1)
    scheduler.resume()
    release.open()
    assert outcome.result(WAIT_S) is True
    events = heard_until(subscription, lambda event: isinstance(event, Completed))
    assert kinds(of_task(events, outcome.id)) == ["Paused", "Resumed", "Dispatched", "Completed"]


def test_a_preempted_task_can_be_cancelled(
    stage: Stage, domain: Domain, *, body: Any, gate: Gate, urgent: Any, urgent_gate: Gate
) -> None:
    """S-140: nothing of it runs, so it settles at once, and what would have let it go on finds nothing."""
    scheduler = stage.started(domain, max_concurrency=1)
    outcome = scheduler.submit(body)
    gate.await_arrivals(1)
    more_urgent = scheduler.submit(urgent)
    urgent_gate.await_arrivals(1)
    assert scheduler.cancel(outcome.id).settled
    urgent_gate.open()
    more_urgent.wait(WAIT_S)
    calm_down(scheduler)
    assert scheduler.task(outcome.id).status is TaskStatus.CANCELLED
