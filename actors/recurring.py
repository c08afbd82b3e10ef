"""How series go on: the next run after one has settled, due times that find one active, and those that were missed.

Everything here is part of the transaction that brings it about: the next run is inserted with the end of the one before. The
rules are ``policy.series``.
"""

import msgspec

from millrace.actors import series as one
from millrace.actors.depending import Resolved
from millrace.actors.inserting import NORMAL, insert_row
from millrace.actors.ledger import Ledger
from millrace.actors.policy import series as rules
from millrace.actors.policy.series import MakeUp, OnTime, Owed, Wait
from millrace.model.rows import Delay, Row, SeriesRow
from millrace.model.schedule import Cron, Every, Schedule
from millrace.model.statuses import TaskStatus

_encode_owed = msgspec.json.Encoder().encode
_decode_owed = msgspec.json.Decoder(tuple[int, int]).decode


def owed_by(series: SeriesRow) -> Owed | None:
    """The due times that are still to be made up for."""
    return None if series.owed is None else Owed(*_decode_owed(series.owed))


def set_owed(series: SeriesRow, owed: Owed | None) -> None:
    """Note them."""
    series.owed = None if owed is None else _encode_owed(owed).decode()


# After a run


def go_on(ledger: Ledger) -> None:
    """Runs of series have settled in this transaction: count them, and insert the next ones."""
    ended, ledger.ended_runs_of_series = ledger.ended_runs_of_series, []
    if not ended:
        return
    ledger.flush()
    found = {
        series.id: series for series in ledger.writer.series.load(sorted({row.series_id or 0 for row, _ in ended}))
    }
    for row, status in ended:
        series = found.get(row.series_id or 0)
        if series is not None and series.run_id == row.id:
            _run_settled(ledger, series, row, status)


def _run_settled(ledger: Ledger, series: SeriesRow, row: Row, status: str) -> None:
    series.run_id = None
    series.runs += 1
    series.last_run_ms = row.started_at_ms or series.last_run_ms
    if series.state == "ended":
        one.save(ledger, series)
        return
    schedule = one.schedule_of(series)
    if schedule.max_runs is not None and series.runs >= schedule.max_runs:
        one.end(ledger, series)
        return
    if status == TaskStatus.DEPENDENCY_FAILED:
        # No later run would fare better: somebody has to look at it.
        one.skip(ledger, series, 1, f"dependency {row.failed_dependency} of run {row.id} failed: the series is paused")
        set_paused(ledger, series, schedule)
    elif series.state == "active":
        pass_over(ledger, series, schedule, f"the run before, task {row.id}, was still active")
        make_next(ledger, series, schedule)
    one.save(ledger, series)


def set_paused(ledger: Ledger, series: SeriesRow, schedule: Schedule) -> None:
    """From now on it makes no run. The caller saves the series."""
    series.state, series.paused_at_ms = "paused", one.now_ms(ledger, schedule)


def pass_over(ledger: Ledger, series: SeriesRow, schedule: Schedule, reason: str) -> None:
    """Due times of a Cron that have come by now find a run active. The caller saves the series."""
    now_ms, due_ms = ledger.now_ms, series.next_run_ms
    if not isinstance(schedule, Cron) or due_ms is None or due_ms > now_ms:
        return
    owed, skipped, missed = rules.judge_overlap(schedule, due_ms, now_ms, owed_by(series))
    set_owed(series, owed)
    one.skip(ledger, series, skipped, reason)
    _drop(ledger, series, schedule, missed)
    series.next_run_ms = rules.next_due(schedule, now_ms, due_ms)


def make_next(ledger: Ledger, series: SeriesRow, schedule: Schedule) -> None:
    """Insert the next run, at once for what is owed; or have its due time looked at while another task holds the key.

    The caller saves the series.
    """
    owed = owed_by(series)
    if isinstance(schedule, Every):
        due_ms = rules.next_due(schedule, ledger.steady_ms)
    else:
        due_ms = series.next_run_ms if series.next_run_ms is not None else rules.next_due(schedule, ledger.now_ms)
        series.next_run_ms, series.watch = due_ms, Delay.WALL
    holder, is_winding = _find_holder(ledger, series)
    if holder is not None:
        series.next_run_ms, series.watch = due_ms, rules.clock_of(schedule)
        return
    result = "submitted"
    if owed is not None:
        due_ms, owed = rules.next_owed(schedule, owed)
        set_owed(series, owed)
        result = "caught_up"
    _insert_run(ledger, series, schedule, due_ms, is_held=is_winding, result=result)


def _insert_run(
    ledger: Ledger, series: SeriesRow, schedule: Schedule, due_ms: int, *, is_held: bool, result: str
) -> None:
    delay = Delay.SERIES if isinstance(schedule, Cron) else Delay.STEADY
    task = msgspec.structs.replace(one.submission_of(series), run_at_ms=due_ms, delay=delay.value, series_id=series.id)
    series.run_id = ledger.new_id()
    if isinstance(schedule, Every):
        series.next_run_ms, series.watch = None, Delay.NONE  # the run says itself when it is due
    priority = NORMAL if task.priority is None else task.priority
    resolved = Resolved(ledger, [task], is_new=False)
    insert_row(ledger, task, None, priority, series.run_id, resolved=resolved, is_held=is_held)
    ledger.effects.count("schedule_runs", series.name, result)


