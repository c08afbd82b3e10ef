"""Dependencies: what waits for what, and what the end of one means for the others (S-243..S-253)."""

from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, await_status, heard_until, kinds, of_task, settle

from millrace import (
    Context,
    DependencyPolicy,
    Domain,
    DuplicatePolicy,
    InvalidDependency,
    InvalidTask,
    Outcome,
    PermanentError,
    Retry,
    Scheduler,
    SubmitKind,
    Task,
    TaskFailed,
    TaskStatus,
)
from millrace.model.events import DependencyFailed, TaskEvent, Unblocked

BLOCKED, PENDING = TaskStatus.BLOCKED, TaskStatus.PENDING
COMPLETED, DEPENDENCY_FAILED = TaskStatus.COMPLETED, TaskStatus.DEPENDENCY_FAILED


class Play:
    """A scheduler with a task that does as it is told, and the order in which bodies began."""

    def __init__(self, stage: Stage, domain: Domain, **settings: Any) -> None:
        self.gate: Gate = stage.gate()
        self.order: list[str] = []

        @domain.task("act")
        def act(ctx: Context, name: str, how: str = "ok") -> str:
            self.order.append(name)
            if how == "wait":
                self.gate.hold()
            if how == "stay":
                ctx.wait_cancelled(WAIT_S)
                ctx.check_cancelled()
            if how == "fail":
                raise PermanentError("boom")
            return name

        self.act: Task[Any, str] = act
        self.scheduler: Scheduler = stage.scheduler(domain, retry=Retry.none(), **settings)

    def submit(self, name: str, *after: Outcome[Any] | int, how: str = "ok", **options: Any) -> Outcome[str]:
        """Submit one that depends on those."""
        return self.scheduler.submit(self.act.options(depends_on=after, **options), name, how)

    def status(self, outcome: Outcome[Any]) -> TaskStatus:
        return outcome.handle.status()


@pytest.fixture
def play(stage: Stage, domain: Domain) -> Play:
    return Play(stage, domain)


def test_a_task_waits_until_its_last_dependency_has_settled(any_stage: Stage, domain: Domain) -> None:
    """S-001, S-002, S-243, S-321: BLOCKED without a slot, then PENDING with the end of the last one, told after that end."""
    play = Play(any_stage, domain)
    play.scheduler.start()
    with play.scheduler.subscribe() as heard:
        first, second = play.submit("a", how="wait"), play.submit("b", how="wait")
        last = play.submit("c", first, second)
        play.gate.await_arrivals(2)
        assert play.status(last) is BLOCKED
        assert play.submit("c", first, second).kind is SubmitKind.DUPLICATE, "it holds its key"
        play.gate.open()
        assert last.result(WAIT_S) == "c"
        events = heard_until(
            heard, lambda event: kinds([event]) == ["Completed"] and event in of_task([event], last.id)
        )
    assert kinds(of_task(events, last.id)) == ["Submitted", "Unblocked", "Dispatched", "Completed"]
    unblocked = next(at for at, event in enumerate(events) if isinstance(event, Unblocked))
    ended = [at for at, event in enumerate(events) if kinds([event]) == ["Completed"]]
    assert ended[0] < ended[1] < unblocked, "S-304"
    assert play.order[2] == "c"


def test_what_is_declared_and_who_waits(play: Play) -> None:
    """S-244: ids and outcomes, of any domain, each once and as declared; dependents are the active ones that wait, ascending."""
    first, second = play.submit("a"), play.submit("b")
    both = play.submit("c", second, first.id, second.id)
    one = play.submit("d", first)
    scheduler = play.scheduler
    assert scheduler.dependencies(both.id) == [second.id, first.id]
    assert scheduler.task(both.id).depends_on == (second.id, first.id)
    assert scheduler.dependents(first.id) == [both.id, one.id]
    assert scheduler.dependents(both.id) == []
    scheduler.start()
    settle([both, one])
    assert scheduler.dependencies(both.id) == [second.id, first.id]
    assert scheduler.dependents(first.id) == []


