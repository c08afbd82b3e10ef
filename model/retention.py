"""How much of the history is kept."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.model.durations import Seconds, to_seconds
from millrace.model.numbers import check_whole


@dataclass(frozen=True)
class Retention:
    """History kept: the newest ``max_count`` rows and nothing older than ``max_age``.

    Dead letters are counted apart, with the same bounds, so that successes push none out. Never pruned are the children of
    an active parent.

    Args:
        max_count: rows, 0 to 2^53; None is no bound.
        max_age: seconds (or a timedelta) since the end, kept as float seconds; None is no bound.

    Raises:
        ValueError: a bound below 0 or beyond the largest, or an age that is NaN or infinite. TypeError: a value of another type.
    """

    max_count: int | None = 10_000
    max_age: Seconds | None = None

    def __post_init__(self) -> None:
        if self.max_count is not None:
            check_whole(self.max_count, "max_count", least=0, instead="None is no bound")
        if self.max_age is not None:
            # Kept in one form, so that Retention(max_age=timedelta(hours=1)) equals Retention(max_age=3600).
            object.__setattr__(self, "max_age", to_seconds(self.max_age, "max_age"))

    @property
    def max_age_ms(self) -> int | None:
        """The age in whole milliseconds; None is no bound."""
        if self.max_age is None:
            return None
        return round(to_seconds(self.max_age, "max_age") * 1000)
