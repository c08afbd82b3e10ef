"""Children: where they can be added, what they inherit, how they move their parent on (behaviour.md, section 10)."""

import threading
from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, heard_until, kinds, of_task
from tree_support import await_status, by_name, by_number, ends, ids, run_until_told, until

from millrace import (
    Completed,
    Context,
    Domain,
    DuplicatePolicy,
    Failed,
    ParentClosed,
    Priority,
    Retry,
    Scheduler,
    SubmitKind,
    TaskNotFound,
    TaskStatus,
    Waiting,
)
from millrace.model.events import ChildSettled


def test_a_parent_takes_a_slot_only_while_it_runs(stage: Stage, domain: Domain) -> None:
    """S-163: with one slot a chain of parents, with children of another domain, runs to its end."""
    other = Domain("other")

    @other.task()
    def leaf(ctx: Context) -> int:
        return 1

    @domain.task()
    def parent(ctx: Context, depth: int) -> int:
        ctx.spawn_child(parent, depth - 1) if depth else ctx.spawn_child(leaf)
        return depth

    @parent.finalize
    def add(ctx: Context, memo: int, depth: int) -> int:
        return 1 + sum(child.memo or 0 for child in ctx.child_results(parent if depth else leaf))

    scheduler = stage.started(domain, other, max_concurrency=1)
    assert scheduler.submit(parent, 5).result(WAIT_S) == 7


def test_children_are_added_from_body_finalizer_and_outside(stage: Stage, domain: Domain) -> None:
    """S-164: a parent that is active and not closed takes children, whatever its status."""
    gate = stage.gate()

    @domain.task(key=by_name)
    def leaf(ctx: Context, n: str) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf, "body")

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        ctx.spawn_child(leaf, "finalizer")

    scheduler = stage.scheduler(domain)
    task = scheduler.submit(parent)
    scheduler.spawn_child(task.id, leaf.call("pending"))
    scheduler.start()
    gate.await_arrivals(2)
    await_status(scheduler, task.id, TaskStatus.WAITING)
    scheduler.spawn_child(task.id, leaf.call("waiting"))
    gate.await_arrivals(3)
    gate.let_pass(3)
    gate.await_arrivals(4)
    await_status(scheduler, task.id, TaskStatus.WAITING)
    scheduler.spawn_child(task.id, leaf.call("tail"))
    gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert [child.key for child in scheduler.children(task.id)] == ["pending", "body", "waiting", "finalizer", "tail"]


@pytest.mark.parametrize("stand", ["completed", "cancelled", "cancelling", "failing", "unknown"])
def test_a_closed_parent_takes_no_child(stage: Stage, domain: Domain, stand: str) -> None:
    """S-164: a parent that is closed refuses with its status; one that never was is TaskNotFound."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def body(ctx: Context) -> None:
        if stand == "cancelling":
            gate.hold()
        if stand == "failing":
            ctx.spawn_child(held)
            gate.await_arrivals()
            raise ValueError

    @domain.task()
    def held(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    task = scheduler.submit(body.options(run_after=1000) if stand == "cancelled" else body)
    expected = TaskStatus.CANCELLING
    match stand:
        case "completed":
            task.wait(WAIT_S)
            expected = TaskStatus.COMPLETED
        case "cancelled":
            scheduler.cancel(task.id)
            expected = TaskStatus.CANCELLED
        case "cancelling":
            gate.await_arrivals()
            scheduler.cancel(task.id)
        case "failing":
            gate.await_arrivals()
            until(lambda: scheduler.task(task.id).error is not None)
            expected = TaskStatus.WAITING
        case _:
            with pytest.raises(TaskNotFound):
                scheduler.spawn_child(99, body.call())
            return
    with pytest.raises(ParentClosed) as refused:
        scheduler.spawn_child(task.id, body.call())
    assert refused.value.status is expected
    before = scheduler.count()
    with pytest.raises(ParentClosed):
        scheduler.submit_batch([body.options(key="root").call(), body.options(parent=task.id).call()])
    assert scheduler.count() == before


def test_a_round_has_its_own_children(stage: Stage, domain: Domain) -> None:
    """S-165: after a rerun a parent's counts are of the new round; `children` lists those of both."""
    gate = stage.gate()
    summaries: list[int] = []

    @domain.task()
    def leaf(ctx: Context) -> int:
        return 1

    @domain.task()
    def parent(ctx: Context) -> None:
        gate.hold()
        assert ctx.spawn_child(leaf).kind is SubmitKind.INSERTED

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        summaries.append(ctx.child_summary().total)
        assert [result.memo for result in ctx.child_results(leaf)] == [1]

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    gate.await_arrivals()
    assert scheduler.submit(parent).kind is SubmitKind.REQUEUED
    gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert summaries == [1, 1]
    assert ends(scheduler, task.id) == [TaskStatus.COMPLETED] * 2


