"""Rates, ageing and throttling as values: S-261, S-262, S-268, S-272, S-292."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import floor, inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.limits import Aging, RateLimit, Throttle
from millrace.model.priority import Priority


@pytest.mark.parametrize(
    ("limit", "rate", "burst"),
    [
        (RateLimit.per_second(10), 10.0, 10),
        (RateLimit.per_second(10, burst=3), 10.0, 3),
        (RateLimit.per_minute(30), 0.5, 30),
        (RateLimit.per_hour(1), 1 / 3600, 1),
        (RateLimit.per_second(0.5), 0.5, 1),
        (RateLimit.per_second(2.9), 2.9, 2),
        (RateLimit(5), 5.0, 1),
    ],
)
def test_rates(limit: RateLimit, rate: float, burst: int) -> None:
    """S-262: n, n / 60, n / 3600 a second; max(1, floor(n)) at once unless given."""
    assert (limit.rate, limit.burst) == (rate, burst)
    assert type(limit.rate) is float


@given(
    st.floats(1e-6, 1e6),
    st.sampled_from([(RateLimit.per_second, 1), (RateLimit.per_minute, 60), (RateLimit.per_hour, 3600)]),
)
def test_every_positive_number_is_a_rate(n: float, way: tuple[Callable[[float], RateLimit], int]) -> None:
    """S-262."""
    make, seconds = way
    assert make(n) == RateLimit(n / seconds, max(1, floor(n)))


@pytest.mark.parametrize("wrong", [0, -1, nan, inf, -inf, 10**400])
def test_rates_that_are_none(wrong: float) -> None:
    """S-262: 0, below, NaN; and what is no bound at all."""
    for make in (RateLimit, RateLimit.per_second, RateLimit.per_minute, RateLimit.per_hour):
        with pytest.raises(ValueError, match="expected"):
            make(wrong)


@pytest.mark.parametrize("burst", [0, -1])
def test_bursts_that_are_none(burst: int) -> None:
    """S-262."""
    with pytest.raises(ValueError, match="burst"):
        RateLimit(1.0, burst)
    with pytest.raises(ValueError, match="burst"):
        RateLimit.per_minute(1.0, burst)


@pytest.mark.parametrize(("rate", "burst"), [("1", 1), (None, 1), (True, 1), (1.0, 1.5), (1.0, True), (1.0, nan)])
def test_other_types_of_rates(rate: object, burst: object) -> None:
    """What is no number is a TypeError."""
    with pytest.raises(TypeError, match=r"rate|burst"):
        RateLimit(rate, burst)  # type: ignore[arg-type]  # that is the point


def test_ageing_has_its_defaults() -> None:
    """Section 36: 300 s, 60 s, HIGH, None; times are kept in one form."""
    assert Aging() == Aging(timedelta(minutes=5), timedelta(minutes=1), Priority(64), None)
    assert (Aging().grace, Aging().interval) == (300.0, 60.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": 0},
        {"interval": -1},
        {"interval": nan},
        {"interval": inf},
        {"grace": -0.001},
        {"grace": nan},
        {"grace": timedelta(seconds=-1)},
        {"ceiling": 256},
        {"urgent": -1},
        {"ceiling": Priority.HIGH, "urgent": Priority(63)},
        {"ceiling": Priority.NORMAL, "urgent": Priority.HIGH},
    ],
)
def test_ageing_that_makes_no_sense(wrong: dict[str, float]) -> None:
    """S-272: the message names the field that is wrong."""
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        Aging(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_urgent_may_be_the_ceiling() -> None:
    """S-272: the most urgent that a task gets to; plain ints become priorities."""
    ageing = Aging(grace=0, ceiling=100, urgent=100)  # type: ignore[arg-type]  # a plain int, as users write it
    assert type(ageing.ceiling) is type(ageing.urgent) is Priority


@pytest.mark.parametrize("wrong", [{"ceiling": None}, {"ceiling": 64.0}, {"urgent": True}, {"grace": "1"}])
def test_other_types_of_ageing(wrong: dict[str, object]) -> None:
    """What is no priority or time is a TypeError."""
    with pytest.raises(TypeError, match=next(iter(wrong))):
        Aging(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_the_throttle_has_its_default() -> None:
    """S-293: BACKGROUND above 0.50, NORMAL above 0.75; none at all is allowed."""
    assert Throttle().steps == ((Priority.BACKGROUND, 0.50), (Priority.NORMAL, 0.75))
    assert Throttle(()).steps == ()
    kept = Throttle([[255, 1]])  # type: ignore[arg-type]  # as it comes from JSON
    assert kept == Throttle(((Priority.IDLE, 1.0),))
    assert hash(kept) == hash(Throttle(((Priority.IDLE, 1.0),)))


@pytest.mark.parametrize("steps", [((256, 0.5),), ((0, 1.5),), ((0, -0.1),), ((0, nan),), ((0, inf),), ((0, 10**400),)])
def test_throttles_out_of_range(steps: object) -> None:
    """S-423: priorities are 0..255, pressures 0..1."""
    with pytest.raises(ValueError, match="steps"):
        Throttle(steps)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "steps", [None, 1, "ab", ((0,),), ((0, 0.5, 1),), (("0", 0.5),), ((0, "1"),), ((0, True),), (1,)]
)
def test_other_types_of_throttles(steps: object) -> None:
    """What is no sequence of pairs of numbers is a TypeError."""
    with pytest.raises(TypeError, match="steps"):
        Throttle(steps)  # type: ignore[arg-type]  # wrong on purpose
