"""Siblings: tasks that a child adds beside itself (behaviour.md, section 11)."""

import threading
from collections.abc import Callable

import pytest
from staging import WAIT_S, Stage, settle
from tree_support import await_status, by_number, ends, run_until_told, until

from millrace import (
    Context,
    Domain,
    InvalidTask,
    NoParent,
    Outcome,
    ParentClosed,
    Priority,
    Retry,
    Submission,
    SubmitKind,
    TaskInterrupted,
    TaskStatus,
)


def test_a_sibling_is_its_parents_child(stage: Stage, domain: Domain) -> None:
    """S-192: a sibling is added to the caller's parent, may be of another domain, and inherits from the parent alone."""
    other = Domain("other")

    @other.task()
    def sibling(ctx: Context) -> None: ...

    @domain.task(priority=Priority.HIGH)
    def child(ctx: Context) -> None:
        ctx.spawn_sibling(sibling)
        ctx.scheduler.submit(sibling.options(sibling_of=ctx, key="by option"))

    @domain.task(priority=9)
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)

    scheduler = stage.started(domain, other)
    task = scheduler.submit(parent)
    task.wait(WAIT_S)
    children = list(scheduler.children(task.id))
    assert [one.task_name for one in children] == [child.name, sibling.name, sibling.name]
    assert [one.priority for one in children] == [64, 9, 9]


def test_a_task_without_parent_has_no_siblings(stage: Stage, domain: Domain) -> None:
    """S-193: it is NoParent with id and task, and nothing is stored, also for an empty list."""
    seen: list[str] = []

    @domain.task()
    def other(ctx: Context) -> None: ...

    @domain.task()
    def body(ctx: Context) -> None:
        spawns: list[Callable[[], object]] = [
            lambda: ctx.spawn_sibling(other),
            lambda: ctx.spawn_siblings([other.call()]),
            lambda: ctx.spawn_siblings(list[Submission[None]]()),
            lambda: ctx.submit(other.options(sibling_of=ctx)),
        ]
        for spawn in spawns:
            with pytest.raises(NoParent) as refused:
                spawn()
            seen.append(str(refused.value))

    scheduler = stage.started(domain)
    task = scheduler.submit(body)
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert all(str(task.id) in text and body.name in text for text in seen)
    assert len(seen) == 4
    assert scheduler.count(task=other) == 0


def test_siblings_are_all_stored_or_none(stage: Stage, domain: Domain) -> None:
    """S-193, S-194: an empty list is [], a list with one bad entry stores nothing, a good one all in order."""
    spawned: list[list[Outcome[None]]] = []

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def child(ctx: Context) -> None:
        assert ctx.spawn_siblings([]) == []
        with pytest.raises(InvalidTask):
            ctx.spawn_siblings([leaf.call(1), leaf.options(parent=99).call(2)])
        assert ctx.scheduler.count(task=leaf) == 0
        spawned.append(ctx.spawn_siblings(leaf.call(n) for n in range(50)))

    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    flow.spawn(child).wait(WAIT_S)
    assert [outcome.kind for outcome in spawned[0]] == [SubmitKind.INSERTED] * 50
    assert [outcome.handle.record().key for outcome in spawned[0]] == [str(n) for n in range(50)]
    flow.finish()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED


@pytest.mark.parametrize("is_heard", [True, False])
def test_the_last_child_spawns_a_sibling_just_before_it_ends(stage: Stage, domain: Domain, is_heard: bool) -> None:
    """S-195: a chain in which each last child adds the next one as its last act is finalized once, after the last."""
    totals: list[int] = []

    @domain.task(key=by_number)
    def link(ctx: Context, n: int) -> int:
        if n:
            ctx.spawn_sibling(link, n - 1)
        return n

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(link, 100)

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> int:
        totals.append(ctx.child_summary().total)
        return sum(child.memo or 0 for child in ctx.child_results(link))

    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    if not is_heard:
        heard.close()
    assert scheduler.submit(parent).wait(WAIT_S).memo == 5050
    assert totals == [101]
    heard.close()