def _find_holder(ledger: Ledger, series: SeriesRow) -> tuple[int | None, bool]:
    """The task that holds the key of a series, and whether a cancelled one still winds down under it."""
    if not series.holds_key:
        return None, False
    ledger.flush()
    found = ledger.writer.keys.find_holders([(series.name, 0, 0, series.key)])
    ledger.note_next_id(found.next_id)
    return found.holders.get(0), bool(found.winding.get(0))


def _drop(ledger: Ledger, series: SeriesRow, schedule: Schedule, missed: int) -> None:
    reason = f"{missed} due times were missed while nobody looked (catch_up={schedule.catch_up!r})"
    one.skip(ledger, series, missed, reason, "missed")


# When due


def look(ledger: Ledger, limit: int) -> None:
    """Series whose next due time has come by the clock that it is a time of."""
    table = ledger.writer.series
    due = [*table.due(Delay.STEADY, ledger.steady_ms, limit), *table.due(Delay.WALL, ledger.now_ms, limit)]
    if not due:
        return
    found = table.load(due)
    ledger.load(series.run_id for series in found if series.run_id is not None)
    for series in found:
        _look_at(ledger, series)
        one.save(ledger, series)


def _look_at(ledger: Ledger, series: SeriesRow) -> None:
    schedule = one.schedule_of(series)
    row = None if series.run_id is None else ledger.row(series.run_id)
    if row is None:
        _look_for_key(ledger, series, schedule)
    elif row.delayed == Delay.SERIES:
        _look_at_waiting(ledger, series, schedule, row)
    elif row.status == TaskStatus.BLOCKED and row.run_at_ms == series.next_run_ms:
        # The run of this very due time waits for other tasks: it starts when they have settled.
        series.next_run_ms = rules.next_due(schedule, ledger.now_ms, series.next_run_ms)
    else:
        pass_over(ledger, series, schedule, f"the run before, task {row.id}, is still active")


def _look_at_waiting(ledger: Ledger, series: SeriesRow, schedule: Schedule, row: Row) -> None:
    """The run that waits for this due time starts, for this one or for one that was missed; or it waits for a later one."""
    now_ms, due_ms = ledger.now_ms, series.next_run_ms or ledger.now_ms
    one.set_due(row, _take_due(ledger, series, schedule, due_ms, now_ms))
    series.next_run_ms = rules.next_due(schedule, now_ms, due_ms)
    row.delayed = ledger.delay_until(row.run_at_ms, Delay.SERIES)
    ledger.changed(row)
    ledger.ready(row)


def _take_due(ledger: Ledger, series: SeriesRow, schedule: Schedule, due_ms: int, now_ms: int) -> int:
    """For which due time the next run is, where the one that it waited for has come; what is dropped is told."""
    overlapped = "a run for an earlier due time is still to start"
    match rules.judge(schedule, due_ms, now_ms):
        case OnTime(taken_ms, more, missed):
            _drop(ledger, series, schedule, missed)
            one.skip(ledger, series, more, overlapped)
            return taken_ms
        case MakeUp(taken_ms, owed, missed, more):
            set_owed(series, owed)
            _drop(ledger, series, schedule, missed)
            one.skip(ledger, series, more, overlapped)
            ledger.effects.count("schedule_runs", series.name, "caught_up")
            return taken_ms
        case Wait(missed):
            _drop(ledger, series, schedule, missed)
            return rules.next_due(schedule, now_ms, due_ms)


def _look_for_key(ledger: Ledger, series: SeriesRow, schedule: Schedule) -> None:
    """The due time of a series without a run: another task had the key when the run before settled."""
    now_ms = one.now_ms(ledger, schedule)
    due_ms = now_ms if series.next_run_ms is None else series.next_run_ms
    holder, is_winding = _find_holder(ledger, series)
    if holder is not None:
        count = 1 if isinstance(schedule, Every) else rules.count_due(schedule, due_ms, now_ms)
        one.skip(ledger, series, count, f"another task, {holder}, holds its key")
        series.next_run_ms = rules.next_due(schedule, now_ms, due_ms)
        return
    taken_ms = _take_due(ledger, series, schedule, due_ms, now_ms)
    if isinstance(schedule, Cron):
        series.next_run_ms = rules.next_due(schedule, now_ms, due_ms)
    _insert_run(ledger, series, schedule, taken_ms, is_held=is_winding, result="submitted")


def recover(ledger: Ledger) -> None:
    """At a start: runs of an Every that were due while nothing ran, before the clock makes them ready."""
    late = ledger.writer.series.late_runs(max(ledger.now_ms, ledger.steady_ms))
    ledger.load(late)
    rows = [row for task_id in late if (row := ledger.row(task_id)) is not None]
    found = {series.id: series for series in ledger.writer.series.load([row.series_id or 0 for row in rows])}
    for row in rows:
        series = found.get(row.series_id or 0)
        if series is None or series.state != "active" or series.run_id != row.id or row.run_at_ms is None:
            continue
        now_ms = ledger.steady_ms if row.delayed == Delay.STEADY else ledger.now_ms
        taken_ms = _take_due(ledger, series, one.schedule_of(series), row.run_at_ms, now_ms)
        if taken_ms != row.run_at_ms:
            one.set_due(row, taken_ms)
            row.delayed = Delay.STEADY
            ledger.changed(row)
        one.save(ledger, series)
