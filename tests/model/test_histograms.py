"""Histograms count every value once, in the bucket that Prometheus expects it in."""

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.families import FAMILIES
from millrace.model.histograms import Histogram, merged

BOUNDS = (0.1, 1.0, 10.0)
values = st.lists(st.floats(0, 100, allow_nan=False))


@given(values)
def test_each_bound_counts_the_values_up_to_it(given_values: list[float]) -> None:
    """A value equal to a bound is within it; the last entry is all of them."""
    histogram = Histogram(BOUNDS)
    for value in given_values:
        histogram.observe(value)
    expected = [sum(value <= bound for value in given_values) for bound in BOUNDS]
    assert histogram.cumulative() == [*expected, len(given_values)]
    assert histogram.count == len(given_values)
    assert histogram.total == pytest.approx(math.fsum(given_values))


@given(st.lists(values, max_size=4))
def test_merged_is_as_if_one_had_seen_all(parts: list[list[float]]) -> None:
    """Merging several says the same as one histogram of all their values."""
    histograms = []
    for part in parts:
        histogram = Histogram(BOUNDS)
        for value in part:
            histogram.observe(value)
        histograms.append(histogram)
    whole = merged(BOUNDS, histograms)
    together = [value for part in parts for value in part]
    assert whole.buckets == [sum(bisect_left(BOUNDS, value) == at for value in together) for at in range(4)]


def test_a_copy_does_not_change_with_its_original() -> None:
    """What is read stands still while counting goes on."""
    histogram = Histogram(BOUNDS)
    histogram.observe(0.5)
    copy = histogram.copy()
    histogram.observe(0.5)
    assert (copy.count, histogram.count) == (1, 2)


def test_bounds_ascend_and_names_keep_the_rules() -> None:
    """Counters end in _total, nothing else does; bounds ascend; no label is one that grows."""
    for name, family in FAMILIES.items():
        assert name == family.name
        assert name.endswith("_total") == (family.kind == "counter"), name
        assert (family.kind == "histogram") == bool(family.bounds), name
        assert list(family.bounds) == sorted(set(family.bounds)), name
        assert not {"id", "key", "tag", "type", "scheduler", "message"}.intersection(family.labels), name
        assert set(family.values) <= set(family.labels), name
        assert family.help.endswith("."), name
