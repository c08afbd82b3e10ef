"""Failed children and what they make of their parents (behaviour.md, section 10)."""

import threading
from typing import Any

import pytest
from staging import WAIT_S, Stage, heard_until, kinds, of_task
from tree_support import await_status, by_number, ends, reason_told, run_until_told, until

from millrace import (
    Cancelled,
    Context,
    Domain,
    Failed,
    PermanentError,
    Retry,
    SubmitKind,
    TaskFailed,
    TaskStatus,
)


def test_a_child_fails_its_parent_after_its_retries(stage: Stage, domain: Domain) -> None:
    """S-179: a child counts as failed when it has settled with a failed end, not while it is retried."""
    tries: list[int] = []

    @domain.task(retry=Retry.constant(2))
    def child(ctx: Context, fails: int) -> None:
        tries.append(ctx.attempt)
        if ctx.attempt <= fails:
            raise ValueError("again")

    @domain.task()
    def parent(ctx: Context, fails: int) -> None:
        ctx.spawn_child(child, fails)

    scheduler = stage.started(domain)
    assert scheduler.submit(parent, 2).wait(WAIT_S).status is TaskStatus.COMPLETED
    assert tries == [1, 2, 3]
    assert scheduler.submit(parent, 3).wait(WAIT_S).status is TaskStatus.FAILED


@pytest.mark.parametrize(
    ("fail_fast", "max_failures", "children", "failures", "status"),
    [
        (True, None, 3, 0, TaskStatus.COMPLETED),
        (True, None, 3, 1, TaskStatus.FAILED),
        (False, None, 3, 3, TaskStatus.COMPLETED),
        (True, 5, 8, 5, TaskStatus.COMPLETED),
        (True, 5, 8, 6, TaskStatus.FAILED),
        (False, 5, 8, 5, TaskStatus.COMPLETED),
        (False, 5, 8, 6, TaskStatus.FAILED),
        (True, 0, 2, 1, TaskStatus.FAILED),
        (True, 0.1, 30, 3, TaskStatus.COMPLETED),
        (True, 0.1, 30, 4, TaskStatus.FAILED),
        (False, 0.29, 100, 29, TaskStatus.COMPLETED),
        (False, 0.29, 100, 30, TaskStatus.FAILED),
        (True, 1.0, 4, 4, TaskStatus.COMPLETED),
        (True, 0.0, 4, 1, TaskStatus.FAILED),
    ],
)
def test_what_is_tolerated(
    stage: Stage,
    domain: Domain,
    *,
    fail_fast: bool,
    max_failures: float | None,
    children: int,
    failures: int,
    status: TaskStatus,
) -> None:
    """S-180, S-181: an int tolerates that many failed children, a float that share, None none or, without fail_fast, any."""

    @domain.task(retry=Retry.none(), key=lambda n, fails: str(n))
    def child(ctx: Context, n: int, fails: bool) -> None:
        if fails:
            raise ValueError(n)

    @domain.task(fail_fast=fail_fast, max_failures=max_failures)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.call(n, n < failures) for n in range(children)])

    task = stage.started(domain).submit(parent)
    assert task.wait(WAIT_S).status is status


@pytest.mark.parametrize("judged", ["at once", "at the end"])
def test_when_the_verdict_falls(stage: Stage, domain: Domain, judged: str) -> None:
    """S-181: with fail_fast and an int or None at the first child too many; with a float when body and children are done."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError

    @domain.task()
    def slow(ctx: Context) -> str:
        if judged == "at once":
            return reason_told(ctx)
        gate.hold()
        return "done"

    @domain.task(max_failures=None if judged == "at once" else 0.0)
    def parent(ctx: Context) -> None:
        ctx.spawn_child(slow)
        ctx.spawn_child(bad)

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    if judged == "at the end":
        gate.await_arrivals()
        until(lambda: TaskStatus.DEAD_LETTER in ends(scheduler, task.id))
        await_status(scheduler, task.id, TaskStatus.WAITING)
        gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.FAILED
    slow_end = TaskStatus.CANCELLED if judged == "at once" else TaskStatus.COMPLETED
    assert ends(scheduler, task.id) == [slow_end, TaskStatus.DEAD_LETTER]


def test_the_verdict_stops_a_body_that_still_runs(stage: Stage, domain: Domain) -> None:
    """S-182: the parent's body is told "child_failed", it shows RUNNING meanwhile, and is FAILED whatever it returns."""
    gate = stage.gate()
    told: list[str] = []

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError

    @domain.task(retry=Retry.constant(5))
    def parent(ctx: Context) -> str:
        ctx.spawn_child(bad)
        told.append(reason_told(ctx))
        gate.hold()
        return "memo"

    @parent.finalize
    def finalizer(ctx: Context, memo: str) -> None:
        raise AssertionError("no finalizer after the verdict")

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    gate.await_arrivals()
    assert scheduler.task(task.id).status is TaskStatus.RUNNING
    gate.open()
    record = task.wait(WAIT_S)
    assert (record.status, record.memo, record.retries, told) == (TaskStatus.FAILED, None, 0, ["child_failed"])


