"""What a pause holds and what it lets go on: running bodies, queued tasks, finalizers, retries, trees; alone and together."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hand_clock import HandClock
from staging import WAIT_S, Gate, Stage, await_status, calm_down, heard_until, kinds, of_task, settle

from millrace import (
    Cancelled,
    Completed,
    Context,
    Domain,
    Paused,
    Resumed,
    Retry,
    Scheduler,
    SubmitKind,
    TaskInterrupted,
    TaskStatus,
)

HOUR = timedelta(hours=1)


class Play:
    """Tasks of one domain, and what they have done."""

    def __init__(self, domain: Domain, gate: Gate, group: str | None = None) -> None:
        self.runs: list[str] = []
        self.reasons: list[str] = []

        @domain.task(group=group)
        def quick(ctx: Context, n: int = 0) -> int:
            self.runs.append(f"quick {n}")
            return n

        @domain.task(group=group)
        def slow(ctx: Context, n: int = 0) -> str:
            """Runs until it is asked to stop the first time, and not at all the next."""
            self.runs.append(f"slow {n}")
            if self.runs.count(f"slow {n}") > 1:
                return "again"
            gate.hold()
            assert ctx.wait_cancelled(WAIT_S)
            try:
                ctx.check_cancelled()
            except TaskInterrupted as stop:
                self.reasons.append(stop.reason)
                raise
            return "never"

        self.quick = quick
        self.slow = slow


@pytest.fixture
def gate(stage: Stage) -> Gate:
    made = stage.gate()
    made.open()
    return made


@pytest.fixture
def play(domain: Domain, gate: Gate) -> Play:
    return Play(domain, gate)


@pytest.fixture
def grouped(domain: Domain, gate: Gate) -> Play:
    """The same, in the group "a"."""
    return Play(domain, gate, "a")


def statuses(scheduler: Scheduler, outcomes: list[Any]) -> list[TaskStatus]:
    """Of each as it is now."""
    return [scheduler.task(outcome.id).status for outcome in outcomes]


# The scheduler


def test_running_bodies_are_asked_to_stop_and_begin_anew(stage: Stage, domain: Domain, play: Play, gate: Gate) -> None:
    """S-109, S-087, S-114: it is PAUSED when its body has ended; attempt and retries are unchanged."""
    scheduler = stage.started(domain)
    outcome = scheduler.submit(play.slow)
    gate.await_arrivals(1)
    assert scheduler.pause() == 1
    record = await_status(outcome, TaskStatus.PAUSED)
    assert (record.attempt, record.retries, play.reasons) == (1, 0, ["paused"])
    assert scheduler.resume() == 1
    assert outcome.result(WAIT_S) == "again"
    assert scheduler.task(outcome.id).attempt == 1


def test_a_pause_and_its_end_are_told_of_a_run_that_it_stops(
    stage: Stage, domain: Domain, play: Play, gate: Gate
) -> None:
    """S-120: Paused when the body has ended and Resumed when it is PENDING again; queued tasks have neither."""
    scheduler = stage.started(domain, max_concurrency=1)
    subscription = scheduler.subscribe()
    stopped = scheduler.submit(play.slow)
    gate.await_arrivals(1)
    queued = scheduler.submit(play.quick)
    scheduler.pause()
    events = heard_until(subscription, lambda event: isinstance(event, Paused))
    scheduler.resume()
    settle([stopped, queued])
    scheduler.stop()
    events += subscription
    assert kinds(of_task(events, stopped.id)) == [
        "Submitted",
        "Dispatched",
        "Paused",
        "Resumed",
        "Dispatched",
        "Completed",
    ]
    assert kinds(of_task(events, queued.id)) == ["Submitted", "Dispatched", "Completed"]
    assert [event for event in kinds(events) if event.startswith("Scheduler")] == [
        "SchedulerPaused",
        "SchedulerResumed",
    ]


def test_a_body_that_ignores_a_pause_ends_as_ever(stage: Stage, domain: Domain) -> None:
    """S-111: its outcome counts."""
    gate = stage.gate()

    @domain.task()
    def deaf(ctx: Context) -> bool:
        gate.hold()
        return ctx.cancelled

    scheduler = stage.started(domain)
    outcome = scheduler.submit(deaf)
    gate.await_arrivals(1)
    scheduler.pause()
    calm_down(scheduler)
    gate.open()
    assert outcome.result(WAIT_S) is True


def test_a_body_that_fails_in_a_pause_has_failed(stage: Stage, domain: Domain) -> None:
    """S-087: another exception is a failure; its retry waits for the end of the pause."""
    gate = stage.gate()

    @domain.task(retry=Retry.constant(1))
    def fails_once(ctx: Context) -> str:
        if ctx.attempt == 2:
            return "better"
        gate.hold()
        raise ValueError("no")

    scheduler = stage.started(domain)
    outcome = scheduler.submit(fails_once)
    gate.await_arrivals(1)
    scheduler.pause()
    gate.open()
    record = await_status(outcome, TaskStatus.PENDING)
    calm_down(scheduler)
    assert (record.retries, scheduler.task(outcome.id).status) == (1, TaskStatus.PENDING)
    scheduler.resume()
    assert outcome.result(WAIT_S) == "better"


def test_what_a_pause_has_stopped_stays_stopped_over_a_restart(
    stage: Stage, domain: Domain, play: Play, gate: Gate
) -> None:
    """S-113: and goes on when the pause is over."""
    before = stage.started(domain)
    outcome = before.submit(play.slow)
    gate.await_arrivals(1)
    before.pause()
    await_status(outcome, TaskStatus.PAUSED)
    before.stop()
    after = stage.started(domain)
    calm_down(after)
    assert after.task(outcome.id).status is TaskStatus.PAUSED
    assert after.resume() == 1
    subscription = after.subscribe(kinds=[Completed])
    if not after.task(outcome.id).status.is_terminal:
        subscription.get(WAIT_S)
    assert after.task(outcome.id).memo == "again"


def test_cancels_go_on_in_a_pause(stage: Stage, domain: Domain, play: Play, gate: Gate) -> None:
    """S-118: of queued tasks and of stopped ones, whose hook runs."""
    hooks: list[int] = []

    @play.slow.on_cancel
    def hook(ctx: Context, n: int = 0) -> None:
        hooks.append(ctx.id)

    scheduler = stage.started(domain)
    stopped = scheduler.submit(play.slow)
    gate.await_arrivals(1)
    scheduler.pause()
    await_status(stopped, TaskStatus.PAUSED)
    queued = scheduler.submit(play.quick)
    assert scheduler.cancel(queued.id).settled
    assert scheduler.cancel(stopped.id).accepted
    assert stopped.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert hooks == [stopped.id]
    assert scheduler.resume() == 0


@pytest.mark.parametrize("scope", ["scheduler", "group"])
def test_time_to_live_goes_on_in_a_pause(stage: Stage, domain: Domain, grouped: Play, gate: Gate, scope: str) -> None:
    """S-117, S-118, S-210, S-211: what does not start in time expires, paused or not; what was stopped begins anew, or expires."""
    scheduler = stage.started(domain, sweep_interval=0.05)
    stopped = scheduler.submit(grouped.slow.options(ttl=0.5))
    gate.await_arrivals(1)
    scheduler.pause() if scope == "scheduler" else scheduler.pause_group("a")
    await_status(stopped, TaskStatus.PAUSED)
    assert scheduler.submit(grouped.quick.options(ttl=0.05)).wait(WAIT_S).status is TaskStatus.EXPIRED
    assert stopped.wait(WAIT_S).status is TaskStatus.EXPIRED
    assert scheduler.resume() + scheduler.resume_group("a") == 0


def test_dependencies_are_followed_in_a_pause(stage: Stage, domain: Domain, play: Play) -> None:
    """S-118, S-002: what is unblocked is queued, and what lost its dependency ends."""
    gate = stage.gate()

    @domain.task()
    def first(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    running = scheduler.submit(first)
    gate.await_arrivals(1)
    never = scheduler.submit(play.quick.options(run_after=3600), 1)
    freed = scheduler.submit(play.quick.options(depends_on=[running]), 2)
    lost = scheduler.submit(play.quick.options(depends_on=[never]), 3)
    scheduler.pause()
    gate.open()
    running.wait(WAIT_S)
    await_status(freed, TaskStatus.PENDING)
    scheduler.cancel(never.id)
    assert lost.wait(WAIT_S).status is TaskStatus.DEPENDENCY_FAILED
    calm_down(scheduler)
    assert statuses(scheduler, [freed]) == [TaskStatus.PENDING]
    scheduler.resume()
    assert freed.result(WAIT_S) == 2


# Groups


def test_a_group_is_paused_in_all_domains(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-110, S-112, S-116: its tasks, present and future, are PAUSED; others start."""
    other = Domain("other")
    here, there, free = Play(domain, gate, "a"), Play(other, gate, "a"), Play(Domain("free"), gate, "A")
    scheduler = stage.started(domain, other, free.quick.domain)
    assert scheduler.pause_group("a") == 0
    held = [scheduler.submit(here.quick, 1), scheduler.submit(there.quick, 2)]
    goes = scheduler.submit(free.quick, 3)
    assert [outcome.group_paused for outcome in (*held, goes)] == [True, True, False]
    assert goes.result(WAIT_S) == 3
    calm_down(scheduler)
    assert statuses(scheduler, held) == [TaskStatus.PAUSED, TaskStatus.PAUSED]
    assert scheduler.resume_group("a") == 2
    assert [record.memo for record in settle(held)] == [1, 2]


