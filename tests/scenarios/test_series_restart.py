"""What becomes of series while no scheduler runs (behaviour.md, S-233, S-361), and series in real time."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hand_clock import HandClock
from staging import WAIT_S, Stage, calm_down, heard_until

from millrace import (
    Completed,
    Context,
    Cron,
    DependencyPolicy,
    Domain,
    Every,
    Retention,
    Retry,
    Schedule,
    ScheduleEnded,
    Scheduler,
    ScheduleSkipped,
    Submitted,
    Task,
    TaskStatus,
)

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Ten minutes past noon."""
    return HandClock(monkeypatch, NOON + timedelta(minutes=10))


@pytest.fixture
def quick(domain: Domain) -> Task[[], float]:
    """A task that returns at once."""

    @domain.task()
    def quick(ctx: Context) -> None:
        return None

    return quick


def every(catch_up: Any) -> Schedule:
    return Every(HOUR, initial_delay=timedelta(minutes=50), catch_up=catch_up)


def hourly(catch_up: Any) -> Schedule:
    return Cron("0 * * * *", catch_up=catch_up)


def play(scheduler: Scheduler, runs: int, skips: int) -> None:
    """Start it and wait for so many runs and tidings of skipped due times."""
    with scheduler.subscribe(kinds=[Completed, ScheduleSkipped]) as events:
        scheduler.start()
        told = [events.get(WAIT_S) for _ in range(runs + skips)]
        calm_down(scheduler)
    assert sum(isinstance(event, ScheduleSkipped) for event in told) == skips


@pytest.mark.parametrize(
    ("catch_up", "runs", "skipped"), [("once", 1, 5), ("all", 6, 0), ("none", 0, 6)], ids=["once", "all", "none"]
)
@pytest.mark.parametrize("make", [every, hourly])
def test_due_times_while_no_scheduler_ran(
    stage: Stage, quick: Task[[], float], clock: HandClock, make: Any, catch_up: str, *, runs: int, skipped: int
) -> None:
    """S-233, S-361: six of them: one run at once, one for each, or none; what is dropped is told and counted."""
    first = stage.scheduler(quick.domain)
    first.submit(quick.options(schedule=make(catch_up)))
    first.stop()
    clock.pass_by(6 * 3600)
    scheduler = stage.scheduler(quick.domain)
    play(scheduler, runs, int(skipped > 0))
    (info,) = scheduler.schedules()
    assert (info.runs, info.skipped) == (runs, skipped)
    assert info.next_run is not None
    due = NOON + 7 * HOUR if make is hourly else clock.now() + HOUR
    assert abs(info.next_run - due) < timedelta(seconds=5)
    if make is hourly:
        times = [record.run_at for record in reversed(scheduler.tasks(status=TaskStatus.COMPLETED))]
        assert times == [NOON + (at + 1) * HOUR for at in range(runs)]


