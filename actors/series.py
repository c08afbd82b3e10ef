"""One series in a transaction: how it starts with a submission, what is told and counted of it, how it ends.

Which run comes next, and when, is ``recurring``.
"""

from typing import Any, Final

import msgspec

from millrace.actors.ledger import Ledger
from millrace.actors.policy import series as rules
from millrace.model import events
from millrace.model.durations import MAX_MS
from millrace.model.new_tasks import NewTask
from millrace.model.priority import Priority
from millrace.model.rows import Delay, Row, SeriesRow
from millrace.model.schedule import Cron, Schedule, decode_schedule
from millrace.model.statuses import DuplicatePolicy
from millrace.model.tags import encode_tags

IN_CODE: Final = {"submission": 0, "task": 1, "start": 2}
"""``SeriesRow.in_code`` by where the schedule came from."""
STARTED: Final = 2
"""``in_code`` of a series that ``start()`` has made."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(NewTask).decode


def load(ledger: Ledger, series_id: int) -> SeriesRow | None:
    """A series by its id."""
    found = ledger.writer.series.load([series_id])
    return found[0] if found else None


def save(ledger: Ledger, series: SeriesRow) -> None:
    """Write it back; where its next due time is to be looked at, the clock hears of it."""
    ledger.writer.series.update([series])
    if series.state == "active" and series.watch and series.next_run_ms is not None:
        ledger.due_at(series.next_run_ms, series.watch)


def of_key(ledger: Ledger, task: NewTask) -> SeriesRow | None:
    """The series that has the key of a submission; one under ALLOW sees none."""
    if task.policy == DuplicatePolicy.ALLOW:
        return None
    series_id = ledger.writer.series.of_key(task.name, task.key)
    return None if series_id is None else load(ledger, series_id)


def schedule_of(series: SeriesRow) -> Schedule:
    """Its schedule."""
    return decode_schedule(series.schedule)


def submission_of(series: SeriesRow) -> NewTask:
    """What each of its runs is made from."""
    return _decode(series.submission)


def encode_submission(task: NewTask) -> str:
    """What is kept of a submission for the runs of its series: all but what says when."""
    return _encode(
        msgspec.structs.replace(
            task, schedule=None, schedule_from="submission", run_at_ms=None, delay=Delay.STEADY.value
        )
    ).decode()


def now_ms(ledger: Ledger, schedule: Schedule) -> int:
    """The time of the transaction by the clock of a schedule."""
    return ledger.steady_ms if rules.clock_of(schedule) is Delay.STEADY else ledger.now_ms


def delay_of(ledger: Ledger, row: Row) -> Delay:
    """How a task waits for its time once nothing else holds it: a run that a Cron made is looked at by its series."""
    series = None if row.series_id is None else load(ledger, row.series_id)
    is_awaited = series is not None and series.watch == Delay.WALL and row.run_at_ms == series.next_run_ms
    return Delay.SERIES if is_awaited else Delay.STEADY


def set_due(row: Row, due_ms: int) -> None:
    """A run that waits is due at another time: its time to live begins then."""
    if row.run_at_ms is not None and row.expires_at_ms is not None and row.ttl_ms is not None:
        row.expires_at_ms = min(row.expires_at_ms + max(0, due_ms - row.run_at_ms), MAX_MS)
    row.run_at_ms = due_ms


# Starting


def with_first_due(ledger: Ledger, task: NewTask) -> NewTask:
    """The submission of a series with the time of its first run."""
    schedule = decode_schedule(task.schedule or "")
    due_ms = rules.first_due(schedule, now_ms(ledger, schedule), task.run_at_ms)
    own = Delay.STEADY.value if task.run_at_ms is None else task.delay
    delay = Delay.SERIES.value if isinstance(schedule, Cron) else own
    return msgspec.structs.replace(task, run_at_ms=due_ms, delay=delay)


def start(ledger: Ledger, task: NewTask, run_id: int) -> None:
    """A series begins with a run: one that was inserted for it, or one that held the key."""
    table = ledger.writer.series
    table.forget_ended(task.name, task.key)
    schedule = decode_schedule(task.schedule or "")
    is_cron = isinstance(schedule, Cron)
    series = SeriesRow(
        id=run_id,
        name=task.name,
        key=task.key,
        schedule=task.schedule or "",
        submission=encode_submission(task),
        in_code=IN_CODE[task.schedule_from],
        holds_key=int(task.policy != DuplicatePolicy.ALLOW),
        run_id=run_id,
        next_run_ms=rules.first_due(schedule, ledger.now_ms, task.run_at_ms) if is_cron else None,
        watch=Delay.WALL if is_cron else Delay.NONE,
    )
    table.insert(series)
    save(ledger, series)
    ledger.effects.count("schedule_runs", series.name, "submitted")


def adopt(ledger: Ledger, task: NewTask, holder: Row) -> None:
    """A task without schedule becomes the first run of the series that is submitted on its key."""
    holder.series_id = holder.id
    ledger.changed(holder)
    start(ledger, task, holder.id)


# Telling and ending


def skip(ledger: Ledger, series: SeriesRow, count: int, reason: str, result: str = "skipped") -> None:
    """Due times that are not run: counted, and told of at once. The caller saves the series."""
    if count:
        series.skipped += count
        ledger.effects.count("schedule_runs", series.name, result, count)
        tell(ledger, events.ScheduleSkipped, series, reason=reason)


def end(ledger: Ledger, series: SeriesRow) -> None:
    """It makes no run any more. One that the code began is remembered, so that the next start does not begin it again."""
    series.state, series.watch, series.next_run_ms, series.owed = "ended", Delay.NONE, None, None
    if series.in_code == STARTED:
        save(ledger, series)
    else:
        ledger.writer.series.delete(series.id)
    tell(ledger, events.ScheduleEnded, series, runs=series.runs)


def tell(ledger: Ledger, kind: type[events.TaskEvent], series: SeriesRow, **fields: Any) -> None:
    """An event of a series, with its id and key, where anybody listens."""
    if ledger.is_heard:
        task = submission_of(series)
        priority = Priority(128 if task.priority is None else task.priority)
        tags: Any = encode_tags(task.tags)  # as ``telling.event_of`` finds them
        ledger.effects.events.append(
            kind(
                at=ledger.now(),
                task_id=series.id,
                task_name=series.name,
                key=series.key,
                label=task.label,
                parent_id=None,
                group=task.group,
                tags=tags,
                priority=priority,
                effective_priority=priority,
                **fields,
            )
        )