def test_running_bodies_of_a_group_are_stopped_and_no_others(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-110: a slot that becomes free is another's."""
    other = Domain("other")
    mine, others = Play(domain, gate, "a"), Play(other, gate)
    scheduler = stage.started(domain, other, max_concurrency=2)
    stopped, goes_on = scheduler.submit(mine.slow), scheduler.submit(others.slow)
    gate.await_arrivals(2)
    queued = scheduler.submit(others.quick, 5)
    assert scheduler.pause_group("a") == 1
    assert queued.result(WAIT_S) == 5
    await_status(stopped, TaskStatus.PAUSED)
    assert statuses(scheduler, [goes_on]) == [TaskStatus.RUNNING]
    scheduler.resume_group("a")
    assert stopped.result(WAIT_S) == "again"
    assert others.reasons == []
    scheduler.cancel(goes_on.id)


def test_outcomes_tell_of_the_group_of_the_task_they_name(stage: Stage, domain: Domain, grouped: Play) -> None:
    """S-040, S-116: of the holder of the key, whatever the submission's own group is."""
    scheduler = stage.started(domain)
    scheduler.pause_group("a")
    first = scheduler.submit(grouped.quick, 1)
    again = scheduler.submit(grouped.quick.options(group="b"), 1)
    assert (again.kind, again.id, again.group_paused) == (SubmitKind.DUPLICATE, first.id, True)
    more = scheduler.submit(grouped.quick.options(priority=0), 1)
    assert (more.kind, more.group_paused) == (SubmitKind.UPGRADED, True)
    batch = scheduler.submit_batch([grouped.quick.call(2), grouped.quick.options(group="b").call(3)])
    assert [outcome.group_paused for outcome in batch] == [True, False]
    scheduler.resume_group("a")
    assert not scheduler.submit(grouped.quick, 4).group_paused


def test_what_becomes_ready_in_a_paused_group_is_paused(
    stage: Stage, domain: Domain, grouped: Play, clock: HandClock
) -> None:
    """S-112, S-001, S-002: a delay that is over, a dependency that settled, a child that is spawned."""
    gate = stage.gate()

    @domain.task()
    def parent(ctx: Context) -> None:
        gate.hold()
        ctx.spawn_child(grouped.quick, 3)

    scheduler = stage.started(domain)
    above = scheduler.submit(parent)
    gate.await_arrivals(1)
    delayed = scheduler.submit(grouped.quick.options(run_after=100.0), 1)
    blocked = scheduler.submit(grouped.quick.options(depends_on=[above]), 2)
    scheduler.pause_group("a")
    clock.let_pass(100.0, scheduler)
    assert statuses(scheduler, [delayed, blocked]) == [TaskStatus.PAUSED, TaskStatus.BLOCKED]
    gate.open()
    await_status(above, TaskStatus.WAITING)
    (child,) = scheduler.children(above.id)
    calm_down(scheduler)
    assert child.status is TaskStatus.PAUSED
    scheduler.cancel(child.id)
    above.wait(WAIT_S)
    await_status(blocked, TaskStatus.PAUSED)
    assert scheduler.resume_group("a") == 2
    assert [record.memo for record in settle([delayed, blocked])] == [1, 2]


def test_a_timed_pause_lets_its_tasks_go_by_itself(
    stage: Stage, domain: Domain, grouped: Play, clock: HandClock
) -> None:
    """S-115."""
    scheduler = stage.started(domain)
    scheduler.pause_group("a", until=clock.now() + HOUR)
    outcome = scheduler.submit(grouped.quick, 7)
    assert outcome.group_paused
    clock.let_pass(HOUR.total_seconds(), scheduler)
    assert outcome.result(WAIT_S) == 7


def test_a_timed_pause_ends_under_a_pause_of_the_scheduler(
    stage: Stage, domain: Domain, grouped: Play, clock: HandClock
) -> None:
    """S-115, S-113: its tasks are PENDING then, and start when the other pause is over too."""
    scheduler = stage.started(domain)
    scheduler.pause()
    scheduler.pause_group("a", until=clock.now() + HOUR)
    outcome = scheduler.submit(grouped.quick, 7)
    assert statuses(scheduler, [outcome]) == [TaskStatus.PAUSED]
    clock.let_pass(HOUR.total_seconds(), scheduler)
    assert statuses(scheduler, [outcome]) == [TaskStatus.PENDING]
    scheduler.resume()
    assert outcome.result(WAIT_S) == 7


@pytest.mark.parametrize("first", ["scheduler", "group"])
def test_a_task_goes_on_when_the_last_of_its_pauses_is_over(
    stage: Stage, domain: Domain, grouped: Play, gate: Gate, first: str
) -> None:
    """S-113, S-114: in whichever order they are lifted; a pause counts what no other held, a resume what no other holds."""
    scheduler = stage.started(domain)
    stopped = scheduler.submit(grouped.slow)
    gate.await_arrivals(1)
    queued = scheduler.submit(grouped.quick, 1)
    queued.wait(WAIT_S)
    assert scheduler.pause_group("a") == 1
    await_status(stopped, TaskStatus.PAUSED)
    waiting = scheduler.submit(grouped.quick, 2)
    assert scheduler.pause() == 0
    lifts: list[Callable[[], int]] = [scheduler.resume, lambda: scheduler.resume_group("a")]
    if first == "group":
        lifts.reverse()
    assert lifts[0]() == 0
    calm_down(scheduler)
    shown = TaskStatus.PAUSED if first == "scheduler" else TaskStatus.PENDING
    assert statuses(scheduler, [stopped, waiting]) == [TaskStatus.PAUSED, shown]
    assert lifts[1]() == 2
    assert [record.memo for record in settle([stopped, waiting])] == ["again", 2]


def test_a_stopped_task_keeps_its_key(stage: Stage, domain: Domain, play: Play, gate: Gate) -> None:
    """S-049: a more urgent duplicate raises it, another is none."""
    scheduler = stage.started(domain)
    stopped = scheduler.submit(play.slow)
    gate.await_arrivals(1)
    scheduler.pause()
    await_status(stopped, TaskStatus.PAUSED)
    assert scheduler.submit(play.slow).kind is SubmitKind.DUPLICATE
    assert scheduler.submit(play.slow.options(priority=1)).kind is SubmitKind.UPGRADED
    assert scheduler.task(stopped.id).status is TaskStatus.PAUSED
    scheduler.resume()
    assert stopped.wait(WAIT_S).priority == 1


# Trees


def test_children_of_other_groups_go_on(stage: Stage, domain: Domain, play: Play) -> None:
    """S-119, S-112: a parent that waits is not touched; its finalizer starts when its group is not paused any more."""
    gate = stage.gate()

    @domain.task()
    def child(ctx: Context) -> None:
        gate.hold()

    @domain.task(group="a")
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)

    @parent.finalize
    def finish(ctx: Context, memo: None) -> str:
        return "finished"

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    gate.await_arrivals(1)
    await_status(outcome, TaskStatus.WAITING)
    assert scheduler.pause_group("a") == 0
    assert statuses(scheduler, [outcome]) == [TaskStatus.WAITING]
    gate.open()
    await_status(outcome, TaskStatus.PAUSED)
    calm_down(scheduler)
    assert statuses(scheduler, [outcome]) == [TaskStatus.PAUSED]
    assert scheduler.resume_group("a") == 1
    assert outcome.result(WAIT_S) == "finished"


