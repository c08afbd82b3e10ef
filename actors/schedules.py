"""What users ask of series by hand: run now, pause, resume, cancel; and what the code's own series become at a start."""

from typing import Literal

from millrace.actors import cancelling, recurring
from millrace.actors import series as one
from millrace.actors.enqueueing import enqueue
from millrace.actors.ledger import Ledger
from millrace.actors.parents import not_found
from millrace.actors.policy import series as rules
from millrace.model.catalog import CodeSeries
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Delay, Row, SeriesRow, Stop
from millrace.model.schedule import Cron, decode_schedule
from millrace.model.statuses import TaskStatus


def run_now(ledger: Ledger, task_id: int) -> bool:
    """Make a delayed task due at once: of a series, by its id, the run that waits. False where nothing waits for its time."""
    series = one.load(ledger, task_id) if -(1 << 63) <= task_id < 1 << 63 else None
    row_id = task_id if series is None or series.run_id is None else series.run_id
    row = ledger.row(row_id) if -(1 << 63) <= row_id < 1 << 63 else None
    if row is None or not row.delayed or row.status not in (TaskStatus.PENDING, TaskStatus.BLOCKED):
        return False
    row.run_at_ms = ledger.steady_ms if row.delayed == Delay.STEADY else ledger.now_ms
    row.delayed = Delay.NONE
    ledger.changed(row)
    ledger.ready(row)
    return True


def change(ledger: Ledger, task_id: int, to: Literal["pause", "resume", "cancel"]) -> None:
    """Pause, resume or cancel the series of which this is the id, or that of one of its runs; repeated, nothing more happens.

    Raises:
        TaskNotFound: there is no such task, or it is of no series.
    """
    series_id = ledger.writer.series.of_task(task_id)
    if series_id is None:
        raise not_found(ledger, task_id, "series")
    series = one.load(ledger, series_id)
    if series is None or series.state == "ended":
        return  # its runs, or the code that it came from, tell that there was one
    match to:
        case "pause":
            if series.state == "active":
                _pause(ledger, series)
        case "resume":
            if series.state == "paused":
                _resume(ledger, series)
        case "cancel":
            one.end(ledger, series)
            if series.run_id is not None:
                cancelling.cancel(ledger, series.run_id)


def _pause(ledger: Ledger, series: SeriesRow) -> None:
    """No run is made any more; one that has not begun is PAUSED."""
    recurring.set_paused(ledger, series, one.schedule_of(series))
    one.save(ledger, series)
    row = _run_of(ledger, series)
    if row is not None and _has_not_begun(row):
        row.paused = Stop.SERIES
        row.delayed = Delay.NONE  # its time says itself, at the resume, whether it came meanwhile
        if row.status == TaskStatus.PENDING:
            row.status = TaskStatus.PAUSED.value
        ledger.changed(row)


def _resume(ledger: Ledger, series: SeriesRow) -> None:
    """The series goes on, with what is due from now on."""
    schedule = one.schedule_of(series)
    now_ms, paused_ms = one.now_ms(ledger, schedule), series.paused_at_ms or 0
    series.state, series.paused_at_ms = "active", None
    row = _run_of(ledger, series)
    reason = "it fell due while the series was paused"
    if isinstance(schedule, Cron):
        due_ms = series.next_run_ms or now_ms
        if due_ms <= now_ms:
            one.skip(ledger, series, rules.count_due(schedule, due_ms, now_ms), reason)
            series.next_run_ms = due_ms = rules.next_due(schedule, now_ms, due_ms)
    else:
        due_ms = rules.next_due(schedule, now_ms)
        waited_for_ms = series.next_run_ms if row is None else row.run_at_ms
        if waited_for_ms is not None and waited_for_ms > paused_ms and (row is None or row.paused == Stop.SERIES):
            one.skip(ledger, series, rules.count_due(schedule, waited_for_ms, now_ms), reason)
            due_ms = due_ms if waited_for_ms <= now_ms else waited_for_ms
    if row is None:
        recurring.make_next(ledger, series, schedule)
    elif row.paused == Stop.SERIES:
        _resume_run(ledger, row, due_ms, paused_ms, Delay.SERIES if isinstance(schedule, Cron) else Delay.STEADY)
    one.save(ledger, series)


