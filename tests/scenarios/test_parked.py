"""Tasks that this program cannot run (behaviour.md, section 33)."""

import apsw
import dying
import pytest
from staging import WAIT_S, Stage, heard_until, kinds

from millrace import Context, Domain, DuplicatePolicy, Retry, Scheduler, SubmitKind, TaskStatus
from millrace.model.events import Completed, Parked


def older() -> Domain:
    """The program of yesterday, with a task that today's does not have."""
    domain = Domain("play")

    @domain.task()
    def gone(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def stays(ctx: Context, n: int) -> int:
        return n

    return domain


def newer() -> Domain:
    """The program of today."""
    domain = Domain("play")

    @domain.task()
    def stays(ctx: Context, n: int) -> int:
        return n

    return domain


def queue(stage: Stage, *names: str, count: int = 1) -> list[int]:
    """Submit tasks as yesterday's program, which runs none of them."""
    domain = older()
    scheduler = stage.scheduler(domain)
    ids = [scheduler.submit(domain.tasks[f"play::{name}"], n).id for name in names for n in range(count)]
    scheduler.stop()
    return ids


def damage(stage: Stage, payload: str) -> None:
    """Replace all payloads in the store by one."""
    with apsw.Connection(stage.path) as store:
        store.execute("UPDATE task SET payload = ?", (payload,))
    store.close()


def test_an_unknown_task_is_parked_at_start(stage: Stage) -> None:
    """S-416: the reason is in its error and told; it keeps its key, and delays nobody."""
    parked, running = queue(stage, "gone", "stays")
    scheduler = stage.scheduler(newer())
    with scheduler.subscribe() as events:
        scheduler.start()
        told = heard_until(events, lambda event: isinstance(event, Completed))
    assert kinds([event for event in told if isinstance(event, Parked)]) == ["Parked"]
    record = scheduler.task(parked)
    assert (record.status, record.retries) == (TaskStatus.PARKED, 0)
    assert "'play::gone'" in (record.error or "")
    assert scheduler.task(running).status is TaskStatus.COMPLETED


def test_a_parked_task_runs_where_a_program_has_it_again(stage: Stage) -> None:
    """S-360, S-417: pending at the start of a program that knows it, with its payload and without its error."""
    (parked,) = queue(stage, "gone")
    with stage.scheduler(newer()) as scheduler:
        assert scheduler.task(parked).status is TaskStatus.PARKED
    domain = older()
    with stage.scheduler(domain) as scheduler:
        record = dying.settled(scheduler, parked)
    assert (record.status, record.memo, record.error) == (TaskStatus.COMPLETED, 0, None)


def test_a_thousand_unknown_tasks_are_parked_and_taken_back_page_by_page(stage: Stage) -> None:
    """S-362, S-416: in bounded transactions, all of them."""
    queue(stage, "gone", count=1200)
    with stage.scheduler(newer()) as scheduler:
        assert scheduler.count(status=TaskStatus.PARKED) == 1200
    domain = older()
    with stage.scheduler(domain) as scheduler:
        assert scheduler.count(status=TaskStatus.PARKED) == 0
        last = scheduler.submit(domain.tasks["play::stays"].options(priority=255), 7)
        last.wait(WAIT_S)
        assert scheduler.count(status=TaskStatus.COMPLETED) >= 1197


@pytest.mark.parametrize("payload", ["[1]", "{}", '{"n": "text"}', '{"n": 1, "more": 2}', "null", '"x"', "7"])
def test_a_payload_that_does_not_decode_parks_the_task(stage: Stage, payload: str) -> None:
    """S-416: when it is to run; it spends no retry, and the reason names the payload."""
    queue(stage, "stays")
    damage(stage, payload)
    scheduler = stage.scheduler(newer())
    with scheduler.subscribe() as events:
        scheduler.start()
        told = heard_until(events, lambda event: isinstance(event, Parked))
    record = scheduler.task(1)
    assert (record.status, record.retries) == (TaskStatus.PARKED, 0)
    assert isinstance(told[-1], Parked)
    assert told[-1].reason == record.error
    assert "payload" in (record.error or "")


def test_a_parked_task_can_be_cancelled(stage: Stage) -> None:
    """S-417: it settles at once, its hook not being known."""
    (parked,) = queue(stage, "gone")
    scheduler = stage.started(newer())
    result = scheduler.cancel(parked)
    assert (result.accepted, result.settled) == (True, True)
    assert scheduler.task(parked).status is TaskStatus.CANCELLED


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (DuplicatePolicy.SKIP, SubmitKind.DUPLICATE),
        (DuplicatePolicy.REJECT, SubmitKind.REJECTED),
        (DuplicatePolicy.SUPERSEDE, SubmitKind.SUPERSEDED),
    ],
)
def test_a_parked_task_holds_its_key(stage: Stage, policy: DuplicatePolicy, kind: SubmitKind) -> None:
    """S-417: duplicates of it are treated like those of a pending task; superseded it settles at once."""
    queue(stage, "stays")
    damage(stage, "[]")
    domain = newer()
    scheduler = stage.started(domain)
    dying.reached(scheduler, 1, lambda record: record.status is TaskStatus.PARKED)
    outcome = scheduler.submit(domain.tasks["play::stays"].options(on_duplicate=policy), 0)
    assert outcome.kind is kind
    if kind is SubmitKind.SUPERSEDED:
        assert outcome.result(WAIT_S) == 0
        assert scheduler.task(1).status is TaskStatus.SUPERSEDED
    else:
        assert outcome.id == 1