def test_a_finalizer_does_not_follow_its_body_into_a_pause(stage: Stage, domain: Domain) -> None:
    """S-112: where a body ends in a paused group, its finalizer waits."""
    gate = stage.gate()

    @domain.task(group="a")
    def parent(ctx: Context) -> str:
        gate.hold()
        return "body"

    @parent.finalize
    def finish(ctx: Context, memo: str) -> str:
        return f"{memo} finished"

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    gate.await_arrivals(1)
    scheduler.pause_group("a")
    gate.open()
    await_status(outcome, TaskStatus.PAUSED)
    calm_down(scheduler)
    assert statuses(scheduler, [outcome]) == [TaskStatus.PAUSED]
    scheduler.resume_group("a")
    assert outcome.result(WAIT_S) == "body finished"


def test_a_finalizer_that_is_stopped_is_repeated_alone(stage: Stage, domain: Domain) -> None:
    """S-177: the body does not run again."""
    gate = stage.gate()
    gate.open()
    ran: list[str] = []

    @domain.task()
    def parent(ctx: Context) -> str:
        ran.append("body")
        return "memo"

    @parent.finalize
    def finish(ctx: Context, memo: str) -> str:
        ran.append("finalizer")
        if ran.count("finalizer") == 1:
            gate.hold()
            assert ctx.wait_cancelled(WAIT_S)
            ctx.check_cancelled()
        return f"{memo} finished"

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    gate.await_arrivals(1)
    scheduler.pause()
    await_status(outcome, TaskStatus.PAUSED)
    scheduler.resume()
    assert outcome.result(WAIT_S) == "memo finished"
    assert ran == ["body", "finalizer", "finalizer"]


