"""How one submission is stored, once it is decided that it may be: as a duplicate, a rerun, in place of another, as a new row."""

import msgspec

from millrace.actors import cancelling, depending, reruns, series, settling
from millrace.actors.inserting import NORMAL, insert_row
from millrace.actors.ledger import Ledger
from millrace.actors.parents import count_new_child
from millrace.actors.policy import deadlines, duplicates
from millrace.actors.stored import Stored
from millrace.model import events
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Row
from millrace.model.statuses import DuplicatePolicy, SubmitKind

_encode = msgspec.json.Encoder().encode


def store(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    holder: Row | None,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> Stored:
    """Store it.

    Args:
        ledger: of the transaction.
        task: the submission.
        parent: its parent, checked.
        holder: the active task that has its key.
        resolved: what all submissions of the request depend on.
        is_held: whether it waits for a cancelled task of its key to wind down.
    """
    if task.schedule is not None and parent is None:
        return _store_recurring(ledger, task, holder, resolved=resolved, is_held=is_held)
    return _store_one(ledger, task, parent, holder, resolved=resolved, is_held=is_held)


def _store_recurring(
    ledger: Ledger, task: NewTask, holder: Row | None, *, resolved: depending.Resolved, is_held: bool
) -> Stored:
    """A submission with a schedule: where its key has a series already, that is the duplicate, and not the run that is active."""
    known = series.of_key(ledger, task)
    if known is not None and task.policy != DuplicatePolicy.SUPERSEDE:
        is_rejected = task.policy == DuplicatePolicy.REJECT
        return Stored(SubmitKind.REJECTED if is_rejected else SubmitKind.DUPLICATE, known.id)
    if holder is not None and task.policy == DuplicatePolicy.REJECT:
        return Stored(SubmitKind.REJECTED, holder.id)
    if holder is not None and task.policy == DuplicatePolicy.SKIP:
        once = msgspec.structs.replace(task, schedule=None, schedule_from="submission")
        stored = _store_one(ledger, once, None, holder, resolved=resolved, is_held=is_held)
        series.adopt(ledger, task, holder)
        return stored
    if known is not None:
        series.end(ledger, known)
    first = series.with_first_due(ledger, task)
    stored = _store_one(ledger, first, None, holder, resolved=resolved, is_held=is_held)
    series.start(ledger, first, stored.id)
    if known is not None and stored.replaced is None:
        stored = Stored(SubmitKind.SUPERSEDED, stored.id, replaced=known.id)
    return stored


def _store_one(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    holder: Row | None,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> Stored:
    priority = task.priority
    if priority is None:
        priority = _inherited_priority(parent)
    if holder is None:
        return Stored(SubmitKind.INSERTED, _insert(ledger, task, parent, priority, resolved=resolved, is_held=is_held))
    rerun = None if holder.rerun is None else reruns.decode_rerun(holder.rerun)
    again = _as_rerun(ledger, task, parent)
    decision = duplicates.decide(
        holder,
        task.policy,
        priority=priority,
        rerun_priority=None if rerun is None else rerun.priority,
        is_same_as_rerun=rerun is not None and _is_same(again, rerun),
    )
    match decision:
        case duplicates.Keep(is_rejected):
            return Stored(SubmitKind.REJECTED if is_rejected else SubmitKind.DUPLICATE, holder.id)
        case duplicates.Upgrade(more_urgent):
            holder.priority = more_urgent
            reruns.find_lane(holder)
            ledger.changed(holder)
            ledger.still_ready(holder)
            return Stored(SubmitKind.UPGRADED, holder.id)
        case duplicates.Requeue(rerun_priority):
            holder.rerun = _encode(msgspec.structs.replace(again, priority=rerun_priority)).decode()
            depending.wait_for(ledger, holder, resolved.unsettled(task))
            return Stored(SubmitKind.REQUEUED, holder.id)
        case duplicates.Replace():
            return _supersede(ledger, task, parent, holder, priority, resolved=resolved, is_held=is_held)


def _inherited_priority(parent: Row | None) -> int:
    """That of the parent's last start; flows never start."""
    if parent is None or parent.is_flow:
        return NORMAL
    return parent.priority if parent.effective is None else parent.effective


def _as_rerun(ledger: Ledger, task: NewTask, parent: Row | None) -> NewTask:
    """The submission as the rerun of a running task: its time to live begins now, and its place is that of the task."""
    limit = deadlines.deadline(task, None if parent is None else parent.expires_at_ms, ledger.submitted_ms)
    return msgspec.structs.replace(
        task,
        parent_id=None,
        spawner_id=None,
        spawner_run=None,
        ttl_ms=limit.ttl_ms,
        ttl_source="own",
        ttl_first=limit.is_from_first_start,
        expires_at_ms=limit.expires_at_ms,
    )


def _is_same(again: NewTask, rerun: NewTask) -> bool:
    """Whether it differs in nothing but how urgent it is and when it came."""
    return msgspec.structs.replace(again, priority=rerun.priority, expires_at_ms=rerun.expires_at_ms) == rerun


def _supersede(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    holder: Row,
    priority: int,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> Stored:
    """The holder's end (or its intent) and the new row, in one transaction.

    The new one waits until the old has wound down, and what the old one waited for (``is_held``).
    """
    new_id = ledger.new_id()
    holder.superseded_by = new_id
    holder.cancel_requested_at_ms = ledger.now_ms
    if parent is not None:
        # Counted before the old one settles: a parent whose only child is replaced has not lost its last child.
        count_new_child(ledger, parent)
    if holder.executing:
        ledger.effects.interrupts.append((holder.id, holder.run, "superseded"))
    depending.take_over(ledger, [holder.id], new_id)
    ledger.edges.replaced[holder.id] = new_id
    settling.close(ledger, holder, "superseded")
    cancelling.cascade(ledger, [holder.id])
    is_winding = ledger.has_settled(holder.id) is None
    if is_winding:
        ledger.tell(events.CancelRequested, holder)
    ledger.flush()
    insert_row(ledger, task, parent, priority, new_id, resolved=resolved, is_held=is_held or is_winding)
    return Stored(SubmitKind.SUPERSEDED, new_id, replaced=holder.id)


def _insert(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    priority: int,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> int:
    if parent is not None:
        count_new_child(ledger, parent)
    new_id = ledger.new_id()
    insert_row(ledger, task, parent, priority, new_id, resolved=resolved, is_held=is_held)
    return new_id
