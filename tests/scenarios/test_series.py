"""Recurring tasks: how series start, go on, skip and end (behaviour.md, section 15)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hand_clock import HandClock
from staging import WAIT_S, Gate, Stage, calm_down, heard_until

from millrace import (
    Completed,
    Context,
    Cron,
    Domain,
    DuplicatePolicy,
    Every,
    InvalidTask,
    PermanentError,
    Retry,
    ScheduleEnded,
    ScheduleInfo,
    Scheduler,
    ScheduleSkipped,
    SubmitKind,
    Submitted,
    Subscription,
    Superseded,
    Task,
    TaskEvent,
    TaskNotFound,
    TaskRecord,
    TaskStatus,
)

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOUR, MINUTE = 3600.0, 60.0
HOURLY = Cron("0 * * * *")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Ten minutes past noon."""
    return HandClock(monkeypatch, NOON + timedelta(minutes=10))


@pytest.fixture
def quick(domain: Domain) -> Task[[int], int]:
    """A task that returns what it is given."""

    @domain.task()
    def quick(ctx: Context, n: int = 0) -> int:
        return n

    return quick


def held(stage: Stage, domain: Domain) -> tuple[Task[[], None], Gate]:
    """A task whose body waits at a gate."""
    gate = stage.gate()

    @domain.task()
    def slow(ctx: Context) -> None:
        gate.hold()

    return slow, gate


def only(scheduler: Scheduler) -> ScheduleInfo:
    """The one series there is."""
    (info,) = scheduler.schedules()
    return info


def run_of(scheduler: Scheduler) -> TaskRecord:
    """The one active run."""
    active = [status for status in TaskStatus if not status.is_terminal]
    (record,) = scheduler.tasks(status=active)
    return record


def heard(events: Subscription, kind: type[TaskEvent]) -> Any:
    """The next event of a kind."""
    return heard_until(events, lambda event: isinstance(event, kind))[-1]


def rounded(moment: datetime | None) -> datetime:
    """To the second."""
    assert moment is not None
    return (moment + timedelta(milliseconds=500)).replace(microsecond=0)


# Starting and going on


def test_every_goes_on_an_interval_after_each_end(stage: Stage, quick: Task[[int], int], clock: HandClock) -> None:
    """S-224 to S-227: each run is a task of its own with the same key and payload; the series has the id of the first."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        first = scheduler.submit(quick.options(key="k", schedule=Every(HOUR, initial_delay=60)), 7)
        assert first.kind is SubmitKind.INSERTED
        assert rounded(run_of(scheduler).run_at) - rounded(clock.now()) == timedelta(seconds=60)
        clock.pass_by(61, scheduler)
        runs = [heard(events, Completed).task_id]
        for _ in range(2):
            again = run_of(scheduler)
            assert rounded(again.run_at) - rounded(again.created_at) == timedelta(hours=1)
            clock.pass_by(HOUR + 1, scheduler)
            runs.append(heard(events, Completed).task_id)
    assert runs[0] == first.id
    assert runs == sorted(set(runs))
    for run in runs:
        record = scheduler.task(run)
        assert (record.key, record.memo, record.schedule_id, record.status) == ("k", 7, first.id, "completed")
    info = only(scheduler)
    assert (info.id, info.task_name, info.key, info.runs, info.skipped, info.paused) == (
        first.id,
        "play::quick",
        "k",
        3,
        0,
        False,
    )
    assert info.schedule == Every(HOUR, initial_delay=60)
    assert info.next_run == run_of(scheduler).run_at
    assert info.last_run == scheduler.task(runs[-1]).started_at


def test_the_first_run_of_every_may_have_a_time_of_its_own(
    stage: Stage, quick: Task[[int], int], clock: HandClock
) -> None:
    """S-227: `run_at` and `run_after` come before `initial_delay`."""
    scheduler = stage.started(quick.domain)
    at = NOON + timedelta(hours=5)
    one = scheduler.submit(quick.options(schedule=Every(60, initial_delay=1), run_at=at), 1)
    other = scheduler.submit(quick.options(schedule=Every(60, initial_delay=1), run_after=90), 2)
    assert scheduler.task(one.id).run_at == at
    assert rounded(scheduler.task(other.id).run_at) == rounded(clock.now() + timedelta(seconds=90))


def test_the_first_run_of_cron_is_the_next_matching_minute(
    stage: Stage, quick: Task[[int], int], clock: HandClock
) -> None:
    """S-229: in its zone; and each due time is one run."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        scheduler.submit(quick.options(schedule=Cron("30 15 * * *", "Europe/Berlin")), 1)
        dues = []
        for _ in range(3):
            due = run_of(scheduler).run_at
            assert due is not None
            assert only(scheduler).next_run == due
            dues.append(due)
            clock.pass_to(due, scheduler)
            heard(events, Completed)
    assert dues == [datetime(2026, 5, day, 13, 30, tzinfo=UTC) for day in (4, 5, 6)]


