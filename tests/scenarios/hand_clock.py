"""Both clocks of the system, put forward and set by a test: schedulers that are made meanwhile, and their runs, go by them."""

import time
from datetime import UTC, datetime

import pytest

from millrace import Scheduler
from millrace.actors.clock import NextDue
from millrace.actors.times import SystemTimes


class HandClock:
    """Time goes on by itself, and jumps where the test says so; the clocks of the schedulers given are woken.

    Args:
        monkeypatch: puts the system's clocks back at the end of the test.
        now: what the wall clock says at first.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
        self._real_monotonic, self._real_ns = time.monotonic, time.time_ns
        self._steady_s = 0.0
        self._wall_ms = int(now.timestamp() * 1000) - time.time_ns() // 1_000_000
        monkeypatch.setattr(SystemTimes, "monotonic", lambda times: self._real_monotonic() + self._steady_s)
        monkeypatch.setattr(SystemTimes, "wall_ms", lambda times: self._now_ms())

        def anchor(times: SystemTimes) -> None:
            times._anchor_ms = self._now_ms() - int(times.monotonic() * 1000)

        monkeypatch.setattr(SystemTimes, "__init__", anchor)
        monkeypatch.setattr(SystemTimes, "steady_ms", lambda times: times._anchor_ms + int(times.monotonic() * 1000))

    def _now_ms(self) -> int:
        return self._real_ns() // 1_000_000 + self._wall_ms

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

    def set_wall(self, seconds: float, *schedulers: Scheduler) -> None:
        """The wall clock alone is put forward, or back, and looked at, as it is every half minute."""
        self._wall_ms += int(seconds * 1000)
        for scheduler in schedulers:
            scheduler._runtime.clock.tell(NextDue(None))
