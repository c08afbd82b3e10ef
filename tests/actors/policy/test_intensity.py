"""Restart intensity: how often actors may fail."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.intensity import Intensity
from millrace.model.records import Restarts


@pytest.mark.parametrize(
    ("limit", "window", "failures", "allowed"),
    [
        (3, 60.0, [0, 1, 2, 3], [True, True, True, False]),
        (3, 60.0, [0, 20, 40, 61], [True, True, True, True]),
        (3, 60.0, [0, 20, 40, 60], [True, True, True, False]),
        (1, 5.0, [0, 6, 12, 13], [True, True, True, False]),
        (0, 60.0, [0], [False]),
        (2, timedelta(seconds=1), [0, 0.5, 0.9], [True, True, False]),
    ],
)
def test_more_than_the_limit_within_the_window_is_one_too_many(
    limit: int, window: float, failures: Sequence[float], allowed: list[bool]
) -> None:
    """A failure exactly a window ago still counts."""
    intensity = Intensity(Restarts(limit=limit, window=window))
    assert [intensity.allows(now) for now in failures] == allowed


@given(st.lists(st.floats(0, 20), max_size=60), st.integers(0, 5), st.floats(0, 10))
def test_it_is_the_count_of_a_sliding_window(gaps: list[float], limit: int, window: float) -> None:
    """Whatever the times: a failure is allowed where no more than the limit lie within the window before it."""
    intensity = Intensity(Restarts(limit=limit, window=window))
    times: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        times.append(now)
        assert intensity.allows(now) == (sum(now - before <= window for before in times) <= limit)


def test_the_pause_doubles_up_to_a_second() -> None:
    """10 ms after the first failure; however many there are, it stays a number."""
    intensity = Intensity(Restarts(limit=10_000, window=1e6))
    pauses = []
    for now in range(2_000):
        intensity.allows(now)
        pauses.append(intensity.backoff_s())
    assert pauses[:4] == [0.01, 0.02, 0.04, 0.08]
    assert max(pauses) == pauses[-1] == 1.0


@pytest.mark.parametrize("wrong", [{"limit": -1}, {"window": -1.0}, {"window": float("nan")}])
def test_restarts_refuse_what_makes_no_sense(wrong: dict[str, float]) -> None:
    """S-423."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Restarts(**wrong)  # type: ignore[arg-type]  # wrong on purpose
