"""When the runs of a series are due, and what becomes of due times that were missed (behaviour.md, S-225 to S-235). Pure.

Times are milliseconds since 1970: of an ``Every`` by the clock that nobody sets, of a ``Cron`` by the wall clock. So whoever
calls says the time of the right one: see ``clock_of``.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from millrace.model.cron import DAY, cron_times
from millrace.model.durations import MAX_MS, latest_due_ms, seconds_to_ms
from millrace.model.rows import Delay
from millrace.model.schedule import Cron, Every, Schedule

MAX_OWED: Final = 1000
"""Missed due times that are made up for at most, the newest."""
LATE_MS: Final = 60_000
"""A due time that is later than this, or than the period, was missed, and is not only late."""


class Owed(NamedTuple):
    """Due times that are still to be made up for: those after the one and up to the other."""

    after_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class OnTime:
    """The run starts: it is due, and not missed. ``more`` further due times have come meanwhile, and find it active."""

    due_ms: int
    more: int = 0
    missed: int = 0
    """Due times before it that are dropped."""


@dataclass(frozen=True, slots=True)
class MakeUp:
    """The run starts for one that was missed."""

    due_ms: int
    owed: Owed | None
    missed: int
    """Due times that are dropped."""
    more: int
    """Due times that were not missed, and find it active."""


@dataclass(frozen=True, slots=True)
class Wait:
    """All that was missed is dropped; the run is due at the next time."""

    missed: int


Due: TypeAlias = OnTime | MakeUp | Wait


def clock_of(schedule: Schedule) -> Delay:
    """The clock that a schedule's times are of."""
    return Delay.STEADY if isinstance(schedule, Every) else Delay.WALL


def first_due(schedule: Schedule, now_ms: int, not_before_ms: int | None = None) -> int:
    """When the first run is due: of a ``Cron`` the next matching minute, and not before the submission's own time."""
    if isinstance(schedule, Every):
        return latest_due_ms(now_ms, schedule.initial_delay_s) if not_before_ms is None else not_before_ms
    return _cron_after(schedule, now_ms if not_before_ms is None else max(now_ms, not_before_ms - 1))


def next_due(schedule: Schedule, now_ms: int, last_due_ms: int | None = None) -> int:
    """The next due time: an interval from now; or of a ``Cron`` the first after now and after the last one that there was.

    So a wall clock that is set back makes no due time come twice.
    """
    if isinstance(schedule, Every):
        return latest_due_ms(now_ms, schedule.interval_s)
    return _cron_after(schedule, now_ms if last_due_ms is None else max(now_ms, last_due_ms))


def count_due(schedule: Schedule, due_ms: int, until_ms: int) -> int:
    """How many due times there are from one of them on, up to a moment."""
    if until_ms < due_ms:
        return 0
    if isinstance(schedule, Every):
        return (until_ms - due_ms) // _interval_ms(schedule) + 1
    return _count_cron(schedule, due_ms - 1, until_ms)


def judge(schedule: Schedule, due_ms: int, now_ms: int) -> Due:
    """What becomes of a run that waited for ``due_ms``, which has come."""
    late_ms = LATE_MS if isinstance(schedule, Cron) else min(LATE_MS, _interval_ms(schedule))
    missed = count_due(schedule, due_ms, now_ms - late_ms - 1)
    if not missed:
        return OnTime(due_ms, more=0 if isinstance(schedule, Every) else count_due(schedule, due_ms, now_ms) - 1)
    last_ms = _last(schedule, due_ms, now_ms - late_ms - 1, missed)
    fresh = count_due(schedule, due_ms, now_ms) - missed if isinstance(schedule, Cron) else 0
    match schedule.catch_up:
        case "once":
            return MakeUp(due_ms, None, missed - 1, fresh)
        case "all":
            first_ms = _newest(schedule, due_ms, last_ms, missed)
            owed = Owed(first_ms, last_ms) if first_ms < last_ms else None
            return MakeUp(first_ms, owed, max(0, missed - MAX_OWED), fresh)
        case "none":
            return OnTime(_after(schedule, last_ms), fresh - 1, missed) if fresh else Wait(missed)


def judge_overlap(schedule: Schedule, due_ms: int, now_ms: int, owed: Owed | None) -> tuple[Owed | None, int, int]:
    """What becomes of due times from ``due_ms`` up to now that find a run active.

    Returns:
        What is owed then, how many due times are skipped, and how many missed ones are dropped. Only those that nobody could
        look at when they came are made up for, and only by "all".
    """
    due = count_due(schedule, due_ms, now_ms)
    verdict = judge(schedule, due_ms, now_ms) if due else None
    if schedule.catch_up != "all" or not isinstance(verdict, MakeUp):
        return owed, due, 0
    until_ms = verdict.due_ms if verdict.owed is None else verdict.owed.until_ms
    if owed is None:
        return Owed(verdict.due_ms - 1, until_ms), verdict.more, verdict.missed
    kept = Owed(owed.after_ms, until_ms)
    count = count_due(schedule, _after(schedule, kept.after_ms), kept.until_ms)
    if count <= MAX_OWED:
        return kept, verdict.more, verdict.missed
    first_ms = _newest(schedule, _after(schedule, kept.after_ms), kept.until_ms, count)
    return Owed(first_ms - 1, until_ms), verdict.more, count - MAX_OWED


def next_owed(schedule: Schedule, owed: Owed) -> tuple[int, Owed | None]:
    """The due time that is made up for next, and what is owed then."""
    due_ms = min(_after(schedule, owed.after_ms), owed.until_ms)
    return due_ms, Owed(due_ms, owed.until_ms) if due_ms < owed.until_ms else None


def _interval_ms(schedule: Every) -> int:
    return seconds_to_ms(schedule.interval_s)


def _after(schedule: Schedule, due_ms: int) -> int:
    """The due time after another one, as if each run took no time."""
    return due_ms + _interval_ms(schedule) if isinstance(schedule, Every) else _cron_after(schedule, due_ms)


def _cron_after(schedule: Cron, ms: int) -> int:
    due = cron_times(schedule.expression, schedule.timezone).after(ms // 1000)
    return MAX_MS if due is None else due * 1000


def _count_cron(schedule: Cron, after_ms: int, until_ms: int) -> int:
    return cron_times(schedule.expression, schedule.timezone).count(after_ms // 1000, until_ms // 1000)


def _last(schedule: Schedule, due_ms: int, until_ms: int, count: int) -> int:
    """The last of so many due times from ``due_ms`` up to a moment."""
    if isinstance(schedule, Every):
        return due_ms + (count - 1) * _interval_ms(schedule)
    return _from_end(schedule, due_ms, until_ms, 1)


def _newest(schedule: Schedule, due_ms: int, last_ms: int, count: int) -> int:
    """The first of the newest due times that are made up for."""
    if count <= MAX_OWED:
        return due_ms
    if isinstance(schedule, Every):
        return due_ms + (count - MAX_OWED) * _interval_ms(schedule)
    return _from_end(schedule, due_ms, last_ms, MAX_OWED)


def _from_end(schedule: Cron, due_ms: int, until_ms: int, place: int) -> int:
    """The due time that is in this place, counted back from a moment: by windows that double, however far back it is."""
    width_ms = DAY * 1000
    start_ms = max(due_ms - 1, until_ms - width_ms)
    while (found := _count_cron(schedule, start_ms, until_ms)) < place and start_ms >= due_ms:
        width_ms *= 2
        start_ms = max(due_ms - 1, until_ms - width_ms)
    for _ in range(max(1, found - place + 1)):
        start_ms = _cron_after(schedule, start_ms)
    return start_ms
