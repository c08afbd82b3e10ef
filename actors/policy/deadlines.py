"""Until when a run of a task must have started (behaviour.md, section 13). Milliseconds by the steady clock."""

from typing import Final, NamedTuple

from millrace.model.durations import MAX_MS
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Phase, Row

EXPIRING: Final = frozenset({"blocked", "pending", "paused", "parked"})
"""Where a task can wait for a start of its body."""


class Deadline(NamedTuple):
    """What a row holds of its time to live."""

    ttl_ms: int | None
    """Of its own; None: none at all, or the parent's deadline."""
    is_from_first_start: bool
    expires_at_ms: int | None
    """None: none, or none yet, as its time begins with the first start."""


NEVER: Final = Deadline(None, is_from_first_start=False, expires_at_ms=None)


def deadline(task: NewTask, parent_expires_at_ms: int | None, now_ms: int) -> Deadline:
    """The deadline of a submission.

    Its own time to live, or its task's, comes first, then the parent's deadline, then what domain and scheduler say.
    """
    if task.ttl_source != "own" and parent_expires_at_ms is not None:
        return Deadline(None, is_from_first_start=False, expires_at_ms=parent_expires_at_ms)
    if task.ttl_ms is None:
        return NEVER
    if task.ttl_first:
        return Deadline(task.ttl_ms, is_from_first_start=True, expires_at_ms=None)
    return Deadline(task.ttl_ms, is_from_first_start=False, expires_at_ms=min(now_ms + task.ttl_ms, MAX_MS))


def is_late(row: Row, now_ms: int) -> bool:
    """Whether the task waits for a start of its body and its deadline has passed. In its last millisecond it may start."""
    return (
        row.expires_at_ms is not None
        and row.expires_at_ms < now_ms
        and row.status in EXPIRING
        and row.phase == Phase.BODY
        and not row.executing
        and row.closing is None
    )


def age_s(row: Row, now_ms: int) -> float:
    """Seconds since the clock of its time to live began: with the submit, for one that has the parent's deadline."""
    began_ms = row.created_at_ms
    if row.expires_at_ms is not None and row.ttl_ms is not None:
        began_ms = row.expires_at_ms - row.ttl_ms
    return max(0, now_ms - began_ms) / 1000


def why_expired(row: Row) -> str:
    """The error of a task that has expired."""
    if row.ttl_ms is None:
        return "expired: no run had begun when its parent's deadline had come"
    return f"expired: no run had begun within its time to live of {row.ttl_ms / 1000:g} s"