@pytest.mark.parametrize("ask", ["dependencies", "dependents"])
def test_looking_for_a_task_that_is_not_there(play: Play, ask: str) -> None:
    """S-342: an id that never was has none, whatever size it has."""
    for task_id in (99, 0, -1, 1 << 70):
        assert getattr(play.scheduler, ask)(task_id) == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        *[(5, TypeError), ("12", TypeError), ([True], TypeError), (["1"], TypeError), ([None], TypeError)],
        *[([0], InvalidDependency), ([-3], InvalidDependency), ([1 << 63], InvalidDependency)],
    ],
    ids=repr,
)
def test_what_is_no_dependency_is_refused(play: Play, given: Any, error: type[Exception]) -> None:
    """S-034: checked in the caller's thread, before anything is written."""
    with pytest.raises(error, match="depends_on"):
        play.act.options(depends_on=given)
    with pytest.raises(InvalidTask, match="on_dependency_failure: expected one of 'cancel'"):
        play.act.options(on_dependency_failure="never")  # type: ignore[arg-type]  # on purpose


def test_a_dependency_that_has_ended_counts_by_its_end(any_stage: Stage, domain: Domain) -> None:
    """S-246: COMPLETED is satisfied; another end, an unknown and a pruned id are refused by name, or ignored where told so."""
    play = Play(any_stage, domain)
    play.scheduler.start()
    good, bad = play.submit("a"), play.submit("b", how="fail")
    settle([good, bad])
    assert play.submit("c", good).result(WAIT_S) == "c"
    for policy in (DependencyPolicy.CANCEL, DependencyPolicy.FAIL):
        with pytest.raises(InvalidDependency, match=rf"depends_on {bad.id}: .* found failed") as refused:
            play.submit("d", good, bad, on_dependency_failure=policy)
        assert (refused.value.dependency, refused.value.status) == (bad.id, TaskStatus.FAILED)
    with pytest.raises(InvalidDependency, match=r"depends_on 999: .* no such task"):
        play.submit("d", 999, on_dependency_failure=DependencyPolicy.IGNORE)
    assert play.scheduler.count() == 3, "S-037: a refused submit leaves nothing"
    assert play.submit("d", bad, on_dependency_failure="ignore").result(WAIT_S) == "d"


def test_a_refused_entry_refuses_its_batch(play: Play) -> None:
    """S-067, S-037: nothing of the batch is stored, and what others submit is not disturbed."""
    good = play.submit("a")
    batch = [
        play.act.options(depends_on=[good]).call("b"),
        play.act.options(depends_on=[good, 77]).call("c"),
    ]
    with pytest.raises(InvalidDependency):
        play.scheduler.submit_batch(batch)
    assert play.scheduler.count() == 1
    assert play.scheduler.dependents(good.id) == []


@pytest.mark.parametrize("end", ["failed", "dead_letter", "cancelled"])
def test_a_failed_dependency_ends_what_depends_on_it(stage: Stage, domain: Domain, end: str) -> None:
    """S-247, S-248, S-249, S-306: CANCEL, the default, goes all the way down; the error names the direct one and the origin."""
    play = Play(stage, domain, max_concurrency=2)

    @domain.task()
    def go_wrong(ctx: Context) -> None:
        play.gate.hold()
        raise RuntimeError("first") if end == "dead_letter" else PermissionError("first")

    retry = Retry(0, give_up_on=(PermissionError,))
    first = play.scheduler.submit(go_wrong.options(retry=retry))
    second = play.submit("b", first)
    third = play.submit("c", second)
    with play.scheduler.subscribe() as heard:
        play.scheduler.start()
        play.gate.await_arrivals()
        if end == "cancelled":
            play.scheduler.cancel(first.id)
        play.gate.open()
        records = settle([first, second, third])
        events = heard_until(heard, lambda event: isinstance(event, TaskEvent) and event.task_id == third.id)
    assert [record.status for record in records] == [TaskStatus(end), DEPENDENCY_FAILED, DEPENDENCY_FAILED]
    direct = f"dependency {first.id} (play::go_wrong) ended {end}"
    error = {"failed": ": PermissionError: first", "dead_letter": ": RuntimeError: first", "cancelled": ""}[end]
    assert records[1].error == direct + error
    assert (
        records[2].error
        == f"dependency {second.id} (play::act) ended dependency_failed; first failure: {direct}{error}"
    )
    failed = [event for event in events if isinstance(event, DependencyFailed)]
    assert [(event.task_id, event.dependency) for event in failed] == [(second.id, first.id), (third.id, second.id)]
    with pytest.raises(TaskFailed):
        third.result(0)


