"""The clock, driven by hand: it rings in order, never early, and asks the store only when something is due."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.clock import LOOK_AGAIN_AFTER_S, Arm, Clock, NextDue
from millrace.actors.mailbox import Mailbox
from millrace.actors.requests import EndPauses, ExpireDue, PromoteDue
from millrace.actors.times import SystemTimes


class HandTimes:
    """Times that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset_ms = 0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000) + self.wall_offset_ms

    def steady_ms(self) -> int:
        return int(self.now * 1000)


class Ears:
    """Whoever is told something."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def tell(self, message: Any) -> None:
        self.heard.append(message)


class Stage:
    """A clock without a thread."""

    def __init__(self, **settings: Any) -> None:
        self.times, self.ears, self.persistence = HandTimes(), Ears(), Ears()
        self.clock = Clock(
            Mailbox("clock"),
            None,  # type: ignore[arg-type]  # nothing drives it but the test
            lambda actor, error: None,
            times=self.times,
            persistence=self.persistence,
            **settings,
        )

    def pass_time(self, seconds: float) -> None:
        """Move on, and wake the clock as its loop would."""
        self.times.now += seconds
        due_in = self.clock.wake_in()
        if due_in is not None and due_in <= 0:
            self.clock.wake()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_it_asks_for_what_is_due_when_it_begins(stage: Stage) -> None:
    """What fell due while nothing ran is handled once."""
    stage.clock.on_start()
    assert stage.persistence.heard == [ExpireDue(), PromoteDue(), EndPauses()]


def test_it_sweeps_in_its_interval() -> None:
    """S-211: when it begins, and every so many seconds from then on."""
    stage = Stage(sweep_interval_s=30.0)
    stage.clock.on_start()
    stage.persistence.heard.clear()
    for _ in range(3):
        stage.pass_time(29.9)
        assert stage.persistence.heard == []
        stage.pass_time(0.2)
        assert stage.persistence.heard == [ExpireDue()]
        stage.persistence.heard.clear()


def test_a_timer_rings_once_and_not_early(stage: Stage) -> None:
    """At its time; the clock then waits for nothing."""
    stage.clock.receive([Arm(5.0, stage.ears, "ring")])
    stage.pass_time(4.999)
    assert stage.ears.heard == []
    stage.pass_time(0.002)
    assert stage.ears.heard == ["ring"]
    stage.pass_time(100)
    assert stage.ears.heard == ["ring"]
    assert stage.clock.wake_in() is None


@given(st.lists(st.integers(0, 50), max_size=30), st.lists(st.integers(0, 20), max_size=30))
def test_timers_ring_in_the_order_of_their_times(delays: list[int], steps: list[int]) -> None:
    """Equal ones in the order in which they were set; those and only those whose time has come."""
    stage = Stage()
    stage.clock.receive([Arm(float(delay), stage.ears, (delay, at)) for at, delay in enumerate(delays)])
    passed = 0
    expected = sorted((delay, at) for at, delay in enumerate(delays))
    for step in steps:
        stage.pass_time(float(step))
        passed += step
        assert stage.ears.heard == [one for one in expected if one[0] <= passed]


def test_the_store_is_asked_when_the_earliest_task_is_due(stage: Stage) -> None:
    """Later ones do not move it; the answer names the next."""
    now_ms = stage.times.steady_ms()
    stage.clock.receive([NextDue(now_ms + 3000), NextDue(now_ms + 1000), NextDue(now_ms + 2000)])
    assert stage.clock.wake_in() == pytest.approx(1.0)
    stage.pass_time(1.0)
    assert stage.persistence.heard == [PromoteDue()]
    assert stage.clock.wake_in() is None
    stage.clock.receive([NextDue(now_ms + 2000, is_exact=True)])
    assert stage.clock.wake_in() == pytest.approx(1.0)
    stage.clock.receive([NextDue(None, is_exact=True)])
    assert stage.clock.wake_in() is None


def test_no_more_news_leave_the_next_time_as_it_is(stage: Stage) -> None:
    """A store in which nothing more was delayed says nothing about what was."""
    stage.clock.receive([NextDue(stage.times.steady_ms() + 1000)])
    stage.clock.receive([NextDue(None)])
    assert stage.clock.wake_in() == pytest.approx(1.0)


@pytest.mark.parametrize("jump_ms", [-(10**13), -3_600_000, 3_600_000, 10**13])
def test_a_wall_clock_that_is_set_moves_no_timer(stage: Stage, jump_ms: int) -> None:
    """S-446: none rings early, none late."""
    stage.clock.receive([Arm(2.0, stage.ears, "ring"), NextDue(stage.times.steady_ms() + 2000)])
    stage.times.wall_offset_ms += jump_ms
    stage.pass_time(1.9)
    assert (stage.ears.heard, stage.persistence.heard) == ([], [])
    stage.pass_time(0.1)
    assert (stage.ears.heard, stage.persistence.heard) == (["ring"], [PromoteDue()])


def test_the_clocks_of_the_system_agree_until_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-445, S-446: whole milliseconds; the steady clock goes on where the wall clock jumps."""
    times = SystemTimes()
    assert abs(times.wall_ms() - times.steady_ms()) < 1000
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert times.wall_ms() == 0
    assert times.steady_ms() > 10**12


# Times of the wall clock


def test_a_time_of_the_wall_clock_is_waited_for(stage: Stage) -> None:
    """S-446: beside that of the steady clock, whichever comes first; the answer names the next of both."""
    stage.times.wall_offset_ms = 7_000_000
    stage.clock.receive([NextDue(stage.times.steady_ms() + 9000, wall_ms=stage.times.wall_ms() + 4000)])
    assert stage.clock.wake_in() == pytest.approx(4.0)
    stage.pass_time(4.0)
    assert stage.persistence.heard == [PromoteDue()]
    assert stage.clock.wake_in() is None
    stage.clock.receive([NextDue(stage.times.steady_ms() + 5000, is_exact=True)])
    assert stage.clock.wake_in() == pytest.approx(5.0)


@pytest.mark.parametrize("years", [0.01, 1, 100])
def test_a_wall_clock_that_is_set_is_noticed(stage: Stage, years: float) -> None:
    """S-447: within half a minute, however far the time was; until then it looks twice a minute, and asks nobody."""
    far_ms = int(years * 31_557_600_000)
    stage.clock.receive([NextDue(None, wall_ms=stage.times.wall_ms() + far_ms)])
    for _ in range(100):
        assert stage.clock.wake_in() == pytest.approx(LOOK_AGAIN_AFTER_S)
        stage.pass_time(LOOK_AGAIN_AFTER_S)
    assert stage.persistence.heard == []
    stage.times.wall_offset_ms += far_ms
    stage.pass_time(LOOK_AGAIN_AFTER_S)
    assert stage.persistence.heard == [PromoteDue()]


@given(st.lists(st.tuples(st.none() | st.integers(1, 50), st.none() | st.integers(1, 50)), max_size=10))
def test_the_earliest_of_all_news_counts(news: list[tuple[int | None, int | None]]) -> None:
    """None says nothing of what was said before."""
    stage = Stage()
    steady, wall = stage.times.steady_ms(), stage.times.wall_ms()
    stage.clock.receive(
        [
            NextDue(None if one is None else steady + one, wall_ms=None if other is None else wall + other)
            for one, other in news
        ]
    )
    said = [ms for both in news for ms in both if ms is not None]
    assert stage.clock.wake_in() == (pytest.approx(min(said) / 1000) if said else None)