def test_children_of_a_stopped_parent_settle_and_count(stage: Stage, domain: Domain) -> None:
    """S-189: they go on where nothing pauses them; the verdict falls whatever the status of the parent is."""
    gate, child_gate = stage.gate(), stage.gate()
    gate.open()

    @domain.task(retry=Retry.none())
    def child(ctx: Context) -> None:
        child_gate.hold()
        raise ValueError("bad")

    @domain.task(group="a")
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)
        gate.hold()
        assert ctx.wait_cancelled(WAIT_S)
        ctx.check_cancelled()

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    gate.await_arrivals(1)
    scheduler.pause_group("a")
    await_status(outcome, TaskStatus.PAUSED)
    child_gate.open()
    record = outcome.wait(WAIT_S)
    assert (record.status, "bad" in (record.error or "")) == (TaskStatus.FAILED, True)


def test_a_stopped_task_that_is_cancelled_is_told_of_once(stage: Stage, domain: Domain, play: Play, gate: Gate) -> None:
    """S-120, S-318: no Resumed comes for a task that does not go on."""
    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(play.slow)
    gate.await_arrivals(1)
    scheduler.pause()
    heard_until(subscription, lambda event: isinstance(event, Paused))
    scheduler.cancel(outcome.id)
    events = heard_until(subscription, lambda event: isinstance(event, Cancelled))
    scheduler.resume()
    scheduler.stop()
    events += subscription
    assert not any(isinstance(event, Resumed) for event in events)