def test_the_verdict_falls_while_the_parent_waits_for_a_retry(stage: Stage, domain: Domain) -> None:
    """S-182, S-183: a parent between two runs of its body is FAILED by its child, and does not run again."""
    runs: list[int] = []

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError("bad child")

    @domain.task(retry=Retry.constant(5, 1000))
    def parent(ctx: Context) -> None:
        runs.append(1)
        raise ValueError("its own")

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    until(lambda: scheduler.task(task.id).error is not None)
    scheduler.spawn_child(task.id, bad.call())
    record = task.wait(WAIT_S)
    assert record.status is TaskStatus.FAILED
    assert "bad child" in (record.error or "")
    assert runs == [1]


def test_the_verdict_falls_on_a_parent_that_never_ran(stage: Stage, domain: Domain) -> None:
    """S-189: a child spawned from outside fails its parent whatever the parent's status, also before it starts."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError

    @domain.task()
    def parent(ctx: Context) -> None:
        raise AssertionError("closed before")

    scheduler = stage.scheduler(domain)
    task = scheduler.submit(parent.options(run_after=1000))
    scheduler.spawn_child(task.id, bad.call())
    scheduler.start()
    record = task.wait(WAIT_S)
    assert (record.status, record.started_at) == (TaskStatus.FAILED, None)


@pytest.mark.parametrize("stand", ["pending", "running", "tail", "retry"])
def test_the_verdict_falls_in_the_finalizer(stage: Stage, domain: Domain, stand: str) -> None:
    """S-178, S-182: a child that fails while the finalizer is pending, runs, is over or is retried fails its parent."""
    gate, others = stage.gate(), stage.gate()
    seen: list[str] = []

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        gate.hold()
        raise ValueError("bad child")

    @domain.task()
    def quick(ctx: Context) -> None:
        others.hold()

    @domain.task(retry=Retry.constant(2, 1000))
    def parent(ctx: Context) -> None:
        ctx.wait_cancelled(0.02)  # bodies that take a while: nothing is claimed ahead of the free slots
        ctx.spawn_child(quick)

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        ctx.spawn_child(bad)
        if stand == "retry":
            raise ValueError("later")
        if stand == "running":
            seen.append(reason_told(ctx))

    scheduler = stage.started(domain, max_concurrency=1 if stand == "pending" else 4)
    task = scheduler.submit(parent)
    others.await_arrivals()
    if stand == "pending":
        blocker = scheduler.submit(quick.options(priority=0))
        others.let_pass()
        others.await_arrivals(2)
        await_status(scheduler, task.id, TaskStatus.PENDING)
        scheduler.spawn_child(task.id, bad.call())
        await_status(scheduler, task.id, TaskStatus.WAITING)
        gate.open()
        others.open()
        blocker.wait(WAIT_S)
    else:
        others.open()
        gate.await_arrivals()
        if stand == "tail":
            await_status(scheduler, task.id, TaskStatus.WAITING)
        if stand == "retry":
            until(lambda: scheduler.task(task.id).error is not None)
        gate.open()
    record = task.wait(WAIT_S)
    assert record.status is TaskStatus.FAILED
    assert "bad child" in (record.error or "")
    assert seen == (["child_failed"] if stand == "running" else [])


def test_the_verdict_cancels_the_other_children_and_theirs(stage: Stage, domain: Domain) -> None:
    """S-182: active children and their children are told "parent_failed", their hooks run, and the parent settles last."""
    begun = threading.Event()
    told: list[str] = []
    hooked: list[int] = []

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        begun.wait(WAIT_S)
        raise ValueError

    @domain.task()
    def deep(ctx: Context) -> None:
        begun.set()
        told.append(reason_told(ctx))
        hooked.append(-ctx.id)

    @domain.task()
    def middle(ctx: Context) -> None:
        ctx.spawn_child(deep)

    @middle.on_cancel
    def hook(ctx: Context) -> None:
        hooked.append(ctx.id)

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([middle.call(), bad.call(), deep.options(run_after=1000).call()])

    scheduler = stage.started(domain)
    with scheduler.subscribe() as heard:
        task = scheduler.submit(parent)
        events = heard_until(
            heard, lambda event: isinstance(event, Failed) and not event.will_retry and event.task_id == task.id
        )
    assert ends(scheduler, task.id) == [TaskStatus.CANCELLED, TaskStatus.DEAD_LETTER, TaskStatus.CANCELLED]
    low = next(iter(scheduler.children(task.id)))
    below = list(scheduler.children(low.id))
    assert told == ["parent_failed"]
    assert hooked == [-below[0].id, low.id]
    cancelled = [event.task_id for event in events if isinstance(event, Cancelled)]
    assert cancelled.index(below[0].id) < cancelled.index(low.id)
    assert kinds(of_task(events, task.id)).count("Failed") == 1


def test_the_error_of_a_failed_parent(stage: Stage, domain: Domain) -> None:
    """S-183: the error has the first failed child's id, task, label and error, and how many of how many failed."""

    @domain.task(retry=Retry.none(), key=lambda n: f"leaf {n}")
    def child(ctx: Context, n: int) -> None:
        if n < 2:
            raise PermanentError(f"no {n}")

    @domain.task(max_failures=0.1, child_concurrency=1)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.call(n) for n in range(5)])

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    error = task.wait(WAIT_S).error or ""
    first = next(iter(scheduler.children(task.id)))
    for part in (str(first.id), child.name, "leaf 0", "PermanentError: no 0", "2 of 5"):
        assert part in error
    with pytest.raises(TaskFailed):
        task.result(0)


