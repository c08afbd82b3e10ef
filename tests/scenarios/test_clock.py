"""Times and clocks as a user meets them (behaviour.md, section 35)."""

import time
from datetime import UTC, datetime, timedelta

import dying
import pytest
from staging import WAIT_S, Stage, heard_until

from millrace import Context, Domain, Retry, TaskRecord, TaskStatus
from millrace.actors.times import SystemTimes
from millrace.model.events import Completed

HOUR_MS = 3_600_000
YEARS = {"1970": 0, "2100": 4_102_444_800_000}


class Wall:
    """The wall clock, which the test sets; monotonic time goes on by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = SystemTimes.wall_ms
        self.offset_ms = 0
        monkeypatch.setattr(SystemTimes, "wall_ms", lambda times: self._real(times) + self.offset_ms)

    def set_to(self, wall_ms: int) -> None:
        """The wall clock says this from now on."""
        self.offset_ms = wall_ms - time.time_ns() // 1_000_000


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


def times_of(record: TaskRecord) -> list[datetime]:
    """All points in time of a record."""
    found = (record.created_at, record.run_at, record.started_at, record.finished_at, record.cancel_requested_at)
    return [point for point in found if point is not None]


def test_times_are_whole_milliseconds_utc(stage: Stage, domain: Domain) -> None:
    """S-445: aware; durations are floats of seconds, never negative. Of records and of events."""

    @domain.task()
    def quick(ctx: Context) -> None:
        return None

    scheduler = stage.started(domain)
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    with scheduler.subscribe() as events:
        record = scheduler.submit(quick.options(run_after=0.05)).wait(WAIT_S)
        told = heard_until(events, lambda event: isinstance(event, Completed))
    points = times_of(record) + [event.at for event in told]
    assert len(times_of(record)) == 4
    for point in points:
        assert point.tzinfo is UTC
        assert point.microsecond % 1000 == 0
        assert before <= point <= datetime.now(UTC) + timedelta(seconds=1)
    assert isinstance(record.duration, float)
    assert record.duration >= 0.0


@pytest.mark.parametrize("jump_ms", [-HOUR_MS, HOUR_MS], ids=["an hour back", "an hour ahead"])
def test_a_wall_clock_that_is_set_moves_no_delay(stage: Stage, domain: Domain, wall: Wall, jump_ms: int) -> None:
    """S-446: a `run_after`, a retry's backoff and a time-out are as long as they were, neither early nor late."""
    starts: dict[str, float] = {}

    @domain.task()
    def delayed(ctx: Context) -> None:
        starts["delayed"] = time.monotonic()

    @domain.task(retry=Retry.constant(1, 0.4))
    def again(ctx: Context) -> None:
        if ctx.attempt == 1:
            raise ValueError
        starts["again"] = time.monotonic()

    @domain.task(timeout=0.4, retry=Retry.none())
    def slow(ctx: Context) -> None:
        ctx.wait_cancelled(WAIT_S)
        starts["slow"] = time.monotonic()

    scheduler = stage.started(domain)
    began = time.monotonic()
    tasks = [scheduler.submit(delayed.options(run_after=0.4)), scheduler.submit(again), scheduler.submit(slow)]
    far = scheduler.submit(delayed.options(run_after=1800, key="far"))
    dying.reached(scheduler, tasks[1].id, lambda record: record.retries == 1)
    wall.offset_ms += jump_ms
    for task in tasks:
        task.wait(WAIT_S)
    assert all(0.4 <= start - began < WAIT_S for start in starts.values()), starts
    assert sorted(starts) == ["again", "delayed", "slow"]
    assert scheduler.task(far.id).status is TaskStatus.PENDING


@pytest.mark.parametrize("year", YEARS)
def test_no_wall_time_stops_anything(stage: Stage, domain: Domain, wall: Wall, year: str) -> None:
    """S-447: submits, runs, delays, retries, cancels and restarts work in 1970 and in 2100."""

    @domain.task(retry=Retry.constant(1))
    def again(ctx: Context, n: int) -> int:
        if ctx.attempt == 1:
            raise ValueError
        return n

    wall.set_to(YEARS[year])
    for turn in range(2):
        scheduler = stage.started(domain)
        assert scheduler.submit(again, turn).result(WAIT_S) == turn
        assert scheduler.submit(again.options(run_after=0.05), turn + 10).result(WAIT_S) == turn + 10
        waiting = scheduler.submit(again.options(run_after=3600), turn + 20)
        assert scheduler.cancel(waiting.id).settled
        record = scheduler.task(waiting.id)
        assert record.cancel_requested_at is not None
        assert str(record.cancel_requested_at.year) == year
        scheduler.stop()


@pytest.mark.parametrize("jump_ms", [-HOUR_MS, HOUR_MS])
def test_durations_are_monotonic(stage: Stage, domain: Domain, wall: Wall, jump_ms: int) -> None:
    """S-445: a run over which the wall clock is set is as long as it was, and not negative."""

    @domain.task()
    def body(ctx: Context) -> None:
        wall.offset_ms += jump_ms

    record = stage.started(domain).submit(body).wait(WAIT_S)
    assert record.duration is not None
    assert 0.0 <= record.duration < WAIT_S


def test_after_a_restart_stored_times_count(stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-446, S-447: what fell due while nothing ran starts at once, each once."""
    began: list[int] = []

    @domain.task()
    def delayed(ctx: Context, n: int) -> int:
        began.append(n)
        return n

    scheduler = stage.scheduler(domain)
    tasks = [scheduler.submit(delayed.options(run_after=600), n) for n in range(5)]
    later = scheduler.submit(delayed.options(run_after=7200), 9)
    scheduler.stop()
    real = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() + HOUR_MS * 1_000_000)
    again = stage.started(domain)
    assert [dying.settled(again, task.id).memo for task in tasks] == list(range(5))
    assert sorted(began) == list(range(5))
    assert again.task(later.id).status is TaskStatus.PENDING


def test_many_equal_times_fall_due_together(stage: Stage, domain: Domain) -> None:
    """S-447: more than one step takes, each once."""
    began: list[int] = []

    @domain.task()
    def delayed(ctx: Context, n: int) -> None:
        began.append(n)

    scheduler = stage.scheduler(domain)
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    tasks = scheduler.submit_batch(delayed.options(run_at=due).call(n) for n in range(2500))
    scheduler.start()
    tasks[-1].wait(WAIT_S)
    dying.reached(scheduler, tasks[0].id, lambda record: record.status.is_terminal)
    until = time.monotonic() + WAIT_S
    while scheduler.count(status=TaskStatus.COMPLETED) < 2500 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(began) == list(range(2500))
