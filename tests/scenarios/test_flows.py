"""Flows: durable parents that are driven from outside a body (behaviour.md, section 31)."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from staging import WAIT_S, Stage, at_once, heard_until, kinds
from tree_support import await_status, by_number, ends, reason_told, until

from millrace import (
    Cancelled,
    Completed,
    Context,
    Domain,
    Failed,
    Flow,
    InvalidTask,
    ParentClosed,
    Retry,
    RevisionConflict,
    Submitted,
    TaskFailed,
    TaskNotFound,
    TaskStatus,
)


def held_open(stage: Stage, domain: Domain) -> tuple[Any, Any]:
    """A task that stays at a gate, and the gate."""
    gate = stage.gate()

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> int:
        gate.hold()
        return n

    return child, gate


def finish_by(flow: Flow, end: str, **state: Any) -> None:
    """End a flow in one of the three ways."""
    match end:
        case "finish":
            flow.finish(**state)
        case "fail":
            flow.fail("no", **state)
        case _:
            flow.cancel(**state)


def test_a_flow_of_a_key_is_made_once(stage: Stage, domain: Domain) -> None:
    """S-394: by name and key the active flow comes back as it is; without a key always a new one, its id its key."""
    scheduler = stage.started(domain)
    first = scheduler.flow("import", key="k", state={"n": 1}, fail_fast=False)
    again = scheduler.flow("import", key="k", state={"n": 2}, fail_fast=True)
    other = scheduler.flow("export", key="k")
    assert (again.id, again.state, scheduler.task(again.id).fail_fast) == (first.id, {"n": 1}, False)
    assert other.id != first.id
    record = scheduler.task(first.id)
    assert (record.task_name, record.key, record.status) == ("flow::import", "k", TaskStatus.WAITING)
    free = [scheduler.flow("import") for _ in range(3)]
    assert len({flow.id for flow in free}) == 3
    assert [scheduler.task(flow.id).key for flow in free] == [str(flow.id) for flow in free]
    with pytest.raises(InvalidTask):
        Domain("flow")


def test_a_flow_without_key_is_new_whatever_keys_there_are(stage: Stage, domain: Domain) -> None:
    """S-394: a flow without a key is made also where its id is the key of another one, which keeps it."""
    scheduler = stage.started(domain)
    own = scheduler.flow("f")
    assert scheduler.flow("f", key=str(own.id)).id == own.id
    named = scheduler.flow("f", key=str(own.id + 2))
    free = scheduler.flow("f")
    assert free.id == own.id + 2
    assert scheduler.task(free.id).key == str(free.id)
    assert scheduler.flow("f", key=str(free.id)).id == named.id
    free.finish()
    assert free.wait(WAIT_S).status is TaskStatus.COMPLETED


def test_one_key_opened_by_many_at_once_is_one_flow(stage: Stage, domain: Domain) -> None:
    """S-394: of threads that open one key at one moment all get the same flow."""
    scheduler = stage.started(domain)
    flows = at_once([lambda: scheduler.flow("f", key="k")] * 8)
    assert len({flow.id for flow in flows}) == 1


def test_a_flow_waits_until_it_is_ended(stage: Stage, domain: Domain) -> None:
    """S-395: with or without children, over restarts, it is WAITING; it has no run, attempt or slot."""

    @domain.task()
    def child(ctx: Context) -> None: ...

    first = stage.started(domain, max_concurrency=1)
    flow = first.flow("f", key="k")
    assert flow.status is TaskStatus.WAITING
    flow.spawn(child).wait(WAIT_S)
    assert flow.status is TaskStatus.WAITING
    first.stop()
    second = stage.started(domain, max_concurrency=1)
    record = second.task(flow.id)
    assert (record.status, record.attempt, record.started_at) == (TaskStatus.WAITING, 0, None)
    opened = second.open_flow("k")
    opened.spawn(child).wait(WAIT_S)
    opened.finish()
    assert opened.wait(WAIT_S).status is TaskStatus.COMPLETED


@pytest.mark.parametrize("end", ["finish", "fail", "cancel"])
def test_a_closed_flow_takes_no_child(stage: Stage, domain: Domain, end: str) -> None:
    """S-396: from finish, fail or cancel on spawn is ParentClosed with the status, before and after it has settled."""
    child, gate = held_open(stage, domain)
    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    flow.spawn(child, 1)
    gate.await_arrivals()
    during, after = {
        "finish": (TaskStatus.WAITING, TaskStatus.COMPLETED),
        "fail": (TaskStatus.WAITING, TaskStatus.FAILED),
        "cancel": (TaskStatus.CANCELLING, TaskStatus.CANCELLED),
    }[end]
    finish_by(flow, end)
    for expected in (during, after):
        with pytest.raises(ParentClosed) as refused:
            flow.spawn(child, 2)
        assert refused.value.status is expected
        gate.open()
        assert flow.wait(WAIT_S).status is after


def test_a_finished_flow_lets_its_children_spawn(stage: Stage, domain: Domain) -> None:
    """S-400, S-164: finish closes the flow alone: children under way may still have children of their own."""

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    gate = stage.gate()

    @domain.task()
    def child(ctx: Context) -> None:
        gate.hold()
        ctx.spawn_child(leaf)
        with pytest.raises(ParentClosed):
            ctx.spawn_sibling(leaf)

    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    outcome = flow.spawn(child)
    gate.await_arrivals()
    flow.finish()
    gate.open()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert ends(scheduler, outcome.id) == [TaskStatus.COMPLETED]


def test_opening_a_flow(stage: Stage, domain: Domain) -> None:
    """S-397: by key the newest active, else the newest; by id that flow; else TaskNotFound, also for a task's id."""

    @domain.task()
    def body(ctx: Context) -> None: ...

    scheduler = stage.started(domain)
    old = scheduler.flow("f", key="k")
    newer = scheduler.flow("g", key="k")
    assert scheduler.open_flow("k").id == newer.id
    newer.finish()
    assert scheduler.open_flow("k").id == old.id
    old.finish()
    assert scheduler.open_flow("k").id == newer.id
    assert scheduler.open_flow(old.id).status is TaskStatus.COMPLETED
    task = scheduler.submit(body.options(key="t"))
    for unknown in ("t", "none", task.id, 99):
        with pytest.raises(TaskNotFound):
            scheduler.open_flow(unknown)


