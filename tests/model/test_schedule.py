"""Schedules as values (behaviour.md, S-227, S-228)."""

from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.errors import InvalidTask
from millrace.model.schedule import Cron, Every, Schedule, check_schedule, decode_schedule, encode_schedule


def test_seconds_are_kept_in_one_form() -> None:
    """S-227: a timedelta is as many seconds; milliseconds count."""
    assert Every(timedelta(milliseconds=1)) == Every(0.001)
    assert Every(5).interval_s == 5.0
    assert Every(5, initial_delay=timedelta(minutes=1)).initial_delay_s == 60.0


@pytest.mark.parametrize("interval", [0, -1, nan, inf, timedelta(0), timedelta(seconds=-1), 1e30])
def test_intervals_out_of_range(interval: Any) -> None:
    """S-227: 0, below, NaN, and what no clock reaches."""
    with pytest.raises(InvalidTask, match=r"interval: expected"):
        Every(interval)


@pytest.mark.parametrize("given", [{"initial_delay": -1}, {"initial_delay": nan}, {"max_runs": 0}, {"max_runs": -3}])
def test_other_values_out_of_range(given: dict[str, Any]) -> None:
    """S-227: the message names the field and what was expected."""
    with pytest.raises(InvalidTask, match=f"{next(iter(given))}: expected"):
        Every(1, **given)
    if "max_runs" in given:
        with pytest.raises(InvalidTask, match="max_runs: expected"):
            Cron("* * * * *", **given)


@pytest.mark.parametrize("catch_up", ["twice", "", None, "ALL"])
def test_catch_up_is_one_of_three(catch_up: Any) -> None:
    """S-233: once, all or none."""
    for make in (lambda: Every(1, catch_up=catch_up), lambda: Cron("* * * * *", catch_up=catch_up)):
        with pytest.raises(InvalidTask, match="catch_up: expected one of 'once', 'all', 'none'"):
            make()


@pytest.mark.parametrize("make", [lambda: Every("5"), lambda: Every(True), lambda: Every(1, max_runs=1.5)])  # type: ignore[arg-type]
def test_values_of_other_types(make: Any) -> None:
    """S-422: a TypeError."""
    with pytest.raises(TypeError, match="expected"):
        make()


@pytest.mark.parametrize("expression", ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@hourly"])
def test_expressions_that_are_none(expression: str) -> None:
    """S-228: refused when made, with the expression in the message."""
    with pytest.raises(InvalidTask, match="expression: expected"):
        Cron(expression)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "Europe", "../UTC", "/etc/localtime", "europe/berlin ", "\0"])
def test_zones_that_there_are_not(zone: str) -> None:
    """S-228: refused when made."""
    with pytest.raises(InvalidTask, match="timezone: expected"):
        Cron("* * * * *", zone)


def test_texts_of_other_types() -> None:
    """S-228: neither expression nor zone is anything but text."""
    with pytest.raises(TypeError, match="expression: expected a str"):
        Cron(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="timezone: expected a str"):
        Cron("* * * * *", None)  # type: ignore[arg-type]


SCHEDULES = st.one_of(
    st.builds(
        Every,
        st.floats(0.001, 1e6),
        st.floats(0, 1e6),
        st.none() | st.integers(1, 10**6),
        st.sampled_from(["once", "all", "none"]),
    ),
    st.builds(
        Cron,
        st.sampled_from(["* * * * *", "5 4 * * MON", "0 0 L * *"]),
        st.sampled_from(["UTC", "Europe/Berlin"]),
        st.none() | st.integers(1, 10**6),
        st.sampled_from(["once", "all", "none"]),
    ),
)


@given(SCHEDULES, SCHEDULES)
def test_stored_schedules_come_back(one: Schedule, other: Schedule) -> None:
    """S-224: equal ones, and only those, have one text: by it a changed definition is told."""
    assert decode_schedule(encode_schedule(one)) == one
    assert (encode_schedule(one) == encode_schedule(other)) is (one == other)


def test_what_is_no_schedule() -> None:
    """An option takes Every, Cron or nothing."""
    assert check_schedule(None) is None
    with pytest.raises(TypeError, match="schedule: expected Every or Cron, got str"):
        check_schedule("* * * * *")