@pytest.mark.parametrize("how", ["failed", "cancelled", "dead letter"])
def test_whatever_the_end_the_next_follows(stage: Stage, domain: Domain, clock: HandClock, how: str) -> None:
    """S-226, S-161: also a cancel ends that run only."""

    @domain.task(retry=Retry.none())
    def body(ctx: Context) -> None:
        raise PermanentError("no") if how == "failed" else ValueError("no")

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[Submitted]) as events:
        first = scheduler.submit(
            body.options(schedule=Every(HOUR)) if how != "cancelled" else body.options(schedule=HOURLY)
        )
        events.get(WAIT_S)
        if how == "cancelled":
            assert scheduler.cancel(first.id).settled
        second = events.get(WAIT_S)
    assert isinstance(second, Submitted)
    assert second.task_id != first.id
    assert scheduler.task(second.task_id).schedule_id == first.id
    assert (only(scheduler).runs, only(scheduler).id) == (1, first.id)


def test_max_runs_ends_the_series(stage: Stage, quick: Task[[int], int], clock: HandClock) -> None:
    """S-226, S-234: after so many settled runs; the event has its id, its key and their number."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        first = scheduler.submit(quick.options(key="k", schedule=Every(MINUTE, max_runs=2)), 1)
        heard(events, Completed)
        clock.pass_by(MINUTE + 1, scheduler)
        ended = heard(events, ScheduleEnded)
    assert (ended.task_id, ended.key, ended.runs) == (first.id, "k", 2)
    assert scheduler.schedules() == []
    assert scheduler.count() == 2


def test_a_retry_is_of_the_same_run(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-234, S-223: retries do not count; `run_now` makes a pending one due at once."""

    @domain.task(retry=Retry.constant(1, 1000))
    def body(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ValueError
        return ctx.attempt

    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        first = scheduler.submit(body.options(schedule=Every(HOUR)))
        heard_until(events, lambda event: type(event).__name__ == "Failed")
        assert only(scheduler).runs == 0
        assert scheduler.run_now(first.id)
        assert heard(events, Completed).memo == 2
    assert only(scheduler).runs == 1


# Overlaps


def test_a_due_time_that_finds_the_run_before_active_is_skipped(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-232: told when it comes, counted, and no run; the next one runs again."""
    slow, gate = held(stage, domain)
    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        first = scheduler.submit(slow.options(key="k", schedule=HOURLY))
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        gate.await_arrivals()
        assert only(scheduler).next_run == NOON + timedelta(hours=2)
        clock.pass_to(NOON + timedelta(hours=2), scheduler)
        skipped = heard(events, ScheduleSkipped)
        assert (skipped.task_id, skipped.key) == (first.id, "k")
        assert "still active" in skipped.reason
        assert (only(scheduler).skipped, only(scheduler).runs) == (1, 0)
        gate.let_pass()
        heard(events, Completed)
    assert run_of(scheduler).run_at == NOON + timedelta(hours=3)
    assert scheduler.count() == 2


def test_a_due_time_that_finds_another_holder_of_the_key_is_skipped(
    stage: Stage, domain: Domain, clock: HandClock
) -> None:
    """S-225, S-232, S-239: a task that supersedes the run holds the key: the next run is inserted when it is due."""
    slow, gate = held(stage, domain)
    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        first = scheduler.submit(slow.options(key="k", schedule=HOURLY))
        other = scheduler.submit(slow.options(key="k", on_duplicate=DuplicatePolicy.SUPERSEDE))
        assert other.replaced == first.id
        gate.await_arrivals()
        assert only(scheduler).next_run == NOON + timedelta(hours=1)
        assert scheduler.count(status=TaskStatus.PENDING) == 0
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        assert f"task, {other.id}, holds" in heard(events, ScheduleSkipped).reason
        gate.let_pass()
        heard(events, Completed)
        clock.pass_to(NOON + timedelta(hours=2), scheduler)
        gate.await_arrivals(2)
    run = run_of(scheduler)
    assert (run.schedule_id, run.run_at) == (first.id, NOON + timedelta(hours=2))
    assert (only(scheduler).skipped, only(scheduler).runs) == (1, 1)


@pytest.mark.parametrize("scope", ["scheduler", "domain", "group"])
def test_a_pause_holds_the_run_and_not_the_series(
    stage: Stage, quick: Task[[int], int], clock: HandClock, scope: str
) -> None:
    """S-237, S-118: due times go on, and are skipped; one run starts after the resume."""
    scheduler = stage.started(quick.domain)
    handle = scheduler.domain("play")
    pause, resume = {
        "scheduler": (scheduler.pause, scheduler.resume),
        "domain": (handle.pause, handle.resume),
        "group": (lambda: scheduler.pause_group("g"), lambda: scheduler.resume_group("g")),
    }[scope]
    with scheduler.subscribe() as events:
        scheduler.submit(quick.options(schedule=HOURLY, group="g"), 1)
        pause()
        for hour in (1, 2, 3):
            clock.pass_to(NOON + timedelta(hours=hour), scheduler)
            if hour > 1:
                heard(events, ScheduleSkipped)
        assert only(scheduler).runs == 0
        resume()
        heard(events, Completed)
    assert (only(scheduler).runs, only(scheduler).skipped) == (1, 2)
    assert run_of(scheduler).run_at == NOON + timedelta(hours=4)


# The wall clock is set


def test_a_wall_clock_that_is_set_back_makes_nothing_run_twice(
    stage: Stage, quick: Task[[int], int], clock: HandClock
) -> None:
    """S-231, S-446: the due time that was run does not come again."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        scheduler.submit(quick.options(schedule=HOURLY), 1)
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        heard(events, Completed)
        clock.set_wall(-1800, scheduler)
        assert run_of(scheduler).run_at == NOON + timedelta(hours=2)
        clock.pass_to(NOON + timedelta(hours=1, minutes=1), scheduler)
        calm_down(scheduler)
        assert run_of(scheduler).status is TaskStatus.PENDING
        clock.pass_to(NOON + timedelta(hours=2), scheduler)
        heard(events, Completed)
    assert only(scheduler).runs == 2


def test_every_follows_the_steady_clock(stage: Stage, quick: Task[[int], int], clock: HandClock) -> None:
    """S-446: a wall clock that is set neither brings a run on nor holds it up."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        scheduler.submit(quick.options(schedule=Every(HOUR)), 1)
        heard(events, Completed)
        clock.set_wall(5 * HOUR, scheduler)
        calm_down(scheduler)
        assert run_of(scheduler).status is TaskStatus.PENDING
        clock.set_wall(-9 * HOUR, scheduler)
        clock.pass_by(HOUR + 1, scheduler)
        heard(events, Completed)
    assert (only(scheduler).runs, only(scheduler).skipped) == (2, 0)


@pytest.mark.parametrize(("catch_up", "expected"), [("once", (1, 4)), ("all", (5, 0)), ("none", (0, 5))])
def test_due_times_that_a_sleep_has_missed(
    stage: Stage, quick: Task[[int], int], clock: HandClock, catch_up: Any, expected: tuple[int, int]
) -> None:
    """S-233, S-447: the wall clock is five due times ahead when the scheduler first looks: (runs, skipped)."""
    runs, skipped = expected
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        scheduler.submit(quick.options(schedule=Cron("0 * * * *", catch_up=catch_up)), 1)
        clock.set_wall(5 * HOUR, scheduler)
        for _ in range(runs):
            heard(events, Completed)
        if skipped:
            calm_down(scheduler)
    info = only(scheduler)
    assert (info.runs, info.skipped) == (runs, skipped)
    assert run_of(scheduler).run_at == NOON + timedelta(hours=6)


# Submitting on a key


def test_a_scheduled_submission_whose_key_has_a_series(stage: Stage, quick: Task[[int], int], clock: HandClock) -> None:
    """S-238: DUPLICATE with the id of the series, REJECTED, or in its place."""
    scheduler = stage.started(quick.domain)
    recurring = quick.options(key="k", schedule=Every(HOUR))
    with scheduler.subscribe() as events:
        first = scheduler.submit(recurring, 1)
        heard(events, Completed)
        run = run_of(scheduler)
        assert (again := scheduler.submit(recurring, 2)).kind is SubmitKind.DUPLICATE
        refused = scheduler.submit(recurring.options(on_duplicate=DuplicatePolicy.REJECT), 2)
        assert (again.id, refused.id, refused.kind) == (first.id, first.id, SubmitKind.REJECTED)
        assert only(scheduler).id == first.id
        new = scheduler.submit(quick.options(key="k", schedule=HOURLY, on_duplicate=DuplicatePolicy.SUPERSEDE), 3)
        assert (new.kind, new.replaced) == (SubmitKind.SUPERSEDED, run.id)
        told = heard_until(events, lambda event: isinstance(event, Submitted) and event.task_id == new.id)
    assert [type(event) for event in told[-3:]] == [ScheduleEnded, Superseded, Submitted]
    assert (only(scheduler).id, only(scheduler).schedule, only(scheduler).runs) == (new.id, HOURLY, 0)
    assert run_of(scheduler).payload == {"n": 3}


def test_a_task_that_holds_the_key_becomes_the_first_run(
    stage: Stage, quick: Task[[int], int], clock: HandClock
) -> None:
    """S-238: whatever the kind of the outcome; the runs after it have the payload of the series."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        plain = scheduler.submit(quick.options(key="k", run_after=600), 1)
        outcome = scheduler.submit(quick.options(key="k", schedule=Every(HOUR), priority=3), 2)
        assert (outcome.kind, outcome.id) == (SubmitKind.UPGRADED, plain.id)
        assert scheduler.task(plain.id).schedule_id == plain.id
        assert only(scheduler).id == plain.id
        clock.pass_by(601, scheduler)
        assert heard(events, Completed).memo == 1
        clock.pass_by(HOUR + 1, scheduler)
        assert heard(events, Completed).memo == 2
    assert only(scheduler).runs == 2


def test_a_rerun_comes_before_the_series_goes_on(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-239: a plain submission while a run is under way is run by it once more; then the next run has the series' payload."""
    gate = stage.gate()
    seen: list[int] = []

    @domain.task()
    def slow(ctx: Context, n: int) -> None:
        seen.append(n)
        gate.hold()

    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        first = scheduler.submit(slow.options(key="k", schedule=Every(HOUR)), 1)
        gate.await_arrivals()
        again = scheduler.submit(slow.options(key="k"), 2)
        assert (again.kind, again.id) == (SubmitKind.REQUEUED, first.id)
        gate.open()
        assert heard(events, Completed).task_id == first.id
        clock.pass_by(HOUR + 1, scheduler)
        heard(events, Completed)
    assert seen == [1, 2, 1]
    assert only(scheduler).runs == 2


def test_without_uniqueness_each_submission_is_a_series(
    stage: Stage, quick: Task[[int], int], clock: HandClock
) -> None:
    """S-449: under ALLOW two series have one key, and another submission sees neither."""
    scheduler = stage.started(quick.domain)
    shared = quick.options(key="k", schedule=HOURLY, on_duplicate=DuplicatePolicy.ALLOW)
    kinds = [scheduler.submit(shared, 1).kind for _ in range(2)]
    assert [*kinds, scheduler.submit(quick.options(key="k", schedule=HOURLY), 1).kind] == [SubmitKind.INSERTED] * 3
    with scheduler.subscribe(kinds=[Completed]) as events:
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        for _ in range(3):
            events.get(WAIT_S)
    assert [info.runs for info in scheduler.schedules()] == [1, 1, 1]


def test_no_child_recurs(stage: Stage, domain: Domain) -> None:
    """S-242: neither a child, a sibling nor a flow's child, whoever gave the schedule."""

    @domain.task()
    def plain(ctx: Context) -> None:
        return None

    @domain.task(schedule=HOURLY)
    def recurring(ctx: Context, n: int) -> None:
        return None

    @domain.task()
    def parent(ctx: Context) -> list[str]:
        told = []
        for spawn in (
            lambda: ctx.spawn_child(plain.options(schedule=HOURLY)),
            lambda: ctx.spawn_child(recurring, 1),
            lambda: ctx.spawn_children([plain.options(schedule=HOURLY).call()]),
            lambda: ctx.submit(plain.options(schedule=HOURLY, parent=ctx)),
        ):
            try:
                spawn()
            except InvalidTask as error:
                told.append(str(error))
        return told

    scheduler = stage.started(domain)
    told = scheduler.submit(parent).result(WAIT_S)
    assert [text.partition(":")[0] for text in told] == ["schedule"] * 4
    with pytest.raises(InvalidTask, match="schedule: expected none"):
        scheduler.flow("f").spawn(plain.options(schedule=HOURLY))


# By hand


def test_run_now(stage: Stage, quick: Task[[int], int], clock: HandClock) -> None:
    """S-223: a delayed task, and a series' next run by its id; the due time of a Cron comes all the same."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe(kinds=[Completed]) as events:
        plain = scheduler.submit(quick.options(run_after=HOUR), 5)
        assert scheduler.run_now(plain.id)
        assert events.get(WAIT_S).task_id == plain.id  # type: ignore[attr-defined]
        assert not scheduler.run_now(plain.id)
        series = scheduler.submit(quick.options(schedule=HOURLY), 6)
        for _ in range(2):
            assert scheduler.run_now(series.id)
            events.get(WAIT_S)
            assert run_of(scheduler).run_at == NOON + timedelta(hours=1)
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        events.get(WAIT_S)
    assert (only(scheduler).runs, only(scheduler).skipped) == (3, 0)
    assert not scheduler.run_now(1 << 70)
    assert not scheduler.run_now(999)


@pytest.mark.parametrize("schedule", [Every(HOUR, initial_delay=HOUR), HOURLY], ids=["every", "cron"])
def test_pause_and_resume(stage: Stage, quick: Task[[int], int], clock: HandClock, schedule: Any) -> None:
    """S-235: what fell due meanwhile is dropped and told once; over a restart too; both are idempotent."""
    first = stage.scheduler(quick.domain)
    series = first.submit(quick.options(schedule=schedule), 1)
    for _ in range(2):
        first.pause_schedule(series.id)
    assert (only(first).paused, only(first).next_run) == (True, None)
    assert first.task(series.id).status is TaskStatus.PAUSED
    assert not first.run_now(series.id)
    first.stop()
    scheduler = stage.started(quick.domain)
    clock.pass_by(3 * HOUR, scheduler)
    calm_down(scheduler)
    assert (only(scheduler).paused, only(scheduler).next_run, only(scheduler).runs) == (True, None, 0)
    with scheduler.subscribe() as events:
        for _ in range(2):
            scheduler.resume_schedule(series.id)
        told = heard(events, ScheduleSkipped)
        assert "paused" in told.reason
        due = only(scheduler).next_run
        expected = NOON + timedelta(hours=4) if schedule is HOURLY else clock.now() + timedelta(hours=1)
        assert rounded(due) == rounded(expected)
        assert (only(scheduler).skipped, only(scheduler).paused) == (3, False)
        clock.pass_by(HOUR + 1, scheduler)
        assert heard(events, Completed).task_id == series.id


def test_a_pause_leaves_a_run_under_way_alone(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-235: it goes on, and none is made after it until the resume."""
    slow, gate = held(stage, domain)
    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        series = scheduler.submit(slow.options(schedule=Every(HOUR)))
        gate.await_arrivals()
        scheduler.pause_schedule(series.id)
        assert scheduler.task(series.id).status is TaskStatus.RUNNING
        gate.open()
        heard(events, Completed)
        assert scheduler.count(status=TaskStatus.PENDING) == 0
        scheduler.resume_schedule(series.id)
    assert rounded(run_of(scheduler).run_at) == rounded(clock.now() + timedelta(hours=1))


def test_a_pause_that_ends_before_the_due_time_changes_nothing(
    stage: Stage, quick: Task[[int], int], clock: HandClock
) -> None:
    """S-235: nothing fell due, so nothing is dropped."""
    scheduler = stage.started(quick.domain)
    series = [
        scheduler.submit(quick.options(schedule=schedule), n)
        for n, schedule in enumerate([Every(HOUR, initial_delay=HOUR), HOURLY])
    ]
    before = [info.next_run for info in scheduler.schedules()]
    for one in series:
        scheduler.pause_schedule(one.id)
        scheduler.resume_schedule(one.id)
    assert [info.next_run for info in scheduler.schedules()] == before
    assert [info.skipped for info in scheduler.schedules()] == [0, 0]


def test_cancel_schedule(stage: Stage, quick: Task[[int], int], clock: HandClock) -> None:
    """S-236: by the id of any run, settled ones too; it ends for good, its active run is cancelled, and twice is once."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        first = scheduler.submit(quick.options(schedule=Every(HOUR)), 1)
        heard(events, Completed)
        second = run_of(scheduler)
        clock.pass_by(HOUR + 1, scheduler)
        heard(events, Completed)
        third = run_of(scheduler)
        scheduler.cancel_schedule(second.id)
        assert heard(events, ScheduleEnded).runs == 2
    assert scheduler.schedules() == []
    assert scheduler.task(third.id).status is TaskStatus.CANCELLED
    for run in (first.id, second.id, third.id):
        scheduler.cancel_schedule(run)
        scheduler.pause_schedule(run)
        scheduler.resume_schedule(run)
    assert scheduler.count(status=TaskStatus.PENDING) == 0


def test_the_time_to_live_of_a_run_begins_when_it_is_due(
    stage: Stage, quick: Task[[int], int], clock: HandClock
) -> None:
    """S-208, S-226: a run that waits for its time does not expire meanwhile; one that cannot start in time does."""
    scheduler = stage.started(quick.domain)
    with scheduler.subscribe() as events:
        scheduler.submit(quick.options(schedule=HOURLY, ttl=600), 1)
        for hour in (1, 2):
            due = NOON + timedelta(hours=hour)
            assert run_of(scheduler).expires_at == due + timedelta(seconds=600)
            clock.pass_to(due, scheduler)
            heard(events, Completed)


def test_a_run_that_is_repeated_by_hand_is_of_no_series(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-134: without delay and schedule; the next run finds the key held by it, or goes on beside it."""

    @domain.task(retry=Retry.none(), key=lambda: "k")
    def body(ctx: Context) -> None:
        raise ValueError

    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[ScheduleEnded]) as events:
        first = scheduler.submit(body.options(schedule=Every(HOUR, max_runs=1)))
        events.get(WAIT_S)
    again = scheduler.retry(first.id)
    record = again.wait(WAIT_S)
    assert (record.retry_of, record.schedule_id) == (first.id, None)
    assert scheduler.schedules() == []


@pytest.mark.parametrize("call", ["pause_schedule", "resume_schedule", "cancel_schedule"])
def test_a_task_of_no_series_is_not_found(stage: Stage, quick: Task[[int], int], call: str) -> None:
    """S-236: nor is an id that never was."""
    scheduler = stage.scheduler(quick.domain)
    plain = scheduler.submit(quick, 1)
    for wrong in (plain.id, 999, 1 << 70):
        with pytest.raises(TaskNotFound):
            getattr(scheduler, call)(wrong)