def test_a_parked_child_keeps_its_parent_waiting(stage: Stage) -> None:
    """S-190, S-417: until it is cancelled, or runs."""
    domain = older()
    begun = stage.gate()

    @domain.task(retry=Retry.none())
    def parent(ctx: Context) -> str:
        ctx.spawn_child(domain.tasks["play::gone"].options(run_after=3600), 1)
        begun.let_pass()
        return "memo"

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    begun.hold()
    dying.reached(scheduler, task.id, lambda record: record.status is TaskStatus.WAITING)
    scheduler.stop()
    later = newer()
    later.task("parent")(parent.fn)
    scheduler = stage.started(later)
    assert scheduler.task(task.id).status is TaskStatus.WAITING
    assert scheduler.task(task.id + 1).status is TaskStatus.PARKED
    scheduler.cancel(task.id + 1)
    dying.settled(scheduler, task.id)
    assert scheduler.task(task.id).memo == "memo"


def test_a_waiting_parent_that_is_unknown_keeps_supervising(stage: Stage) -> None:
    """S-421: it is parked when its finalizer is due, and runs it where it is known again."""

    def program() -> Domain:
        domain = newer()

        @domain.task()
        def parent(ctx: Context) -> str:
            ctx.spawn_child(domain.tasks["play::stays"].options(group="held"), 1)
            return "memo"

        @parent.finalize
        def end(ctx: Context, memo: str) -> str:
            return memo + " and finalizer"

        return domain

    domain = program()
    first = stage.started(domain)
    first.pause_group("held")
    task = first.submit(domain.tasks["play::parent"])
    dying.reached(first, task.id, lambda record: record.status is TaskStatus.WAITING)
    first.stop()
    second = stage.started(newer())
    assert second.task(task.id).status is TaskStatus.WAITING
    second.resume_group("held")
    dying.reached(second, task.id, lambda record: record.status is not TaskStatus.WAITING)
    assert second.task(task.id).status is TaskStatus.PARKED
    second.stop()
    third = stage.started(program())
    dying.settled(third, task.id)
    assert third.task(task.id).memo == "memo and finalizer"


def test_the_hook_of_an_unknown_task_is_not_run(stage: Stage) -> None:
    """S-151, S-417: a started task of an unknown name settles without it when it is cancelled."""
    domain = older()
    called: list[int] = []

    @domain.task(retry=Retry.constant(5, 3600))
    def started(ctx: Context) -> None:
        raise ValueError

    @started.on_cancel
    def clear(ctx: Context) -> None:
        called.append(ctx.id)

    first = stage.started(domain)
    task = first.submit(started)
    dying.reached(first, task.id, lambda record: record.retries == 1)
    first.stop()
    second: Scheduler = stage.started(newer())
    assert second.cancel(task.id).settled
    assert called == []
