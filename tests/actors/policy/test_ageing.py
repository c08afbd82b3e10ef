"""Ageing: S-268 to S-271."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.ageing import Ages
from millrace.model.limits import Aging
from millrace.model.priority import Priority

DEFAULT = Aging()
ageings = st.builds(
    Aging,
    grace=st.integers(0, 10_000).map(lambda ms: ms / 1000),
    interval=st.integers(1, 10_000).map(lambda ms: ms / 1000),
    ceiling=st.integers(0, 255).map(Priority),
)


def effective(aging: Aging, priority: int, waited_ms: int) -> int:
    """The level after so long."""
    return Ages(aging).level(priority, waited_ms)[0]


def next_step_in(aging: Aging, priority: int, waited_ms: int) -> int | None:
    """Milliseconds until the next."""
    return Ages(aging).level(priority, waited_ms)[1]


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
    level = effective(DEFAULT, priority, round(waited_s * 1000))
    assert level == expected
    assert type(level) is int  # it goes into statements


@given(ageings, st.integers(0, 255), st.integers(0, 10**7))
def test_it_is_the_formula_at_every_millisecond(aging: Aging, priority: int, waited_ms: int) -> None:
    """S-268, in integers: whatever floats the times came as."""
    grace_ms, interval_ms = round(aging.grace * 1000), round(aging.interval * 1000)  # type: ignore[operator]
    steps = max(0, waited_ms - grace_ms) // interval_ms
    expected = priority if priority <= aging.ceiling else max(aging.ceiling, priority - steps)
    assert effective(aging, priority, waited_ms) == expected


@given(ageings, st.integers(0, 255), st.integers(0, 10**7))
def test_the_next_step_is_neither_early_nor_late(aging: Aging, priority: int, waited_ms: int) -> None:
    """A millisecond before the priority is what it was, at the time it is less by some; without a next one it stays."""
    now = effective(aging, priority, waited_ms)
    step_ms = next_step_in(aging, priority, waited_ms)
    if step_ms is None:
        assert effective(aging, priority, 10**13) == now
    else:
        due_ms = waited_ms + step_ms
        assert due_ms > waited_ms
        assert effective(aging, priority, due_ms - 1) == now
        assert effective(aging, priority, due_ms) == now - 1


def test_an_interval_of_next_to_nothing_is_a_millisecond() -> None:
    """No time is divided by nothing."""
    aging = Aging(grace=0, interval=1e-15)
    assert effective(aging, 255, 1) == 254
    assert next_step_in(aging, 255, 0) == 1
