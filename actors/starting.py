"""Starts in the transaction that makes tasks ready: while nothing waits, the dispatcher has lent its places for it (``openings``).

What starts so is bounded by nothing but the slots. Where one of the tasks is, or has to be looked at closer, all of the
transaction go to the dispatcher: which of them starts first is for it to say.
"""

from millrace.actors.ledger import Ledger
from millrace.actors.openings import Openings
from millrace.actors.policy.limits import Limits
from millrace.model.rows import Claim, NewRow, Phase, Ready, Row
from millrace.model.statuses import TaskStatus


def start_ready(ledger: Ledger, openings: Openings) -> int:
    """Start what this transaction has made ready, as far as there are places, the most urgent first; how many were taken.

    Last before the rows are written: nothing that follows may withdraw one of these tasks.
    """
    effects = ledger.effects
    if not effects.ready or ledger.ages or not openings.is_open:
        return 0
    if not all(_is_free(ledger.limits, task) for task in effects.ready):
        return 0
    ledger.load(task.id for task in effects.ready if ledger.new_row(task.id) is None)
    rows = [ledger.new_row(task.id) or ledger.row(task.id) for task in effects.ready]
    if not all(row is not None and _can_start(row, ledger.steady_ms) for row in rows) or len(
        {row.id for row in rows if row}
    ) < len(rows):
        return 0
    count = openings.take(len(rows), effects.freed)
    if count < len(rows):
        effects.ready.sort(key=lambda task: (task.priority, task.phase, task.id))
    effects.started, effects.ready = effects.ready[:count], effects.ready[count:]
    starting = {task.id for task in effects.started}
    for row in rows:
        if row is not None and row.id in starting:
            _start(ledger, row)
    return count


def _is_free(limits: Limits, task: Ready) -> bool:
    """Whether nothing but the slots bounds it."""
    lane = task.lane
    return lane.parent_id is None and not task.crashes and not limits.bounds(lane.name, lane.group)


def _can_start(row: NewRow | Row, steady_ms: int) -> bool:
    """Whether it is ready still, and in time. One whose time to live begins with its first start has a start of its own."""
    if row.status != TaskStatus.PENDING or row.delayed or row.held:
        return False
    if row.expires_at_ms is None:
        return not row.ttl_first
    return row.expires_at_ms >= steady_ms or row.phase == Phase.FINALIZER


def _start(ledger: Ledger, row: NewRow | Row) -> None:
    if isinstance(row, NewRow):
        row.status = TaskStatus.RUNNING.value
        ledger.started_new(row)
        ledger.effects.claims.append(_claim(row, ledger.now_ms))
        return
    row.status, row.executing = TaskStatus.RUNNING.value, 1
    row.run += 1
    row.phase_runs += 1
    row.started_at_ms = ledger.now_ms
    row.waited_ms = 0 if row.ready_ms is None else max(0, ledger.steady_ms - row.ready_ms)
    row.effective = None
    if not row.child_total:
        row.progress = None
    ledger.moved(row)
    ledger.effects.continues.append(row.id)


def _claim(row: NewRow, now_ms: int) -> Claim:
    """The first start of a task, as it is once its row is written."""
    return Claim(
        id=row.id,
        run=1,
        phase=row.phase,
        phase_runs=1,
        name=row.name,
        key=row.key,
        label=row.label,
        priority=row.priority,
        payload=row.payload or "",
        memo=None,
        parent_id=row.parent_id,
        parent_round=row.parent_round,
        round=1,
        round_run=0,
        limited=row.limited,
        fail_fast=row.fail_fast,
        retries=0,
        max_retries=row.max_retries,
        crashes=0,
        options=row.options,
        error=None,
        created_at_ms=row.created_at_ms,
        run_at_ms=row.run_at_ms,
        started_at_ms=now_ms,
        cancel_requested_at_ms=None,
        child_total=0,
        grp=row.grp,
        tags=row.tags,
        ready_ms=row.ready_ms,
        expires_at_ms=row.expires_at_ms,
        depends_on=row.depends_on,
        retry_of=row.retry_of,
        series_id=row.series_id,
        version=row.version,
        expected_io=row.expected_io,
    )
