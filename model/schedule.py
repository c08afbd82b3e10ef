"""Recurring tasks as a user writes them down: ``Every`` and ``Cron``, checked when made, and their form in the store."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from millrace.model.cron import BadExpression, cron_times
from millrace.model.durations import Seconds, to_seconds
from millrace.model.errors import InvalidTask
from millrace.model.numbers import check_whole
from millrace.model.records import TaskId

CatchUp: TypeAlias = Literal["once", "all", "none"]


@dataclass(frozen=True)
class Every:
    """A fixed interval between the end of one run and the start of the next.

    Args:
        interval: seconds (or a timedelta), more than 0, to the millisecond; kept as float seconds.
        initial_delay: seconds from the submit to the first run, unless the submission has a time of its own.
        max_runs: how many runs there are, 1 or more; None: no end.
        catch_up: what is run of that which fell due while no scheduler ran: "once" makes one run, "all" one for each, the
            newest 1,000 at most, "none" waits for one interval.

    Raises:
        InvalidTask: a value out of its range. TypeError: a value of another type.
    """

    interval: Seconds
    initial_delay: Seconds = 0.0
    max_runs: int | None = None
    catch_up: CatchUp = "once"

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", _seconds(self.interval, "interval", allow_zero=False))
        object.__setattr__(self, "initial_delay", _seconds(self.initial_delay, "initial_delay", allow_zero=True))
        _check_max_runs(self.max_runs)
        _check_catch_up(self.catch_up)

    @property
    def interval_s(self) -> float:
        """The interval in seconds."""
        return to_seconds(self.interval, "interval")

    @property
    def initial_delay_s(self) -> float:
        """The delay of the first run in seconds."""
        return to_seconds(self.initial_delay, "initial_delay")


@dataclass(frozen=True)
class Cron:
    """Five-field cron expression in an IANA time zone; a clock change neither skips nor doubles a run.

    A run still active when the next is due is not doubled: the due one is skipped, counted and told (ScheduleSkipped).

    Args:
        expression: minute, hour, day of month, month, day of week: ``*``, lists, ranges, steps, names, 0 or 7 for Sunday, ``L``,
            ``MON#1``. Where both days are given, either will do.
        timezone: the name of the zone, such as "Europe/Berlin".
        max_runs: how many runs there are, 1 or more; None: no end.
        catch_up: what is run of that which fell due while no scheduler ran: "once" makes one run, "all" one for each, the
            newest 1,000 at most, "none" waits for the next.

    Raises:
        InvalidTask: no such expression, dates that never come, no such zone, a value out of its range.
        TypeError: a value of another type.
    """

    expression: str
    timezone: str = "UTC"
    max_runs: int | None = None
    catch_up: CatchUp = "once"

    def __post_init__(self) -> None:
        for name in ("expression", "timezone"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"{name}: expected a str, got {type(value).__name__}")
        try:
            cron_times(self.expression, self.timezone)
        except BadExpression as error:
            raise InvalidTask(f"expression: {error}: {self.expression!r}") from None
        except (LookupError, ValueError, OSError):  # as zoneinfo has it: unknown, no name of a zone, a folder of zones
            raise InvalidTask(
                f"timezone: expected the name of an IANA zone such as 'Europe/Berlin', got {self.timezone!r}"
            ) from None
        _check_max_runs(self.max_runs)
        _check_catch_up(self.catch_up)


Schedule: TypeAlias = Every | Cron


@dataclass(frozen=True)
class ScheduleInfo:
    """A series of runs that has not ended."""

    id: TaskId
    """That of its first run."""
    task_name: str
    key: str
    schedule: Schedule
    next_run: datetime | None
    """None: it is paused, or the next run is due an interval after the present one has ended."""
    last_run: datetime | None
    """When its last run started."""
    runs: int
    """Settled ones."""
    skipped: int
    """Due times that were not run."""
    paused: bool


class _StoredEvery(msgspec.Struct, tag="every", tag_field="kind", omit_defaults=True):
    interval: float
    initial_delay: float = 0.0
    max_runs: int | None = None
    catch_up: CatchUp = "once"


class _StoredCron(msgspec.Struct, tag="cron", tag_field="kind", omit_defaults=True):
    expression: str
    timezone: str = "UTC"
    max_runs: int | None = None
    catch_up: CatchUp = "once"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_StoredEvery | _StoredCron).decode


def check_schedule(value: Any) -> Schedule | None:
    """An option ``schedule``; TypeError where it is neither ``Every`` nor ``Cron`` nor None."""
    if value is None or isinstance(value, (Every, Cron)):
        return value
    raise TypeError(f"schedule: expected Every or Cron, got {type(value).__name__}")


def encode_schedule(schedule: Schedule) -> str:
    """JSON text for the store: of two that are equal the same."""
    if isinstance(schedule, Every):
        return _encode(
            _StoredEvery(schedule.interval_s, schedule.initial_delay_s, schedule.max_runs, schedule.catch_up)
        ).decode()
    return _encode(_StoredCron(schedule.expression, schedule.timezone, schedule.max_runs, schedule.catch_up)).decode()


def decode_schedule(text: str) -> Schedule:
    """The schedule of a stored text."""
    stored = _decode(text)
    if isinstance(stored, _StoredEvery):
        return Every(stored.interval, stored.initial_delay, stored.max_runs, stored.catch_up)
    return Cron(stored.expression, stored.timezone, stored.max_runs, stored.catch_up)


def _seconds(value: Seconds, name: str, *, allow_zero: bool) -> float:
    try:
        return to_seconds(value, name, allow_zero=allow_zero)
    except ValueError as error:
        raise InvalidTask(str(error)) from None


def _check_max_runs(value: object) -> None:
    if value is not None:
        check_whole(value, "max_runs", least=1, instead="leave it out for no end", error=InvalidTask)


def _check_catch_up(value: object) -> None:
    if value not in get_args(CatchUp):
        raise InvalidTask(f"catch_up: expected one of {', '.join(map(repr, get_args(CatchUp)))}, got {value!r}")
