"""Cron times against the calendar and against a scan of every minute (behaviour.md, S-228 to S-231)."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.model.cron import BadExpression, CronTimes, Days

HOUR = 3600
PARTS = 12
AROUND = 5 * HOUR
"""Seconds scanned on either side of a change of the clock: more than any change of a few hours touches."""
SAMPLE = [
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/Havana",
    "Antarctica/Troll",
    "Asia/Pyongyang",
]
EXPRESSIONS = [
    "30 2 * * *",
    "0 * * * *",
    "*/17 1,2 * * *",
    "0,15,45 0-3 * * *",
    "*/30 0 * * *",
    "59 23 * * SUN",
    "0-59/20 */2 * * *",
]


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def run(expression: str, zone: str, start: datetime, end: datetime) -> list[str]:
    """All due times from ``start`` (inclusive) up to ``end``, as UTC texts."""
    times, found = CronTimes(expression, zone), []
    due = times.after(seconds(start) - 1)
    while due is not None and due < seconds(end):
        found.append(f"{datetime.fromtimestamp(due, UTC):%d %H:%M}")
        due = times.after(due)
    return found


def local_day(day: int, month: int) -> tuple[datetime, datetime]:
    zone = ZoneInfo("Europe/Berlin")
    return datetime(2026, month, day, tzinfo=zone), datetime(2026, month, day, tzinfo=zone) + timedelta(days=1)


# The examples of S-230


def test_a_local_time_that_does_not_exist_runs_after_the_gap() -> None:
    """S-230: 02:30 on 29 March 2026 in Berlin runs at 03:00, that is 01:00 UTC."""
    assert run("30 2 * * *", "Europe/Berlin", *local_day(29, 3)) == ["29 01:00"]
    assert run("0,30 2 * * *", "Europe/Berlin", *local_day(29, 3)) == ["29 01:00"], "one instant, one run"


def test_a_local_time_that_comes_twice_runs_the_first_time() -> None:
    """S-230: 02:30 on 25 October 2026 in Berlin runs at 00:30 UTC only, also when asked between the two."""
    assert run("30 2 * * *", "Europe/Berlin", *local_day(25, 10)) == ["25 00:30"]
    times = CronTimes("30 2 * * *", "Europe/Berlin")
    between = seconds(datetime(2026, 10, 25, 1, 10, tzinfo=UTC))
    assert times.after(between) == seconds(datetime(2026, 10, 26, 1, 30, tzinfo=UTC))


def test_where_a_field_begins_with_a_star_elapsed_time_counts() -> None:
    """S-230: every hour is 23 times on the one day and 25 times on the other."""
    assert len(run("0 * * * *", "Europe/Berlin", *local_day(29, 3))) == 23
    assert len(run("0 * * * *", "Europe/Berlin", *local_day(25, 10))) == 25


def test_a_day_that_does_not_exist_runs_once_after_it() -> None:
    """S-230: Samoa had no 30 December 2011: what was due then is due at the first instant of the 31st."""
    found = run(
        "0 12 30,31 12 *",
        "Pacific/Apia",
        datetime(2011, 12, 29, tzinfo=ZoneInfo("Pacific/Apia")),
        datetime(2012, 1, 1, tzinfo=ZoneInfo("Pacific/Apia")),
    )
    assert found == ["30 10:00", "30 22:00"]


def test_changes_by_half_an_hour() -> None:
    """S-230: Lord Howe's clocks go from 02:00 to 01:30: every ten minutes of hour 1 are nine runs, those of hour 2 six."""
    zone = ZoneInfo("Australia/Lord_Howe")
    day = (datetime(2026, 4, 5, tzinfo=zone), datetime(2026, 4, 6, tzinfo=zone))
    assert len(run("*/10 1 * * *", "Australia/Lord_Howe", *day)) == 9
    assert len(run("*/10 2 * * *", "Australia/Lord_Howe", *day)) == 6


# Against a scan of every minute


def matches(field: str, value: int, first: int, last: int) -> bool:
    """Whether a value is named by a field of numbers, lists, ranges and steps: written anew, to compare with."""
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        begin, end = (first, last) if low == "*" else (int(low), int(high or low))
        if begin <= value <= end and (value - begin) % int(step or 1) == 0:
            return True
    return False


def names(expression: str, local: datetime) -> bool:
    minute, hour, day, month, weekday = expression.replace("SUN", "0").split()
    return (
        matches(minute, local.minute, 0, 59)
        and matches(hour, local.hour, 0, 23)
        and matches(day, local.day, 1, 31)
        and matches(month, local.month, 1, 12)
        and matches(weekday, local.isoweekday() % 7, 0, 6)
    )


def scan(expression: str, zone: ZoneInfo, start: int, end: int) -> list[int]:
    """Every minute of an interval by the words of S-230."""
    minute, hour, *_ = expression.split()
    is_by_local_time = not minute.startswith("*") and not hour.startswith("*")
    before = datetime.fromtimestamp(start - 60, zone).replace(tzinfo=None)
    found: list[int] = []
    for utc in range(start, end, 60):
        aware = datetime.fromtimestamp(utc, zone)
        local = aware.replace(tzinfo=None, fold=0)
        if not is_by_local_time:
            due = names(expression, local)
        else:
            due = aware.fold == 0 and names(expression, local)
            skipped = before + timedelta(minutes=1)
            while skipped < local:
                due = due or names(expression, skipped)
                skipped += timedelta(minutes=1)
        before = local
        if due:
            found.append(utc)
    return found


