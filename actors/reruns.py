"""Reruns: the submission that came while its task ran takes the place of what the task was submitted with, in a new round."""

from collections.abc import Sequence

import msgspec

from millrace.actors.ledger import Ledger
from millrace.model.lanes import lane_of
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Phase, Row
from millrace.model.statuses import TaskStatus
from millrace.model.tags import encode_tags

decode_rerun = msgspec.json.Decoder(NewTask).decode


def begin_rerun(ledger: Ledger, row: Row) -> None:
    """A new round: the submission that came while the task ran takes its place."""
    if row.rerun is None:
        return
    new = decode_rerun(row.rerun)
    row.rerun = None
    row.round += 1
    row.round_run = row.run
    row.label, row.priority = new.label, new.priority if new.priority is not None else row.priority
    row.max_retries, row.options, row.max_failures = new.max_retries, new.options, new.max_failures
    row.fail_fast, row.child_concurrency = int(new.fail_fast), new.child_concurrency
    row.grp, row.version, row.expected_io = new.group, new.version, new.expected_io
    _replace_tags(ledger, row, encode_tags(new.tags))
    find_lane(row)
    row.status, row.phase, row.phase_runs, row.executing = TaskStatus.PENDING.value, Phase.BODY, 0, 0
    row.retries = row.retry_run = row.crashes = row.child_total = row.child_active = row.child_failed = row.cascade = 0
    row.closing = row.first_failure = row.memo = row.error = row.traceback = row.progress = None
    row.bytes_done = row.bytes_total = None
    row.ttl_ms, row.ttl_first, row.expires_at_ms = new.ttl_ms, int(new.ttl_first), new.expires_at_ms
    row.depends_on, row.on_dependency_failure = encode_ids(new.depends_on), new.on_dependency_failure
    row.run_at_ms = new.run_at_ms
    row.waited_ms, row.ready_ms, row.effective, row.ages = 0, None, None, int(ledger.ages)
    if row.unmet:
        row.status, row.delayed = TaskStatus.BLOCKED.value, 0
    else:
        row.delayed = ledger.delay_until(new.run_at_ms, new.delay)
    ledger.children_counted(row)
    ledger.begin_round((row.id, new.label, new.payload, new.fail_fast, new.max_failures, new.child_concurrency))
    ledger.changed(row)
    ledger.ready(row)


def _replace_tags(ledger: Ledger, row: Row, tags: str | None) -> None:
    if tags != row.tags:
        row.tags = tags
        ledger.retagged(row)


def find_lane(row: Row) -> None:
    """Its priority or group is another: so is the lane that it waits in."""
    row.lane = lane_of(row.name, row.grp, row.parent_id if row.limited else None, row.priority)


def encode_ids(ids: Sequence[int]) -> str | None:
    """Ids as the store keeps them; None for none."""
    return msgspec.json.encode(ids).decode() if ids else None