def test_fail_leaves_the_next_ones_blocked(play: Play) -> None:
    """S-247, S-252: under FAIL the dependent fails and its own dependents stay BLOCKED; those that ignore it run."""
    play.scheduler.start()
    first = play.submit("a", how="wait")
    second = play.submit("b", first, on_dependency_failure=DependencyPolicy.FAIL)
    third = play.submit("c", second)
    indifferent = play.submit("d", second, on_dependency_failure=DependencyPolicy.IGNORE)
    play.scheduler.cancel(first.id)
    play.gate.open()
    assert second.wait(WAIT_S).status is DEPENDENCY_FAILED
    assert indifferent.wait(WAIT_S).status is COMPLETED
    assert play.status(third) is BLOCKED
    assert play.scheduler.dependents(second.id) == [third.id]
    assert play.scheduler.cancel(third.id).settled, "S-252"
    assert third.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert play.scheduler.dependents(second.id) == []


def test_one_retried_by_hand_is_waited_for_in_its_place(play: Play) -> None:
    """S-134, S-138, S-250, S-252: the line goes on when what failed is repeated; later dependencies mean the newest of it."""
    scheduler = play.scheduler
    scheduler.start()
    first = play.submit("a", how="wait")
    second = play.submit("b", first, on_dependency_failure=DependencyPolicy.FAIL)
    third = play.submit("c", second)
    scheduler.cancel(first.id)
    play.gate.open()
    settle([first, second])
    with pytest.raises(InvalidDependency, match=f"depends_on {first.id}"):
        scheduler.retry(second.id)
    again = scheduler.retry(first.id)
    assert again.wait(WAIT_S).status is COMPLETED
    repeated = scheduler.retry(second.id)
    assert repeated.wait(WAIT_S).depends_on == (first.id,)
    assert third.wait(WAIT_S).status is COMPLETED
    assert play.submit("d", first, second).result(WAIT_S) == "d"


def test_a_later_dependency_on_a_retried_task_waits_for_the_retry(stage: Stage, domain: Domain) -> None:
    """S-138, S-250: the old id means the newest of its line, however often it was retried, as long as it goes on."""
    play = Play(stage, domain, max_concurrency=1)
    scheduler = play.scheduler
    scheduler.start()
    old = play.submit("a", how="fail")
    old.wait(WAIT_S)
    newest = old
    for _ in range(2):
        newest = scheduler.retry(newest.id)
        newest.wait(WAIT_S)
    play.submit("in the way", how="wait")
    newest = scheduler.retry(newest.id)
    late = play.submit("b", old)
    assert scheduler.dependencies(late.id) == [old.id]
    assert scheduler.dependents(newest.id) == [late.id]
    assert scheduler.dependents(old.id) == []


def test_ignored_failures_unblock(play: Play) -> None:
    """S-002, S-247: IGNORE runs the task whatever became of the dependency."""
    first = play.submit("a", how="fail")
    second = play.submit("b", first, on_dependency_failure=DependencyPolicy.IGNORE)
    play.scheduler.start()
    assert second.result(WAIT_S) == "b"
    assert play.order == ["a", "b"]


def test_dependents_of_a_superseded_task_wait_for_the_new_one(play: Play) -> None:
    """S-063, S-250: from the transaction of the supersede on, running or not."""
    scheduler = play.scheduler
    scheduler.start()
    running = play.submit("a", how="wait", key="a")
    play.gate.await_arrivals()
    queued = play.submit("b", running, key="b")
    last = play.submit("c", running, queued)
    new_queued = play.submit("b2", running, key="b", on_duplicate=DuplicatePolicy.SUPERSEDE)
    assert (new_queued.kind, new_queued.replaced) == (SubmitKind.SUPERSEDED, queued.id)
    assert scheduler.dependents(queued.id) == []
    assert scheduler.dependents(new_queued.id) == [last.id]
    new_running = play.submit("a2", how="wait", key="a", on_duplicate=DuplicatePolicy.SUPERSEDE)
    assert scheduler.dependents(new_running.id) == [last.id, new_queued.id]
    assert play.status(last) is BLOCKED
    play.gate.open()
    assert last.result(WAIT_S) == "c"
    assert running.wait(WAIT_S).status is TaskStatus.SUPERSEDED
    assert play.order == ["a", "a2", "b2", "c"]


