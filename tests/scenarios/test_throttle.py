"""Pressure and throttle: S-290, S-292 to S-294, with sources that a test sets."""

import threading

import pytest
from staging import WAIT_S, Stage, calm_down

from millrace import Context, Domain, Priority, Task, TaskStatus, Throttle


class Dial:
    """A pressure source that says what it is set to; a test can await that it has been asked since."""

    def __init__(self, value: float) -> None:
        self._value = value
        self._changed = threading.Condition()
        self._asked = 0

    def __call__(self) -> float:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._value

    def turn(self, value: float) -> None:
        with self._changed:
            self._value = value

    def await_asked(self) -> None:
        """Until it has been asked twice from now on, so that an answer given after now is known."""
        with self._changed:
            count = self._asked + 2
            assert self._changed.wait_for(lambda: self._asked >= count, WAIT_S)


@pytest.fixture
def work(domain: Domain) -> Task[[], int]:
    @domain.task()
    def body(ctx: Context) -> int:
        return ctx.id

    return body


@pytest.mark.parametrize(
    ("pressure", "runs", "waits"),
    [(0.5, 192, 256), (0.6, 191, 192), (0.75, 128, 192), (0.8, 127, 128), (1.0, 0, 128)],
)
def test_the_first_start_knows_the_pressure(stage: Stage, pressure: float, runs: int, waits: int) -> None:
    """S-290, S-293: what waited before the start is held like what comes after."""
    domain = Domain("play")

    @domain.task()
    def work(ctx: Context, priority: int) -> None: ...

    scheduler = stage.scheduler(domain, pressure={"dial": Dial(pressure)})
    outcomes = {
        priority: scheduler.submit(work.options(priority=priority), priority)
        for priority in (runs, waits, 255)
        if priority <= 255
    }
    scheduler.start()
    outcomes.pop(runs).wait(WAIT_S)
    calm_down(scheduler)
    for priority, outcome in outcomes.items():
        record = outcome.handle.record()
        assert (record.status is TaskStatus.PENDING, record.attempt == 0) == (priority >= waits,) * 2


def test_what_waits_starts_when_the_pressure_falls(stage: Stage, domain: Domain, work: Task[[], int]) -> None:
    """S-294: it holds up nobody, and running bodies are not touched."""
    dial, gate = Dial(0.0), stage.gate()

    @domain.task(priority=Priority.IDLE)
    def hold(ctx: Context) -> bool:
        gate.hold()
        return ctx.cancelled

    scheduler = stage.started(domain, pressure={"dial": dial, "other": lambda: 0.1})
    held = scheduler.submit(hold)
    gate.await_arrivals()
    dial.turn(1.0)
    dial.await_asked()
    calm_down(scheduler)
    waiting = scheduler.submit(work.options(priority=Priority.BACKGROUND, key="waiting"))
    urgent = scheduler.submit(work.options(priority=Priority.HIGH, key="urgent"))
    assert urgent.result(WAIT_S) == urgent.id
    assert waiting.handle.status() is TaskStatus.PENDING
    gate.open()
    assert held.result(WAIT_S) is False
    dial.turn(0.5)
    assert waiting.result(WAIT_S) == waiting.id
    assert waiting.handle.record().attempt == 1


def test_a_source_that_fails_holds_nobody(stage: Stage, domain: Domain, work: Task[[], int]) -> None:
    """S-290: one that raises and one that hangs are left out, and dispatch goes on beside them."""
    release = threading.Event()

    def fail() -> float:
        raise OSError("gone")

    def hang() -> float:
        release.wait(WAIT_S)
        return 1.0

    scheduler = stage.started(domain, pressure={"fails": fail, "hangs": hang, "works": lambda: 0.7})
    try:
        idle = scheduler.submit(work.options(priority=Priority.IDLE, key="idle"))
        normal = scheduler.submit(work.options(key="normal"))
        assert normal.result(WAIT_S) == normal.id
        calm_down(scheduler)
        assert idle.handle.status() is TaskStatus.PENDING
    finally:
        release.set()


def test_an_empty_throttle_holds_nothing(stage: Stage, domain: Domain, work: Task[[], int]) -> None:
    """S-292; and a finalizer waits like a body where one does."""
    scheduler = stage.started(domain, pressure={"dial": lambda: 1.0}, throttle=Throttle(()))
    assert scheduler.submit(work.options(priority=Priority.IDLE)).wait(WAIT_S).status is TaskStatus.COMPLETED