def test_a_flow_is_a_view(stage: Stage, domain: Domain) -> None:
    """S-397: each look reads the store anew, whoever changed it."""
    scheduler = stage.started(domain)
    flow, same = scheduler.flow("f", key="k", state=1), scheduler.open_flow("k")
    same.update(2)
    assert (flow.state, flow.revision) == (2, 2)
    same.finish()
    assert flow.status is TaskStatus.COMPLETED


def test_the_revision_counts_changes(stage: Stage, domain: Domain) -> None:
    """S-398: it is 1, and one more with each update, finish, fail and cancel, and with the end; children change nothing."""
    child, gate = held_open(stage, domain)
    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    assert flow.revision == 1
    assert flow.update("s") == 2
    flow.spawn(child, 1)
    gate.await_arrivals()
    assert flow.revision == 2
    flow.finish()
    assert flow.revision == 3
    gate.open()
    flow.wait(WAIT_S)
    assert flow.revision == 4
    failed = scheduler.flow("f")
    failed.fail("no")
    cancelled = scheduler.flow("f")
    cancelled.cancel()
    assert (failed.revision, cancelled.revision) == (3, 3)


def test_an_update_that_lost_the_race_writes_nothing(stage: Stage, domain: Domain) -> None:
    """S-399: another revision than the expected is RevisionConflict with both; without one it always writes."""
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state=0)
    assert flow.update(1, expected_revision=1) == 2
    with pytest.raises(RevisionConflict) as conflict:
        flow.update(2, expected_revision=1)
    assert (conflict.value.expected, conflict.value.actual) == (1, 2)
    assert (flow.state, flow.revision) == (1, 2)
    assert flow.update(3) == 3
    assert flow.state == 3


