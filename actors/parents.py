"""The parents of submissions: whether they take a child, and how they count it."""

from typing import Literal

from millrace.actors.ledger import Ledger
from millrace.model import events
from millrace.model.errors import ParentClosed, TaskNotFound
from millrace.model.rows import Phase, Row
from millrace.model.statuses import TaskStatus


def open_parent(ledger: Ledger, parent_id: int | None) -> Row | None:
    """The parent of a submission, checked: None for a root task.

    Raises:
        TaskNotFound: there is no such parent, or it is pruned.
        ParentClosed: its end is decided, or that of something above it.
    """
    if parent_id is None:
        return None
    parent = ledger.row(parent_id)
    if parent is None:
        status = settled_status(ledger, parent_id)
        if status is None:
            raise not_found(ledger, parent_id)
        raise ParentClosed(parent_id, TaskStatus(status))
    status = closed_status(ledger, parent)
    if status is not None:
        raise ParentClosed(parent_id, TaskStatus(status))
    return parent


def not_found(ledger: Ledger, task_id: int, kind: Literal["task", "flow", "series"] = "task") -> TaskNotFound:
    """The error for an id that has no row, or that of a task of another kind.

    Whether it never was or is pruned is told by the sequence of ids.
    """
    if kind != "task" and (ledger.row(task_id) is not None or settled_status(ledger, task_id) is not None):
        return TaskNotFound(task_id, kind=kind, exists=True)
    return TaskNotFound(task_id, pruned=0 < task_id < ledger.writer.next_id(), kind=kind)


def settled_status(ledger: Ledger, task_id: int) -> str | None:
    """The end of a task that has settled, in this transaction or before."""
    return ledger.has_settled(task_id) or ledger.writer.load_settled([task_id]).get(task_id)


def closed_status(ledger: Ledger, parent: Row) -> str | None:
    """Why a parent takes no child: its status, or None where it takes one."""
    if parent.closing is not None:
        return parent.status
    if parent.is_flow and not parent.flow_open:
        return parent.status
    if ledger.has_open_cascades():
        # Somewhere a cancel is on its way down: it may not have reached this parent yet, but it closes it already.
        ledger.flush()
        if ledger.writer.closed_ancestor(parent.id) is not None:
            return TaskStatus.CANCELLING.value
    return None


def count_new_child(ledger: Ledger, parent: Row) -> None:
    """A child comes: a finalizer that has not started waits for it too."""
    parent.child_total += 1
    parent.child_active += 1
    waits_again = parent.phase == Phase.FINALIZER and not parent.executing and parent.phase_runs == 0
    if waits_again:
        parent.phase, parent.status = Phase.CHILDREN, TaskStatus.WAITING.value
        ledger.tell(events.Waiting, parent, children=parent.child_active)
    ledger.children_counted(parent, is_all=not waits_again)
