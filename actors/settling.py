"""How tasks end: an end is decided, waits for the children, becomes the record; and what follows for every task above.

The rules are ``policy.ends``; this module carries their decisions out on a ledger. Everything climbs by a work list,
never by recursion: a chain of ten thousand parents settles like one.
"""

from collections.abc import Iterable

from millrace.actors.counting import count_child, first_failure
from millrace.actors.ledger import Ledger
from millrace.actors.policy import deadlines, ends
from millrace.actors.policy.ends import Step
from millrace.actors.reruns import begin_rerun
from millrace.model import events
from millrace.model.rows import Hold, Phase, Row, Stop, Tell
from millrace.model.statuses import TaskStatus


def close(ledger: Ledger, row: Row, status: str) -> None:
    """Decide the end of a task whose body is not executing: its children are told, and it settles after the last of them."""
    row.closing = status
    row.paused = Stop.NONE
    if status in ends.WITHDRAWN:
        row.status = TaskStatus.CANCELLING.value
        row.holds_key = Hold.LOST if row.holds_key else Hold.NEVER
        row.rerun = None
    if row.unmet and row.rerun is None:
        ledger.drop_edges(row)
    row.delayed = 0
    if not row.executing:
        row.phase = Phase.CHILDREN
    if row.child_active:
        row.cascade = Tell.CANCELLED if status in ends.WITHDRAWN else Tell.FAILED
        ledger.effects.cascades.append(row.id)
    ledger.changed(row)
    advance(ledger, [row])


def settle(ledger: Ledger, row: Row, status: str) -> None:
    """The end: a rerun begins its round in place of it; otherwise the row moves to the history and its parent moves on."""
    parent = _settle_one(ledger, row, status)
    if parent is not None:
        advance(ledger, [parent])


def advance(ledger: Ledger, rows: Iterable[Row]) -> None:
    """Do what follows for tasks whose run or child has ended, and for every task above that follows from it."""
    work = list(rows)
    while work:
        row = work.pop()
        step = ends.next_step(row, ledger.catalog.traits(row.name))
        match step:
            case Step.STAY:
                pass
            case Step.WAIT:
                if row.status not in (TaskStatus.WAITING, TaskStatus.CANCELLING):
                    row.status = TaskStatus.WAITING.value
                    ledger.changed(row)
                    ledger.tell(events.Waiting, row, children=row.child_active)
            case Step.FINALIZE:
                _queue_finalizer(ledger, row)
            case Step.HOOK:
                row.phase, row.phase_runs = Phase.HOOK, 0
                ledger.changed(row)
                ledger.effects.hooks.append(row.id)
            case Step.FAIL:
                row.status = TaskStatus.WAITING.value  # its run is over, and looking for the failure writes the row
                row.error = ends.failure_of_children(row, first_failure(ledger, row))
                row.closing = TaskStatus.FAILED.value
                work.append(row)
            case Step.SETTLE:
                parent = _settle_one(ledger, row, row.closing or TaskStatus.COMPLETED.value)
                if parent is not None:
                    work.append(parent)


def _queue_finalizer(ledger: Ledger, row: Row) -> None:
    row.phase, row.phase_runs, row.retries, row.retry_run = Phase.FINALIZER, 0, 0, 0
    row.run_at_ms = None
    ledger.changed(row)
    if ledger.catalog.traits(row.name) is None:
        park(ledger, row, f"this program has no task {row.name!r}: its finalizer runs where one that has it starts")
        return
    row.status = TaskStatus.PENDING.value
    ledger.ready(row)


def park(ledger: Ledger, row: Row, reason: str) -> None:
    """This program cannot run the task: it is kept until one starts that can."""
    row.status, row.error, row.traceback = TaskStatus.PARKED.value, reason, None
    ledger.changed(row)
    ledger.tell(events.Parked, row, reason=reason)


def _settle_one(ledger: Ledger, row: Row, status: str) -> Row | None:
    """Settle a row; its parent, with the child counted, where there is one."""
    if row.rerun is not None and status not in ends.WITHDRAWN:
        if status != TaskStatus.COMPLETED:
            ledger.tell(events.Failed, row, error=row.error or status, will_retry=True, retry_after=0.0)
        begin_rerun(ledger, row)
        return None
    if status in ends.WITHDRAWN:
        _release_key(ledger, row)
    ledger.settled_now(row, status)
    if status == TaskStatus.COMPLETED and row.duration_s is not None:
        ledger.effects.completed.append((row.name, row.duration_s, row.actual_io))
    _tell_end(ledger, row, status)
    if row.parent_id is None:
        return None
    parent = ledger.row(row.parent_id)
    if parent is None or parent.round != row.parent_round:
        return None
    count_child(ledger, parent, row, status)
    return parent


def _release_key(ledger: Ledger, row: Row) -> None:
    """A cancelled task no longer winds down: a task of its key that waited for that can start."""
    if not ledger.standing.has_held():
        return
    scopes = [(row.name, row.parent_id or 0, row.parent_round, row.key)]
    present = ledger.catalog.aliases().get(row.name)
    if present is not None:
        scopes.append((present, *scopes[0][1:]))  # what replaced it before a start gave it its present name
    held = ledger.writer.keys.find_held(scopes)
    if not held:
        return
    winding = set[int]().union(*ledger.writer.keys.find_holders(scopes).winding.values()) - {row.id}
    if any(ledger.has_settled(task_id) is None for task_id in winding):
        return
    ledger.load(held)
    for task_id in held:
        waiting = ledger.row(task_id)
        if waiting is not None:
            waiting.held = 0
            ledger.changed(waiting)
            ledger.still_ready(waiting)


def _tell_end(ledger: Ledger, row: Row, status: str) -> None:
    if not ledger.is_heard:
        return
    has_children = row.child_total > 0
    ledger.tell_progress(row, settled=(row.child_total - row.child_active) / row.child_total if has_children else None)
    match status:
        case "completed":
            ledger.tell(events.Completed, row, memo=row.memo)
        case "failed":
            ledger.tell(events.Failed, row, error=row.error or "", will_retry=False, retry_after=None)
        case "dead_letter":
            ledger.tell(events.DeadLettered, row, error=row.error or "", retries=row.retries)
        case "superseded":
            ledger.tell(events.Superseded, row, by=row.superseded_by or 0)
        case "expired":
            ledger.tell(events.Expired, row, age=deadlines.age_s(row, ledger.steady_ms))
        case "dependency_failed":
            ledger.tell(events.DependencyFailed, row, dependency=row.failed_dependency or 0)
        case _:
            ledger.tell(events.Cancelled, row)
