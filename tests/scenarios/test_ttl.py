"""Time to live: until when a run must have started, and what becomes of a task for which none has (S-208..S-214)."""

import math
from datetime import timedelta
from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, await_status, calm_down, heard_until, of_task, settle

from millrace import (
    Context,
    Domain,
    DuplicatePolicy,
    InvalidTask,
    Outcome,
    PermanentError,
    Retry,
    Scheduler,
    SubmitKind,
    Task,
    TaskExpired,
    TaskRecord,
    TaskStatus,
)
from millrace.actors.policy import admission
from millrace.actors.requests import ExpireDue
from millrace.actors.times import SystemTimes
from millrace.model.events import Expired

EXPIRED = TaskStatus.EXPIRED


class Clock:
    """The steady clock, which goes on by itself and can be made to jump ahead; waiting is by another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset_ms = 0
        real = SystemTimes.steady_ms
        monkeypatch.setattr(SystemTimes, "steady_ms", lambda times: real(times) + self.offset_ms)
        monkeypatch.setattr(admission, "PIPELINE_S", 0.0)  # no start is committed before there is a slot for it

    def pass_time(self, seconds: float) -> None:
        self.offset_ms += int(seconds * 1000)


class Play:
    """A scheduler with one slot, a task that does as it is told, and a body in the way of all others."""

    def __init__(self, stage: Stage, domain: Domain, **settings: Any) -> None:
        self.gate: Gate = stage.gate()
        self.ran: list[str] = []

        @domain.task("act")
        def act(ctx: Context, name: str, how: str = "ok") -> str:
            self.ran.append(name)
            if how.startswith("wait"):
                self.gate.hold()
            if how.endswith("retry"):
                raise ValueError(name)
            if how == "fail":
                raise PermanentError(name)
            return name

        @act.on_cancel
        def undo(ctx: Context, name: str, how: str = "ok") -> None:
            self.ran.append(f"hook of {name}")

        self.act: Task[Any, str] = act
        self.scheduler: Scheduler = stage.scheduler(domain, max_concurrency=1, sweep_interval=3600, **settings)

    def submit(self, name: str, how: str = "ok", **options: Any) -> Outcome[str]:
        return self.scheduler.submit(self.act.options(key=name, **options), name, how)

    def occupy(self) -> Outcome[str]:
        """Start, with a body in the only slot."""
        self.scheduler.start()
        blocker = self.submit("blocker", "wait")
        self.gate.await_arrivals()
        return blocker

    def sweep(self) -> None:
        """As the clock does every ``sweep_interval``; returns when all is expired that is late."""
        self.scheduler._runtime.persistence.tell(ExpireDue())
        calm_down(self.scheduler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def play(stage: Stage, domain: Domain) -> Play:
    return Play(stage, domain)


def ttl_of(record: TaskRecord) -> float | None:
    return None if record.expires_at is None else (record.expires_at - record.created_at).total_seconds()


@pytest.mark.parametrize("ttl", [-1, -0.001, math.nan, timedelta(seconds=-1), 1e300])
def test_what_is_no_time_to_live_is_refused(stage: Stage, domain: Domain, play: Play, ttl: Any) -> None:
    """S-034, S-213: below 0 and NaN are InvalidTask, of a submission, a task, a domain and a scheduler."""
    for call in (
        lambda: play.act.options(ttl=ttl),
        lambda: domain.task(ttl=ttl),
        lambda: Domain("other", ttl=ttl),
        lambda: stage.scheduler(ttl=ttl),
    ):
        with pytest.raises(InvalidTask, match="ttl"):
            call()
    with pytest.raises(InvalidTask, match="ttl_from: expected one of 'submission', 'first_attempt'"):
        play.act.options(ttl_from="now")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeError, match="ttl"):
        play.act.options(ttl="5")  # type: ignore[arg-type]  # on purpose


def test_a_task_expires_that_has_not_started_in_time(play: Play, clock: Clock) -> None:
    """S-208, S-211, S-214, S-320: once, with its age; it is no cancel, and no hook runs."""
    play.occupy()
    with play.scheduler.subscribe() as heard:
        late, early = play.submit("late", ttl=10), play.submit("early", ttl=timedelta(seconds=20))
        assert ttl_of(late.handle.record()) == pytest.approx(10, abs=0.5)
        clock.pass_time(10.5)
        play.sweep()
        record = late.wait(WAIT_S)
        play.gate.open()
        assert early.result(WAIT_S) == "early"
        events = heard_until(heard, lambda event: getattr(event, "task_id", 0) == early.id and "Com" in repr(event))
    assert (record.status, record.started_at, record.cancel_requested_at) == (EXPIRED, None, None)
    assert record.error == "expired: no run had begun within its time to live of 10 s"
    with pytest.raises(TaskExpired):
        late.result(0)
    own = of_task(events, late.id)
    assert [type(event) for event in own[1:]] == [Expired]
    assert isinstance(own[1], Expired)
    assert 10.5 <= own[1].age < 15
    assert play.ran == ["blocker", "early"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None, None, None), None),
        ((40, None, None, None), 40),
        ((40, 30, None, None), 30),
        ((40, 30, 20, None), 20),
        ((40, 30, 20, 10), 10),
        ((10, 20, 30, 40), 40),
        ((10, math.inf, None, None), None),
        ((10, 20, math.inf, None), None),
        ((10, 20, 30, math.inf), None),
        ((math.inf, None, None, None), None),
        ((10, math.inf, None, 0.001), 0.001),
    ],
)
def test_whose_time_to_live_counts(stage: Stage, given: tuple[Any, Any, Any, Any], expected: float | None) -> None:
    """S-209, S-035: the submission's, the task's, the domain's, the scheduler's; math.inf is none, whatever the others say."""
    of_scheduler, of_domain, of_task, own = given
    domain = Domain("play", ttl=of_domain)

    @domain.task(ttl=of_task)
    def act(ctx: Context) -> None: ...

    outcome = stage.scheduler(domain, ttl=of_scheduler).submit(act.options(ttl=own))
    assert ttl_of(outcome.handle.record()) == expected


@pytest.mark.parametrize(("task", "own", "inherits"), [(None, None, True), (5, None, False), (None, 90, False)])
def test_a_child_has_its_parents_deadline(stage: Stage, task: Any, own: Any, inherits: bool) -> None:
    """S-209: before what domain and scheduler say, after its own and its task's; its own may be later than the parent's."""
    domain = Domain("play", ttl=7)

    @domain.task()
    def parent(ctx: Context) -> None: ...

    @domain.task(ttl=task)
    def child(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain, ttl=8)
    above = scheduler.submit(parent.options(ttl=50))
    record = scheduler.spawn_child(above.id, child.options(ttl=own).call(1)).handle.record()
    deadline = above.handle.record().expires_at
    assert (record.expires_at == deadline) is inherits
    below = scheduler.spawn_child(record.id, child.options(ttl=math.inf).call(2)).handle.record()
    assert below.expires_at is None
    free = scheduler.submit(parent.options(key="x", ttl=math.inf))
    assert ttl_of(scheduler.spawn_child(free.id, child.options(ttl=own).call(3)).handle.record()) == (task or own or 7)


def test_a_child_of_a_parent_past_its_deadline_expires_unstarted(play: Play, clock: Clock, domain: Domain) -> None:
    """S-209, S-210: the parent runs on, as it has started; its child without a time of its own is late from the beginning."""

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> list[int]:
        clock.pass_time(100)
        late = ctx.spawn_child(play.act.options(key="late"), "late")
        free = ctx.spawn_child(play.act.options(key="free", ttl=math.inf), "free")
        return [late.id, free.id]

    play.scheduler.start()
    late, free = play.scheduler.submit(parent.options(ttl=50)).result(WAIT_S)
    assert play.scheduler.task(free).status is TaskStatus.COMPLETED
    assert play.scheduler.task(late).status is EXPIRED
    assert play.scheduler.task(late).error == "expired: no run had begun when its parent's deadline had come"


def test_what_expires_and_what_does_not(play: Play, clock: Clock, domain: Domain) -> None:
    """S-210, S-211: what waits for a body, blocked, delayed or for a retry; no running body, waiting parent or finalizer."""

    @domain.task("parent")
    def parent(ctx: Context) -> None:
        ctx.spawn_child(play.act.options(key="of waiting", ttl=math.inf), "of waiting", "wait")

    @parent.finalize
    def end(ctx: Context, memo: None) -> str:
        play.ran.append("finalizer")
        return "finalized"

    play.scheduler.start()
    waiting = play.scheduler.submit(parent.options(ttl=10))
    play.gate.await_arrivals()
    retried = play.submit("retried", "retry", ttl=10, retry=Retry.constant(5, 3600), priority=1)
    blocker = play.submit("running", "wait", ttl=10, priority=1)
    play.gate.let_pass()  # the child of "waiting": its finalizer queues behind more urgent ones
    play.gate.await_arrivals(2)
    await_status(waiting, TaskStatus.PENDING)
    assert retried.handle.record().retries == 1
    late = {
        "pending": play.submit("pending", ttl=10),
        "delayed": play.submit("delayed", ttl=10, run_after=3600),
        "blocked": play.submit("blocked", ttl=10, depends_on=[blocker]),
        "retried": retried,
    }
    clock.pass_time(11)
    play.sweep()
    for name, outcome in late.items():
        assert outcome.handle.status() is EXPIRED, name
    assert late["retried"].handle.record().attempt == 2
    assert blocker.handle.status() is TaskStatus.RUNNING
    play.gate.open()
    assert blocker.result(WAIT_S) == "running"
    assert waiting.result(WAIT_S) == "finalized"


def test_a_parked_task_expires(stage: Stage, domain: Domain, clock: Clock) -> None:
    """S-211, S-190: also where no program that could run it has come."""
    play = Play(stage, domain)
    outcome = play.submit("parked", ttl=10)
    play.scheduler.stop()
    stranger = stage.started(Domain("other"))
    assert stranger.task(outcome.id).status is TaskStatus.PARKED
    clock.pass_time(11)
    stranger._runtime.persistence.tell(ExpireDue())
    calm_down(stranger)
    assert stranger.task(outcome.id).status is EXPIRED


def test_a_start_expires_what_is_late_oldest_deadline_first(stage: Stage, domain: Domain, clock: Clock) -> None:
    """S-211, S-359: before anything starts, in steps until none is left; the rest runs."""
    play = Play(stage, domain)
    late = play.scheduler.submit_batch(
        play.act.options(key=f"late {n}", ttl=10 - (n % 7)).call("late") for n in range(1203)
    )
    good = play.submit("good", ttl=100)
    clock.pass_time(11)
    with play.scheduler.subscribe(kinds=[Expired]) as heard:
        play.scheduler.start()
        assert good.result(WAIT_S) == "good"
        settle(late)
        told = [heard.get(WAIT_S) for _ in late]
    assert play.scheduler.count(status=EXPIRED) == 1203
    assert play.ran == ["good"]
    deadlines = {record.id: record.expires_at for record in play.scheduler.tasks(status=EXPIRED, limit=2000)}
    order = [deadlines[event.task_id] for event in told if isinstance(event, Expired)]
    assert order == sorted(order, key=str)


@pytest.mark.parametrize("policy", [DuplicatePolicy.SKIP, DuplicatePolicy.SUPERSEDE, DuplicatePolicy.REJECT])
def test_a_submit_expires_a_late_holder_of_its_key(play: Play, clock: Clock, policy: DuplicatePolicy) -> None:
    """S-052, S-212: first, so that the new one is INSERTED, whatever its policy."""
    play.occupy()
    old = play.submit("key", ttl=10)
    after = play.submit("after", depends_on=[old])
    clock.pass_time(11)
    new = play.submit("key", on_duplicate=policy)
    assert new.kind is SubmitKind.INSERTED
    assert old.wait(0).status is EXPIRED
    assert after.wait(0).status is TaskStatus.DEPENDENCY_FAILED, "in the same transaction (S-214)"
    play.gate.open()
    assert new.result(WAIT_S) == "key"


def test_nothing_is_in_time_for_no_time(play: Play, clock: Clock) -> None:
    """S-213: with a ttl of 0 a task that does not start at once expires."""
    play.occupy()
    late = play.submit("late", ttl=0)
    clock.pass_time(0.001)
    play.sweep()
    assert late.wait(WAIT_S).status is EXPIRED


def test_what_starts_at_once_is_in_time(play: Play) -> None:
    """S-213: where a slot is free the submit itself brings the start about, however long that takes."""
    play.scheduler.start()
    for n in range(20):
        assert play.submit(f"at once {n}", ttl=0).result(WAIT_S) == f"at once {n}"


def test_a_slot_that_is_free_later_is_too_late_for_no_time(play: Play, clock: Clock) -> None:
    """S-210, S-213: what had to wait for a slot has not started at once."""
    play.occupy()
    late, other = play.submit("late", ttl=0), play.submit("other")
    clock.pass_time(0.001)
    play.gate.open()
    assert other.result(WAIT_S) == "other"
    assert late.wait(WAIT_S).status is EXPIRED


def test_no_body_starts_past_its_deadline(play: Play, clock: Clock, domain: Domain) -> None:
    """S-210: neither a first run nor a retry, though no sweep comes by; a finalizer does."""

    @domain.task("parent")
    def parent(ctx: Context) -> None:
        clock.pass_time(11)
        ctx.spawn_child(play.act.options(key="child", ttl=math.inf), "child")

    @parent.finalize
    def end(ctx: Context, memo: None) -> str:
        return "finalized"

    play.occupy()
    first = play.submit("first", ttl=10)
    retried = play.submit("retried", "retry", ttl=100, retry=Retry.constant(5, 0.0), priority=1)
    top = play.scheduler.submit(parent.options(ttl=10))
    clock.pass_time(9)
    play.gate.open()
    assert top.result(WAIT_S) == "finalized"
    assert first.result(WAIT_S) == "first"
    assert retried.wait(WAIT_S).status is TaskStatus.DEAD_LETTER, "its retries were in time"
    assert retried.wait(0).retries == 5


def test_the_time_of_the_first_attempt(play: Play, clock: Clock) -> None:
    """S-208, S-210: FIRST_ATTEMPT counts from the first start: nothing expires before, and no retry starts after."""
    blocker = play.occupy()
    outcome = play.submit("late", "wait then retry", ttl=10, ttl_from="first_attempt", retry=Retry.constant(5, 0.0))
    assert outcome.handle.record().expires_at is None
    clock.pass_time(1000)
    play.sweep()
    assert outcome.handle.status() is TaskStatus.PENDING
    play.gate.let_pass()
    blocker.wait(WAIT_S)
    record = await_status(outcome, TaskStatus.RUNNING)
    assert record.expires_at is not None
    assert record.started_at is not None
    play.gate.await_arrivals(2)
    clock.pass_time(11)
    play.gate.open()
    record = outcome.wait(WAIT_S)
    assert (record.status, record.attempt, record.retries) == (EXPIRED, 2, 1)
    assert play.ran == ["blocker", "late"]


def test_an_expired_parent_takes_its_children_along(stage: Stage, domain: Domain, clock: Clock) -> None:
    """S-188: those that never started expire with it, theirs too; started ones are cancelled, and it is EXPIRED with the last."""
    play = Play(stage, domain)

    @domain.task()
    def stays(ctx: Context) -> None:
        play.gate.hold()
        ctx.check_cancelled()

    scheduler = play.scheduler
    scheduler.start()
    blocker = play.submit("blocker", "wait")
    play.gate.await_arrivals()
    parent = play.submit("parent", ttl=10, depends_on=[blocker])
    running = scheduler.spawn_child(parent.id, stays.options(ttl=math.inf, priority=1).call())
    queued = scheduler.spawn_child(parent.id, play.act.options(key="queued", ttl=1000).call("queued"))
    below = scheduler.spawn_child(queued.id, play.act.options(key="below", ttl=math.inf).call("below"))
    scheduler.max_concurrency = 2
    play.gate.await_arrivals(2)
    scheduler.max_concurrency = 1
    clock.pass_time(11)
    play.sweep()
    for outcome in (queued, below):
        assert outcome.wait(WAIT_S).status is EXPIRED
    assert queued.wait(0).error == f"expired with its parent {parent.id}: it had not started"
    assert parent.handle.status() is TaskStatus.WAITING
    assert running.handle.status() is TaskStatus.CANCELLING
    play.gate.open()
    assert [record.status for record in settle([running, parent])] == [TaskStatus.CANCELLED, EXPIRED]
    assert parent.wait(0).error == "expired: no run had begun within its time to live of 10 s"
    assert "parent" not in play.ran


def test_an_expired_child_is_a_failed_child(stage: Stage, domain: Domain, clock: Clock) -> None:
    """S-179, S-214: its parent fails in the same transaction under fail_fast."""
    play = Play(stage, domain)
    play.occupy()
    flow = play.scheduler.flow("f")
    child = flow.spawn(play.act.options(ttl=10), "child")
    clock.pass_time(11)
    play.sweep()
    record = flow.wait(WAIT_S)
    assert record.status is TaskStatus.FAILED
    assert record.error is not None
    assert record.error.startswith(f"child {child.id} (play::act, 'play::act') ended expired: expired: no run")


def test_a_retry_by_hand_has_its_time_anew(play: Play, clock: Clock) -> None:
    """S-134: the time to live counts from the retry."""
    play.occupy()
    old = play.submit("key", ttl=10)
    clock.pass_time(11)
    play.sweep()
    new = play.scheduler.retry(old.id)
    before, after = old.wait(0).expires_at, new.handle.record().expires_at
    assert before is not None
    assert after is not None
    assert (after - before).total_seconds() == pytest.approx(11, abs=0.9)
    play.gate.open()
    assert new.result(WAIT_S) == "key"


def test_a_rerun_has_its_own_time(play: Play, clock: Clock) -> None:
    """S-054, S-208: that of its submission, from its submit on; the round under way goes on by its own."""
    blocker = play.occupy()
    again = play.submit("blocker", "wait", ttl=10)
    assert (again.kind, again.id) == (SubmitKind.REQUEUED, blocker.id)
    assert play.submit("blocker", "wait", ttl=10).kind is SubmitKind.DUPLICATE, "it differs only in when it came"
    assert blocker.handle.record().expires_at is None
    clock.pass_time(11)
    other = play.submit("other", "wait", priority=1)
    play.gate.let_pass()
    play.gate.await_arrivals(2)
    play.sweep()
    assert blocker.wait(WAIT_S).status is EXPIRED
    assert play.ran == ["blocker", "other"]
    assert other.handle.status() is TaskStatus.RUNNING


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_wall_clock_that_is_set_expires_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch, jump_s: int, clock: Clock
) -> None:
    """S-446: deadlines follow the steady clock."""
    play.occupy()
    outcome = play.submit("key", ttl=60)
    real = SystemTimes.wall_ms
    monkeypatch.setattr(SystemTimes, "wall_ms", lambda times: real(times) + jump_s * 1000)
    play.sweep()
    assert outcome.handle.status() is TaskStatus.PENDING
    clock.pass_time(61)
    play.sweep()
    assert outcome.handle.status() is EXPIRED
