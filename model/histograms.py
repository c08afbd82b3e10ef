"""A histogram with fixed bounds, as counters keep it: values only, and not locked; whoever shares one has a lock of its own."""

import operator
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate


class Histogram:
    """How often a value was at most each of the bounds, and the sum of all values.

    Args:
        bounds: upper bounds, ascending; one bucket more takes what is above the last.
    """

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets: list[int] = [0] * (len(bounds) + 1)
        """How many values fell between a bound and the one before it."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Iterable[float]) -> None:
        """Several more values."""
        bounds, buckets, total = self.bounds, self.buckets, self.total
        for value in values:
            buckets[bisect_left(bounds, value)] += 1
            total += value  # one by one: what sum() makes of floats depends on the Python
        self.total = total

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.buckets)

    def cumulative(self) -> list[int]:
        """How many values were at most each bound; the last entry is all of them."""
        return list(accumulate(self.buckets))

    def copy(self) -> "Histogram":
        """As it is now."""
        same = object.__new__(Histogram)
        same.bounds = self.bounds
        same.buckets = self.buckets.copy()
        same.total = self.total
        return same

    def add(self, buckets: Sequence[int], total: float) -> None:
        """Take over what another one with the same bounds counted."""
        self.buckets = list(map(operator.add, self.buckets, buckets))
        self.total += total


def merged(bounds: tuple[float, ...], parts: Iterable[Histogram]) -> Histogram:
    """One histogram of all values of several with these bounds."""
    whole = Histogram(bounds)
    for part in parts:
        whole.add(part.buckets, part.total)
    return whole