def test_counting_with_expected_revisions_loses_nothing(stage: Stage, domain: Domain) -> None:
    """S-399: threads that read, add one and update with the revision they read lose no addition."""
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state=0)

    def add() -> None:
        while True:
            revision = flow.revision
            state = flow.state
            try:
                flow.update(state + 1, expected_revision=revision)
            except RevisionConflict:
                continue
            return

    at_once([add] * 8)
    assert (flow.state, flow.revision) == (8, 9)


def test_updates_while_it_winds_down_and_after(stage: Stage, domain: Domain) -> None:
    """S-399: an update while CANCELLING is written and takes nothing from the cancel; on a settled flow it is ParentClosed."""
    child, gate = held_open(stage, domain)
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state=1)
    flow.spawn(child, 1)
    gate.await_arrivals()
    flow.cancel()
    flow.update(2)
    assert (flow.status, flow.state) == (TaskStatus.CANCELLING, 2)
    gate.open()
    assert flow.wait(WAIT_S).status is TaskStatus.CANCELLED
    with pytest.raises(ParentClosed) as refused:
        flow.update(3)
    assert refused.value.status is TaskStatus.CANCELLED
    assert flow.state == 2


def test_finishing(stage: Stage, domain: Domain) -> None:
    """S-400: COMPLETED with the memo when active children have settled; repeated it does nothing, also after the end."""
    child, gate = held_open(stage, domain)
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state=1)
    flow.spawn(child, 1)
    gate.await_arrivals()
    flow.finish({"total": 1}, state=2)
    revision = flow.revision
    flow.finish("other", state=3)
    assert (flow.status, flow.state, flow.revision) == (TaskStatus.WAITING, 2, revision)
    gate.open()
    assert flow.wait(WAIT_S).memo == {"total": 1}
    flow.finish("other", state=3)
    assert (flow.state, scheduler.task(flow.id).memo) == (2, {"total": 1})


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("first", ["cancel", "fail"])
def test_finishing_after_another_end(stage: Stage, domain: Domain, first: str, settled: bool) -> None:
    """S-400: after a cancel or a failure finish and fail are ParentClosed and change nothing."""
    child, gate = held_open(stage, domain)
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state=1)
    if not settled:
        flow.spawn(child, 1)
        gate.await_arrivals()
    flow.cancel() if first == "cancel" else flow.fail("first")
    revision = flow.revision
    for end in ("finish", "fail"):
        with pytest.raises(ParentClosed):
            finish_by(flow, end, state=2)
    assert (flow.revision, flow.state) == (revision, 1)
    gate.open()
    record = flow.wait(WAIT_S)
    assert record.status is (TaskStatus.CANCELLED if first == "cancel" else TaskStatus.FAILED)
    assert record.error == (None if first == "cancel" else "first")


def test_failing(stage: Stage, domain: Domain) -> None:
    """S-401: fail cancels the children with "parent_failed", then the flow is FAILED with that error; an empty one is refused."""
    told: list[str] = []
    begun = threading.Event()

    @domain.task()
    def child(ctx: Context) -> None:
        begun.set()
        told.append(reason_told(ctx))

    scheduler = stage.started(domain)
    flow = scheduler.flow("f")
    flow.spawn(child)
    assert begun.wait(WAIT_S)
    with pytest.raises(InvalidTask):
        flow.fail("")
    flow.fail("out of paper", state="last")
    record = flow.wait(WAIT_S)
    assert (record.status, record.error, flow.state) == (TaskStatus.FAILED, "out of paper", "last")
    assert (told, ends(scheduler, flow.id)) == (["parent_failed"], [TaskStatus.CANCELLED])


