"""Smoothed rates, what is left, and how far a run may be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.estimates import Rate, by_bytes, eta_s, extrapolate, sample

seconds = st.floats(0.001, 1e6)
shares = st.floats(0.0, 1.0)


def rates(*samples: tuple[float, int]) -> list[float]:
    """The smoothed rate after each sample of (time, bytes)."""
    found: list[float] = []
    rate: Rate | None = None
    for now, done in samples:
        rate = sample(rate, now, done)
        found.append(rate.per_second)
    return found


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (((0.0, 500),), [0.0]),
        (((0.0, 0), (1.0, 100)), [0.0, 100.0]),
        (((0.0, 0), (1.0, 0), (2.0, 100)), [0.0, 0.0, 100.0]),
        (((0.0, 0), (1.0, 100), (2.0, 300)), [0.0, 100.0, 130.0]),
        (((0.0, 0), (1.0, 100), (2.0, 100), (3.0, 100)), [0.0, 100.0, 70.0, 49.0]),
        (((0.0, 0), (1.0, 100), (1.005, 9999), (2.0, 300)), [0.0, 100.0, 100.0, 130.0]),
        (((0.0, 0), (0.5, 100)), [0.0, 200.0]),
        (((0.0, 0), (1.0, 100), (2.0, 50), (3.0, 100)), [0.0, 100.0, 0.0, 50.0]),
    ],
    ids=["first", "first above 0", "late", "smoothed", "no new bytes", "too soon", "half a second", "anew"],
)
def test_a_rate_is_smoothed(samples: tuple[tuple[float, int], ...], expected: list[float]) -> None:
    """S-298: 0.3 of the new and 0.7 of the old, over samples at least 10 ms apart."""
    assert rates(*samples) == pytest.approx(expected)


def test_what_stands_still_comes_to_nothing() -> None:
    """S-298: without new bytes each sample takes 0.7 of the rate, until it is under a byte a second."""
    rate = sample(sample(None, 0.0, 0), 1.0, 1_000_000)
    now, counted = 1.0, 0
    while rate.per_second:
        now += 1.0
        counted += 1
        rate = sample(rate, now, 1_000_000)
    assert counted == math.ceil(math.log(1e-6) / math.log(0.7))


def test_few_bytes_are_not_lost() -> None:
    """A rate under a byte a second is one as long as bytes come."""
    assert rates((0.0, 0), (10.0, 1), (20.0, 2)) == pytest.approx([0.0, 0.1, 0.1])


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(0, 10**12)), min_size=1, max_size=30))
def test_a_rate_stays_within_what_was_seen(steps: list[tuple[float, int]]) -> None:
    """It is never below 0 nor above the fastest stretch between two samples that count."""
    now, done = 0.0, 0
    rate: Rate | None = None
    fastest = 0.0
    for pause, more in steps:
        now, done = now + pause, done + more
        before = rate
        rate = sample(rate, now, done)
        if before is not None and rate.at > before.at:
            fastest = max(fastest, (rate.done - before.done) / (rate.at - before.at))
        assert 0.0 <= rate.per_second <= fastest * (1 + 1e-9)


@pytest.mark.parametrize(
    ("rate", "done", "total", "expected"),
    [
        (50.0, 100, 300, 4.0),
        (0.0, 100, 300, None),
        (50.0, 100, None, None),
        (50.0, 300, 300, None),
        (50.0, 400, 300, None),
    ],
)
def test_what_is_left(rate: float, done: int, total: int | None, expected: float | None) -> None:
    """S-298: (total - done) / rate; None unless total is known, rate above 0 and done below total."""
    assert eta_s(rate, done, total) == expected


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [(None, None, None), (5, None, None), (0, 10, 0.0), (5, 10, 0.5), (20, 10, 1.0), (0, 0, None)],
)
def test_how_far_by_bytes(done: int | None, total: int | None, expected: float | None) -> None:
    """S-297: min(1, done / total), unknown without total; of no bytes at all none tells anything."""
    assert by_bytes(done, total) == expected


@pytest.mark.parametrize(
    ("mean", "elapsed", "reported", "after", "expected"),
    [
        (100.0, 30.0, 0.5, 20.0, 0.675),
        (100.0, 30.0, None, 0.0, 0.3),
        (100.0, 500.0, None, 0.0, 0.99),
        (None, 30.0, 0.5, 20.0, 0.75),
        (None, 30.0, None, 0.0, None),
        (0.0, 30.0, None, 0.0, None),
        (100.0, 500.0, 0.5, 20.0, 0.99),
        (None, 10.0, 0.5, 0.0, 0.5),
        (100.0, 10.0, 0.5, 0.0, 0.6),
        (None, 20.0, 1.0, 20.0, 0.99),
    ],
)
def test_how_far_a_run_may_be(
    mean: float | None, elapsed: float, reported: float | None, after: float, expected: float | None
) -> None:
    """S-299: by the mean, by the last report, by both at equal parts; the worked example is the first."""
    assert extrapolate(mean, elapsed, reported, after) == (None if expected is None else pytest.approx(expected))


@given(st.none() | seconds, seconds, st.none() | shares, st.floats(0.0, 1.0))
def test_an_estimate_is_a_share_and_grows(
    mean: float | None, elapsed: float, reported: float | None, at: float
) -> None:
    """S-299: 0 to 0.99, never less than the report up to there, and never less a moment later."""
    after = at * elapsed
    now, later = (extrapolate(mean, then, reported, after) for then in (elapsed, elapsed * 2))
    if now is None or later is None:
        assert mean is None
        assert reported is None
        return
    assert min(0.99, reported or 0.0) <= now <= later <= 0.99