def test_a_rerun_waits_for_the_children_of_the_round_before(stage: Stage, domain: Domain) -> None:
    """S-056, S-165: a parent asked for again while its children run begins its new round when they have settled."""
    gate = stage.gate()
    rounds: list[int] = []

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task(key=lambda n: "one")
    def parent(ctx: Context, n: int) -> int:
        rounds.append(n)
        if n == 1:
            ctx.spawn_child(leaf)
        return n

    scheduler = stage.started(domain)
    task = scheduler.submit(parent, 1)
    gate.await_arrivals()
    await_status(scheduler, task.id, TaskStatus.WAITING)
    assert scheduler.submit(parent, 2).kind is SubmitKind.REQUEUED
    assert rounds == [1]
    gate.open()
    assert task.result(WAIT_S) == 2
    assert rounds == [1, 2]


def test_a_childs_priority_is_its_parents_unless_given(stage: Stage, domain: Domain) -> None:
    """S-166: a child without a priority of its own has its parent's; a flow's child is NORMAL; retry is not inherited."""

    @domain.task()
    def plain(ctx: Context) -> None: ...

    @domain.task(priority=7)
    def own(ctx: Context) -> None: ...

    @domain.task(priority=Priority.HIGH, retry=Retry.constant(9))
    def parent(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    task, flow = scheduler.submit(parent), scheduler.flow("f")
    children = [
        scheduler.spawn_child(task.id, plain.call()),
        scheduler.spawn_child(task.id, own.call()),
        scheduler.spawn_child(task.id, plain.options(priority=9, key="given").call()),
        flow.spawn(plain),
    ]
    records = [child.handle.record() for child in children]
    assert [record.priority for record in records] == [64, 7, 9, 128]
    assert records[0].max_retries == 3


def test_a_retried_body_finds_what_it_had_spawned(stage: Stage, domain: Domain) -> None:
    """S-167, S-132: what a repeated body spawns again is the child it was, active or settled, under any policy."""
    gate = stage.gate()
    outcomes: list[list[tuple[SubmitKind, int]]] = []

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> int:
        if n == 1:
            gate.hold()
        return n

    @domain.task(retry=Retry.constant(1))
    def parent(ctx: Context) -> None:
        found = ctx.spawn_children(
            [leaf.options(on_duplicate=policy).call(n) for n, policy in enumerate(DuplicatePolicy)]
        )
        outcomes.append([(outcome.kind, outcome.id) for outcome in found])
        if ctx.attempt == 1:
            gate.await_arrivals()
            until(lambda: ctx.child_summary().active == 1)
            raise ValueError
        gate.open()

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> int:
        return ctx.child_summary().total

    scheduler = stage.started(domain)
    assert scheduler.submit(parent).result(WAIT_S) == 4
    first, second = outcomes
    assert [kind for kind, _ in first] == [SubmitKind.INSERTED] * 4
    assert second == [(SubmitKind.DUPLICATE, task_id) for _, task_id in first]


def test_an_interrupted_body_finds_its_failed_children_too(stage: Stage, domain: Domain) -> None:
    """S-167: a run repeated after a stop is no retry: also a child with a failed end stays that child."""
    outcomes: list[tuple[SubmitKind, int]] = []
    settled = threading.Event()

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        outcome = ctx.spawn_child(bad)
        outcomes.append((outcome.kind, outcome.id))
        if len(outcomes) == 1:
            outcome.wait(WAIT_S)
            settled.set()
            run_until_told(ctx)

    first = stage.started(domain)
    task = first.submit(parent)
    assert settled.wait(WAIT_S)
    first.stop(0)
    second = stage.started(domain)
    until(lambda: second.task(task.id).status.is_terminal)
    assert second.task(task.id).status is TaskStatus.COMPLETED
    assert outcomes == [(SubmitKind.INSERTED, outcomes[0][1]), (SubmitKind.DUPLICATE, outcomes[0][1])]


def test_an_interrupted_retry_finds_what_failed_in_it(stage: Stage, domain: Domain) -> None:
    """S-167, S-168: what has failed before a retry is spawned anew in it, once, however often the retry is interrupted."""
    outcomes: list[tuple[SubmitKind, int]] = []
    settled = threading.Event()

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError

    @domain.task(fail_fast=False, retry=Retry.constant(1))
    def parent(ctx: Context) -> int:
        outcome = ctx.spawn_child(bad)
        outcomes.append((outcome.kind, outcome.id))
        outcome.wait(WAIT_S)
        if len(outcomes) == 1:
            raise ValueError
        if len(outcomes) == 2:
            settled.set()
            run_until_told(ctx)
        return ctx.child_summary().total

    first = stage.started(domain)
    task = first.submit(parent)
    assert settled.wait(WAIT_S)
    first.stop(0)
    second = stage.started(domain)
    until(lambda: second.task(task.id).status.is_terminal)
    assert second.task(task.id).memo == 1
    (_, old), (_, new), _ = outcomes
    assert outcomes == [(SubmitKind.INSERTED, old), (SubmitKind.INSERTED, new), (SubmitKind.DUPLICATE, new)]


def test_a_retry_spawns_failed_children_anew(stage: Stage, domain: Domain) -> None:
    """S-168: in a retry a child with a failed end is spawned anew, and the old one counts no more."""
    spawned: list[list[int]] = []
    failed: list[int] = []
    seen: dict[str, Any] = {}
    events: list[tuple[int, int]] = []

    @domain.task(retry=Retry.none(), key=by_number)
    def leaf(ctx: Context, n: int) -> int:
        if n == 0 and not failed:
            failed.append(n)
            raise ValueError("once")
        return n

    @domain.task(retry=Retry.constant(1), max_failures=1)
    def parent(ctx: Context) -> None:
        children = ctx.spawn_children([leaf.call(n) for n in range(3)])
        spawned.append(ids(children))
        for child in children:
            child.wait(WAIT_S)
        if ctx.attempt == 1:
            raise ValueError

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        summary = ctx.child_summary()
        seen["summary"] = (summary.total, summary.active, dict(summary.by_status), summary.errors)
        seen["results"] = [(child.key, child.memo) for child in ctx.child_results(leaf)]

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[ChildSettled, Completed], task=parent) as heard:
        task = scheduler.submit(parent)
        assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
        for event in heard_until(heard, lambda event: isinstance(event, Completed))[:-1]:
            assert isinstance(event, ChildSettled)
            events.append((event.done, event.total))
    first, second = spawned
    assert second[0] > first[0]
    assert second[1:] == first[1:]
    assert events == [(1, 3), (2, 3), (3, 3), (3, 3)]
    assert seen["summary"] == (3, 0, {TaskStatus.COMPLETED: 3}, ())
    assert sorted(seen["results"]) == [("0", 0), ("1", 1), ("2", 2)]
    assert len(list(scheduler.children(task.id))) == 4


