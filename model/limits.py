"""What bounds and orders the starts of tasks: rates, ageing, throttling; and what a sampler of the machine says. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, isfinite
from typing import Final, Protocol, Self, cast

from millrace.model.durations import Seconds, to_seconds
from millrace.model.numbers import MOST, check_whole
from millrace.model.priority import Priority


@dataclass(frozen=True)
class RateLimit:
    """A token bucket: `rate` starts a second in the long run, `burst` at once.

    Args:
        rate: starts a second, more than 0 and finite.
        burst: 1 or more; tokens that the bucket holds when full.

    Raises:
        ValueError: a rate or burst of 0, below, or NaN; an infinite rate.
        TypeError: a value of another type.
    """

    rate: float
    burst: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", _positive(self.rate, "rate", "starts a second"))
        check_whole(self.burst, "burst", least=1, instead="it is how many starts there may be at once")

    @classmethod
    def per_second(cls, n: float, burst: int | None = None) -> Self:
        """`n` starts a second; as many at once, at least 1, unless `burst` says otherwise."""
        return cls._per(n, 1, burst)

    @classmethod
    def per_minute(cls, n: float, burst: int | None = None) -> Self:
        """`n` starts a minute; as many at once, at least 1, unless `burst` says otherwise."""
        return cls._per(n, 60, burst)

    @classmethod
    def per_hour(cls, n: float, burst: int | None = None) -> Self:
        """`n` starts an hour; as many at once, at least 1, unless `burst` says otherwise."""
        return cls._per(n, 3600, burst)

    @classmethod
    def _per(cls, n: float, seconds: int, burst: int | None) -> Self:
        number = _positive(n, "n", "starts")
        return cls(number / seconds, min(max(1, floor(number)), MOST) if burst is None else burst)


@dataclass(frozen=True)
class Aging:
    """A pending task gains one level of priority per `interval`, after `grace`, up to `ceiling`.

    Args:
        grace: seconds (or a timedelta), 0 or more; kept as float seconds.
        interval: seconds (or a timedelta), more than 0; kept as float seconds.
        ceiling: no task becomes more urgent than this by waiting; those that are stay as they are.
        urgent: at this effective priority, or past it, a task starts without regard to its group's share; None: never. Not
            more urgent than the ceiling, as no task would get there.

    Raises:
        ValueError: a time out of range or NaN, a priority outside 0..255, `urgent` more urgent than `ceiling`.
        TypeError: a value of another type.
    """

    grace: Seconds = 300.0
    interval: Seconds = 60.0
    ceiling: Priority = Priority.HIGH
    urgent: Priority | None = None

    def __post_init__(self) -> None:
        # Kept in one form, so that Aging(grace=timedelta(minutes=5)) equals Aging(grace=300).
        object.__setattr__(self, "grace", to_seconds(self.grace, "grace"))
        object.__setattr__(self, "interval", to_seconds(self.interval, "interval", allow_zero=False))
        object.__setattr__(self, "ceiling", _priority(self.ceiling, "ceiling"))
        if self.urgent is not None:
            object.__setattr__(self, "urgent", _priority(self.urgent, "urgent"))
            if self.urgent < self.ceiling:
                raise ValueError(
                    f"urgent: expected a priority not more urgent than the ceiling {self.ceiling!r}, got {self.urgent!r}, "
                    "which no task reaches by waiting; raise the ceiling or lower urgent"
                )


@dataclass(frozen=True)
class Throttle:
    """(priority, pressure) pairs: tasks at or below that priority wait while pressure is above it.

    Args:
        steps: of a priority, 0..255, and a pressure, 0..1, in any order; none at all holds nothing.

    Raises:
        ValueError: a priority or pressure out of range, or NaN.
        TypeError: a value of another type.
    """

    steps: tuple[tuple[Priority, float], ...] = ((Priority.BACKGROUND, 0.50), (Priority.NORMAL, 0.75))

    def __post_init__(self) -> None:
        given: object = self.steps
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise TypeError(f"steps: expected (priority, pressure) pairs, got {type(given).__name__}")
        object.__setattr__(self, "steps", tuple(_step(step) for step in cast("Iterable[object]", given)))


@dataclass(frozen=True)
class ResourceSnapshot:
    """What the machine is at: one reading of a sampler, or readings smoothed over the last seconds.

    A sampler says NaN where it cannot tell.
    """

    cpu: float
    """0..1, all cores together."""
    disk_read_bps: float
    """Bytes a second, as the next three."""
    disk_write_bps: float
    net_rx_bps: float
    net_tx_bps: float


class ResourceSampler(Protocol):
    """Where readings come from. Called about once a second in a thread of its own, one call at a time.

    A call that raises, or that does not return, costs its reading and nothing else.
    """

    def sample(self) -> ResourceSnapshot:
        """What the machine is at now, or was since the last call."""
        ...


def _positive(value: object, name: str, unit: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a number of {unit}, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number of {unit} that a float can hold, got a longer integer") from None
    if not (number > 0 and isfinite(number)):  # written so that NaN fails too
        raise ValueError(
            f"{name}: expected more than 0 {unit}, and finite, got {value!r}; where there is no limit, give none"
        )
    return number


def _priority(value: object, name: str) -> Priority:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a priority, got {type(value).__name__}")
    try:
        return Priority(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _step(step: object) -> tuple[Priority, float]:
    if not isinstance(step, (tuple, list)) or len(pair := cast("tuple[object, ...]", step)) != 2:  # noqa: PLR2004 - a pair
        raise TypeError(f"steps: expected (priority, pressure) pairs, got {step!r}")
    priority, pressure = pair
    if not isinstance(pressure, (int, float)) or isinstance(pressure, bool):
        raise TypeError(f"steps: expected a number as pressure, got {type(pressure).__name__}")
    if not 0 <= pressure <= 1:  # written so that NaN fails too
        raise ValueError(f"steps: expected a pressure in 0..1, got {pressure!r}")
    return _priority(priority, "steps"), float(pressure)


DEFAULT_THROTTLE: Final = Throttle()
"""What applies where the scheduler is given none."""
