"""When a cron expression is due in a time zone (behaviour.md, S-228 to S-231). Pure but for the zone's rules, which are read once.

cronsim reads the expression and says which days match; the times of a day are put together here, on the zone's own local time.
cronsim's iteration is not used: after the second coming of a repeated hour it names times that have passed, and where clocks
change by half an hour, or at midnight, it leaves out matching minutes or names local times that there are not.

Two rules, as in Debian's cron. Where minute and hour both name their values, a local time means one run: the first of two, and
the end of the gap for one that does not exist. Where either begins with ``*``, every minute that passes is looked at by itself.

Times are whole seconds: "utc" since 1970 UTC, "local" the same number read off a wall clock in the zone.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from millrace.model.durations import EPOCH

FIELDS: Final = 5
DAY: Final = 86_400
HOUR: Final = 3_600
MINUTE: Final = 60

LOOKBACK: Final = 26 * HOUR
"""A change of the clock moves local times by a day at most: what is as long ago as this is not met a second time."""

_GIVE_UP_DAYS: Final = 366 * 60
"""The 29th of February on a certain weekday can take forty years; what does not come in sixty does not come."""


class BadExpression(ValueError):
    """The text is no cron expression of five fields, or one whose dates never come; the message says which."""


class Days:
    """The local times that an expression names, on a calendar without zones."""

    def __init__(self, expression: str) -> None:
        parts = expression.split()
        if len(parts) != FIELDS:
            raise BadExpression(
                f"expected {FIELDS} fields (minute, hour, day of month, month, day of week), got {len(parts)}"
            )
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 - who only looks at a store reads no expression

        try:
            self._rule = CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - a calendar without zones
        except (CronSimError, ValueError) as error:  # ValueError: a number of thousands of digits
            raise BadExpression(f"expected fields as cron has them, got one that is not: {error}") from None
        self.is_by_local_time = not parts[0].startswith("*") and not parts[1].startswith("*")
        self._seconds = sorted(
            hour * HOUR + minute * MINUTE for hour in self._rule.hours for minute in self._rule.minutes
        )
        if self.first_from(0) is None:
            raise BadExpression("expected dates that come, got dates that never do")

    def _is_day(self, day: date) -> bool:
        return day.month in self._rule.months and self._rule.match_day(day)

    def first_from(self, local: int) -> int | None:
        """The first time named at or after this one; None where none comes in sixty years, or in what dates can hold."""
        number, second = divmod(local, DAY)
        try:
            day = EPOCH.date() + timedelta(days=number)
            if self._is_day(day):
                place = bisect_left(self._seconds, second)
                if place < len(self._seconds):
                    return number * DAY + self._seconds[place]
            for ahead in range(1, _GIVE_UP_DAYS):
                if self._is_day(day + timedelta(days=ahead)):
                    return (number + ahead) * DAY + self._seconds[0]
        except OverflowError:
            pass
        return None

    def count(self, start: int, end: int) -> int:
        """How many times are named from ``start`` on and before ``end``."""
        found = 0
        for number in range(start // DAY, (end - 1) // DAY + 1):
            if self._is_day(EPOCH.date() + timedelta(days=number)):
                left, right = (bisect_left(self._seconds, edge - number * DAY) for edge in (start, end))
                found += right - left
        return found


class CronTimes:
    """The instants at which an expression is due in a zone.

    Args:
        expression: five fields.
        timezone: the name of an IANA zone.

    Raises:
        BadExpression: the expression is none. ZoneInfo's own errors: there is no such zone.
    """

    def __init__(self, expression: str, timezone: str) -> None:
        self._days = Days(expression)
        self._zone = UTC if timezone == "UTC" else ZoneInfo(timezone)

    def offset(self, utc: int) -> int:
        """Seconds that local time is ahead."""
        moment = (EPOCH + timedelta(seconds=utc)).astimezone(self._zone)
        offset = moment.utcoffset()
        return 0 if offset is None else offset.days * DAY + offset.seconds

    def after(self, utc: int) -> int | None:
        """The first due time after this instant; None where dates end before it."""
        try:
            return self._after_by_local_time(utc) if self._days.is_by_local_time else self._after_by_elapsed_time(utc)
        except OverflowError:
            return None

    def count(self, start: int, end: int) -> int:
        """How many due times there are after ``start`` and up to ``end``: whole days at once, but for those with a change."""
        found, at = 0, start
        while at < end:
            found_here, at = self._count_step(at, end)
            found += found_here
        return found

    def _count_step(self, at: int, end: int) -> tuple[int, int]:
        until = at
        offset = self.offset(at)
        for length in (DAY, HOUR):
            until = min(at + length, end)
            if offset == self.offset(until) == self.offset(at - LOOKBACK):
                return self._days.count(at + offset + 1, until + offset + 1), until
        found, due = 0, self.after(at)
        while due is not None and due <= until:
            found, due = found + 1, self.after(due)
        return found, until

    # A local time is one run

    def _after_by_local_time(self, utc: int) -> int | None:
        """The instants of ascending local times ascend too: the first that is later is the answer."""
        local = self._days.first_from(utc + self.offset(utc) + 1)
        while local is not None:
            due = self._instant(local)
            if due > utc:
                return due
            local = self._days.first_from(local + 1)  # its first coming has passed
        return None

    def _instant(self, local: int) -> int:
        """The first instant of a local time; the end of the gap where there is none."""
        earliest = local - max(self.offset(local - DAY), self.offset(local + DAY))
        latest = local - min(self.offset(local - DAY), self.offset(local + DAY))
        for utc in (earliest, latest):
            if utc + self.offset(utc) == local:
                return utc
        return self._change(earliest, latest)

    # Every minute that passes counts

    def _after_by_elapsed_time(self, utc: int) -> int | None:
        """From one change of the clock to the next local time goes as the calendar does."""
        at = utc + 1
        while True:
            offset = self.offset(at)
            local = self._days.first_from(at + offset)
            if local is None:
                return None
            due = local - offset
            change = self._first_change(at, due)
            if change is None:
                return due
            at = change

    def _first_change(self, start: int, end: int) -> int | None:
        """The first instant after ``start``, and up to ``end``, with another offset: clocks change less than twice a day."""
        offset = self.offset(start)
        for left, right in pairwise((*range(start, end, DAY), end)):
            if self.offset(right) != offset:
                return self._change(left, right)
        return None

    def _change(self, left: int, right: int) -> int:
        """The first instant that has not the offset of ``left``, while ``right`` has another."""
        offset = self.offset(left)
        while right - left > 1:
            middle = (left + right) // 2
            if self.offset(middle) == offset:
                left = middle
            else:
                right = middle
        return right


@lru_cache(maxsize=4096)
def cron_times(expression: str, timezone: str) -> CronTimes:
    """One for all series of an expression."""
    return CronTimes(expression, timezone)