def changes(zone: ZoneInfo) -> Iterator[int]:
    """The minutes at which the clocks of a zone change, 2000 to 2037, looked for at every sixth hour."""
    at, end = seconds(datetime(2000, 1, 1, tzinfo=UTC)), seconds(datetime(2038, 1, 1, tzinfo=UTC))
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    for right in range(at, end, 6 * HOUR):
        if datetime.fromtimestamp(right, zone).utcoffset() != offset:
            left, late = right - 6 * HOUR, right
            while late - left > 60:
                middle = left + (late - left) // 120 * 60
                if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
                    left = middle
                else:
                    late = middle
            offset = datetime.fromtimestamp(right, zone).utcoffset()
            yield late


def compare(name: str) -> int:
    """How many changes of a zone were compared."""
    zone, compared = ZoneInfo(name), 0
    times = {expression: CronTimes(expression, name) for expression in EXPRESSIONS}
    for at, change in enumerate(changes(zone)):
        start, end = change - AROUND, change + AROUND
        for expression in {EXPRESSIONS[at % len(EXPRESSIONS)], EXPRESSIONS[(at // 2) % len(EXPRESSIONS)]}:
            expected = scan(expression, zone, start, end)
            found, due = [], times[expression].after(start - 1)
            while due is not None and due < end:
                found.append(due)
                due = times[expression].after(due)
            when = datetime.fromtimestamp(change, UTC)
            assert found == expected, (name, expression, when)
            for middle in (start - 1, change - 1, change, change + HOUR):
                later = [due for due in expected if due > middle]
                assert times[expression].count(middle, end - 1) == len(later), (name, expression, when, middle)
                assert not later or times[expression].after(middle) == later[0], (name, expression, when, middle)
        compared += 1
    return compared


@pytest.mark.parametrize("name", SAMPLE)
def test_changes_of_the_clock_are_as_a_scan_finds_them(name: str) -> None:
    """S-230: around every change from 2000 to 2037; counting agrees with going on one by one."""
    assert compare(name) > 0


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_changes_of_every_clock_are_as_a_scan_finds_them(part: int) -> None:
    """S-230: in every zone."""
    assert sum(compare(name) for name in sorted(available_timezones())[part::PARTS]) > 500


EVER = st.integers(31_536_000, 4_102_444_800)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(EXPRESSIONS), st.sampled_from(SAMPLE), EVER)
def test_due_times_ascend_and_are_counted(expression: str, zone: str, start: int) -> None:
    """S-231: each is later than the one before; as many are counted as come one by one."""
    times, dues, at = CronTimes(expression, zone), [], start
    for _ in range(40):
        due = times.after(at)
        assert due is not None
        assert due > at
        dues.append(due)
        at = due
    assert times.count(start, dues[-1]) == 40
    assert times.count(start, dues[-1] - 1) == 39
    assert times.count(dues[9], dues[-1]) == 30


# Expressions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 13 * FRI", ["02", "09", "13", "16", "23", "30"]),  # either of the two days
        ("0 0 L * *", ["31"]),
        ("0 0 * * MON#1", ["05"]),
        ("0 0 * * 5L", ["30"]),
        ("0 0 * * 0", ["04", "11", "18", "25"]),
        ("0 0 * * 7", ["04", "11", "18", "25"]),
        ("0 0 1-10/3 JAN *", ["01", "04", "07", "10"]),
    ],
)
def test_days(expression: str, expected: list[str]) -> None:
    """S-228: the days of January 2026 on which it runs."""
    found = run(expression, "UTC", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    assert [entry[:2] for entry in found] == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "@daily",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "x * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 */20 * MON#5",
        f"{'9' * 5000} * * * *",
    ],
)
def test_what_is_no_expression(expression: str) -> None:
    """S-228: other field counts, values out of range, and dates that never come."""
    with pytest.raises(BadExpression, match="expected"):
        Days(expression)


def test_a_leap_day_on_a_certain_weekday_comes() -> None:
    """S-228: 29 February is a Monday in 2072 and, as 2100 is no leap year, in 2112 again."""
    days = Days("0 0 */28 2 MON#5")
    found_at = [seconds(datetime(2050, 1, 1, tzinfo=UTC))]
    for _ in range(2):
        due = days.first_from(found_at[-1] + 1)
        assert due is not None
        found_at.append(due)
    assert [datetime.fromtimestamp(at, UTC).year for at in found_at[1:]] == [2072, 2112]


def test_the_end_of_time_is_no_error() -> None:
    """S-447: where dates end, nothing is due any more."""
    assert CronTimes("0 0 1 1 *", "Europe/Berlin").after(seconds(datetime(9999, 12, 31, tzinfo=UTC))) is None


def test_decades_are_counted_at_once() -> None:
    """S-447: a clock that is set from 1970 to 2100 is no pause: every minute of them in ten seconds of a processor."""
    times = CronTimes("* * * * *", "Europe/Berlin")
    began = time.thread_time()
    start, end = (seconds(datetime(year, 1, 1, tzinfo=UTC)) for year in (1980, 2100))
    assert times.count(start, end) == (end - start) // 60
    assert time.thread_time() - began < 10
