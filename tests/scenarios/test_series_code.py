"""Series that the code has by its decorators (behaviour.md, S-240), over restarts on a real file."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hand_clock import HandClock
from staging import Stage, heard_until

from millrace import (
    Completed,
    Context,
    Cron,
    Domain,
    Every,
    InvalidTask,
    Schedule,
    ScheduleInfo,
    SubmitKind,
    TaskStatus,
)

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOURLY, DAILY = Cron("0 * * * *"), Cron("0 3 * * *")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Ten minutes past noon."""
    return HandClock(monkeypatch, NOON + timedelta(minutes=10))


def program(schedule: Schedule | None, *, has_task: bool = True, **options: Any) -> Domain:
    """A version of a program: a task that recurs as it says, if it has one."""
    domain = Domain("play")
    if has_task:

        @domain.task(schedule=schedule, **options)
        def tidy(ctx: Context, n: int = 5) -> int:
            return n

    return domain


def series_of(stage: Stage, domain: Domain) -> list[ScheduleInfo]:
    """The series after a start and a stop of a program."""
    scheduler = stage.started(domain)
    try:
        return scheduler.schedules()
    finally:
        scheduler.stop()


def test_it_begins_with_the_start(stage: Stage, clock: HandClock) -> None:
    """S-240: without a submit, with the payload's defaults; and runs when it is due."""
    domain = program(HOURLY)
    scheduler = stage.scheduler(domain)
    assert scheduler.schedules() == []
    with scheduler.subscribe() as events:
        scheduler.start()
        (info,) = scheduler.schedules()
        assert (info.task_name, info.schedule, info.next_run) == ("play::tidy", HOURLY, NOON + timedelta(hours=1))
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        done = heard_until(events, lambda event: isinstance(event, Completed))[-1]
    assert isinstance(done, Completed)
    assert done.memo == 5


def test_the_same_definition_goes_on(stage: Stage, clock: HandClock) -> None:
    """S-240: a start changes nothing of it."""
    (first,) = series_of(stage, program(HOURLY))
    (again,) = series_of(stage, program(HOURLY))
    assert first == again


def test_a_changed_definition_is_changed_at_the_next_start(stage: Stage, clock: HandClock) -> None:
    """S-240: the same series, with the run that waits moved to its new time; in either direction."""
    (hourly,) = series_of(stage, program(HOURLY))
    for schedule, due in [
        (DAILY, NOON + timedelta(hours=15)),
        (Every(600), None),
        (HOURLY, NOON + timedelta(hours=1)),
    ]:
        (info,) = series_of(stage, program(schedule))
        assert (info.id, info.schedule) == (hourly.id, schedule)
        if due is None:
            assert info.next_run is not None
            assert abs(info.next_run - clock.now() - timedelta(seconds=600)) < timedelta(seconds=5)
        else:
            assert info.next_run == due
    scheduler = stage.started(program(HOURLY))
    with scheduler.subscribe() as events:
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        assert heard_until(events, lambda event: isinstance(event, Completed))
    assert scheduler.schedules()[0].runs == 1


def test_changed_options_hold_from_the_next_run_on(stage: Stage, clock: HandClock) -> None:
    """S-240: priority here."""
    series_of(stage, program(HOURLY))
    scheduler = stage.started(program(HOURLY, priority=7))
    with scheduler.subscribe() as events:
        clock.pass_to(NOON + timedelta(hours=1), scheduler)
        heard_until(events, lambda event: isinstance(event, Completed))
    assert [task.priority for task in scheduler.tasks()] == [7, 128]


@pytest.mark.parametrize("is_task_left", [True, False])
def test_a_removed_definition_is_ended(stage: Stage, clock: HandClock, *, is_task_left: bool) -> None:
    """S-240: its decorator says nothing of a schedule any more, or it is gone; should it come back, it begins anew."""
    (first,) = series_of(stage, program(HOURLY))
    scheduler = stage.started(program(None, has_task=is_task_left))
    assert scheduler.schedules() == []
    assert scheduler.task(first.id).status is TaskStatus.CANCELLED
    scheduler.stop()
    (again,) = series_of(stage, program(HOURLY))
    assert again.id != first.id


def test_a_domain_that_is_not_there_ends_nothing(stage: Stage, clock: HandClock) -> None:
    """S-240, S-416: another program on the same store knows nothing of it."""
    (first,) = series_of(stage, program(HOURLY))
    (kept,) = series_of(stage, Domain("other"))
    assert kept.id == first.id


def test_a_cancelled_one_stays_so_until_it_is_submitted(stage: Stage, clock: HandClock) -> None:
    """S-240: starts do not begin it again, a submit does."""
    domain = program(HOURLY)
    scheduler = stage.started(domain)
    (info,) = scheduler.schedules()
    scheduler.cancel_schedule(info.id)
    scheduler.stop()
    assert series_of(stage, program(HOURLY)) == []
    scheduler = stage.started(domain)
    again = scheduler.submit(domain.tasks["play::tidy"])
    assert again.kind is SubmitKind.INSERTED
    assert [one.id for one in scheduler.schedules()] == [again.id]
    scheduler.stop()
    (kept,) = series_of(stage, program(DAILY))
    assert (kept.id, kept.schedule) == (again.id, DAILY)


def test_a_task_that_needs_payload_begins_with_a_submit(stage: Stage, clock: HandClock) -> None:
    """S-240: one series for each key."""
    domain = Domain("play")

    @domain.task(schedule=HOURLY)
    def tidy(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.started(domain)
    assert scheduler.schedules() == []
    outcomes = [scheduler.submit(tidy, n) for n in (1, 2, 2)]
    assert [outcome.kind for outcome in outcomes] == [SubmitKind.INSERTED, SubmitKind.INSERTED, SubmitKind.DUPLICATE]
    assert [info.id for info in scheduler.schedules()] == [outcomes[0].id, outcomes[1].id]


def test_a_key_function_that_fails_is_told_by_the_start(stage: Stage) -> None:
    """S-030, S-240: to its caller, who can start again."""

    def key(n: int) -> str:
        raise ZeroDivisionError

    scheduler = stage.scheduler(program(HOURLY, key=key))
    with pytest.raises(InvalidTask, match="key"):
        scheduler.start()
    assert stage.started(program(HOURLY)).schedules()


def test_one_that_has_had_its_runs_does_not_begin_again(stage: Stage, clock: HandClock) -> None:
    """S-226, S-240: a series with `max_runs` in the code has so many, also over restarts."""
    schedule = Every(600, max_runs=1)
    scheduler = stage.scheduler(program(schedule))
    with scheduler.subscribe() as events:
        scheduler.start()
        heard_until(events, lambda event: isinstance(event, Completed))
    scheduler.stop()
    assert series_of(stage, program(schedule)) == []
