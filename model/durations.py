"""The one place where durations and times change their form.

| where | form |
|---|---|
| what a user gives | `Seconds`: int, float or timedelta |
| Python inside | float seconds, `*_s` |
| the store | integer milliseconds, `*_ms`; points in time since 1970-01-01 UTC |
| what a user gets | float seconds; aware UTC `datetime` |

Pure functions, callable from any thread. Whatever becomes milliseconds is rounded up to the next whole one, so that
nothing is due early and a positive duration does not become 0.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil, isinf, isnan
from typing import Final, TypeAlias

Seconds: TypeAlias = float | timedelta

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

MIN_MS: Final = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MILLISECOND
"""The first millisecond a datetime can hold."""
MAX_MS: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MILLISECOND
"""The last one; also the longest duration, about 8,000 years."""


LONGEST_WAIT_S: Final = 1e9
"""Some 30 years: the locks of the system refuse waits that are much longer, so that longer ones are cut to this."""


def to_seconds(value: object, name: str, *, allow_zero: bool = True, allow_inf: bool = False) -> float:
    """A duration as float seconds.

    Args:
        value: `Seconds`; typed so that the check for it is one.
        name: the option's name, for the message.
        allow_zero: False refuses 0.
        allow_inf: True accepts `math.inf` ("none").

    Raises:
        TypeError: it is neither a number nor a timedelta.
        ValueError: NaN, below 0, 0 or infinite where not allowed, or longer than datetimes reach.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = _as_float(value, name)
    else:
        raise TypeError(f"{name}: expected seconds or a timedelta, got {type(value).__name__}")
    if isnan(seconds) or seconds < 0 or (seconds == 0 and not allow_zero):
        least = "0 or more" if allow_zero else "more than 0"
        raise ValueError(f"{name}: expected {least} seconds, got {value!r}")
    if isinf(seconds):
        if allow_inf:
            return seconds
        raise ValueError(f"{name}: expected a finite number of seconds, got {value!r}")
    if seconds * 1000 > MAX_MS:
        raise ValueError(f"{name}: expected at most {MAX_MS // 1000} seconds, got {value!r}")
    return seconds + 0.0  # -0.0 becomes 0.0, so that it is shown and stored as no time at all


def _as_float(value: float, name: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number of seconds that a float can hold, got a longer integer") from None


def seconds_to_ms(seconds: float) -> int:
    """Whole milliseconds of a finite duration, rounded up.

    The float's own error is rounded off first (0.1 s is 100 ms, though 0.1 * 1000 is a little more).

    Raises:
        ValueError: NaN, infinite, or beyond what datetimes hold.
    """
    if isnan(seconds) or abs(seconds) * 1000 > MAX_MS:
        raise ValueError(f"expected a finite duration of at most {MAX_MS // 1000} seconds, got {seconds!r}")
    return ceil(round(seconds * 1000, 6))


def ms_to_seconds(ms: int) -> float:
    """Float seconds of whole milliseconds."""
    return ms / 1000


def datetime_to_ms(moment: object, name: str = "time") -> int:
    """Milliseconds since 1970-01-01 UTC, rounded up.

    Args:
        moment: an aware datetime, in any zone.
        name: the option's name, for the message.

    Raises:
        TypeError: it is no datetime.
        ValueError: it is naive, or in UTC it is a time no datetime can hold.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{name}: expected a datetime, got {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError(
            f"{name}: expected a datetime with a time zone, got the naive {moment.isoformat()}; add tzinfo"
        )
    ms = -((EPOCH - moment) // _MILLISECOND)  # -(-x // y) rounds up, exactly: no float is in it
    if not MIN_MS <= ms <= MAX_MS:
        raise ValueError(f"{name}: expected a time in the years 1 to 9999 UTC, got {moment.isoformat()}")
    return ms


def ms_to_datetime(ms: int) -> datetime:
    """The aware UTC datetime of milliseconds since 1970-01-01.

    Raises:
        ValueError: no datetime can hold it.
    """
    if not MIN_MS <= ms <= MAX_MS:
        raise ValueError(f"expected milliseconds in {MIN_MS}..{MAX_MS}, got {ms}")
    return EPOCH + timedelta(milliseconds=ms)


def latest_due_ms(now_ms: int, seconds: float) -> int:
    """The moment `seconds` after `now_ms`; where no datetime can hold it (infinity too), the last that one can."""
    return MAX_MS if seconds * 1000 >= MAX_MS - now_ms else now_ms + seconds_to_ms(seconds)


def due_ms(now_ms: int, seconds: float, name: str = "time") -> int:
    """The moment `seconds` after `now_ms`, both since 1970-01-01.

    Raises:
        ValueError: no datetime can hold it.
    """
    due = now_ms + seconds_to_ms(seconds)
    if due > MAX_MS:
        raise ValueError(f"{name}: expected a time up to the year 9999, got {seconds!r} seconds from now")
    return due