def test_the_error_names_a_child_that_still_counts(stage: Stage, domain: Domain) -> None:
    """S-168, S-183: a child that a retry has spawned anew is not the one that the parent's error quotes."""

    @domain.task(retry=Retry.none(), key=lambda n, attempt: f"leaf {n}")
    def child(ctx: Context, n: int, attempt: int) -> None:
        if n == 1 or attempt == 1:
            raise PermanentError(f"no {n}")

    @domain.task(max_failures=0.0, retry=Retry.constant(1), child_concurrency=1)
    def parent(ctx: Context) -> None:
        for n in range(2 if ctx.attempt == 1 else 1):
            ctx.spawn_child(child, n, ctx.attempt).wait(WAIT_S)
        if ctx.attempt == 1:
            raise ValueError

    record = stage.started(domain).submit(parent).wait(WAIT_S)
    assert record.status is TaskStatus.FAILED
    assert "no 1" in (record.error or "")
    assert "leaf 0" not in (record.error or "")


def test_a_tolerant_parent_finalizes_whatever_became_of_the_children(stage: Stage, domain: Domain) -> None:
    """S-184: without fail_fast and max_failures the finalizer runs also where every child failed or was cancelled."""

    @domain.task(retry=Retry.none(), key=by_number)
    def child(ctx: Context, n: int) -> None:
        if n:
            raise ValueError(n)
        ctx.scheduler.cancel(ctx.id)

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.call(n) for n in range(3)])

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> list[str]:
        return sorted(one.status.value for one in ctx.child_results(child))

    task: Any = stage.started(domain).submit(parent)
    assert task.wait(WAIT_S).memo == ["cancelled", "dead_letter", "dead_letter"]


def test_failure_climbs_as_far_as_the_policies_let_it(stage: Stage, domain: Domain) -> None:
    """S-185: a failed parent is a failed child of its own parent, in the same commit where nothing has to wind down."""
    seen: list[list[TaskStatus]] = []

    @domain.task(retry=Retry.none())
    def leaf(ctx: Context) -> None:
        raise ValueError("deep down")

    @domain.task()
    def strict(ctx: Context, depth: int) -> None:
        ctx.spawn_child(strict, depth - 1) if depth else ctx.spawn_child(leaf)

    @domain.task(fail_fast=False)
    def tolerant(ctx: Context) -> None:
        ctx.spawn_child(strict, 5)

    @domain.task()
    def top(ctx: Context) -> None:
        ctx.spawn_child(tolerant)

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[Failed], task=strict) as heard:
        task = scheduler.submit(top)
        assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
        events = [heard.get(WAIT_S) for _ in range(6)]
    assert len({event.at for event in events}) == 1
    assert ends(scheduler, task.id) == [TaskStatus.COMPLETED]
    assert "deep down" in (scheduler.tasks(task=strict)[-1].error or "")
    assert seen == []