def test_a_failed_child_named_twice_in_a_retry_counts_once(stage: Stage, domain: Domain) -> None:
    """S-168: a retry whose batch names a failed child's key twice spawns one child in its place."""
    totals: list[int] = []

    @domain.task(retry=Retry.none())
    def leaf(ctx: Context) -> None:
        if not totals:
            raise ValueError

    @domain.task(retry=Retry.constant(1), fail_fast=False)
    def parent(ctx: Context) -> None:
        kinds = [child.kind for child in ctx.spawn_children([leaf.call(), leaf.call()])]
        until(lambda: ctx.child_summary().active == 0)
        totals.append(ctx.child_summary().total)
        assert kinds == [SubmitKind.DUPLICATE, SubmitKind.INSERTED]
        if ctx.attempt == 1:
            raise ValueError

    task = stage.started(domain).submit(parent)
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert totals == [1, 1]


def test_within_a_run_a_settled_key_can_be_used_again(stage: Stage, domain: Domain) -> None:
    """S-169: within one run, and from outside, only active children hold a key."""
    kinds_seen: list[SubmitKind] = []

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> None:
        for _ in range(2):
            child = ctx.spawn_child(leaf)
            kinds_seen.append(child.kind)
            child.wait(WAIT_S)
        kinds_seen.append(ctx.scheduler.spawn_child(ctx.id, leaf.call()).kind)

    task = stage.started(domain).submit(parent)
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert kinds_seen == [SubmitKind.INSERTED] * 3