def test_what_is_owed_outlives_a_restart(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-233: a stop amid the runs for what was missed loses none of them, and makes none twice."""
    began: list[datetime | None] = []
    second = threading.Event()

    @domain.task()
    def body(ctx: Context) -> None:
        began.append(ctx.record.run_at)
        if len(began) == 2:
            second.set()
            ctx.wait_cancelled(WAIT_S)
            ctx.check_cancelled()

    first = stage.scheduler(domain)
    first.submit(body.options(schedule=hourly("all")))
    first.stop()
    clock.pass_by(4 * 3600)
    stopped = stage.started(domain)
    assert second.wait(WAIT_S)
    stopped.stop(0.0)
    play(stage.scheduler(domain), 3, 0)
    assert began == [NOON + at * HOUR for at in (1, 2, 2, 3, 4)]


def test_a_little_late_is_not_missed(stage: Stage, quick: Task[[], float], clock: HandClock) -> None:
    """S-233: up to a minute after its time the run starts, whatever the policy."""
    first = stage.scheduler(quick.domain)
    first.submit(quick.options(schedule=hourly("none")))
    first.stop()
    clock.pass_to(NOON + HOUR + timedelta(seconds=55))
    scheduler = stage.scheduler(quick.domain)
    play(scheduler, 1, 0)
    assert (scheduler.schedules()[0].runs, scheduler.schedules()[0].skipped) == (1, 0)


def test_an_interrupted_run_goes_on_as_the_same_run(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-226, S-233: due times that it was active at are skipped; it is one run."""
    started = threading.Event()
    turns: list[int] = []

    @domain.task()
    def body(ctx: Context) -> None:
        turns.append(ctx.id)
        started.set()
        if len(turns) == 1:
            ctx.wait_cancelled(WAIT_S)
            ctx.check_cancelled()

    scheduler = stage.started(domain)
    outcome = scheduler.submit(body.options(schedule=hourly("once")))
    clock.pass_to(NOON + HOUR, scheduler)
    assert started.wait(WAIT_S)
    scheduler.stop(0.0)
    clock.pass_by(3 * 3600)
    again = stage.scheduler(domain)
    with again.subscribe(kinds=[Completed]) as events:
        again.start()
        events.get(WAIT_S)
        calm_down(again)
    (info,) = again.schedules()
    assert turns == [outcome.id, outcome.id]
    assert (info.runs, info.skipped, info.next_run) == (1, 3, NOON + 5 * HOUR)


def test_run_at_follows_the_wall_clock(stage: Stage, quick: Task[[], float], clock: HandClock) -> None:
    """S-446: a wall clock that is put forward makes it due, one that is put back holds it."""
    scheduler = stage.started(quick.domain)
    one = scheduler.submit(quick.options(key="a", run_at=NOON + HOUR))
    clock.set_wall(-3600, scheduler)
    clock.pass_to(NOON + timedelta(minutes=30), scheduler)
    calm_down(scheduler)
    assert scheduler.task(one.id).status is TaskStatus.PENDING
    clock.set_wall(1900, scheduler)
    assert one.wait(WAIT_S).status is TaskStatus.COMPLETED


# Dependencies


def test_dependencies_hold_for_each_run(stage: Stage, quick: Task[[], float], clock: HandClock) -> None:
    """S-241: one that has completed stays satisfied, also when it has been pruned."""
    scheduler = stage.started(quick.domain)
    needed = scheduler.submit(quick.options(key="needed", run_after=60))
    with scheduler.subscribe() as events:
        series = scheduler.submit(quick.options(key="series", schedule=Every(3600), depends_on=[needed]))
        assert scheduler.task(series.id).status is TaskStatus.BLOCKED
        clock.pass_by(61, scheduler)
        heard_until(events, lambda event: isinstance(event, Completed) and event.task_id == series.id)
        scheduler.prune(Retention(max_count=0))
        clock.pass_by(3601, scheduler)
        heard_until(events, lambda event: isinstance(event, Completed))
    (info,) = scheduler.schedules()
    assert (info.runs, info.paused) == (2, False)


def test_a_cron_that_is_blocked_when_it_is_due_runs_when_it_is_not(
    stage: Stage, quick: Task[[], float], clock: HandClock
) -> None:
    """S-241, S-222: the due time that it waits for is not skipped; those that find it blocked are."""
    scheduler = stage.started(quick.domain)
    needed = scheduler.submit(quick.options(key="needed", run_at=NOON + 2.5 * HOUR))
    with scheduler.subscribe() as events:
        series = scheduler.submit(quick.options(key="series", schedule=hourly("once"), depends_on=[needed]))
        clock.pass_to(NOON + HOUR, scheduler)
        calm_down(scheduler)
        assert scheduler.schedules()[0].skipped == 0
        clock.pass_to(NOON + 2 * HOUR, scheduler)
        heard_until(events, lambda event: isinstance(event, ScheduleSkipped))
        clock.pass_to(NOON + 2.5 * HOUR, scheduler)
        heard_until(events, lambda event: isinstance(event, Completed) and event.task_id == series.id)
    (info,) = scheduler.schedules()
    assert (info.runs, info.skipped, info.next_run) == (1, 1, NOON + 3 * HOUR)


@pytest.mark.parametrize("policy", [DependencyPolicy.CANCEL, DependencyPolicy.FAIL])
def test_a_failed_dependency_pauses_the_series(
    stage: Stage, domain: Domain, clock: HandClock, policy: DependencyPolicy
) -> None:
    """S-241: the run ends so, ScheduleSkipped says why, and no run is made until somebody resumes it."""

    @domain.task(retry=Retry.none())
    def fails(ctx: Context) -> None:
        raise ValueError

    @domain.task()
    def body(ctx: Context) -> None:
        return None

    scheduler = stage.started(domain)
    needed = scheduler.submit(fails.options(run_after=60))
    with scheduler.subscribe() as events:
        recurring = body.options(schedule=Every(3600), depends_on=[needed], on_dependency_failure=policy)
        series = scheduler.submit(recurring)
        clock.pass_by(61, scheduler)
        skipped = heard_until(events, lambda event: isinstance(event, ScheduleSkipped))[-1]
    assert isinstance(skipped, ScheduleSkipped)
    assert f"dependency {needed.id}" in skipped.reason
    assert scheduler.task(series.id).status is TaskStatus.DEPENDENCY_FAILED
    (info,) = scheduler.schedules()
    assert (info.paused, info.runs) == (True, 1)


# In real time


def test_series_in_real_time(stage: Stage, domain: Domain) -> None:
    """S-221, S-224 to S-227: twenty series of five runs each, none early, each after its interval."""

    @domain.task()
    def body(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[ScheduleEnded]) as events:
        for n in range(20):
            scheduler.submit(body.options(schedule=Every(0.02, max_runs=5)), n)
        ended = [events.get(WAIT_S) for _ in range(20)]
    assert all(isinstance(event, ScheduleEnded) and event.runs == 5 for event in ended)
    assert scheduler.schedules() == []
    by_series: dict[int | None, list[Any]] = {}
    for record in scheduler.tasks(limit=1000):
        by_series.setdefault(record.schedule_id, []).append(record)
    assert len(by_series) == 20
    for newest_first in by_series.values():
        runs = newest_first[::-1]
        assert len(runs) == 5
        for before, run in pairwise(runs):
            # Ends and starts are told by the wall clock, delays by the steady one: each is cut to whole milliseconds.
            assert run.run_at >= before.finished_at + timedelta(milliseconds=18)
            assert run.started_at >= run.run_at - timedelta(milliseconds=2)


def test_each_run_is_told_of(stage: Stage, quick: Task[[], float]) -> None:
    """S-307, S-304: Submitted of the next comes after the end of the one before, in one transaction."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        scheduler.submit(quick.options(schedule=Every(0.01, max_runs=3)))
        told = heard_until(events, lambda event: isinstance(event, ScheduleEnded))
    kinds = [type(event).__name__ for event in told if isinstance(event, (Submitted, Completed, ScheduleEnded))]
    assert kinds == ["Submitted", "Completed"] * 3 + ["ScheduleEnded"]
