"""Finalizers: when they run, what they get, how they are repeated (behaviour.md, section 10)."""

from typing import Any

import pytest
from staging import WAIT_S, Stage
from tree_support import await_status, by_name, by_number, run_until_told, until

from millrace import Context, Domain, PermanentError, Retry, TaskStatus


@pytest.mark.parametrize("order", ["none", "children first", "body first"])
def test_a_finalizer_runs_after_body_and_children(stage: Stage, domain: Domain, order: str) -> None:
    """S-172, S-173, S-175: it runs once, after both in either order, with memo and payload, and its value is the memo."""
    gate = stage.gate()
    runs: list[tuple[int, str, int]] = []

    @domain.task()
    def child(ctx: Context) -> None:
        if order == "body first":
            gate.hold()

    @domain.task()
    def parent(ctx: Context, n: int, *, word: str) -> int:
        if order != "none":
            outcome = ctx.spawn_child(child)
            if order == "children first":
                outcome.wait(WAIT_S)
        return n + 1

    @parent.finalize
    def finalizer(ctx: Context, memo: int, n: int, *, word: str) -> str:
        runs.append((memo, word, ctx.child_summary().active))
        return f"{word} {memo}"

    scheduler = stage.started(domain)
    task: Any = scheduler.submit(parent, 1, word="w")
    if order == "body first":
        gate.await_arrivals()
        await_status(scheduler, task.id, TaskStatus.WAITING)
        assert runs == []
        gate.open()
    assert task.result(WAIT_S) == "w 2"
    assert runs == [(2, "w", 0)]


def test_a_finalizer_without_value_leaves_the_memo(stage: Stage, domain: Domain) -> None:
    """S-175: None leaves the body's memo as it is."""

    @domain.task()
    def parent(ctx: Context) -> int:
        return 5

    @parent.finalize
    def finalizer(ctx: Context, memo: int) -> None: ...

    assert stage.started(domain).submit(parent).result(WAIT_S) == 5


def test_a_finalizer_with_nothing_to_wait_for_keeps_the_slot(stage: Stage, domain: Domain) -> None:
    """S-172: where nothing is active when the body ends the finalizer runs in its slot, before more urgent tasks."""
    gate = stage.gate()
    order: list[str] = []

    @domain.task()
    def parent(ctx: Context) -> None:
        gate.hold()

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        order.append("finalizer")

    @domain.task(priority=0)
    def urgent(ctx: Context) -> None:
        order.append("urgent")

    scheduler = stage.started(domain, max_concurrency=1)
    scheduler.submit(parent)
    gate.await_arrivals()
    last = scheduler.submit(urgent)
    gate.open()
    last.wait(WAIT_S)
    assert order == ["finalizer", "urgent"]


def test_a_finalizer_that_waited_is_dispatched_by_priority(stage: Stage, domain: Domain) -> None:
    """S-174, S-075: a finalizer that had to wait is PENDING; it starts before bodies of its priority, after more urgent ones."""
    gate = stage.gate()
    order: list[str] = []

    @domain.task(key=by_name)
    def body(ctx: Context, name: str) -> None:
        gate.hold()
        order.append(name)

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.wait_cancelled(0.02)  # bodies that take a while: nothing is claimed ahead of the free slots
        ctx.spawn_child(body, "child")

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        order.append("finalizer")

    scheduler = stage.started(domain, max_concurrency=1)
    task = scheduler.submit(parent)
    gate.await_arrivals()
    last = scheduler.submit(body, "same")
    scheduler.submit(body.options(priority=0), "urgent")
    gate.let_pass()
    gate.await_arrivals(2)
    await_status(scheduler, task.id, TaskStatus.PENDING)
    gate.open()
    last.wait(WAIT_S)
    assert order == ["child", "urgent", "finalizer", "same"]


def test_a_failing_finalizer_is_repeated_alone(stage: Stage, domain: Domain) -> None:
    """S-176: it has its own attempt from 1 and retries from 0, the body does not run again, and the memo is kept."""
    runs: list[tuple[str, int]] = []

    @domain.task(retry=Retry.constant(2))
    def parent(ctx: Context) -> int:
        runs.append(("body", ctx.attempt))
        if ctx.attempt == 1:
            raise ValueError
        return 7

    @parent.finalize
    def finalizer(ctx: Context, memo: int) -> int:
        runs.append(("finalizer", ctx.attempt))
        if ctx.attempt < 3:
            raise ValueError
        return memo + 1

    record = stage.started(domain).submit(parent).wait(WAIT_S)
    assert (record.status, record.memo, record.retries, record.attempt) == (TaskStatus.COMPLETED, 8, 2, 3)
    assert runs == [("body", 1), ("body", 2), ("finalizer", 1), ("finalizer", 2), ("finalizer", 3)]


