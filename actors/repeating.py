"""Repeating by hand what ended badly: a new task with all that the old submission had."""

from typing import Final

import msgspec

from millrace.actors import depending
from millrace.actors.enqueueing import enqueue
from millrace.actors.ledger import Ledger
from millrace.actors.parents import closed_status, not_found
from millrace.actors.stored import Stored
from millrace.model.errors import InvalidTask
from millrace.model.new_tasks import NewTask
from millrace.model.statuses import SubmitKind, TaskStatus
from millrace.model.tags import decode_tags

_decode_ids = msgspec.json.Decoder(list[int]).decode
REPEATABLE: Final = frozenset({"failed", "dead_letter", "expired", "dependency_failed", "cancelled"})


def repeat(ledger: Ledger, task_id: int, *, dead_letters_only: bool) -> Stored:
    """Insert the repetition; the old row stays as it is. DUPLICATE where an active task holds the key.

    Raises:
        TaskNotFound: no such task, or it is pruned.
        InvalidTask: it has not ended, or not in a way that is repeated.
        InvalidDependency: it depends on a task that has failed, and has to be repeated first.
    """
    ledger.flush()
    old = ledger.writer.load_for_retry(task_id)
    allowed = {TaskStatus.DEAD_LETTER.value} if dead_letters_only else REPEATABLE
    if old is None:
        row = ledger.row(task_id)
        if row is None:
            raise not_found(ledger, task_id)
        raise InvalidTask(_refusal(task_id, row.status, allowed))
    if old.payload is None:
        raise InvalidTask(f"task {task_id}: expected a task, it is a flow; open a new flow, none is repeated")
    if old.status not in allowed:
        raise InvalidTask(_refusal(task_id, old.status, allowed))
    parent = None if old.parent_id is None else ledger.row(old.parent_id)
    is_child = parent is not None and closed_status(ledger, parent) is None
    new = NewTask(
        name=ledger.catalog.aliases().get(old.name, old.name),
        key=old.key,
        label=old.label,
        priority=old.priority,
        payload=old.payload,
        max_retries=old.max_retries,
        policy="reject",
        fail_fast=bool(old.fail_fast),
        max_failures=old.max_failures,
        child_concurrency=old.child_concurrency,
        options=old.options,
        parent_id=old.parent_id if is_child else None,
        retry_of=old.id,
        group=old.grp,
        tags=decode_tags(old.tags) or None,
        ttl_ms=old.ttl_ms,
        ttl_source="none" if old.ttl_ms is None else "own",
        ttl_first=bool(old.ttl_first),
        depends_on=() if old.depends_on is None else tuple(_decode_ids(old.depends_on)),
        on_dependency_failure=old.on_dependency_failure,
        version=old.version,
        expected_io=old.expected_io,
    )
    line = ledger.writer.edges.select_line(old.id)
    stored = enqueue(ledger, [new])[0]
    if stored.kind is SubmitKind.INSERTED:
        depending.take_over(ledger, line, stored.id)
    is_refused = stored.kind is SubmitKind.REJECTED
    return msgspec.structs.replace(stored, kind=SubmitKind.DUPLICATE) if is_refused else stored


def _refusal(task_id: int, status: str, allowed: frozenset[str] | set[str]) -> str:
    return f"task {task_id}: expected one that ended {' or '.join(sorted(allowed))}, it is {status}; only those can be repeated"
