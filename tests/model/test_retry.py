"""Retry: S-121 to S-123, and the defaults."""

from __future__ import annotations

import math
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.retry import DEFAULT_RETRY, Retry

seconds = st.floats(0, 1e9)
multipliers = st.floats(1, allow_nan=False)
kinds = st.sampled_from(["constant", "linear", "exponential", "exponential_jitter"])


def test_defaults() -> None:
    """By default: 3 retries, 1 to 60 s, exponential with jitter, doubling, any Exception."""
    assert Retry() == DEFAULT_RETRY
    assert (DEFAULT_RETRY.max_retries, DEFAULT_RETRY.initial, DEFAULT_RETRY.maximum) == (3, 1.0, 60.0)
    assert (DEFAULT_RETRY.backoff, DEFAULT_RETRY.multiplier) == ("exponential_jitter", 2.0)
    assert (DEFAULT_RETRY.retry_on, DEFAULT_RETRY.give_up_on) == ((Exception,), ())


def test_none() -> None:
    """`none` has no retry."""
    assert Retry.none().max_retries == 0


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry.exponential(9, 1, 3600), [1, 2, 4, 8, 16, 32]),
        (Retry.exponential(9, 1, 30, multiplier=3), [1, 3, 9, 27, 30, 30]),
        (Retry.linear(9, 2, 7), [2, 4, 6, 7, 7]),
        (Retry.constant(9), [0, 0, 0]),
        (Retry.constant(9, timedelta(minutes=2)), [120, 120]),
        (Retry(initial=5, maximum=3, backoff="constant"), [3, 3]),
    ],
)
def test_delays(retry: Retry, delays: list[float]) -> None:
    """Each kind grows as documented, up to the maximum."""
    assert [retry.delay(k) for k in range(1, len(delays) + 1)] == delays


@given(st.integers(1, 50), st.integers())
def test_jitter_is_below_the_exponential(k: int, seed: int) -> None:
    """Jitter draws from 0 up to the exponential delay, from the generator it is given."""
    jittered, plain = Retry.exponential_jitter(9, 1.5, 100), Retry.exponential(9, 1.5, 100)
    drawn = jittered.delay(k, Random(seed))
    assert 0 <= drawn <= plain.delay(k)
    assert drawn == Random(seed).uniform(0, plain.delay(k))


def test_jitter_spreads() -> None:
    """Late retries spread over the whole range rather than pile up at the maximum; without a generator they differ."""
    retry = Retry.exponential_jitter(9, 1, 100)
    drawn = [retry.delay(1000, Random(seed)) for seed in range(200)]
    assert min(drawn) < 10
    assert max(drawn) > 90
    assert sum(each == 100 for each in drawn) == 0
    assert len({retry.delay(1000) for _ in range(10)}) > 1


policies = st.builds(Retry, st.integers(0, 10**6), seconds, seconds, kinds, multipliers)


@given(policies, st.integers(1, 10**6) | st.just(10**400))
def test_total(retry: Retry, k: int) -> None:
    """Every valid policy has a finite delay in 0..maximum for every retry."""
    assert 0 <= retry.delay(k) <= retry.maximum  # type: ignore[operator]  # it is kept as a float


@given(st.sampled_from(["constant", "linear", "exponential"]), seconds, seconds, multipliers, st.integers(1, 2000))
def test_monotone(kind: Any, initial: float, maximum: float, multiplier: float, k: int) -> None:
    """Without jitter no delay is shorter than the one before."""
    retry = Retry(3, initial, maximum, kind, multiplier)
    assert retry.delay(k) <= retry.delay(k + 1)


@pytest.mark.parametrize(
    "retry", [Retry.exponential(9, 1, 60), Retry.linear(9, 1, 60), Retry.exponential(9, 1, 60, multiplier=1e308)]
)
def test_no_overflow(retry: Retry) -> None:
    """A late retry waits the maximum, however late."""
    assert retry.delay(100_000) == 60
    assert retry.delay(10**400) == 60


def test_no_growth_never_overflows() -> None:
    """A multiplier of 1 stays at the initial delay, and an initial delay of 0 at 0."""
    assert Retry.exponential(9, 2, 60, multiplier=1).delay(10**400) == 2
    assert Retry.exponential(9, 0, 60, multiplier=math.inf).delay(10**400) == 0


@pytest.mark.parametrize("k", [0, -1])
def test_delay_below_one(k: int) -> None:
    """There is no retry 0."""
    with pytest.raises(ValueError, match="retry: expected at least 1"):
        Retry().delay(k)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"multiplier": 0.99},
        {"multiplier": math.nan},
        {"backoff": "fibonacci"},
        *({name: value} for name in ("initial", "maximum") for value in (-1, -0.1, math.nan, math.inf, 10**400)),
        {"initial": timedelta(seconds=-1)},
    ],
)
def test_refused_values(options: dict[str, Any]) -> None:
    """Values out of range are a ValueError that names the option."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Retry(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": 1.0},
        {"max_retries": True},
        {"initial": "1"},
        {"multiplier": "2"},
        {"retry_on": (int,)},
        {"give_up_on": (OSError("x"),)},
    ],
)
def test_refused_types(options: dict[str, Any]) -> None:
    """Values of other types are a TypeError that names the option."""
    with pytest.raises(TypeError, match=next(iter(options))):
        Retry(**options)


def test_one_form() -> None:
    """Durations and classes are kept in one form, so equal policies are equal however they were written."""
    written: Any = {"retry_on": OSError, "give_up_on": [FileNotFoundError]}
    assert Retry(initial=timedelta(seconds=1), maximum=60, **written) == Retry(
        initial=1.0, maximum=60.0, retry_on=(OSError,), give_up_on=(FileNotFoundError,)
    )
    assert type(Retry(initial=1).initial) is float