def test_a_dependency_ends_with_its_children_and_retries(stage: Stage, domain: Domain) -> None:
    """S-245: a parent with children and finalizer, and a task that is retried, are settled when they have settled."""
    steps: list[str] = []
    gate = stage.gate()

    @domain.task()
    def child(ctx: Context) -> None:
        gate.hold()
        steps.append("child")

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)

    @parent.finalize
    def end(ctx: Context, memo: None) -> None:
        steps.append("finalizer")

    @domain.task()
    def flaky(ctx: Context) -> None:
        steps.append(f"attempt {ctx.attempt}")
        if ctx.attempt < 3:
            raise ValueError

    @domain.task()
    def last(ctx: Context, n: int) -> None:
        steps.append(f"last {n}")

    scheduler = stage.started(domain)
    outcomes = [scheduler.submit(parent), scheduler.submit(flaky.options(retry=Retry.constant(5)))]
    waiting = [scheduler.submit(last.options(depends_on=[one]), at) for at, one in enumerate(outcomes)]
    await_status(outcomes[0], TaskStatus.WAITING)
    assert waiting[0].handle.status() is BLOCKED
    settle(waiting[1:])
    assert steps == ["attempt 1", "attempt 2", "attempt 3", "last 1"]
    gate.open()
    settle(waiting)
    assert steps[4:] == ["child", "finalizer", "last 0"]


def test_a_flow_can_be_depended_on(stage: Stage, domain: Domain) -> None:
    """S-245, S-404: it is settled when it has finished and its children have."""
    play = Play(stage, domain)
    play.scheduler.start()
    flow, failing = play.scheduler.flow("f"), play.scheduler.flow("g")
    child = flow.spawn(play.act, "child", "wait")
    last, lost = play.submit("last", flow.id), play.submit("lost", failing.id)
    flow.finish()
    failing.fail("no")
    assert lost.wait(WAIT_S).error == f"dependency {failing.id} (flow::g) ended failed: no"
    assert play.status(last) is BLOCKED
    play.gate.open()
    assert last.result(WAIT_S) == "last"
    assert play.order == ["child", "last"]
    assert child.wait(WAIT_S).status is COMPLETED


def test_unblocked_before_its_time_it_is_delayed(play: Play) -> None:
    """S-002, S-003: run_at holds on after the last dependency; one that is past does not."""
    play.scheduler.start()
    first = play.submit("a", how="wait")
    later = play.submit("b", first, run_after=3600)
    soon = play.submit("c", first, run_after=0.001)
    play.gate.open()
    assert soon.result(WAIT_S) == "c"
    record = later.handle.record()
    assert record.status is PENDING
    assert record.run_at is not None


def test_a_blocked_parent_with_children_fails_with_its_dependency(stage: Stage, domain: Domain) -> None:
    """S-012, S-182, S-247: its end is decided, its children are cancelled, and it settles with the last of them."""
    play = Play(stage, domain)
    scheduler = play.scheduler
    scheduler.start()
    first = play.submit("a", how="wait")
    parent = play.submit("p", first)
    after = play.submit("q", parent)
    play.gate.await_arrivals(1)
    child = scheduler.spawn_child(parent.id, play.act.call("child", "stay"))
    await_status(child, TaskStatus.RUNNING)
    scheduler.cancel(first.id)
    assert play.status(parent) is BLOCKED
    play.gate.open()
    records = settle([parent, child, after])
    assert [record.status for record in records] == [DEPENDENCY_FAILED, TaskStatus.CANCELLED, DEPENDENCY_FAILED]
    assert "p" not in play.order


def test_a_dependency_failure_fails_the_parent(stage: Stage, domain: Domain) -> None:
    """S-179, S-247: DEPENDENCY_FAILED is a failed end: under fail_fast the parent ends with it."""
    play = Play(stage, domain)

    @domain.task()
    def parent(ctx: Context) -> None:
        first = ctx.spawn_child(play.act.options(key="x"), "first", "wait")
        ctx.spawn_child(play.act.options(depends_on=[first]), "second")

    scheduler = play.scheduler
    scheduler.start()
    outcome = scheduler.submit(parent)
    play.gate.await_arrivals()
    await_status(outcome, TaskStatus.WAITING)
    first, second = scheduler.children(outcome.id)
    assert second.status is BLOCKED
    scheduler.cancel(first.id)
    play.gate.open()
    record = outcome.wait(WAIT_S)
    assert record.status is TaskStatus.FAILED
    assert record.error is not None
    assert f"child {second.id}" in record.error
    assert f"dependency {first.id}" in record.error


