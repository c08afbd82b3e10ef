"""How a cancel is recorded and goes down a tree: the intent first, then the children, at most 1,000 rows a transaction."""

from collections.abc import Sequence

from millrace.actors import expiring, settling
from millrace.actors.ledger import MAX_ROWS, Ledger
from millrace.model import events
from millrace.model.errors import InterruptReason
from millrace.model.records import CancelResult
from millrace.model.rows import Phase, Row, Tell
from millrace.model.statuses import TaskStatus


def cancel(ledger: Ledger, task_id: int) -> CancelResult:
    """Record the cancel of one task, and carry it out as far as this transaction can."""
    row = ledger.row(task_id)
    if row is None:
        return _cancel_settled(ledger, task_id)
    if row.closing not in ("cancelled", "superseded"):
        request(ledger, row, "cancelled")
        cascade(ledger, [row.id])
    settled = ledger.has_settled(task_id)
    if settled is not None:
        return CancelResult(True, True, True, TaskStatus(settled), "cancelled: nothing of it was running")
    row = ledger.row(task_id)
    what = "children and runs still wind" if row is not None and row.child_active else "its run still winds"
    reason = f"the cancel is recorded; {what} down"
    return CancelResult(True, True, False, TaskStatus.CANCELLING, reason)


def cancel_many(ledger: Ledger, ids: Sequence[int]) -> list[int]:
    """The same of many tasks; those whose cancel is accepted. Parents come before what is below them, by their ids."""
    ledger.load(ids)
    return [task_id for task_id in ids if cancel(ledger, task_id).accepted]


def _cancel_settled(ledger: Ledger, task_id: int) -> CancelResult:
    status = ledger.has_settled(task_id) or ledger.writer.load_settled([task_id]).get(task_id)
    if status is None:
        return CancelResult(
            False, False, False, None, f"there is no task {task_id}: it never was, or its row is pruned"
        )
    strays = ledger.writer.select_children_to_cancel(task_id, MAX_ROWS)
    ledger.load(strays)
    for child_id in strays:
        child = ledger.row(child_id)
        if child is not None and child.closing not in ("cancelled", "superseded"):
            request(ledger, child, "cancelled")
    if strays:
        cascade(ledger, strays)
        is_settled = all(ledger.has_settled(child_id) is not None for child_id in strays)
        reason = f"it ended {status} before; its active children are cancelled"
        return CancelResult(True, True, is_settled, TaskStatus(status), reason)
    if status == TaskStatus.CANCELLED:
        return CancelResult(True, True, True, TaskStatus.CANCELLED, "it was cancelled before")
    return CancelResult(True, False, True, TaskStatus(status), f"it ended {status} before")


def request(ledger: Ledger, row: Row, reason: InterruptReason) -> None:
    """Record that a task is to end CANCELLED: sticky, and what runs of it is asked to stop.

    ``reason`` is what its body is told: "cancelled", or "parent_failed" where a closed parent brings it about.
    """
    if row.cancel_requested_at_ms is None:
        row.cancel_requested_at_ms = ledger.now_ms
    if row.executing and row.phase != Phase.HOOK:
        ledger.effects.interrupts.append((row.id, row.run, reason))
    settling.close(ledger, row, "cancelled")
    if row.cascade and reason == "parent_failed":
        row.cascade = Tell.FAILED
    if ledger.has_settled(row.id) is None:
        ledger.tell(events.CancelRequested, row)


def cascade(ledger: Ledger, parents: list[int]) -> list[int]:
    """Tell the active children of closed parents, level by level, until the rows of this transaction are used up.

    Returns the parents that still have children to be told: the next transaction goes on with them.
    """
    work = list(parents)
    while work and ledger.cancels_left > 0:
        parent = ledger.row(work.pop())
        if parent is None or not parent.cascade:
            continue
        reason: InterruptReason = "parent_failed" if parent.cascade == Tell.FAILED else "cancelled"
        ledger.flush()
        ids = ledger.writer.select_children_to_cancel(parent.id, ledger.cancels_left)
        if len(ids) < ledger.cancels_left:
            parent.cascade = Tell.NOTHING
            ledger.changed(parent)
        else:
            work.insert(0, parent.id)
        ledger.load(ids)
        ledger.cancels_left -= len(ids)
        for child_id in ids:
            child = ledger.row(child_id)
            if child is not None and child.closing not in ("cancelled", "superseded"):
                if parent.closing == "expired" and child.started_at_ms is None and child.closing is None:
                    expiring.expire(ledger, child, f"expired with its parent {parent.id}: it had not started")
                else:
                    request(ledger, child, reason)
                if child.cascade and ledger.has_settled(child_id) is None:
                    work.append(child_id)
    return [task_id for task_id in work if (row := ledger.row(task_id)) is not None and row.cascade]
