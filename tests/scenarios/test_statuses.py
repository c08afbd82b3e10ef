"""From which status to which (behaviour.md, section 0), seen from outside; and whom a cancel hook is not for."""

from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, await_status

from millrace import Context, Domain, Retry, TaskStatus
from millrace.model.statuses import TaskStatus as Status

LATER = 3600.0


@pytest.fixture
def gate(stage: Stage) -> Gate:
    return stage.gate()


@pytest.fixture
def held(domain: Domain, gate: Gate) -> Any:
    """A task that waits at the gate, and stops where it is asked to."""

    @domain.task()
    def held(ctx: Context, n: int = 0) -> int:
        gate.hold()
        ctx.wait_cancelled(0.01)  # not so short that others are claimed ahead
        ctx.check_cancelled()
        return n

    return held


@pytest.fixture
def family(domain: Domain, held: Any) -> Any:
    """A parent with one child that waits at the gate, and a finalizer."""

    @domain.task()
    def family(ctx: Context) -> str:
        ctx.spawn_child(held, 7)
        return "body"

    @family.finalize
    def end(ctx: Context, memo: str) -> str:
        return f"{memo}, finalizer"

    return family


def test_is_terminal_is_true_for_the_seven_ends_only() -> None:
    """S-013."""
    ends = {"completed", "failed", "dead_letter", "cancelled", "superseded", "expired", "dependency_failed"}
    assert {status.value for status in Status if status.is_terminal} == ends


def test_a_blocked_task_is_pending_and_a_paused_one_is_as_it_was(
    stage: Stage, domain: Domain, gate: Gate, held: Any
) -> None:
    """S-001, S-002, S-003, S-004, S-011: blocked, paused where its group is, pending, running, completed."""
    scheduler = stage.started(domain, max_concurrency=1)
    first = scheduler.submit(held)
    gate.await_arrivals(1)
    scheduler.pause_group("g")
    then = scheduler.submit(held.options(depends_on=[first], group="g"), 1)
    assert then.handle.status() is TaskStatus.BLOCKED
    gate.let_pass()
    first.wait(WAIT_S)
    await_status(then, TaskStatus.PAUSED)
    scheduler.resume_group("g")
    gate.await_arrivals(2)
    assert then.handle.status() is TaskStatus.RUNNING
    gate.let_pass()
    assert then.wait(WAIT_S).status is TaskStatus.COMPLETED


def test_a_stopped_run_is_pending_or_paused(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-005, S-006: paused by a pause, pending again by a shutdown."""

    @domain.task()
    def patient(ctx: Context) -> None:
        gate.hold()
        assert ctx.wait_cancelled(WAIT_S)
        ctx.check_cancelled()

    gate.open()
    scheduler = stage.started(domain)
    outcome = scheduler.submit(patient)
    gate.await_arrivals(1)
    scheduler.pause()
    await_status(outcome, TaskStatus.PAUSED)
    scheduler.resume()
    gate.await_arrivals(2)
    scheduler.stop(0)
    assert stage.scheduler(domain).task(outcome.id).status is TaskStatus.PENDING


def test_a_parent_waits_and_then_is_pending_for_its_finalizer(
    stage: Stage, domain: Domain, gate: Gate, held: Any, family: Any
) -> None:
    """S-008: with all slots taken, the finalizer is next and waits for one."""
    scheduler = stage.started(domain, max_concurrency=1)
    parent = scheduler.submit(family)
    gate.await_arrivals(1)
    await_status(parent, TaskStatus.WAITING)
    blocker = scheduler.submit(held.options(priority=1), 8)
    gate.let_pass()
    gate.await_arrivals(2)
    await_status(parent, TaskStatus.PENDING)
    gate.let_pass()
    assert blocker.result(WAIT_S) == 8
    assert parent.result(WAIT_S) == "body, finalizer"


def test_a_cancel_winds_down_or_settles_at_once(stage: Stage, domain: Domain, gate: Gate, held: Any) -> None:
    """S-010, S-012, S-014: CANCELLING while a body has to end; where nothing has, the one terminal record at once."""
    scheduler = stage.started(domain, max_concurrency=1)
    running = scheduler.submit(held)
    gate.await_arrivals(1)
    queued = scheduler.submit(held, 1)
    assert scheduler.cancel(queued.id).status is TaskStatus.CANCELLED
    assert scheduler.cancel(running.id).status is TaskStatus.CANCELLING
    assert running.handle.status() is TaskStatus.CANCELLING
    gate.open()
    assert running.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert [record.id for record in scheduler.tasks(status=TaskStatus.CANCELLED)] == [queued.id, running.id]


def test_a_task_that_no_program_knows_is_parked_until_one_does(stage: Stage, domain: Domain, held: Any) -> None:
    """S-009, S-016: kept, and pending again in a program that can run it."""
    outcome = stage.scheduler(domain).submit(held.options(run_after=LATER))
    stage.clear()
    stranger = stage.started(Domain("stranger"))
    assert stranger.task(outcome.id).status is TaskStatus.PARKED
    stranger.stop()
    assert stage.started(domain).task(outcome.id).status is TaskStatus.PENDING


def test_a_delayed_task_counts_and_holds_its_key_and_no_slot(
    stage: Stage, domain: Domain, gate: Gate, held: Any
) -> None:
    """S-220: pending until its time, whatever waits or starts beside it; its time stays what it was."""
    scheduler = stage.started(domain, max_concurrency=1)
    delayed = scheduler.submit(held.options(run_after=LATER, key="one"))
    due = scheduler.task(delayed.id).run_at
    assert scheduler.count(status=TaskStatus.PENDING) == 1
    assert scheduler.submit(held.options(key="one")).id == delayed.id
    other = scheduler.submit(held.options(key="two"), 2)
    gate.await_arrivals(1)
    assert scheduler.task(delayed.id).run_at == due
    gate.open()
    assert other.result(WAIT_S) == 2
    assert scheduler.task(delayed.id).status is TaskStatus.PENDING


def test_the_hook_is_for_cancelled_tasks_only(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-108: not for a pause, a time-out or a shutdown."""
    called: list[int] = []

    @domain.task(retry=Retry.none())
    def hooked(ctx: Context, n: int) -> None:
        gate.hold()
        assert ctx.wait_cancelled(WAIT_S)
        ctx.check_cancelled()

    @hooked.on_cancel
    def undo(ctx: Context, n: int) -> None:
        called.append(n)

    gate.open()
    scheduler = stage.started(domain)
    late = scheduler.submit(hooked.options(timeout=0.01), 1)
    assert late.wait(WAIT_S).status is TaskStatus.DEAD_LETTER
    stopped = scheduler.submit(hooked, 2)
    gate.await_arrivals(2)
    scheduler.pause()
    await_status(stopped, TaskStatus.PAUSED)
    scheduler.resume()
    gate.await_arrivals(3)
    scheduler.stop(0)
    again = stage.started(domain)
    gate.await_arrivals(4)
    assert called == []
    same = again.submit(hooked, 2)
    assert same.id == stopped.id
    assert again.cancel(same.id).accepted
    assert same.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert called == [2]