@pytest.mark.parametrize("is_permanent", [True, False])
def test_a_finalizer_that_fails_for_good_fails_its_task(stage: Stage, domain: Domain, is_permanent: bool) -> None:
    """S-176: permanent it ends the task FAILED, used up DEAD_LETTER, without memo and with the finalizer's error."""

    @domain.task(retry=Retry.constant(1))
    def parent(ctx: Context) -> int:
        return 7

    @parent.finalize
    def finalizer(ctx: Context, memo: int) -> None:
        raise PermanentError("no") if is_permanent else ValueError("no")

    record = stage.started(domain).submit(parent).wait(WAIT_S)
    assert record.status is (TaskStatus.FAILED if is_permanent else TaskStatus.DEAD_LETTER)
    assert (record.memo, record.retries) == (None, 0 if is_permanent else 1)
    assert "no" in (record.error or "")


def test_a_finalizer_that_was_interrupted_is_repeated_alone(stage: Stage, domain: Domain) -> None:
    """S-177: a finalizer that a stop interrupts runs again under the next scheduler, with the same memo and attempt."""
    runs: list[tuple[str, int]] = []

    @domain.task()
    def child(ctx: Context) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> int:
        runs.append(("body", ctx.attempt))
        ctx.spawn_child(child)
        return 7

    @parent.finalize
    def finalizer(ctx: Context, memo: int) -> int:
        runs.append(("finalizer", ctx.attempt))
        if len(runs) == 2:
            run_until_told(ctx)
        return memo + 1

    first = stage.started(domain)
    task = first.submit(parent)
    until(lambda: len(runs) == 2)
    first.stop(0)
    assert first is not None
    second = stage.started(domain)
    until(lambda: second.task(task.id).status.is_terminal)
    assert second.task(task.id).memo == 8
    assert runs == [("body", 1), ("finalizer", 1), ("finalizer", 1)]


def test_a_child_added_while_the_finalizer_is_pending_is_waited_for(stage: Stage, domain: Domain) -> None:
    """S-178: it sends the parent back to WAITING, and the finalizer runs once, after that child."""
    gate = stage.gate()
    totals: list[int] = []

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.wait_cancelled(0.02)  # bodies that take a while: nothing is claimed ahead of the free slots
        ctx.spawn_child(child, 0)

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        totals.append(ctx.child_summary().by_status[TaskStatus.COMPLETED])

    scheduler = stage.started(domain, max_concurrency=1)
    task = scheduler.submit(parent)
    gate.await_arrivals()
    scheduler.submit(child.options(priority=0), 9)
    gate.let_pass()
    gate.await_arrivals(2)
    await_status(scheduler, task.id, TaskStatus.PENDING)
    scheduler.spawn_child(task.id, child.call(1))
    assert scheduler.task(task.id).status is TaskStatus.WAITING
    gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert totals == [2]


@pytest.mark.parametrize("moment", ["in it", "while it runs", "between its runs"])
def test_children_after_the_start_of_the_finalizer(stage: Stage, domain: Domain, moment: str) -> None:
    """S-178: children spawned in or after the start of the finalizer are waited for, and it is not run again for them."""
    gate, hold = stage.gate(), stage.gate()
    runs: list[int] = []

    @domain.task()
    def child(ctx: Context) -> None:
        gate.hold()

    @domain.task(retry=Retry.constant(1, 0.2))
    def parent(ctx: Context) -> int:
        return 1

    @parent.finalize
    def finalizer(ctx: Context, memo: int) -> int:
        runs.append(ctx.attempt)
        if moment == "in it":
            ctx.spawn_child(child)
        if moment == "while it runs":
            hold.hold()
        if moment == "between its runs" and ctx.attempt == 1:
            raise ValueError
        return 2

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    if moment == "while it runs":
        hold.await_arrivals()
    if moment == "between its runs":
        until(lambda: scheduler.task(task.id).error is not None)
    if moment != "in it":
        scheduler.spawn_child(task.id, child.call())
    hold.open()
    gate.await_arrivals()
    await_status(scheduler, task.id, TaskStatus.WAITING)
    gate.open()
    record = task.wait(WAIT_S)
    assert (record.status, record.memo) == (TaskStatus.COMPLETED, 2)
    assert runs == ([1, 2] if moment == "between its runs" else [1])


def test_a_task_that_this_program_does_not_know_is_parked_at_its_finalizer(stage: Stage, domain: Domain) -> None:
    """S-421: a waiting parent that is unknown keeps supervising, is parked when its finalizer is due, and goes on later."""
    gate, other = stage.gate(), Domain("other")

    @other.task()
    def child(ctx: Context) -> None:
        gate.hold()
        ctx.check_cancelled()

    @domain.task()
    def parent(ctx: Context) -> int:
        ctx.spawn_child(child.options(run_after=0.3))
        return 1

    @parent.finalize
    def finalizer(ctx: Context, memo: int) -> int:
        return memo + 1

    first = stage.started(domain, other)
    task = first.submit(parent)
    await_status(first, task.id, TaskStatus.WAITING)
    first.stop(0)
    gate.open()
    second = stage.started(other)
    await_status(second, task.id, TaskStatus.PARKED)
    second.stop()
    third = stage.started(domain, other)
    await_status(third, task.id, TaskStatus.COMPLETED)
    assert third.task(task.id).memo == 2
