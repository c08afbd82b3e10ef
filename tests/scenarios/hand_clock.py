"""Both clocks of the system, put forward and set by a test: schedulers that are made meanwhile, and their runs, go by them."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from staging import WAIT_S, calm_down

from millrace import Scheduler
from millrace.actors.clock import Arm, NextDue
from millrace.actors.times import SystemTimes


class Alarm:
    """Something that a clock rings."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def tell(self, message: Any) -> None:
        self._rung.set()

    def await_ring(self) -> None:
        assert self._rung.wait(WAIT_S)


class HandClock:
    """Time goes on by itself, and jumps where the test says so; the clocks of the schedulers given are woken.

    Args:
        monkeypatch: puts the system's clocks back at the end of the test.
        now: what the wall clock says at first.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
        self._real_wall_ms = SystemTimes.wall_ms
        real_init, real_steady_ms, real_monotonic = SystemTimes.__init__, SystemTimes.steady_ms, SystemTimes.monotonic
        self._steady_s = 0.0
        self._wall_ms = 0
        anchors: dict[int, int] = {}

        def init(times: SystemTimes) -> None:
            real_init(times)  # so that it still tells the time when the test is over and the scheduler stops
            anchors[id(times)] = self._wall_ms - int(self._steady_s * 1000)

        monkeypatch.setattr(SystemTimes, "__init__", init)
        monkeypatch.setattr(SystemTimes, "monotonic", lambda times: real_monotonic(times) + self._steady_s)
        monkeypatch.setattr(SystemTimes, "wall_ms", lambda times: self._now_ms())
        monkeypatch.setattr(
            SystemTimes,
            "steady_ms",
            lambda times: real_steady_ms(times) + anchors[id(times)] + int(self._steady_s * 1000),
        )
        self._times = SystemTimes()
        self._wall_ms = int(now.timestamp() * 1000) - self._now_ms()

    def _now_ms(self) -> int:
        return self._real_wall_ms(self._times) + self._wall_ms

    def now(self) -> datetime:
        """What the wall clock says."""
        return datetime.fromtimestamp(self._now_ms() / 1000, UTC)

    def pass_by(self, seconds: float, *schedulers: Scheduler) -> None:
        """So much time passes at once, by both clocks."""
        self._steady_s += seconds
        self.set_wall(seconds, *schedulers)

    def pass_to(self, moment: datetime, *schedulers: Scheduler) -> None:
        """The same, until the wall clock says this."""
        self.pass_by((moment - self.now()).total_seconds() + 0.002, *schedulers)

    def let_pass(self, seconds: float, scheduler: Scheduler) -> None:
        """The same, from when all timers are set of what has begun, until what they ring has been dealt with."""
        self._await_clock(scheduler)
        self.pass_by(seconds, scheduler)
        self._await_clock(scheduler)
        calm_down(scheduler)

    def _await_clock(self, scheduler: Scheduler) -> None:
        calm_down(scheduler)
        for _ in range(2):  # what fell due with the first may be told after it
            alarm = Alarm()
            scheduler._runtime.clock.tell(Arm(0.0, alarm, None))
            alarm.await_ring()

    def set_wall(self, seconds: float, *schedulers: Scheduler) -> None:
        """The wall clock alone is put forward, or back, and looked at, as it is every half minute."""
        self._wall_ms += int(seconds * 1000)
        for scheduler in schedulers:
            scheduler._runtime.clock.tell(NextDue(None))