def test_a_queued_sibling_does_not_hold_up_the_verdict(stage: Stage, domain: Domain) -> None:
    """S-185: a failed parent whose other children never started settles in the commit of the failure."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        gate.hold()
        raise ValueError

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([bad.options(run_after=1000, key=str(n)).call() for n in range(10)])
        ctx.spawn_child(bad)

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[Failed, Cancelled]) as heard:
        task = scheduler.submit(parent)
        await_status(scheduler, task.id, TaskStatus.WAITING)  # its body has ended
        gate.open()
        assert task.wait(WAIT_S).status is TaskStatus.FAILED
        assert len({heard.get(WAIT_S).at for _ in range(11)}) == 1


@pytest.mark.parametrize("by", ["parent", "grandparent"])
def test_a_cancel_before_a_failed_parent_settled_wins(stage: Stage, domain: Domain, by: str) -> None:
    """S-186: a failed parent that still winds down ends CANCELLED when it is cancelled, and its error keeps the failure."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        gate.await_arrivals()
        raise ValueError("the failure")

    @domain.task()
    def slow(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([slow.call(), bad.call()])

    @domain.task()
    def top(ctx: Context) -> None:
        ctx.spawn_child(parent)

    scheduler = stage.started(domain)
    above = scheduler.submit(top)
    gate.await_arrivals()
    task = scheduler.tasks(task=parent)[0]
    until(lambda: "the failure" in (scheduler.task(task.id).error or ""))
    assert scheduler.cancel(task.id if by == "parent" else above.id).status is TaskStatus.CANCELLING
    gate.open()
    above.wait(WAIT_S)
    record = scheduler.task(task.id)
    assert record.status is TaskStatus.CANCELLED
    assert "the failure" in (record.error or "")
    assert scheduler.task(above.id).status is (TaskStatus.COMPLETED if by == "parent" else TaskStatus.CANCELLED)


def test_the_verdict_is_carried_out_after_a_restart(stage: Stage, domain: Domain) -> None:
    """S-355: a failed parent that winds down when its scheduler stops ends FAILED under the next, without running."""
    begun = threading.Event()
    runs: list[str] = []

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        begun.wait(WAIT_S)
        raise ValueError("once")

    @domain.task()
    def slow(ctx: Context) -> None:
        begun.set()
        run_until_told(ctx)

    @slow.on_cancel
    def hook(ctx: Context) -> None:
        runs.append("hook")
        if runs.count("hook") == 1:
            run_until_told(ctx)

    @domain.task()
    def parent(ctx: Context) -> None:
        runs.append("body")
        ctx.spawn_children([slow.call(), bad.call()])

    first = stage.started(domain)
    task = first.submit(parent)
    until(lambda: "hook" in runs)
    first.stop(0)
    second = stage.started(domain)
    until(lambda: second.task(task.id).status.is_terminal)
    record = second.task(task.id)
    assert record.status is TaskStatus.FAILED
    assert "once" in (record.error or "")
    assert runs == ["body", "hook", "hook"]


def test_a_rerun_gets_its_turn_after_a_verdict(stage: Stage, domain: Domain) -> None:
    """S-056, S-057: a parent failed by its children that was asked for again begins a new round instead of settling."""
    gate = stage.gate()
    counts: list[int] = []

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        gate.hold()
        raise ValueError

    @domain.task(key=lambda n: "k")
    def parent(ctx: Context, n: int) -> int:
        counts.append(ctx.child_summary().total)
        if n == 1:
            ctx.spawn_child(bad)
        return n

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[Failed], task=parent) as heard:
        task = scheduler.submit(parent, 1)
        gate.await_arrivals()
        await_status(scheduler, task.id, TaskStatus.WAITING)
        assert scheduler.submit(parent, 2).kind is SubmitKind.REQUEUED
        gate.open()
        record = task.wait(WAIT_S)
        heard.close()
        failures = list(heard)
    assert (record.status, record.memo, record.error, record.retries) == (TaskStatus.COMPLETED, 2, None, 0)
    assert [getattr(failure, "will_retry", None) for failure in failures] == [True]
    assert counts == [0, 0]
