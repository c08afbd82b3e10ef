"""Ageing: S-268 to S-271."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.ageing import effective, next_step_in
from millrace.model.limits import Aging
from millrace.model.priority import Priority

DEFAULT = Aging()
ageings = st.builds(
    Aging,
    grace=st.integers(0, 10_000).map(lambda ms: ms / 1000),
    interval=st.integers(1, 10_000).map(lambda ms: ms / 1000),
    ceiling=st.integers(0, 255).map(Priority),
)


@pytest.mark.parametrize(
    ("priority", "waited_s", "expected"),
    [
        (255, 0.0, 255),
        (255, 300.0, 255),
        (255, 359.0, 255),
        (255, 359.999, 255),
        (255, 360.0, 254),
        (255, 900.0, 245),
        (255, 11_759.999, 65),
        (255, 11_760.0, 64),
        (255, 1e9, 64),
        (0, 1e9, 0),
        (64, 1e9, 64),
        (65, 360.0, 64),
        (63, 1e9, 63),
    ],
)
def test_the_examples(priority: int, waited_s: float, expected: int) -> None:
    """S-270: exact at the boundaries; nobody gets past the ceiling, and who is past it stays."""
    for aging, given_priority, found in ((DEFAULT, priority, expected), (None, Priority(priority), priority)):
        level = effective(aging, given_priority, waited_s)
        assert level == found
        assert type(level) is int  # it goes into statements


@given(st.integers(0, 255), st.floats(0, 1e9))
def test_without_ageing_nothing_changes(priority: int, waited_s: float) -> None:
    """S-268: the priority is the stored one, for ever."""
    assert effective(None, priority, waited_s) == priority
    assert next_step_in(None, priority, waited_s) is None


@given(ageings, st.integers(0, 255), st.integers(0, 10**7))
def test_it_is_the_formula_at_every_millisecond(aging: Aging, priority: int, waited_ms: int) -> None:
    """S-268, in integers: whatever floats the times came as."""
    grace_ms, interval_ms = round(aging.grace * 1000), round(aging.interval * 1000)  # type: ignore[operator]
    steps = max(0, waited_ms - grace_ms) // interval_ms
    expected = priority if priority <= aging.ceiling else max(aging.ceiling, priority - steps)
    assert effective(aging, priority, waited_ms / 1000) == expected


@given(ageings, st.integers(0, 255), st.integers(0, 10**7))
def test_the_next_step_is_neither_early_nor_late(aging: Aging, priority: int, waited_ms: int) -> None:
    """A millisecond before the priority is what it was, at the time it is less by some; without a next one it stays."""
    now = effective(aging, priority, waited_ms / 1000)
    step_s = next_step_in(aging, priority, waited_ms / 1000)
    if step_s is None:
        assert effective(aging, priority, 1e10) == now
    else:
        due_ms = waited_ms + round(step_s * 1000)
        assert due_ms > waited_ms
        assert effective(aging, priority, (due_ms - 1) / 1000) == now
        assert effective(aging, priority, due_ms / 1000) == now - 1


def test_an_interval_of_next_to_nothing_is_a_millisecond() -> None:
    """No time is divided by nothing."""
    aging = Aging(grace=0, interval=1e-15)
    assert effective(aging, 255, 0.001) == 254
    assert next_step_in(aging, 255, 0.0) == 0.001