@pytest.mark.parametrize("is_heard", [True, False])
def test_children_may_end_before_the_body_returns(stage: Stage, domain: Domain, is_heard: bool) -> None:
    """S-170, S-172: a parent whose children have all ended before its body returns is never WAITING."""
    seen: list[int] = []

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def parent(ctx: Context) -> str:
        for child in ctx.spawn_children([leaf.call(n) for n in range(3)]):
            child.wait(WAIT_S)
        return "memo"

    @parent.finalize
    def finalizer(ctx: Context, memo: str) -> None:
        seen.append(ctx.child_summary().by_status[TaskStatus.COMPLETED])

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[Waiting if is_heard else Failed]) as heard:
        if not is_heard:
            heard.close()
        assert scheduler.submit(parent).result(WAIT_S) == "memo"
        heard.close()
        assert list(heard) == []
    assert seen == [3]


def test_a_parent_that_waits_shows_its_memo_and_is_told_of(stage: Stage, domain: Domain) -> None:
    """S-171: the body's return is recorded with its memo; with children active the parent is WAITING, and told so."""
    gate = stage.gate()

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> str:
        ctx.spawn_children([leaf.call(n) for n in range(2)])
        return "memo"

    scheduler = stage.started(domain)
    with scheduler.subscribe() as heard:
        task = scheduler.submit(parent)
        events = heard_until(heard, lambda event: isinstance(event, Waiting))
        record = scheduler.task(task.id)
        assert (record.status, record.memo) == (TaskStatus.WAITING, "memo")
        assert [event.children for event in events if isinstance(event, Waiting)] == [2]
        gate.open()
        events += heard_until(heard, lambda event: isinstance(event, Completed) and event.task_id == task.id)
    assert [kind for kind in kinds(of_task(events, task.id)) if kind != "Progress"] == [
        "Submitted",
        "Dispatched",
        "Waiting",
        "ChildSettled",
        "ChildSettled",
        "Completed",
    ]


def test_a_body_that_fails_with_children_active_is_waiting(stage: Stage, domain: Domain) -> None:
    """S-007, S-133: a body that failed for good waits for its children's cancel, over a restart, and does not run again."""
    begun = threading.Event()
    runs: list[str] = []

    @domain.task()
    def leaf(ctx: Context) -> None:
        begun.set()
        run_until_told(ctx)

    @leaf.on_cancel
    def hook(ctx: Context) -> None:
        runs.append("hook")
        if runs.count("hook") == 1:
            run_until_told(ctx)

    @domain.task(retry=Retry.none())
    def parent(ctx: Context) -> None:
        runs.append("body")
        ctx.spawn_child(leaf)
        begun.wait(WAIT_S)
        raise ValueError("no")

    first = stage.started(domain)
    task = first.submit(parent)
    await_status(first, task.id, TaskStatus.WAITING)
    until(lambda: "hook" in runs)
    first.stop(0)
    second = stage.started(domain)
    until(lambda: second.task(task.id).status.is_terminal)
    record = second.task(task.id)
    assert (record.status, record.error) == (TaskStatus.DEAD_LETTER, "ValueError: no")
    assert runs == ["body", "hook", "hook"]
    assert ends(second, task.id) == [TaskStatus.CANCELLED]