def test_a_sibling_is_active_before_the_call_returns(stage: Stage, domain: Domain) -> None:
    """S-195: when the call returns the sibling is stored and counted."""
    gate = stage.gate()
    counts: list[int] = []

    @domain.task()
    def late(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def child(ctx: Context, parent: int) -> None:
        before = ctx.scheduler.count(parent=parent)
        outcome = ctx.spawn_sibling(late)
        counts.append(ctx.scheduler.count(parent=parent) - before)
        assert outcome.handle.record().parent_id == parent

    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    flow.spawn(child, flow.id).wait(WAIT_S)
    assert counts == [1]
    assert flow.summary().active == 1
    flow.finish()
    assert flow.status is TaskStatus.WAITING
    gate.open()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED


def test_a_run_that_was_given_up_cannot_spawn(stage: Stage, domain: Domain) -> None:
    """S-196, S-096: a thread that goes on after its run was given up adds nothing; its spawns raise TaskInterrupted."""
    gate = stage.gate()
    raised: list[str] = []
    tried = threading.Event()

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def deaf(ctx: Context) -> None:
        gate.hold()
        for spawn in (ctx.spawn_sibling, ctx.spawn_child, ctx.submit):
            try:
                spawn(leaf)
            except TaskInterrupted as error:
                raised.append(error.reason)
        tried.set()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(deaf)

    scheduler = stage.started(domain, cancel_timeout=0.05)
    task = scheduler.submit(parent)
    gate.await_arrivals()
    await_status(scheduler, task.id, TaskStatus.WAITING)
    next(iter(scheduler.children(task.id)))
    scheduler.cancel(next(iter(scheduler.children(task.id))).id)
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    gate.open()
    assert tried.wait(WAIT_S)
    assert raised == ["cancelled"] * 3
    assert scheduler.count(task=leaf) == 0


def test_a_run_that_is_over_cannot_spawn(stage: Stage, domain: Domain) -> None:
    """S-096: the context of a run that has ended raises RuntimeError, also where a later run of the task is under way."""
    contexts: list[Context] = []
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(1))
    def child(ctx: Context) -> None:
        contexts.append(ctx)
        if ctx.attempt == 1:
            raise ValueError
        gate.hold()

    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    flow.spawn(child)
    gate.await_arrivals()
    for spawn in (contexts[0].spawn_sibling, contexts[0].spawn_child):
        with pytest.raises(RuntimeError):
            spawn(leaf)
    gate.open()
    flow.finish()
    flow.wait(WAIT_S)
    assert scheduler.count(task=leaf) == 0


def test_the_store_refuses_what_a_late_run_spawns(stage: Stage, domain: Domain) -> None:
    """S-196: a spawn that left its thread before the run was given up, and arrives after, is refused by the store's writer.

    The message is held up between the check of the context and the commit, which a slow thread does now and then.
    """
    gate, on_its_way = stage.gate(), threading.Event()
    raised: list[str] = []
    tried = threading.Event()

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def child(ctx: Context) -> None:
        check, patched = type(ctx)._check_alive, pytest.MonkeyPatch()

        def check_then_linger(one: Context) -> None:
            check(one)
            on_its_way.set()
            gate.hold()

        patched.setattr(type(ctx), "_check_alive", check_then_linger)
        try:
            ctx.spawn_sibling(leaf)
        except TaskInterrupted as error:
            raised.append(error.reason)
        finally:
            patched.undo()
            tried.set()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)

    scheduler = stage.started(domain, cancel_timeout=0.05)
    task = scheduler.submit(parent)
    assert on_its_way.wait(WAIT_S)
    await_status(scheduler, task.id, TaskStatus.WAITING)
    extra = scheduler.spawn_child(task.id, leaf.options(run_after=1000, key="keeps the parent open").call())
    first = next(iter(scheduler.children(task.id)))
    scheduler.cancel(first.id)
    await_status(scheduler, first.id, TaskStatus.CANCELLED)
    gate.open()
    assert tried.wait(WAIT_S)
    assert raised == ["cancelled"]
    assert [one.id for one in scheduler.tasks(task=leaf)] == [extra.id]


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_a_closed_parent_refuses_every_way_to_spawn(stage: Stage, domain: Domain, end: str) -> None:
    """S-197: a child of a closed parent adds neither siblings nor children; the parent's status is in the error."""
    begun, closed = threading.Event(), threading.Event()
    seen: list[TaskStatus] = []

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        begun.wait(WAIT_S)
        raise ValueError

    @domain.task()
    def child(ctx: Context) -> None:
        begun.set()
        ctx.wait_cancelled(WAIT_S)
        closed.wait(WAIT_S)
        spawns: list[Callable[[], object]] = [
            lambda: ctx.spawn_sibling(leaf),
            lambda: ctx.spawn_siblings([leaf.call()]),
            lambda: ctx.spawn_child(leaf),
            lambda: ctx.submit(leaf.options(sibling_of=ctx)),
            lambda: ctx.submit(leaf.options(parent=ctx)),
            lambda: ctx.scheduler.submit_batch([leaf.options(sibling_of=ctx).call()]),
        ]
        for spawn in spawns:
            try:
                spawn()
            except ParentClosed as error:
                seen.append(error.status)

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)
        if end == "failed":
            ctx.spawn_child(bad)

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    assert begun.wait(WAIT_S)
    await_status(scheduler, task.id, TaskStatus.WAITING)
    if end == "cancelled":
        scheduler.cancel(task.id)
    closed.set()
    task.wait(WAIT_S)
    of_parent = TaskStatus.CANCELLING if end == "cancelled" else TaskStatus.WAITING
    own = TaskStatus.CANCELLING
    assert seen == [of_parent, of_parent, own, of_parent, own, of_parent]
    assert scheduler.count(task=leaf) == 0