@pytest.mark.parametrize("fail_fast", [True, False])
def test_a_failed_child_of_a_flow(stage: Stage, domain: Domain, fail_fast: bool) -> None:
    """S-401: with fail_fast a failed child fails the flow; without, the flow stays open, and completes when finished."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError("no")

    scheduler = stage.started(domain)
    flow = scheduler.flow("f", fail_fast=fail_fast)
    outcome = flow.spawn(bad)
    outcome.wait(WAIT_S)
    if fail_fast:
        record = flow.wait(WAIT_S)
        assert record.status is TaskStatus.FAILED
        assert str(outcome.id) in (record.error or "")
        return
    assert flow.status is TaskStatus.WAITING
    flow.finish()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED


def test_cancelling_with_a_state(stage: Stage, domain: Domain) -> None:
    """S-402: the state is written with the intent, whatever the revision, also when CANCELLING; not on a settled flow."""
    child, gate = held_open(stage, domain)
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state=1)
    flow.spawn(child, 1)
    gate.await_arrivals()
    result = flow.cancel(state=2)
    assert (result.accepted, result.settled, flow.state, flow.status) == (True, False, 2, TaskStatus.CANCELLING)
    assert flow.cancel(state=3).accepted
    assert flow.state == 3
    gate.open()
    flow.wait(WAIT_S)
    again = flow.cancel(state=4)
    assert (again.accepted, again.settled, again.status, flow.state) == (True, True, TaskStatus.CANCELLED, 3)
    done = scheduler.flow("f", state=1)
    done.finish()
    late = done.cancel(state=2)
    assert (late.accepted, late.settled, late.status, done.state) == (False, True, TaskStatus.COMPLETED, 1)


def test_a_cancel_beside_updates_is_not_lost(stage: Stage, domain: Domain) -> None:
    """S-399, S-402: a cancel and updates at the same moment: the cancel is recorded, whichever came first."""
    child, gate = held_open(stage, domain)
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state=0)
    flow.spawn(child, 1)
    gate.await_arrivals()
    update: list[Callable[[], object]] = [lambda: flow.update("u")]
    at_once([*update * 6, lambda: flow.cancel(state="c")])
    assert flow.status is TaskStatus.CANCELLING
    assert flow.revision == 8
    gate.open()
    assert flow.wait(WAIT_S).status is TaskStatus.CANCELLED


def test_a_state_left_out_stays_and_none_is_null(stage: Stage, domain: Domain) -> None:
    """S-403: without `state` it stays; None writes null; what cannot be encoded changes neither state nor status."""
    scheduler = stage.started(domain)
    given: list[tuple[dict[str, Any], Any]] = [({}, 1), ({"state": None}, None)]
    for state, expected in given:
        for end in ("finish", "fail", "cancel"):
            flow = scheduler.flow("f", state=1)
            finish_by(flow, end, **state)
            assert flow.state == expected
    flow = scheduler.flow("f", state=1)
    with pytest.raises(InvalidTask):
        flow.finish(state=object())
    with pytest.raises(InvalidTask):
        flow.cancel(state=float("nan"))
    assert (flow.status, flow.state, flow.revision) == (TaskStatus.WAITING, 1, 1)


def test_a_flow_in_lists_waits_and_sums(stage: Stage, domain: Domain) -> None:
    """S-404: it is waited for, summed up and listed like a task; its payload is None, its memo that of `finish`."""

    @domain.task(key=by_number, retry=Retry.none())
    def child(ctx: Context, n: int) -> None:
        if n == 2:
            raise ValueError("two")

    scheduler = stage.started(domain)
    flow = scheduler.flow("f", key="k", fail_fast=False)
    children = [flow.spawn(child, n) for n in range(3)]
    for one in children:
        one.wait(WAIT_S)
    summary = flow.summary()
    assert (summary.total, summary.active, summary.errors) == (3, 0, (("ValueError: two", 1),))
    assert summary.by_status == {TaskStatus.COMPLETED: 2, TaskStatus.DEAD_LETTER: 1}
    assert [record.id for record in scheduler.tasks(task="flow::f")] == [flow.id]
    assert scheduler.tasks(task="flow::f", key="k")[0].payload is None
    with pytest.raises(TimeoutError):
        flow.wait(0)
    flow.finish("memo")
    record = flow.wait(WAIT_S)
    assert (record.payload, record.memo) == (None, "memo")
    assert scheduler.find("flow::f", "k") == record
    assert [one.id for one in scheduler.children(flow.id)] == [one.id for one in children]


def test_the_events_of_a_flow(stage: Stage, domain: Domain) -> None:
    """S-306, S-404: a flow is told of like a task: Submitted at first, exactly one end at last."""
    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[Submitted, Completed, Failed, Cancelled]) as heard:
        for end in ("finish", "fail", "cancel"):
            finish_by(scheduler.flow(end), end)
        events = heard_until(heard, lambda event: isinstance(event, Cancelled))
    assert kinds(events) == ["Submitted", "Completed", "Submitted", "Failed", "Submitted", "Cancelled"]


def test_a_body_waits_for_a_flow(stage: Stage, domain: Domain) -> None:
    """S-404, S-043: a body may wait for a flow that it drives; its slot is lent to the flow's children."""

    @domain.task()
    def child(ctx: Context) -> int:
        return 2

    @domain.task()
    def body(ctx: Context) -> int:
        flow = ctx.scheduler.flow("f")
        total = flow.spawn(child).result(WAIT_S)
        flow.finish(total)
        return int(flow.wait(WAIT_S).memo)

    assert stage.started(domain, max_concurrency=1).submit(body).result(WAIT_S) == 2


