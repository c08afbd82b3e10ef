"""Token buckets: S-261, S-264, S-266, S-267."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.buckets import TOLERANCE_S, Bucket
from millrace.model.limits import RateLimit

rates = st.one_of(st.integers(1, 1000).map(float), st.floats(1e-3, 1e3))
limits = st.builds(RateLimit, rates, st.integers(1, 20))


def starts(bucket: Bucket, now: float, count: int) -> list[float]:
    """When so many starts happen, each as early as it can."""
    times = []
    for _ in range(count):
        now += bucket.wait_s(now)
        bucket.take(now)
        times.append(now)
    return times


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (RateLimit(10, 3), [0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (RateLimit(1), [0, 1, 2, 3]),
        (RateLimit.per_minute(2), [0, 0, 30, 60]),
        (RateLimit.per_hour(1), [0, 3600, 7200]),
        (RateLimit.per_second(0.5), [0, 2, 4]),
    ],
)
def test_a_bucket_begins_full_and_fills_at_its_rate(limit: RateLimit, expected: Sequence[float]) -> None:
    """S-261, S-267: the burst at once, then one each 1 / rate, without drift."""
    assert starts(Bucket(limit, 0.0), 0.0, len(expected)) == pytest.approx(expected, rel=0, abs=1e-12)


def test_times_do_not_drift() -> None:
    """S-261: the millionth start is where a calculator puts it."""
    assert starts(Bucket(RateLimit(10, 3), 0.0), 0.0, 100_003)[-1] == 10_000.0


def test_time_in_which_it_was_full_is_not_saved_up() -> None:
    """S-261: never more than the burst at once."""
    bucket = Bucket(RateLimit(10, 3), 0.0)
    assert starts(bucket, 0.0, 4) == [0.0, 0.0, 0.0, 0.1]
    assert bucket.available(1000.0) == 3.0
    assert starts(bucket, 1000.0, 4) == pytest.approx([1000.0, 1000.0, 1000.0, 1000.1])


def test_fractions_of_a_token_are_kept() -> None:
    """A start between two tokens does not put the next one off."""
    bucket = Bucket(RateLimit(10, 1), 0.0)
    bucket.take(0.0)
    assert bucket.available(0.05) == pytest.approx(0.5)
    assert bucket.wait_s(0.05) == pytest.approx(0.05)
    bucket = Bucket(RateLimit(10, 3), 0.0)
    bucket.take(0.0)
    bucket.take(0.05)
    assert bucket.available(0.05) == pytest.approx(1.5)
    assert bucket.available(0.15) == pytest.approx(2.5)


@given(limits, st.lists(st.integers(0, 3000), max_size=60), st.floats(0, 1e6))
def test_it_is_the_bucket_of_the_rule(limit: RateLimit, gaps_ms: list[int], begin: float) -> None:
    """S-261: tokens = min(burst, tokens + elapsed * rate), step by step in fractions; starts as soon as one is whole."""
    bucket, now, tokens, rate = Bucket(limit, begin), begin, Fraction(limit.burst), Fraction(limit.rate)
    for gap_ms in gaps_ms:
        before, now = now, now + gap_ms / 1000
        tokens = min(Fraction(limit.burst), tokens + (Fraction(now) - Fraction(before)) * rate)
        assert bucket.available(now) == pytest.approx(float(max(tokens, 0)), abs=1e-4)
        wait = float((1 - tokens) / rate)
        if bucket.wait_s(now) == 0.0:
            assert wait <= 1e-6
            bucket.take(now)
            tokens -= 1
        else:
            assert bucket.wait_s(now) == pytest.approx(wait, abs=1e-6)


@given(limits, st.lists(st.integers(0, 500), min_size=1, max_size=80))
def test_no_window_has_more_than_burst_and_rate(limit: RateLimit, gaps_ms: list[int]) -> None:
    """S-261: in whatever span of time, at most burst + span * rate starts, however eagerly tokens are taken."""
    bucket, now = Bucket(limit, 0.0), 0.0
    times: list[float] = []
    for gap_ms in gaps_ms:
        now += gap_ms / 1000
        if bucket.wait_s(now) == 0.0:
            bucket.take(now)
            times.append(now)
    for first, begin in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= limit.burst + (end - begin + 2 * TOLERANCE_S) * limit.rate + 1e-6


@given(limits, st.floats(0, 1e6))
def test_a_wait_is_long_enough(limit: RateLimit, begin: float) -> None:
    """S-264: who waits for as long as he is told finds a token, in the first attempt."""
    bucket, now = Bucket(limit, begin), begin
    for _ in range(3 * limit.burst):
        now += bucket.wait_s(now)
        assert bucket.wait_s(now) == 0.0
        bucket.take(now)


@pytest.mark.parametrize(
    ("before", "taken", "after", "available", "wait_s"),
    [
        (RateLimit(10, 10), 0, RateLimit(10, 3), 3.0, 0.0),
        (RateLimit(10, 10), 8, RateLimit(10, 3), 2.0, 0.0),
        (RateLimit(10, 3), 3, RateLimit(1, 100), 0.0, 1.0),
        (RateLimit(10, 3), 2, RateLimit(1, 100), 1.0, 0.0),
        (RateLimit(1, 1), 1, RateLimit(100, 1), 0.0, 0.01),
    ],
)
def test_a_change_keeps_what_fits(
    before: RateLimit, taken: int, after: RateLimit, available: float, wait_s: float
) -> None:
    """S-266: min(tokens, new burst), and the new rate at once."""
    bucket = Bucket(before, 0.0)
    for _ in range(taken):
        bucket.take(0.0)
    bucket.change(after, 0.0)
    assert bucket.limit == after
    assert bucket.available(0.0) == pytest.approx(available)
    assert bucket.wait_s(0.0) == pytest.approx(wait_s)


def test_a_token_that_was_not_used_is_there_again() -> None:
    """A start that did not come about costs nothing."""
    bucket = Bucket(RateLimit(1, 1), 0.0)
    bucket.take(0.0)
    bucket.give_back()
    assert bucket.wait_s(0.0) == 0.0
    assert bucket.available(0.0) == 1.0
    bucket.take(0.0)
    with pytest.raises(AssertionError):
        bucket.take(0.5)


def test_a_token_comes_back_after_a_change_too() -> None:
    """S-264, S-266: the limit was changed between the start and its undoing."""
    bucket = Bucket(RateLimit(1, 2), 0.0)
    bucket.take(0.0)
    bucket.take(0.0)
    bucket.change(RateLimit(2, 2), 0.0)
    bucket.give_back()
    assert bucket.available(0.0) == 1.0


def test_a_token_that_was_given_back_late_is_not_one_more() -> None:
    """The bucket does not hold more than its burst, and no window has more starts."""
    bucket = Bucket(RateLimit(1, 2), 0.0)
    bucket.take(0.0)
    bucket.give_back()
    assert bucket.available(5.0) == 2.0
    assert starts(bucket, 5.0, 3) == [5.0, 5.0, 6.0]
