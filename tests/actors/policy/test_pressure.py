"""Pressure and throttle: S-290, S-292 to S-294."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.pressure import Pressure
from millrace.model.limits import Throttle
from millrace.model.priority import Priority


@pytest.mark.parametrize(
    ("pressure", "runs", "waits"),
    [
        (0.0, [0, 128, 192, 255], []),
        (0.50, [0, 64, 128, 191, 192, 255], []),
        (0.60, [0, 128, 191], [192, 255]),
        (0.75, [0, 64, 128, 191], [192, 255]),
        (0.80, [0, 64, 127], [128, 191, 192, 255]),
        (1.0, [0, 64, 127], [128, 192, 255]),
    ],
)
def test_the_examples(pressure: float, runs: list[int], waits: list[int]) -> None:
    """S-293: the default throttle, to the number."""
    throttle = Pressure()
    throttle.told({"cpu": pressure}, 0.0)
    assert [each for each in runs if throttle.holds(each, 0.0)] == []
    assert [each for each in waits if not throttle.holds(each, 0.0)] == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, {}),
        ({"a": 0.2, "b": 0.4}, {"a": 0.2, "b": 0.4}),
        ({"a": -3.0, "b": 7.0}, {"a": 0.0, "b": 1.0}),
        ({"a": inf, "b": -inf}, {"a": 1.0, "b": 0.0}),
        ({"a": nan, "b": 0.1}, {"b": 0.1}),
        ({"a": None, "b": 0.1}, {"b": 0.1}),
    ],
)
def test_the_largest_counts(said: dict[str, float | None], expected: dict[str, float]) -> None:
    """S-290: cut to 0..1, the largest, 0 without any; who says no number is left out."""
    pressure = Pressure()
    pressure.told(said, 0.0)
    assert pressure.by_source(0.0) == expected
    assert pressure.value(0.0) == max(expected.values(), default=0.0)


def test_a_source_that_does_not_answer_is_left_out() -> None:
    """S-290: after 10 s; the others stay, and it counts again when it answers."""
    pressure = Pressure()
    pressure.told({"hangs": 1.0, "works": 0.1}, 0.0)
    pressure.told({"works": 0.2}, 9.0)
    assert pressure.value(9.999) == 1.0
    assert pressure.due_in(9.0) == 1.0
    assert pressure.by_source(10.0) == {"works": 0.2}
    assert pressure.due_in(10.0) == 9.0
    assert not pressure.holds(255, 10.0)
    pressure.told({"hangs": 0.9}, 30.0)
    assert pressure.by_source(30.0) == {"hangs": 0.9}


def test_a_source_that_fails_is_left_out_at_once() -> None:
    """S-290: its last number was another time's."""
    pressure = Pressure()
    pressure.told({"fails": 1.0}, 0.0)
    pressure.told({"fails": None}, 1.0)
    assert (pressure.by_source(1.0), pressure.value(1.0), pressure.due_in(1.0)) == ({}, 0.0, None)


def test_an_empty_throttle_holds_nothing() -> None:
    """S-292."""
    pressure = Pressure(Throttle(()))
    pressure.told({"cpu": 1.0}, 0.0)
    assert pressure.held_from(0.0) == 256
    assert not pressure.holds(255, 0.0)


throttles = st.lists(st.tuples(st.integers(0, 255).map(Priority), st.floats(0, 1)), max_size=5).map(
    lambda steps: Throttle(tuple(steps))
)


@given(throttles, st.floats(0, 1), st.integers(0, 255))
def test_it_is_the_rule(throttle: Throttle, value: float, priority: int) -> None:
    """S-292: some step has a priority at most the effective one, and a pressure below the present one."""
    pressure = Pressure(throttle)
    pressure.told({"cpu": value}, 0.0)
    assert pressure.holds(priority, 0.0) == any(step <= priority and above < value for step, above in throttle.steps)
    assert pressure.holds(priority, 0.0) == (priority >= pressure.held_from(0.0))