def _resume_run(ledger: Ledger, row: Row, due_ms: int, paused_ms: int, delay: Delay) -> None:
    """One that was due before the pause is ready; another waits for its time, or for a later one."""
    row.paused = Stop.NONE
    if row.status == TaskStatus.PAUSED:
        row.status = TaskStatus.PENDING.value
    if row.run_at_ms is not None and row.run_at_ms > paused_ms:
        one.set_due(row, due_ms)
        row.delayed = ledger.delay_until(due_ms, delay)
    ledger.changed(row)
    ledger.ready(row)


def _run_of(ledger: Ledger, series: SeriesRow) -> Row | None:
    return None if series.run_id is None else ledger.row(series.run_id)


def _has_not_begun(row: Row) -> bool:
    return row.run == 0 and row.closing is None and row.status in ("pending", "blocked", "parked")


# The code's own


def follow_code(ledger: Ledger, code: CodeSeries) -> None:
    """Series that tasks have by their decorators are as the code says, from this start on.

    Those of domains that this program has not wait for one that has them.
    """
    wanted = {task.name: task for task in code.submissions}
    for series in ledger.writer.series.load(ledger.writer.series.of_code()):
        if series.name.partition("::")[0] not in code.domains:
            continue
        task = wanted.get(series.name) if series.in_code == one.STARTED else None
        if series.name not in code.schedules or (
            series.in_code == one.STARTED and (task is None or task.key != series.key)
        ):
            _withdraw(ledger, series)
            continue
        if task is not None:
            del wanted[series.name]
        if series.state != "ended":
            _follow(ledger, series, code.schedules[series.name], task)
    for task in wanted.values():
        if ledger.writer.series.of_key(task.name, task.key) is None:
            enqueue(ledger, [task])


def _withdraw(ledger: Ledger, series: SeriesRow) -> None:
    """The code has it no more: it ends, with the run that has not begun. Should it come back, it begins anew."""
    if series.state != "ended":
        one.end(ledger, series)
        row = _run_of(ledger, series)
        if row is not None and row.run == 0:
            cancelling.cancel(ledger, row.id)
            ledger.flush()
    ledger.writer.series.delete(series.id)


def _follow(ledger: Ledger, series: SeriesRow, text: str, task: NewTask | None) -> None:
    """The schedule is another: the run that waits does so for its time. Options are those of the next run that is made."""
    if task is not None:
        series.submission = one.encode_submission(task)
    if series.schedule != text:
        series.schedule, series.owed = text, None
        schedule = decode_schedule(text)
        if schedule.max_runs is not None and series.runs >= schedule.max_runs:
            _withdraw_run(ledger, series)
            return
        due_ms = rules.next_due(schedule, one.now_ms(ledger, schedule))
        is_cron = isinstance(schedule, Cron)
        row = _run_of(ledger, series)
        is_watched = is_cron or row is None
        series.next_run_ms = due_ms if is_watched else None
        series.watch = rules.clock_of(schedule) if is_watched else Delay.NONE
        if row is not None and row.delayed and _has_not_begun(row):
            one.set_due(row, due_ms)
            row.delayed = ledger.delay_until(due_ms, Delay.SERIES if is_cron else Delay.STEADY)
            ledger.changed(row)
    one.save(ledger, series)


def _withdraw_run(ledger: Ledger, series: SeriesRow) -> None:
    """It has had all its runs by what the code says now."""
    one.save(ledger, series)
    one.end(ledger, series)
    row = _run_of(ledger, series)
    if row is not None and row.run == 0:
        cancelling.cancel(ledger, row.id)