def test_a_spawn_that_is_repeated_is_not_asked_for_its_dependencies(stage: Stage, domain: Domain) -> None:
    """S-167: in a retry of the body the child is there already, though what it depends on has failed meanwhile."""
    play = Play(stage, domain)
    seen: list[SubmitKind] = []

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        first = ctx.spawn_child(play.act.options(key="first"), "first", "fail")
        second = ctx.spawn_child(
            play.act.options(key="second", depends_on=[first], on_dependency_failure="ignore"), "second"
        )
        seen.append(second.kind)
        if ctx.attempt == 1:
            first.wait(WAIT_S)
            raise ValueError

    play.scheduler.start()
    record = play.scheduler.submit(parent.options(retry=Retry.constant(1))).wait(WAIT_S)
    assert record.status is COMPLETED, record.error
    assert seen == [SubmitKind.INSERTED, SubmitKind.DUPLICATE]


def test_blocked_tasks_survive_the_process(stage: Stage, domain: Domain) -> None:
    """S-358: what was blocked stays so over a restart, and goes on by the ends of its dependencies."""
    play = Play(stage, domain)
    first, failing = play.submit("a"), play.submit("x", how="fail")
    second, lost = play.submit("b", first), play.submit("y", failing)
    play.scheduler.stop()
    play.scheduler.start()
    assert [record.status for record in settle([second, lost])] == [COMPLETED, DEPENDENCY_FAILED]


def test_a_chain_and_a_fan_end_in_one_transaction(play: Play) -> None:
    """S-248, S-253: a chain of 1,000 and 2,000 dependents of one end with the first of them, at the same moment."""
    first = play.submit("first", how="fail")
    chain = [first]
    for n in range(1000):
        chain.append(play.submit(f"link {n}", chain[-1]))
    fan = play.scheduler.submit_batch(
        play.act.options(key=f"fan {n}", depends_on=[first]).call(f"fan {n}") for n in range(2000)
    )
    play.scheduler.start()
    ends = settle([*chain, *fan])
    assert {record.status for record in ends[1:]} == {DEPENDENCY_FAILED}
    assert {record.finished_at for record in ends} == {ends[0].finished_at}
    assert ends[1000].error is not None
    assert ends[1000].error.endswith(
        f"; first failure: dependency {first.id} (play::act) ended failed: PermanentError: boom"
    )


def test_many_dependencies_of_one(play: Play) -> None:
    """S-243, S-253: it starts after the last of 2,000."""
    outcomes = play.scheduler.submit_batch(play.act.options(key=f"{n}").call(f"{n}") for n in range(2000))
    last = play.submit("last", *outcomes)
    play.scheduler.start()
    assert last.result(WAIT_S) == "last"
    assert play.order[-1] == "last"
    assert len(play.order) == 2001


def test_a_rerun_waits_for_its_own_dependencies(play: Play) -> None:
    """S-054, S-056, S-243: when the round ends the task is BLOCKED until they have settled, then it runs once more."""
    scheduler = play.scheduler.start()
    running = play.submit("a", how="wait", key="a")
    play.gate.await_arrivals()
    later = play.submit("later", run_after=3600)
    again = play.submit("b", later, key="a")
    assert (again.kind, again.id) == (SubmitKind.REQUEUED, running.id)
    assert play.status(running) is TaskStatus.RUNNING
    play.gate.open()
    await_status(running, BLOCKED)
    assert scheduler.task(running.id).depends_on == (later.id,)
    scheduler.cancel(later.id)
    assert running.wait(WAIT_S).error == f"dependency {later.id} (play::act) ended cancelled"


def test_a_rerun_alone_is_dropped_with_its_dependency(play: Play) -> None:
    """S-059, S-322: the round under way goes on, and is the last."""
    scheduler = play.scheduler.start()
    running = play.submit("a", how="wait", key="a")
    play.gate.await_arrivals()
    later = play.submit("later", run_after=3600)
    with scheduler.subscribe(kinds=[DependencyFailed]) as heard:
        play.submit("b", later, key="a")
        scheduler.cancel(later.id)
        event = heard.get(WAIT_S)
    assert isinstance(event, DependencyFailed)
    assert (event.task_id, event.dependency) == (running.id, later.id)
    play.gate.open()
    assert running.result(WAIT_S) == "a"
    assert play.order == ["a"]