def test_a_flow_fails_its_waiters_like_a_task(stage: Stage, domain: Domain) -> None:
    """S-398, S-401: the end of a flow by a failed child is one more revision, and its state stays."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError

    scheduler = stage.started(domain)
    flow = scheduler.flow("f", state="kept")
    with pytest.raises(TaskFailed):
        flow.spawn(bad).result(WAIT_S)
    assert flow.wait(WAIT_S).status is TaskStatus.FAILED
    assert (flow.state, flow.revision) == ("kept", 2)


def test_a_cancelled_flow_goes_on_after_a_restart(stage: Stage, domain: Domain) -> None:
    """S-395, S-139: a flow cancelled while no scheduler runs, with children queued, is CANCELLED by the next start."""
    gate = stage.gate()

    @domain.task(retry=Retry.constant(1, 1000))
    def child(ctx: Context) -> None:
        raise ValueError

    @child.on_cancel
    def hook(ctx: Context) -> None:
        gate.hold()

    first = stage.started(domain)
    flow = first.flow("f", key="k")
    task = flow.spawn(child)
    until(lambda: first.task(task.id).error is not None)
    first.stop()
    second = stage.scheduler(domain)
    assert second.open_flow("k").cancel().status is TaskStatus.CANCELLING
    second.start()
    gate.await_arrivals()
    assert second.task(flow.id).status is TaskStatus.CANCELLING
    gate.open()
    await_status(second, flow.id, TaskStatus.CANCELLED)


def test_any_error_can_be_told(stage: Stage, domain: Domain) -> None:
    """S-094: what cannot be stored is spelled out, as in the errors of bodies, and more than 64 KiB are cut off."""
    scheduler = stage.started(domain)
    for error, kept in (("no \ud800 \0", "no \\ud800 \\x00"), ("é" * 100_000, "é" * 32_768)):
        flow = scheduler.flow("trip")
        flow.fail(error)
        assert flow.wait(WAIT_S).error == kept
