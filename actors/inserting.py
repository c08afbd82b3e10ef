"""A new row of the queue: what it takes from its submission, its parent and the clock, and who hears of it."""

from typing import Final

from millrace.actors import depending, reruns
from millrace.actors.ledger import Ledger
from millrace.actors.policy import deadlines
from millrace.model import events
from millrace.model.lanes import make_lane
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Delay, NewRow, Row
from millrace.model.tags import encode_tags

NORMAL: Final = 128
"""The priority of what has neither one of its own nor a parent."""


def insert_row(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    priority: int,
    new_id: int,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> None:
    """A new row, and its Submitted; the clock, the dispatcher or its parent's supervisor hears of it."""
    unmet = ledger.edges.add(new_id, resolved.unsettled(task)) if task.depends_on else 0
    delay = Delay.NONE if unmet else ledger.delay_until(task.run_at_ms, task.delay)
    # That of a run of a series begins when it is due: nobody submits it then, and it may wait for a month.
    is_run = task.schedule is not None or task.series_id is not None
    began_ms = max(ledger.submitted_ms, task.run_at_ms or 0) if is_run else ledger.submitted_ms
    limit = deadlines.deadline(task, None if parent is None else parent.expires_at_ms, began_ms)
    is_limited = parent is not None and parent.child_concurrency is not None
    parent_id, parent_round = (None, 0) if parent is None else (parent.id, parent.round)
    lane = make_lane(task.name, task.group, parent_id if is_limited else None, priority)
    row = NewRow(
        id=new_id,
        name=task.name,
        key=task.key,
        label=task.label,
        status="blocked" if unmet else "pending",
        phase=1,
        priority=priority,
        payload=task.payload,
        parent_id=parent_id,
        parent_round=parent_round,
        spawner_id=task.spawner_id,
        spawner_run=task.spawner_run,
        holds_key=task.policy != "allow",
        held=is_held,
        limited=is_limited,
        delayed=delay,
        run_at_ms=task.run_at_ms,
        max_retries=task.max_retries,
        fail_fast=task.fail_fast,
        max_failures=task.max_failures,
        child_concurrency=task.child_concurrency,
        options=task.options,
        retry_of=task.retry_of,
        created_at_ms=ledger.now_ms,
        grp=task.group,
        lane=lane.number,
        tags=encode_tags(task.tags),
        ready_ms=None if delay or unmet else ledger.steady_ms,
        ttl_ms=limit.ttl_ms,
        ttl_first=limit.is_from_first_start,
        expires_at_ms=limit.expires_at_ms,
        depends_on=reruns.encode_ids(task.depends_on),
        unmet=unmet,
        on_dependency_failure=task.on_dependency_failure,
        ages=ledger.ages,
        series_id=new_id if task.schedule is not None else task.series_id,
        version=task.version,
        expected_io=task.expected_io,
    )
    ledger.insert(row)
    if limit.ttl_ms == 0:
        ledger.effects.at_once.append(new_id)
    if not delay and not is_held and not unmet:
        ledger.ready_new(row, lane, parent.child_concurrency if parent is not None and is_limited else None)
    if ledger.is_heard:
        ledger.tell_new(events.Submitted, row)
