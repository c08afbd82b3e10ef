"""How a parent counts its children: the counters, the bytes below it, and the verdict where too many of them have failed."""

from typing import Final

from millrace.actors.ledger import Ledger
from millrace.actors.policy import ends
from millrace.model import events
from millrace.model.rows import Phase, Row, Stop, Tell
from millrace.model.statuses import FAILED_ENDS, TaskStatus

_ERROR_LINE: Final = 500
"""Characters of a child's error that its parent's error quotes."""


def count_child(ledger: Ledger, parent: Row, child: Row, status: str) -> None:
    """A child has settled: the parent's counters move, and where it is one failure too many, the parent is closed."""
    parent.child_active -= 1
    note_bytes(parent, child.bytes_done)
    ledger.children_counted(parent)
    tell_child_settled(ledger, parent, child.id, TaskStatus(status))
    if TaskStatus(status) in FAILED_ENDS:
        parent.child_failed += 1
        if parent.child_failed == 1:
            parent.first_failure = _describe_failure(child.id, child.name, child.label, status, child.error)
        if parent.closing is None and ends.fails_now(parent):
            _fail_by_children(ledger, parent)


def tell_child_settled(ledger: Ledger, parent: Row, child_id: int, status: TaskStatus) -> None:
    """The parent's event of it."""
    done = parent.child_total - parent.child_active
    ledger.tell(
        events.ChildSettled, parent, child_id=child_id, child_status=status, done=done, total=parent.child_total
    )


def note_bytes(parent: Row, done: int | None) -> None:
    """From now on the row says that there are bytes to sum up below it: at its end, and after a restart."""
    if done is not None:
        parent.bytes_done = max(parent.bytes_done or 0, done)


def _describe_failure(child_id: int, name: str, label: str, status: str, error: str | None) -> str:
    line = (error or status).partition("\n")[0][:_ERROR_LINE]
    return f"child {child_id} ({name}, {label!r}) ended {status}: {line}"


def first_failure(ledger: Ledger, parent: Row) -> str:
    """What the parent's error quotes: looked for where the one that was noted counts no more."""
    if parent.first_failure is None:
        ledger.flush()
        found = ledger.writer.first_failure(parent.id, parent.round)
        parent.first_failure = "a child failed" if found is None else _describe_failure(*found)
    return parent.first_failure


def _fail_by_children(ledger: Ledger, parent: Row) -> None:
    """The verdict: the parent is closed, its run is asked to stop, its other children are cancelled; it settles with the last."""
    parent.error = ends.failure_of_children(parent, first_failure(ledger, parent))
    parent.traceback = None
    parent.closing = TaskStatus.FAILED.value
    if parent.unmet and parent.rerun is None:
        ledger.drop_edges(parent)
    parent.delayed = 0
    parent.paused = Stop.NONE
    if parent.executing:
        ledger.effects.interrupts.append((parent.id, parent.run, "child_failed"))
    else:
        parent.phase = Phase.CHILDREN
    if parent.child_active:
        parent.cascade = Tell.FAILED
        ledger.effects.cascades.append(parent.id)