def test_a_retried_spawner_finds_its_siblings(stage: Stage, domain: Domain) -> None:
    """S-198: a retry leaves the siblings alone, and what it spawns again is the sibling that is there, settled or not."""
    outcomes: list[tuple[SubmitKind, int]] = []

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(1))
    def child(ctx: Context) -> None:
        outcome = ctx.spawn_sibling(leaf)
        outcomes.append((outcome.kind, outcome.id))
        outcome.wait(WAIT_S)
        if ctx.attempt == 1:
            raise ValueError

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert [kind for kind, _ in outcomes] == [SubmitKind.INSERTED, SubmitKind.DUPLICATE]
    assert outcomes[0][1] == outcomes[1][1]
    assert ends(scheduler, task.id) == [TaskStatus.COMPLETED] * 2


def test_a_sibling_spawner_that_a_stop_interrupts_doubles_nothing(stage: Stage, domain: Domain) -> None:
    """S-167, S-198: over a restart the repeated spawner finds its siblings, and the total is that of an undisturbed run."""
    spawned = threading.Event()
    totals: list[int] = []

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def child(ctx: Context) -> None:
        ctx.spawn_siblings([leaf.call(n) for n in range(20)])
        if not spawned.is_set():
            spawned.set()
            run_until_told(ctx)

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        totals.append(ctx.child_summary().total)

    first = stage.started(domain)
    task = first.submit(parent)
    assert spawned.wait(WAIT_S)
    first.stop(0)
    second = stage.started(domain)
    until(lambda: second.task(task.id).status.is_terminal)
    assert second.task(task.id).status is TaskStatus.COMPLETED
    assert totals == [21]


def test_two_siblings_of_one_key_in_a_race_are_one_task(stage: Stage, domain: Domain) -> None:
    """S-028, S-065: children that spawn the same sibling at once make one of it."""
    line = threading.Barrier(4)
    kinds: list[SubmitKind] = []

    @domain.task(group="held")
    def late(ctx: Context) -> None: ...

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None:
        line.wait(WAIT_S)
        kinds.append(ctx.spawn_sibling(late).kind)

    scheduler = stage.started(domain)
    scheduler.pause_group("held")
    flow = scheduler.flow("f")
    settle([flow.spawn(child, n) for n in range(4)])
    scheduler.resume_group("held")
    flow.finish()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert sorted(kinds) == [SubmitKind.DUPLICATE] * 3 + [SubmitKind.INSERTED]
    assert scheduler.count(task=late) == 1
