"""How often and when a failed run is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final, Literal, Self, TypeAlias, cast, get_args

from millrace.model.durations import Seconds, to_seconds
from millrace.model.numbers import check_whole

Backoff: TypeAlias = Literal["constant", "linear", "exponential", "exponential_jitter"]

# The generator of processes that inject none. Random's methods are safe to call from several threads.
_RANDOM: Final = Random()


@dataclass(frozen=True)
class Retry:
    """How often and when a failed run is repeated: `max_retries=3` means up to 4 runs of the body, and again of the
    finalizer.

    Args:
        max_retries: 0 to 2^53; runs after the first.
        initial: seconds (or a timedelta) before the first retry; kept as float seconds.
        maximum: no delay is longer; kept as float seconds.
        backoff: how the delay grows, see `delay`.
        multiplier: 1 or more; of the exponential kinds.
        retry_on: classes of errors that are retried.
        give_up_on: of those, the ones that are not.

    Raises:
        ValueError: `max_retries` out of range, `multiplier` below 1, a time that is NaN, below 0 or infinite, an unknown
            `backoff`.
        TypeError: a value of another type.
    """

    max_retries: int = 3
    initial: Seconds = 1.0
    maximum: Seconds = 60.0
    backoff: Backoff = "exponential_jitter"
    multiplier: float = 2.0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        check_whole(self.max_retries, "max_retries", least=0)
        _check_multiplier(self.multiplier)
        if self.backoff not in get_args(Backoff):
            raise ValueError(f"backoff: expected one of {', '.join(get_args(Backoff))}, got {self.backoff!r}")
        # Kept in one form, so that Retry(initial=timedelta(seconds=1)) equals Retry(initial=1.0) and is stored alike.
        object.__setattr__(self, "initial", to_seconds(self.initial, "initial"))
        object.__setattr__(self, "maximum", to_seconds(self.maximum, "maximum"))
        object.__setattr__(self, "retry_on", _error_classes(self.retry_on, "retry_on"))
        object.__setattr__(self, "give_up_on", _error_classes(self.give_up_on, "give_up_on"))

    @classmethod
    def none(cls) -> Self:
        """No retry: the first failure is the last."""
        return cls(max_retries=0)

    @classmethod
    def constant(cls, max_retries: int, delay: Seconds = 0.0) -> Self:
        """Always `delay` seconds."""
        return cls(max_retries=max_retries, initial=delay, maximum=delay, backoff="constant")

    @classmethod
    def linear(cls, max_retries: int, initial: Seconds, maximum: Seconds) -> Self:
        """`initial`, twice, three times as many seconds, up to `maximum`."""
        return cls(max_retries=max_retries, initial=initial, maximum=maximum, backoff="linear")

    @classmethod
    def exponential(cls, max_retries: int, initial: Seconds, maximum: Seconds, multiplier: float = 2.0) -> Self:
        """`initial` seconds, then `multiplier` times the one before, up to `maximum`."""
        return cls(
            max_retries=max_retries, initial=initial, maximum=maximum, backoff="exponential", multiplier=multiplier
        )

    @classmethod
    def exponential_jitter(cls, max_retries: int, initial: Seconds, maximum: Seconds, multiplier: float = 2.0) -> Self:
        """Anything between 0 and what `exponential` gives: tasks that failed together do not come back together."""
        return cls(
            max_retries=max_retries,
            initial=initial,
            maximum=maximum,
            backoff="exponential_jitter",
            multiplier=multiplier,
        )

    def delay(self, retry: int, rng: Random | None = None) -> float:
        """Seconds before retry number `retry` (1 is the first): 0 .. `maximum`, and never an overflow.

        Args:
            retry: 1 or more; may be larger than `max_retries`.
            rng: where jitter comes from; the process's own generator if None.

        Raises:
            ValueError: `retry` is below 1.
            TypeError: `retry` is no int.
        """
        check_whole(retry, "retry", least=1, most=None)
        longest = self._longest_delay(retry)
        if self.backoff == "exponential_jitter":
            # The cap comes before the draw: late retries spread over 0..maximum instead of piling up at the maximum.
            return (rng or _RANDOM).uniform(0.0, longest)
        return longest

    def _longest_delay(self, retry: int) -> float:
        """The delay before any jitter."""
        initial = to_seconds(self.initial, "initial")
        maximum = to_seconds(self.maximum, "maximum")
        if initial == 0 or self.backoff == "constant":
            return min(initial, maximum)
        try:
            factor = float(retry) if self.backoff == "linear" else self._growth(retry)
        except OverflowError:
            factor = inf
        return min(initial * factor, maximum)

    def _growth(self, retry: int) -> float:
        if self.multiplier == 1:  # 1.0 ** n overflows for an n that is longer than a float
            return 1.0
        return float(self.multiplier) ** (retry - 1)


def _check_multiplier(value: object) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"multiplier: expected a number, got {type(value).__name__}")
    if not value >= 1:  # written so that NaN fails too
        raise ValueError(f"multiplier: expected 1 or more, got {value!r}")


def _error_classes(value: object, name: str) -> tuple[type[BaseException], ...]:
    """Classes of errors as a tuple; one class alone is taken as `except` takes it."""
    given = cast("Sequence[object]", value) if isinstance(value, (tuple, list)) else (value,)
    classes: list[type[BaseException]] = []
    for each in given:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(f"{name}: expected classes of exceptions, got {each!r}")
        classes.append(each)
    return tuple(classes)


DEFAULT_RETRY: Final = Retry()
"""What applies where submission, task, domain and scheduler say nothing."""
