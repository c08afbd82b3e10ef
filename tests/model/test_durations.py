"""Durations and times: S-034, S-445."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.durations import (
    MAX_MS,
    MIN_MS,
    datetime_to_ms,
    due_ms,
    ms_to_datetime,
    ms_to_seconds,
    seconds_to_ms,
    to_seconds,
)


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0.0), (1, 1.0), (1.5, 1.5), (timedelta(minutes=1, milliseconds=5), 60.005), (-0.0, 0.0)]
)
def test_to_seconds(value: object, expected: float) -> None:
    """Ints, floats and timedeltas become float seconds; minus zero becomes zero."""
    seconds = to_seconds(value, "ttl")
    assert type(seconds) is float
    assert seconds == expected
    assert math.copysign(1, seconds) == 1


@pytest.mark.parametrize("value", [math.nan, -1, -1e-9, timedelta(-1), math.inf, -math.inf, 1e300, 10**400])
def test_to_seconds_refuses_values(value: object) -> None:
    """NaN, negative, infinite and absurdly long durations are a ValueError that names the option."""
    with pytest.raises(ValueError, match="ttl: expected"):
        to_seconds(value, "ttl")


@pytest.mark.parametrize("value", [True, "1", None, b"1", datetime.now(UTC)])
def test_to_seconds_refuses_types(value: object) -> None:
    """What is neither a number nor a timedelta is a TypeError that names the option."""
    with pytest.raises(TypeError, match="ttl: expected seconds"):
        to_seconds(value, "ttl")


def test_to_seconds_on_request() -> None:
    """Infinity is accepted and zero refused where the option says so."""
    assert to_seconds(math.inf, "ttl", allow_inf=True) == math.inf
    with pytest.raises(ValueError, match="timeout: expected more than 0"):
        to_seconds(0, "timeout", allow_zero=False)


@pytest.mark.parametrize(
    ("seconds", "ms"),
    [(0, 0), (0.1, 100), (0.001, 1), (0.0001, 1), (1.0001, 1001), (0.29, 290), (1e9 + 0.001, 10**12 + 1)],
)
def test_seconds_to_ms(seconds: float, ms: int) -> None:
    """Milliseconds are rounded up, but a float's own error does not count."""
    assert seconds_to_ms(seconds) == ms


@given(st.integers(0, 10**12))
def test_ms_round_trip(ms: int) -> None:
    """Whole milliseconds (up to 30 years) survive the way to seconds and back."""
    assert seconds_to_ms(ms_to_seconds(ms)) == ms


@given(st.floats(min_value=0, max_value=1e9))
def test_never_early(seconds: float) -> None:
    """A duration is never shortened by more than the float's error, and a positive one above it is never 0."""
    ms = seconds_to_ms(seconds)
    assert ms / 1000 >= seconds - 1e-9
    assert ms / 1000 < seconds + 0.0011


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e300])
def test_seconds_to_ms_refuses(seconds: float) -> None:
    """What is no finite duration has no milliseconds."""
    with pytest.raises(ValueError, match="finite duration"):
        seconds_to_ms(seconds)


@given(st.integers(MIN_MS, MAX_MS))
def test_datetime_round_trip(ms: int) -> None:
    """Every millisecond of the years 1 to 9999 is one aware UTC datetime."""
    moment = ms_to_datetime(ms)
    assert moment.tzinfo is UTC
    assert datetime_to_ms(moment) == ms


def test_datetime_to_ms() -> None:
    """Any zone will do, and what is below a millisecond is rounded up: nothing is due early."""
    zone = timezone(timedelta(hours=2))
    assert datetime_to_ms(datetime(1970, 1, 1, 2, 0, 1, tzinfo=zone)) == 1000
    assert datetime_to_ms(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == 1
    assert datetime_to_ms(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == 0


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001  # naive: that is the point
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_datetime_to_ms_refuses(moment: datetime) -> None:
    """A naive datetime, and one outside the years 1 to 9999 in UTC, are a ValueError that names the option."""
    with pytest.raises(ValueError, match="run_at: expected"):
        datetime_to_ms(moment, "run_at")


def test_datetime_to_ms_refuses_types() -> None:
    """A number is no datetime."""
    with pytest.raises(TypeError, match="run_at: expected a datetime, got int"):
        datetime_to_ms(5, "run_at")


@pytest.mark.parametrize("ms", [MIN_MS - 1, MAX_MS + 1, 10**30])
def test_ms_to_datetime_refuses(ms: int) -> None:
    """Milliseconds beyond the years 1 to 9999 are a ValueError."""
    with pytest.raises(ValueError, match="expected milliseconds in"):
        ms_to_datetime(ms)


def test_due_ms() -> None:
    """A moment some seconds away; a ValueError where no datetime can hold it."""
    assert due_ms(1_000, 0.5) == 1_500
    with pytest.raises(ValueError, match="run_after: expected a time up to the year 9999"):
        due_ms(1_000, MAX_MS / 1000, "run_after")
