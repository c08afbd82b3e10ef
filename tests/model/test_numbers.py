"""Whole numbers as users give them: refused where the value is made, by a message that says what came and what to do."""

from collections.abc import Callable
from typing import Any

import pytest

from millrace import Context, Cron, Domain, Every, InvalidTask, RateLimit, Restarts, Retention, Retry
from millrace.model.numbers import MOST, check_whole

TOO_MANY = 10**30
BEYOND = "expected at most 9007199254740992, got one of 100 bits"

domain = Domain("numbers")


@domain.task()
def work(ctx: Context) -> None:
    """A body."""


MADE: dict[str, Callable[[Any], object]] = {
    "max_count": lambda n: Retention(max_count=n),
    "max_retries": lambda n: Retry(max_retries=n),
    "burst": lambda n: RateLimit(1.0, burst=n),
    "limit": lambda n: Restarts(limit=n),
    "max_runs": lambda n: Every(1.0, max_runs=n),
    "max_failures": lambda n: work.options(max_failures=n),
    "child_concurrency": lambda n: work.options(child_concurrency=n),
}
"""By the argument, what has it."""


@pytest.mark.parametrize("name", MADE)
def test_a_number_that_no_store_holds_is_refused_where_the_value_is_made(name: str) -> None:
    """It would else be found by the actor that binds it to a statement, which ends the scheduler."""
    with pytest.raises(ValueError, match=f"^{name}: {BEYOND}"):
        MADE[name](TOO_MANY)
    with pytest.raises(ValueError, match=f"^{name}: expected at least [01], got -1"):
        MADE[name](-1)
    MADE[name](MOST)


@pytest.mark.parametrize("name", MADE)
def test_what_is_no_int_is_a_type_error(name: str) -> None:
    """Text and truth are no numbers."""
    for wrong in ("5", True):
        with pytest.raises(TypeError, match=f"^{name}: expected an int.*, got {type(wrong).__name__}$"):
            MADE[name](wrong)


def test_a_schedule_refuses_as_schedules_do() -> None:
    """``InvalidTask``, which is a ValueError, and what to do in place of so many runs."""
    with pytest.raises(InvalidTask, match=f"max_runs: {BEYOND}; leave it out for no end"):
        Cron("* * * * *", max_runs=TOO_MANY)


def test_a_number_longer_than_python_writes_is_told_by_its_length() -> None:
    """Python writes no integer of more than 4,300 digits."""
    with pytest.raises(ValueError, match=r"n: expected at least 0, got one of \d+ bits"):
        check_whole(-(10**5000), "n", least=0)


def test_what_is_neither_stored_nor_counted_has_no_upper_bound() -> None:
    """A limit of so many is none, and does no harm."""
    assert check_whole(TOO_MANY, "n", least=1, most=None) == TOO_MANY