def test_waiting_parents_go_on_over_restarts(stage: Stage, domain: Domain) -> None:
    """S-171, S-356: a waiting parent waits on after a restart, and finalizes with its memo when its children are done."""

    def define(gate: Gate) -> tuple[Domain, Any]:
        tasks = Domain("play")

        @tasks.task(key=by_number)
        def leaf(ctx: Context, n: int) -> int:
            gate.hold()
            ctx.check_cancelled()
            return n

        @tasks.task()
        def parent(ctx: Context) -> int:
            ctx.spawn_children([leaf.call(n) for n in range(3)])
            return 100

        @parent.finalize
        def finalizer(ctx: Context, memo: int) -> int:
            return memo + sum(child.memo or 0 for child in ctx.child_results(leaf))

        return tasks, parent

    shut, opened = stage.gate(), stage.gate()
    opened.open()
    tasks, parent = define(shut)
    first = stage.started(tasks)
    task = first.submit(parent)
    shut.await_arrivals(3)
    shut.let_pass(1)
    until(lambda: TaskStatus.COMPLETED in ends(first, task.id))
    stopper = threading.Thread(target=first.stop, args=(0,))
    stopper.start()
    until(lambda: first._runtime.state.name != "RUNNING")
    shut.open()
    stopper.join()
    second = stage.started(define(opened)[0])
    until(lambda: second.task(task.id).status.is_terminal)
    assert second.task(task.id).memo == 103
    assert first is not second


