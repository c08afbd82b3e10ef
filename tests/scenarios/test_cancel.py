"""Cancelling: the intent first, then runs, children and hooks (behaviour.md, section 9)."""

import threading
from functools import partial
from typing import Any

import apsw
import pytest
from staging import WAIT_S, Stage, heard_until, kinds, of_task
from tree_support import await_status, by_number, ends, reason_told, run_until_told, until

from millrace import (
    Cancelled,
    CancelRequested,
    CancelResult,
    Context,
    Domain,
    ParentClosed,
    Retry,
    Scheduler,
    TaskCancelled,
    TaskStatus,
)


def test_the_intent_is_told_before_the_end_and_both_are_kept(stage: Stage, domain: Domain) -> None:
    """S-139: a cancel is recorded with its time and CancelRequested first, and the record of the end still has the time."""
    gate = stage.gate()

    @domain.task()
    def body(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    task = scheduler.submit(body)
    gate.await_arrivals()
    with scheduler.subscribe() as heard:
        assert scheduler.cancel(task.id).accepted
        asked = scheduler.task(task.id)
        assert asked.status is TaskStatus.CANCELLING
        gate.open()
        events = heard_until(heard, lambda event: isinstance(event, Cancelled))
    assert kinds(of_task(events, task.id)) == ["CancelRequested", "Cancelled"]
    assert task.wait(WAIT_S).cancel_requested_at == asked.cancel_requested_at is not None


def test_a_cancel_is_carried_out_by_the_next_scheduler(stage: Stage, domain: Domain) -> None:
    """S-139: a cancel that was recorded stays one over a restart, and never runs the body again."""
    gate = stage.gate()
    runs: list[int] = []

    @domain.task()
    def stubborn(ctx: Context) -> None:
        runs.append(ctx.id)
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(stubborn)

    first = stage.started(domain, cancel_timeout=30)
    task = first.submit(parent)
    gate.await_arrivals()
    await_status(first, task.id, TaskStatus.WAITING)
    result = first.cancel(task.id)
    assert (result.accepted, result.settled, result.status) == (True, False, TaskStatus.CANCELLING)
    gate.open()
    first.stop()
    second = stage.started(domain)
    assert second.submit(parent).id > task.id
    assert second.task(task.id).status is TaskStatus.CANCELLED
    assert ends(second, task.id) == [TaskStatus.CANCELLED]
    assert runs.count(next(iter(second.children(task.id))).id) == 1


@pytest.mark.parametrize("waits_for", ["slot", "time", "retry", "children", "finalizer"])
def test_what_nothing_runs_of_settles_in_the_call(stage: Stage, domain: Domain, waits_for: str) -> None:  # noqa: C901 - one arm for each thing that it may wait for
    """S-140: a task of which nothing runs is CANCELLED when the call returns, whatever it waited for."""
    gate = stage.gate()

    @domain.task()
    def blocker(ctx: Context) -> None:
        gate.hold()

    @domain.task(retry=Retry.constant(3, 1000))
    def fails(ctx: Context) -> None:
        raise ValueError

    @domain.task()
    def body(ctx: Context) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(body.options(run_after=1000))

    @domain.task()
    def finalized(ctx: Context) -> None:
        ctx.wait_cancelled(0.02)  # bodies that take a while: nothing is claimed ahead of the free slots
        ctx.spawn_child(blocker)

    @finalized.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        raise AssertionError("never starts")

    scheduler = stage.started(domain, max_concurrency=1)
    match waits_for:
        case "slot":
            scheduler.submit(blocker)
            gate.await_arrivals()
            task = scheduler.submit(body)
        case "time":
            task = scheduler.submit(body.options(run_after=1000))
        case "retry":
            task = scheduler.submit(fails)
            until(lambda: scheduler.task(task.id).error is not None)
        case "children":
            task = scheduler.submit(parent)
            await_status(scheduler, task.id, TaskStatus.WAITING)
        case _:
            task = scheduler.submit(finalized)
            gate.await_arrivals(1)
            scheduler.submit(blocker.options(priority=0, key="urgent"))
            gate.let_pass(1)  # the child ends; the root task of the same body is more urgent than the finalizer
            gate.await_arrivals(2)
            until(lambda: all(child.status.is_terminal for child in scheduler.children(task.id)))
            await_status(scheduler, task.id, TaskStatus.PENDING)
    result = scheduler.cancel(task.id)
    assert result == CancelResult(True, True, True, TaskStatus.CANCELLED, result.reason)
    assert scheduler.task(task.id).status is TaskStatus.CANCELLED


def test_a_repeated_cancel_changes_nothing(stage: Stage, domain: Domain) -> None:
    """S-141: while it winds down a task is CANCELLING however often it is cancelled, with the time of the first."""
    gate = stage.gate()

    @domain.task()
    def body(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    task = scheduler.submit(body)
    gate.await_arrivals()
    scheduler.cancel(task.id)
    first = scheduler.task(task.id).cancel_requested_at
    with scheduler.subscribe(kinds=[CancelRequested]) as heard:
        result = scheduler.cancel(task.id)
        assert (result.found, result.accepted, result.settled) == (True, True, False)
        assert result.status is TaskStatus.CANCELLING
        gate.open()
        assert task.wait(WAIT_S).cancel_requested_at == first
        heard.close()
        assert list(heard) == []


def test_what_is_not_there_or_over_is_said_as_such(stage: Stage, domain: Domain) -> None:
    """S-142, S-143: an unknown id, an end of another kind and a second cancel are told apart, each with its words."""

    @domain.task()
    def body(ctx: Context) -> None: ...

    scheduler = stage.started(domain)
    done = scheduler.submit(body)
    done.wait(WAIT_S)
    late = scheduler.submit(body.options(run_after=1000))
    scheduler.cancel(late.id)
    unknown, ended, again = scheduler.cancel(99), scheduler.cancel(done.id), scheduler.cancel(late.id)
    assert (unknown.found, unknown.accepted, unknown.settled, unknown.status) == (False, False, False, None)
    assert (ended.found, ended.accepted, ended.settled, ended.status) == (True, False, True, TaskStatus.COMPLETED)
    assert (again.found, again.accepted, again.settled, again.status) == (True, True, True, TaskStatus.CANCELLED)
    assert "99" in unknown.reason
    assert "completed" in ended.reason
    assert "before" in again.reason


def test_active_children_of_a_settled_parent_are_stopped(stage: Stage, domain: Domain) -> None:
    """S-144: where a settled parent has active children, which should not be, its cancel stops them and theirs."""

    @domain.task()
    def body(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    parent = scheduler.submit(body)
    child = scheduler.spawn_child(parent.id, body.options(run_after=1000).call())
    grandchild = scheduler.spawn_child(child.id, body.options(run_after=1000).call())
    scheduler.stop()
    # No call leads there: the store is made so.
    connection = apsw.Connection(stage.path)
    connection.execute(
        "INSERT INTO history (id, name, key, label, status, priority, parent_round, run, round, retries, max_retries,"
        " fail_fast, created_at_ms, finished_at_ms) SELECT id, name, key, label, 'completed', priority, 0, 1, 1, 0, 0, 1,"
        " created_at_ms, created_at_ms FROM task WHERE id = ?",
        (parent.id,),
    )
    connection.execute("DELETE FROM task WHERE id = ?", (parent.id,))
    connection.close()
    again = stage.started(domain)
    result = again.cancel(parent.id)
    assert (result.found, result.accepted, result.settled, result.status) == (True, True, True, TaskStatus.COMPLETED)
    assert [again.task(task_id).status for task_id in (child.id, grandchild.id)] == [TaskStatus.CANCELLED] * 2


@pytest.mark.parametrize("then", ["returns", "raises", "stops"])
def test_whatever_the_body_does_the_end_is_cancelled(stage: Stage, domain: Domain, then: str) -> None:
    """S-145, S-131: a running body is told "cancelled", and its task ends CANCELLED without memo or retry."""
    told: list[str] = []
    begun = threading.Event()

    @domain.task(retry=Retry.constant(5))
    def body(ctx: Context) -> str:
        begun.set()
        told.append(reason_told(ctx))
        if then == "raises":
            raise ValueError("too late")
        if then == "stops":
            ctx.check_cancelled()
        return "memo"

    scheduler = stage.started(domain)
    task = scheduler.submit(body)
    assert begun.wait(WAIT_S)
    assert task.handle.cancel()
    record = task.wait(WAIT_S)
    assert (record.status, record.memo, record.retries) == (TaskStatus.CANCELLED, None, 0)
    assert told == ["cancelled"]
    with pytest.raises(TaskCancelled):
        task.result(0)


def test_the_hook_runs_after_the_body_and_all_children(stage: Stage, domain: Domain) -> None:
    """S-145: the hook of a parent runs when its children have settled, and before the parent settles."""
    gate = stage.gate()
    seen: list[Any] = []

    @domain.task()
    def child(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context, n: int) -> None:
        ctx.spawn_child(child)
        gate.hold()

    @parent.on_cancel
    def hook(ctx: Context, n: int) -> None:
        seen.append((n, ctx.scheduler.task(ctx.id).status, ends(ctx.scheduler, ctx.id)))

    scheduler = stage.started(domain)
    task = scheduler.submit(parent, 7)
    gate.await_arrivals(2)
    scheduler.cancel(task.id)
    assert seen == []
    gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert seen == [(7, TaskStatus.CANCELLING, [TaskStatus.CANCELLED])]


def test_cancel_and_outcome_race_for_one_commit(stage: Stage, domain: Domain) -> None:
    """S-146: of a cancel and a body's return at the same time one wins, and `accepted` tells which."""

    @domain.task(key=by_number)
    def body(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.started(domain)
    for n in range(200):
        task = scheduler.submit(body, n)
        accepted = scheduler.cancel(task.id).accepted
        assert task.wait(WAIT_S).status is (TaskStatus.CANCELLED if accepted else TaskStatus.COMPLETED)


def test_a_thread_that_does_not_stop_is_given_up(stage: Stage, domain: Domain) -> None:
    """S-147: `cancel_timeout` after a cancel the hook runs and the task settles, and `error` says that a thread goes on."""
    gate = stage.gate()
    hooked: list[int] = []

    @domain.task()
    def deaf(ctx: Context) -> None:
        gate.hold()

    @deaf.on_cancel
    def hook(ctx: Context) -> None:
        hooked.append(ctx.id)

    scheduler = stage.started(domain, cancel_timeout=0.05, max_concurrency=1)
    task = scheduler.submit(deaf)
    gate.await_arrivals()
    scheduler.cancel(task.id)
    record = task.wait(WAIT_S)
    assert record.status is TaskStatus.CANCELLED
    assert "thread" in (record.error or "")
    assert hooked == [task.id]
    gate.open()


@pytest.mark.parametrize("stand", ["running", "waiting", "retry", "rerun", "delayed", "queued"])
def test_the_hook_is_for_tasks_that_have_started(stage: Stage, domain: Domain, stand: str) -> None:  # noqa: C901 - one arm for each thing that it may wait for
    """S-148: the hook is called for a task that has started, whatever it waits for now, and for no other."""
    gate = stage.gate()
    hooked: list[int] = []

    @domain.task()
    def late(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(3, 1000))
    def body(ctx: Context) -> None:
        if stand == "running":
            gate.hold()
        if stand == "waiting":
            ctx.spawn_child(late.options(run_after=1000))
        if stand == "retry":
            raise ValueError
        if stand == "rerun":
            gate.hold()

    @body.on_cancel
    def hook(ctx: Context) -> None:
        hooked.append(ctx.id)

    is_queued = stand in ("delayed", "queued")
    scheduler = stage.scheduler(domain) if is_queued else stage.started(domain)
    task = scheduler.submit(body.options(run_after=1000) if stand == "delayed" else body)
    match stand:
        case "running":
            gate.await_arrivals()
        case "waiting":
            await_status(scheduler, task.id, TaskStatus.WAITING)
        case "retry":
            until(lambda: scheduler.task(task.id).error is not None)
        case "rerun":
            gate.await_arrivals()
            scheduler.submit(body.options(run_after=1000))
            gate.let_pass()
            await_status(scheduler, task.id, TaskStatus.PENDING)
    scheduler.cancel(task.id)
    if stand == "running":
        gate.open()
    scheduler.start()
    assert task.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert hooked == ([] if is_queued else [task.id])


def test_the_context_of_a_hook(stage: Stage, domain: Domain) -> None:
    """S-149: a hook's context has id and record, is not cancelled, and refuses to spawn children and siblings."""
    seen: dict[str, Any] = {}
    begun = threading.Event()

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def body(ctx: Context) -> None:
        begun.set()
        run_until_told(ctx)

    @body.on_cancel
    def hook(ctx: Context) -> None:
        seen["id"], seen["key"], seen["cancelled"] = ctx.id, ctx.record.key, ctx.cancelled
        for name, spawn in [("child", ctx.spawn_child), ("sibling", ctx.spawn_sibling)]:
            try:
                spawn(leaf)
            except ParentClosed as error:
                seen[name] = error.status

    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    task = flow.spawn(body.options(key="k"))
    assert begun.wait(WAIT_S)
    scheduler.cancel(task.id)
    task.wait(WAIT_S)
    assert seen == {
        "id": task.id,
        "key": "k",
        "cancelled": False,
        "child": TaskStatus.CANCELLING,
        "sibling": TaskStatus.CANCELLING,
    }
    assert scheduler.count(task=leaf) == 0


def test_hooks_run_outside_the_slots_and_not_all_at_once(stage: Stage, domain: Domain) -> None:
    """S-149: hooks take no slot, `max_concurrency` of them run at once, and `cancel` does not wait for them."""
    hooks, bodies = stage.gate(), stage.gate()

    @domain.task(retry=Retry.constant(1, 1000), key=by_number)
    def body(ctx: Context, n: int) -> None:
        raise ValueError

    @body.on_cancel
    def hook(ctx: Context, n: int) -> None:
        hooks.hold()

    @domain.task()
    def other(ctx: Context) -> None:
        bodies.hold()

    scheduler = stage.started(domain, max_concurrency=2)
    tasks = [scheduler.submit(body, n) for n in range(5)]
    until(lambda: all(scheduler.task(task.id).error for task in tasks))
    for task in tasks:
        assert scheduler.cancel(task.id).status is TaskStatus.CANCELLING
    hooks.await_arrivals(2)
    for n in range(2):
        scheduler.submit(other.options(key=str(n)))
    bodies.await_arrivals(2)  # both slots are free beside the two hooks
    assert hooks.arrived == 2
    hooks.open()
    assert [task.wait(WAIT_S).status for task in tasks] == [TaskStatus.CANCELLED] * 5


@pytest.mark.parametrize("fault", ["raises", "hangs"])
def test_a_hook_that_fails_does_not_keep_the_task(stage: Stage, domain: Domain, fault: str) -> None:
    """S-150: a hook that raises or outlasts `cancel_timeout` is noted in `error`, and the task settles."""
    gate = stage.gate()
    begun = threading.Event()

    @domain.task()
    def body(ctx: Context) -> None:
        begun.set()
        run_until_told(ctx)

    @body.on_cancel
    def hook(ctx: Context) -> None:
        if fault == "raises":
            raise ValueError("no way")
        gate.hold()

    scheduler = stage.started(domain, cancel_timeout=0.1 if fault == "hangs" else WAIT_S)
    task = scheduler.submit(body)
    assert begun.wait(WAIT_S)
    scheduler.cancel(task.id)
    record = task.wait(WAIT_S)
    gate.open()
    assert record.status is TaskStatus.CANCELLED
    assert "on_cancel" in (record.error or "")
    assert fault == "hangs" or "no way" in (record.error or "")


def test_a_hook_cut_off_by_a_stop_runs_again(stage: Stage, domain: Domain) -> None:
    """S-151: a hook that was not over when its scheduler stopped runs again under the next."""
    begun, second_run = threading.Event(), threading.Event()
    runs: list[str] = []

    @domain.task()
    def body(ctx: Context) -> None:
        begun.set()
        run_until_told(ctx)

    @body.on_cancel
    def hook(ctx: Context) -> None:
        runs.append("hook")
        if len(runs) == 1:
            ctx.wait_cancelled(WAIT_S)
            ctx.check_cancelled()
        second_run.set()

    first = stage.started(domain)
    task = first.submit(body)
    assert begun.wait(WAIT_S)
    first.cancel(task.id)
    until(lambda: runs)
    first.stop(0)
    second = stage.started(domain)
    assert second_run.wait(WAIT_S)
    until(lambda: second.task(task.id).status.is_terminal)
    assert second.task(task.id).status is TaskStatus.CANCELLED
    assert len(runs) == 2


def test_a_cancelled_task_that_this_program_does_not_know_settles_without_hook(stage: Stage, domain: Domain) -> None:
    """S-151: the hook of an unknown task is not run: its cancel settles at once."""

    @domain.task(retry=Retry.constant(1, 1000))
    def body(ctx: Context) -> None:
        raise ValueError

    @body.on_cancel
    def hook(ctx: Context) -> None:
        raise AssertionError("not known there")

    first = stage.started(domain)
    task = first.submit(body)
    until(lambda: first.task(task.id).error is not None)
    first.stop()
    second = stage.started(Domain("other"))
    result = second.cancel(task.id)
    assert (result.accepted, result.settled, result.status) == (True, True, TaskStatus.CANCELLED)
    assert second.task(task.id).status is TaskStatus.CANCELLED


def has_both(scheduler: Scheduler, parent: int) -> bool:
    """Whether a child of the task has failed, and one has settled."""
    children = list(scheduler.children(parent))
    return any(child.error for child in children) and any(child.status.is_terminal for child in children)


def test_a_cancel_reaches_every_active_descendant(stage: Stage, domain: Domain) -> None:
    """S-152, S-153: whatever they do, all active descendants end CANCELLED, from the leaves up; settled ones stay."""
    gate = stage.gate()
    told: list[str] = []

    @domain.task()
    def quick(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(1, 1000))
    def retried(ctx: Context) -> None:
        raise ValueError

    @domain.task()
    def running(ctx: Context) -> None:
        gate.hold()
        told.append(reason_told(ctx))

    @domain.task()
    def middle(ctx: Context, depth: int) -> None:
        if depth:
            ctx.spawn_child(middle, depth - 1)
        ctx.spawn_children(
            [quick.call(), retried.call(), running.call(), quick.options(run_after=1000, key="l").call()]
        )

    scheduler = stage.started(domain)
    top = scheduler.submit(middle, 1)
    gate.await_arrivals(2)
    low = next(child for child in scheduler.children(top.id) if child.task_name == middle.name)
    for parent in (top.id, low.id):
        await_status(scheduler, parent, TaskStatus.WAITING)
        until(partial(has_both, scheduler, parent))
    with scheduler.subscribe(kinds=[Cancelled]) as heard:
        scheduler.cancel(top.id)
        gate.open()
        assert top.wait(WAIT_S).status is TaskStatus.CANCELLED
        events = heard_until(heard, lambda event: isinstance(event, Cancelled) and event.task_id == top.id)
        order = [event.task_id for event in events if isinstance(event, Cancelled)]
    assert sorted(set(ends(scheduler, low.id))) == [TaskStatus.CANCELLED, TaskStatus.COMPLETED]
    assert ends(scheduler, low.id).count(TaskStatus.COMPLETED) == 1
    assert told == ["cancelled"] * 2
    assert order[-1] == top.id
    assert order.index(low.id) > max(
        order.index(child.id) for child in scheduler.children(low.id) if child.status is TaskStatus.CANCELLED
    )


def test_a_child_cancelled_by_itself_does_not_fail_its_parent(stage: Stage, domain: Domain) -> None:
    """S-155: under fail_fast the cancel of one child leaves the parent and the other children as they are."""
    gate = stage.gate()

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> int:
        gate.hold()
        return n

    @domain.task(fail_fast=True)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.call(n) for n in range(3)])

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    gate.await_arrivals(3)
    await_status(scheduler, task.id, TaskStatus.WAITING)
    scheduler.cancel(list(scheduler.children(task.id))[1].id)
    gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert ends(scheduler, task.id) == [TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.COMPLETED]


def test_a_running_finalizer_is_asked_to_stop(stage: Stage, domain: Domain) -> None:
    """S-156: a finalizer that runs is told "cancelled" like a body; its task ends CANCELLED, without memo."""
    begun = threading.Event()
    told: list[str] = []

    @domain.task()
    def body(ctx: Context) -> int:
        return 1

    @body.finalize
    def finalizer(ctx: Context, memo: int) -> int:
        begun.set()
        told.append(reason_told(ctx))
        return 2

    scheduler = stage.started(domain)
    task = scheduler.submit(body)
    assert begun.wait(WAIT_S)
    scheduler.cancel(task.id)
    record = task.wait(WAIT_S)
    assert (record.status, record.memo, told) == (TaskStatus.CANCELLED, None, ["cancelled"])


def test_a_body_may_cancel_its_own_task(stage: Stage, domain: Domain) -> None:
    """S-157: a body that cancels its own task is asked to stop, and the task ends CANCELLED."""
    results: list[CancelResult] = []

    @domain.task()
    def body(ctx: Context) -> None:
        results.append(ctx.scheduler.cancel(ctx.id))
        run_until_told(ctx)

    task = stage.started(domain).submit(body)
    assert task.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert [(result.accepted, result.settled) for result in results] == [(True, False)]


def test_without_an_owner_a_task_that_never_started_settles_at_once(stage: Stage, domain: Domain) -> None:
    """S-162: a scheduler that has not started cancels what never ran at once."""

    @domain.task()
    def body(ctx: Context) -> None:
        raise AssertionError("cancelled before")

    scheduler = stage.scheduler(domain)
    task = scheduler.submit(body)
    result = scheduler.cancel(task.id)
    assert (result.accepted, result.settled, result.status) == (True, True, TaskStatus.CANCELLED)
    assert scheduler.task(task.id).status is TaskStatus.CANCELLED


def test_without_an_owner_what_has_run_is_carried_out_by_the_owner(stage: Stage, domain: Domain) -> None:
    """S-162: the cancel of a task that has started is recorded, and its hook runs once a scheduler starts."""
    hooked = threading.Event()

    @domain.task(retry=Retry.constant(1, 1000))
    def body(ctx: Context) -> None:
        raise ValueError

    @body.on_cancel
    def hook(ctx: Context) -> None:
        hooked.set()

    first = stage.started(domain)
    task = first.submit(body)
    until(lambda: first.task(task.id).error is not None)
    first.stop()
    second = stage.scheduler(domain)
    assert second.cancel(task.id).status is TaskStatus.CANCELLING
    assert not hooked.is_set()
    second.start()
    until(lambda: second.task(task.id).status.is_terminal)
    assert hooked.is_set()
    assert second.task(task.id).status is TaskStatus.CANCELLED


def test_below_a_cancel_that_is_on_its_way_nothing_is_added(stage: Stage, domain: Domain) -> None:
    """S-154: from the first transaction of a cancel on nothing can be spawned anywhere below, also after a restart.

    A scheduler that has not started goes no further than that first transaction, so the last child and its child have not
    been told yet.
    """

    @domain.task(key=by_number)
    def late(ctx: Context, n: int) -> None:
        raise AssertionError("delayed")

    def add_below(scheduler: Scheduler, *parents: int) -> None:
        for parent in parents:
            with pytest.raises(ParentClosed) as refused:
                scheduler.spawn_child(parent, delayed.call(-2))
            assert refused.value.status is TaskStatus.CANCELLING

    delayed = late.options(run_after=1000)
    first = stage.scheduler(domain)
    top = first.submit(delayed, -1)
    children = first.submit_batch([late.options(run_after=1000, parent=top.id).call(n) for n in range(1500)])
    last = children[-1].id
    low = first.spawn_child(last, delayed.call(0)).id
    result = first.cancel(top.id)
    assert (result.accepted, result.settled) == (True, False)
    assert first.task(last).status is TaskStatus.PENDING
    first.submit(delayed, 0)
    add_below(first, top.id, last, low)
    first.stop()
    second = stage.scheduler(domain)
    add_below(second, top.id, last, low)
    second.start()
    await_status(second, top.id, TaskStatus.CANCELLED)
    assert second.task(low).status is TaskStatus.CANCELLED
    assert second.count(parent=top.id, status=TaskStatus.CANCELLED) == 1500
    assert second.count(task=late, status=TaskStatus.PENDING) == 1


def test_the_hooks_of_a_cancelled_tree_run_from_the_leaves_up(stage: Stage, domain: Domain) -> None:
    """S-145, S-153: in a chain of parents with hooks each hook runs once, when the hook below it is over."""
    hooked: list[int] = []
    begun = threading.Event()

    @domain.task(key=by_number)
    def link(ctx: Context, n: int) -> None:
        if n:
            ctx.spawn_child(link, n - 1)
            return
        begun.set()
        run_until_told(ctx)

    @link.on_cancel
    def hook(ctx: Context, n: int) -> None:
        hooked.append(n)

    scheduler = stage.started(domain)
    task = scheduler.submit(link, 20)
    assert begun.wait(WAIT_S)
    await_status(scheduler, task.id, TaskStatus.WAITING)
    scheduler.cancel(task.id)
    assert task.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert hooked == list(range(21))
