"""When runs of a series are due, and what becomes of missed due times, as pure rules (behaviour.md, S-225 to S-235)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.actors.policy.series import (
    LATE_MS,
    MAX_OWED,
    MakeUp,
    OnTime,
    Owed,
    Wait,
    clock_of,
    count_due,
    first_due,
    judge,
    judge_overlap,
    next_due,
    next_owed,
)
from millrace.model.durations import MAX_MS
from millrace.model.rows import Delay
from millrace.model.schedule import Cron, Every, Schedule

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
NOON = 20_000 * DAY_MS + 12 * HOUR_MS
CATCH_UPS = st.sampled_from(["once", "all", "none"])
SCHEDULES = st.one_of(
    st.builds(Every, st.sampled_from([0.5, 7, 60, 61, 3600]), catch_up=CATCH_UPS),
    st.builds(
        Cron,
        st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *"]),
        st.sampled_from(["UTC", "Europe/Berlin"]),
        catch_up=CATCH_UPS,
    ),
)


def times(schedule: Schedule, due_ms: int, until_ms: int) -> list[int]:
    """Every due time from one of them on, one by one, as if each run took no time."""
    found = []
    while due_ms <= until_ms:
        found.append(due_ms)
        if isinstance(schedule, Every):
            due_ms += round(schedule.interval_s * 1000)
        else:
            due_ms = next_due(schedule, due_ms)
    return found


def late_ms(schedule: Schedule) -> int:
    return min(LATE_MS, round(schedule.interval_s * 1000)) if isinstance(schedule, Every) else LATE_MS


def a_due(schedule: Schedule) -> int:
    return NOON if isinstance(schedule, Every) else next_due(schedule, NOON)


# When


def test_every_follows_the_steady_clock_and_cron_the_wall() -> None:
    """S-446."""
    assert clock_of(Every(1)) is Delay.STEADY
    assert clock_of(Cron("* * * * *")) is Delay.WALL


@pytest.mark.parametrize(
    ("schedule", "own", "expected"),
    [
        (Every(10), None, NOON),
        (Every(10, initial_delay=2.5), None, NOON + 2500),
        (Every(10, initial_delay=2.5), NOON + 7, NOON + 7),
        (Cron("0 * * * *"), None, NOON + HOUR_MS),
        (Cron("0 * * * *"), NOON + 90 * MINUTE_MS, NOON + 2 * HOUR_MS),
        (Cron("0 * * * *"), NOON + 2 * HOUR_MS, NOON + 2 * HOUR_MS),
        (Cron("0 * * * *"), NOON - HOUR_MS, NOON + HOUR_MS),
    ],
)
def test_the_first_run(schedule: Schedule, own: int | None, expected: int) -> None:
    """S-227, S-229: a Cron's is never the minute of the submit itself, and not before a time that the submission has."""
    assert first_due(schedule, NOON, own) == expected


@given(SCHEDULES, st.integers(0, 10**10), st.integers(-(10**10), 10**10))
def test_a_due_time_is_never_in_the_past_nor_twice(schedule: Schedule, now: int, set_by: int) -> None:
    """S-231: the next of a Cron is after the last one, wherever the wall clock was set to."""
    due = next_due(schedule, now)
    assert due > now
    if isinstance(schedule, Cron):
        assert next_due(schedule, max(0, now + set_by), due) > due


def test_where_time_ends_nothing_is_due_any_more() -> None:
    """S-447: the last millisecond that a date can hold."""
    assert next_due(Every(10**9), MAX_MS - 5) == MAX_MS
    assert next_due(Cron("* * * * *"), MAX_MS - 5) == MAX_MS


# What was missed


@settings(deadline=None)
@given(SCHEDULES, st.integers(0, 3 * DAY_MS // 10))
def test_due_times_are_counted_as_they_come(schedule: Schedule, span: int) -> None:
    """From one of them on, that one included."""
    due = a_due(schedule)
    assert count_due(schedule, due, due + span) == len(times(schedule, due, due + span))
    assert count_due(schedule, due, due - 1) == 0


@settings(deadline=None)
@given(SCHEDULES, st.integers(0, 5 * DAY_MS) | st.integers(0, 3 * MINUTE_MS))
def test_nothing_that_was_due_is_lost_from_the_books(schedule: Schedule, late: int) -> None:
    """S-233: each due time is run, owed, dropped, or found the run active; by whom, says the policy."""
    due = a_due(schedule)
    now = due + late
    missed = times(schedule, due, now - late_ms(schedule) - 1)
    fresh = len(times(schedule, due, now)) - len(missed) if isinstance(schedule, Cron) else 0
    verdict = judge(schedule, due, now)
    if not missed:
        assert verdict == OnTime(due, more=max(0, fresh - 1))
    elif schedule.catch_up == "once":
        assert verdict == MakeUp(due, None, len(missed) - 1, fresh)
    elif schedule.catch_up == "none":
        last = times(schedule, due, now)[len(missed) :] if fresh else []
        assert verdict == (OnTime(last[0], fresh - 1, len(missed)) if fresh else Wait(len(missed)))
    else:
        kept = missed[-MAX_OWED:]
        owed = Owed(kept[0], kept[-1]) if len(kept) > 1 else None
        assert verdict == MakeUp(kept[0], owed, len(missed) - len(kept), fresh)
        assert [kept[0], *drain(schedule, owed)] == kept


def drain(schedule: Schedule, owed: Owed | None) -> list[int]:
    """What is made up for, in turn."""
    found = []
    while owed is not None:
        due, owed = next_owed(schedule, owed)
        found.append(due)
    return found


@settings(deadline=None)
@given(st.sampled_from(["*/7 * * * *", "0 * * * *"]), CATCH_UPS, st.lists(st.integers(0, 3 * DAY_MS), max_size=4))
def test_due_times_that_find_a_run_active(expression: str, catch_up: Any, spans: list[int]) -> None:
    """S-232, S-233: skipped; only what nobody could look at when it came is owed, by "all", the newest 1,000 at most."""
    schedule = Cron(expression, catch_up=catch_up)
    now = NOON
    due = next_due(schedule, now)
    owed: Owed | None = None
    promised: list[int] = []
    for span in spans:
        now += span
        come = times(schedule, due, now)
        missed = [one for one in come if one < now - LATE_MS] if catch_up == "all" else []
        owed, skipped, dropped = judge_overlap(schedule, due, now, owed)
        assert skipped == len(come) - len(missed)
        promised += missed
        assert dropped == max(0, len(promised) - MAX_OWED)
        promised = promised[-MAX_OWED:]
        if come:
            due = next_due(schedule, max(now, come[-1]))
    made = drain(schedule, owed)
    if catch_up != "all":
        assert made == []
    else:
        assert set(promised) <= set(made)
        assert len(made) <= MAX_OWED


@pytest.mark.parametrize("schedule", [Every(1, catch_up="all"), Cron("* * * * *", catch_up="all")])
def test_of_many_years_the_newest_thousand_are_made_up_for(schedule: Schedule) -> None:
    """S-233, S-447: at once, and not by counting minute after minute."""
    due = a_due(schedule)
    verdict = judge(schedule, due, due + 3650 * DAY_MS)
    assert isinstance(verdict, MakeUp)
    made = [verdict.due_ms, *drain(schedule, verdict.owed)]
    assert len(made) == MAX_OWED
    missed = count_due(schedule, due, due + 3650 * DAY_MS - late_ms(schedule) - 1)
    assert (verdict.missed, made[-1] - made[0]) == (missed - MAX_OWED, made[1] * 999 - made[0] * 999)