@pytest.mark.parametrize("stand", ["pending", "running", "retry"])
def test_children_of_a_parent_that_is_put_back_go_on(stage: Stage, domain: Domain, stand: str) -> None:
    """S-189: children run, settle and count whatever their parent's status is."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(1, 1000))
    def parent(ctx: Context) -> None:
        if stand == "retry":
            raise ValueError
        gate.hold()

    scheduler = stage.started(domain)
    task = scheduler.submit(parent.options(run_after=1000) if stand == "pending" else parent)
    if stand == "running":
        gate.await_arrivals()
    if stand == "retry":
        until(lambda: scheduler.task(task.id).error is not None)
    before = scheduler.task(task.id).status
    with scheduler.subscribe(kinds=[ChildSettled]) as heard:
        child = scheduler.spawn_child(task.id, leaf.call())
        event = heard.get(WAIT_S)
        assert isinstance(event, ChildSettled)
        assert (event.task_id, event.child_id, event.done, event.total) == (task.id, child.id, 1, 1)
    assert scheduler.task(task.id).status is before


def test_a_parked_child_keeps_its_parent_waiting(stage: Stage, domain: Domain) -> None:
    """S-190: a child that this program does not know is waited for until it runs elsewhere, or is cancelled."""
    other = Domain("other")

    @other.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> None: ...

    first = stage.scheduler(domain, other)
    tasks = [first.submit(parent.options(key=key)) for key in "ab"]
    children = [first.spawn_child(task.id, leaf.call()) for task in tasks]
    first.stop()
    second = stage.started(domain)
    for task, child in zip(tasks, children, strict=True):
        await_status(second, task.id, TaskStatus.WAITING)
        assert second.task(child.id).status is TaskStatus.PARKED
    second.cancel(children[0].id)
    assert second.task(tasks[0].id).status is TaskStatus.COMPLETED
    second.stop()
    third = stage.started(domain, other)
    await_status(third, tasks[1].id, TaskStatus.COMPLETED)
    assert third.task(children[1].id).status is TaskStatus.COMPLETED


def test_a_childs_end_is_told_before_its_parents(stage: Stage, domain: Domain) -> None:
    """S-191: ChildSettled is the parent's, comes after the child's own end, and its `total` may grow."""
    gate = stage.gate()

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf, 0)

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[ChildSettled, Completed]) as heard:
        task = scheduler.submit(parent)
        gate.await_arrivals()
        until(lambda: scheduler.task(task.id).status is TaskStatus.WAITING)
        added = scheduler.spawn_child(task.id, leaf.call(1))
        gate.open()
        events = heard_until(heard, lambda event: isinstance(event, Completed) and event.task_id == task.id)
    settled = [event for event in events if isinstance(event, ChildSettled)]
    assert [(event.done, event.total) for event in settled] == [(1, 2), (2, 2)]
    assert {event.task_id for event in settled} == {task.id}
    for event in settled:
        own = next(one for one in of_task(events, event.child_id))
        assert events.index(own) < events.index(event)
    assert added.id in {event.child_id for event in settled}


def test_a_superseded_parent_takes_its_children_along(stage: Stage, domain: Domain) -> None:
    """S-062, S-061: children of a superseded parent end CANCELLED, and the new task starts after they have."""
    gate = stage.gate()
    order: list[str] = []

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()
        order.append("leaf ends")

    @domain.task(key=lambda n: "k")
    def parent(ctx: Context, n: int) -> int:
        order.append(f"parent {n}")
        if n == 1:
            ctx.spawn_child(leaf)
        return n

    scheduler = stage.started(domain)
    old = scheduler.submit(parent, 1)
    gate.await_arrivals()
    await_status(scheduler, old.id, TaskStatus.WAITING)
    new = scheduler.submit(parent.options(on_duplicate=DuplicatePolicy.SUPERSEDE), 2)
    assert (new.kind, new.replaced) == (SubmitKind.SUPERSEDED, old.id)
    assert scheduler.task(old.id).status is TaskStatus.CANCELLING
    gate.open()
    assert new.result(WAIT_S) == 2
    assert old.wait(WAIT_S).status is TaskStatus.SUPERSEDED
    assert ends(scheduler, old.id) == [TaskStatus.CANCELLED]
    assert order == ["parent 1", "leaf ends", "parent 2"]


def test_a_superseded_only_child_does_not_end_its_parent(stage: Stage, domain: Domain) -> None:
    """S-064: the superseded child counts as settled, the new one as one more; its parent waits for it."""
    results: list[dict[str, Any]] = []

    @domain.task(key=lambda n: "k")
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf.options(run_after=1000), 1)

    @parent.finalize
    def finalizer(ctx: Context, memo: None) -> None:
        results.append({child.status.value: child.memo for child in ctx.child_results(leaf)})

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    await_status(scheduler, task.id, TaskStatus.WAITING)
    outcome = scheduler.spawn_child(task.id, leaf.options(on_duplicate=DuplicatePolicy.SUPERSEDE).call(2))
    assert outcome.kind is SubmitKind.SUPERSEDED
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert results == [{"superseded": None, "completed": 2}]


def spawn_late(scheduler: Scheduler, parent: int, submission: Any) -> str:
    """What became of a child that was added from outside at any moment."""
    try:
        return scheduler.spawn_child(parent, submission).kind.value
    except ParentClosed as error:
        return error.status.value


def test_children_added_at_any_moment_are_waited_for_or_refused(stage: Stage, domain: Domain) -> None:
    """S-164, S-178: a child added from outside while its parent ends is either refused or settled before the parent."""

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task(key=by_number)
    def parent(ctx: Context, n: int) -> None:
        ctx.spawn_child(leaf, -1)

    @parent.finalize
    def finalizer(ctx: Context, memo: None, n: int) -> None: ...

    scheduler = stage.started(domain)
    for n in range(100):
        task = scheduler.submit(parent, n)
        said = [spawn_late(scheduler, task.id, leaf.call(m)) for m in range(n % 5)]
        assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
        children = list(scheduler.children(task.id))
        assert {child.status for child in children} == {TaskStatus.COMPLETED}
        assert len(children) == 1 + said.count("inserted")
        assert set(said) <= {"inserted", "completed"}
