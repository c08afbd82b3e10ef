"""Flows: durable parents without a body. Their state changes in the transaction that changes their status, or not at all."""

from typing import Final

import msgspec

from millrace.actors import cancelling, settling
from millrace.actors.ledger import Ledger
from millrace.actors.parents import not_found, settled_status
from millrace.model import events
from millrace.model.errors import InternalError, ParentClosed, RevisionConflict
from millrace.model.lanes import lane_of
from millrace.model.records import CancelResult
from millrace.model.rows import Hold, NewRow, Phase, Row
from millrace.model.statuses import TaskStatus
from millrace.model.tags import encode_tags

PREFIX: Final = "flow::"


class NewFlow(msgspec.Struct, frozen=True):
    """A flow to be opened, or found where one of its name and key is active. ``key`` None: always a new one."""

    name: str
    key: str | None
    state: str
    fail_fast: bool
    child_concurrency: int | None
    tags: dict[str, str] | None = None


def open_flow(ledger: Ledger, new: NewFlow) -> int:
    """The id of the active flow of that name and key, else of a new one."""
    if new.key is not None:
        ledger.flush()
        found = ledger.writer.keys.find_holders([(new.name, 0, 0, new.key)]).holders
        if found:
            return found[0]
    flow_id = ledger.new_id()
    key, hold = new.key, Hold.HOLDS
    if key is None:
        key = str(flow_id)
        ledger.flush()
        if ledger.writer.keys.find_holders([(new.name, 0, 0, key)]).holders:
            hold = Hold.NEVER  # somebody was given this very key: they keep it
    row = NewRow(
        id=flow_id,
        name=new.name,
        key=key,
        label=key,
        status=TaskStatus.WAITING.value,
        phase=int(Phase.CHILDREN),
        priority=128,
        payload=None,
        holds_key=int(hold),
        fail_fast=new.fail_fast,
        child_concurrency=new.child_concurrency,
        is_flow=1,
        flow_open=1,
        created_at_ms=ledger.now_ms,
        lane=lane_of(new.name, None, None, 128),
        tags=encode_tags(new.tags),
    )
    ledger.insert(row)
    ledger.write_inserts()
    ledger.writer.insert_flow(flow_id, new.state)
    if ledger.is_heard:
        ledger.tell_new(events.Submitted, row)
    return flow_id


def update(ledger: Ledger, flow_id: int, state: str, expected: int | None) -> int:
    """Replace the state; the new revision.

    Raises:
        ParentClosed: the flow has settled. TaskNotFound: it is no flow. RevisionConflict: another writer was first.
    """
    _open_row(ledger, flow_id)
    revision = _revision(ledger, flow_id)
    if expected is not None and expected != revision:
        raise RevisionConflict(expected, revision)
    ledger.writer.update_flow(flow_id, state)
    return revision + 1


def finish(ledger: Ledger, flow_id: int, memo: str | None, state: str | None) -> None:
    """No more children: the flow completes once those under way have settled. Repeated, it does nothing.

    Raises:
        ParentClosed: a cancel or a failure came before.
    """
    row = ledger.row(flow_id)
    if row is None and _settled_status(ledger, flow_id) == TaskStatus.COMPLETED:
        return
    row = _open_row(ledger, flow_id)
    if row.closing is not None:
        raise ParentClosed(flow_id, TaskStatus(row.status), is_change=True)
    if not row.flow_open:
        return
    row.flow_open = 0
    row.memo = memo
    ledger.changed(row)
    ledger.writer.update_flow(flow_id, state)
    settling.advance(ledger, [row])


def fail(ledger: Ledger, flow_id: int, error: str, state: str | None) -> None:
    """Cancel the children, then end FAILED with this error.

    Raises:
        ParentClosed: the flow's end was decided before.
    """
    row = _open_row(ledger, flow_id)
    if row.closing is not None:
        raise ParentClosed(flow_id, TaskStatus(row.status), is_change=True)
    row.error = error
    ledger.writer.update_flow(flow_id, state)
    settling.close(ledger, row, TaskStatus.FAILED.value)
    cancelling.cascade(ledger, [flow_id])


def cancel(ledger: Ledger, flow_id: int, state: str | None) -> CancelResult:
    """Record the cancel and, with it, the state: whatever the revision is, and also while children wind down already."""
    row = ledger.row(flow_id)
    if row is not None:
        if not row.is_flow:
            raise not_found(ledger, flow_id, "flow")
        ledger.writer.update_flow(flow_id, state)
    elif _settled_status(ledger, flow_id) is None:
        raise not_found(ledger, flow_id, "flow")
    return cancelling.cancel(ledger, flow_id)


def _open_row(ledger: Ledger, flow_id: int) -> Row:
    row = ledger.row(flow_id)
    if row is not None and row.is_flow:
        return row
    status = None if row is not None else _settled_status(ledger, flow_id)
    if status is not None:
        raise ParentClosed(flow_id, TaskStatus(status), is_change=True)
    raise not_found(ledger, flow_id, "flow")


def _settled_status(ledger: Ledger, flow_id: int) -> str | None:
    if ledger.writer.load_flow(flow_id) is None:
        return None
    return settled_status(ledger, flow_id)


def _revision(ledger: Ledger, flow_id: int) -> int:
    found = ledger.writer.load_flow(flow_id)
    if found is None:
        raise InternalError(f"flow {flow_id} has a row in the queue and none for its state")
    return found[1]
