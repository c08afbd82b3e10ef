"""Every error of millrace: one family under `MillraceError`, split by whose fault it is.

* what a task's body raises to steer its own retries (`RetryableError`, `PermanentError`) or is stopped with
  (`TaskInterrupted`);
* the caller's: `InvalidTask`, the look-ups that find nothing, and places in a tree that take nothing (`tree_errors`);
* the world's: `StoreError` and its kinds (written in `store_errors`), `ForkedProcess`, `SchedulerStopped`;
* ours: `InternalError`.

Each error carries its facts as attributes, and its message says what was expected, what came and what to do. All of
them survive pickling with their attributes (the cause is not carried along), because a body in a worker process raises
them in one process and is answered for in another.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import isnan
from typing import TYPE_CHECKING, Literal, TypeAlias

from millrace.model.base_error import MillraceError, rebuild
from millrace.model.store_errors import (
    CommitUnknown,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMoved,
    StoreReadOnly,
    UnsafeFilesystem,
)
from millrace.model.tree_errors import CyclicDependency, InvalidDependency, NoParent, ParentClosed, RevisionConflict

if TYPE_CHECKING:
    from millrace.model.records import TaskRecord

__all__ = [
    "CommitUnknown",
    "CyclicDependency",
    "ForkedProcess",
    "InternalError",
    "InterruptReason",
    "InvalidDependency",
    "InvalidTask",
    "MillraceError",
    "NoParent",
    "ParentClosed",
    "PayloadTooLarge",
    "PermanentError",
    "RetryableError",
    "RevisionConflict",
    "SchedulerFailed",
    "SchedulerStopped",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreMoved",
    "StoreReadOnly",
    "TaskCancelled",
    "TaskExpired",
    "TaskFailed",
    "TaskInterrupted",
    "TaskNotFound",
    "UnknownTask",
    "UnsafeFilesystem",
]

InterruptReason: TypeAlias = Literal[
    "cancelled", "superseded", "preempted", "paused", "timeout", "shutdown", "parent_failed", "child_failed"
]


# What a task's body raises


class RetryableError(MillraceError):
    """Raised by a body: repeat this run, whatever `Retry.retry_on` says.

    Args:
        message: what went wrong; it becomes the record's error.
        retry_after: seconds (or a timedelta) until the next run in place of the policy's delay, also beyond its
            maximum; a negative one counts as 0. None leaves the policy's delay.

    Raises:
        ValueError: retry_after is not a number (NaN).
    """

    retry_after: float | None

    def __init__(self, message: str, *, retry_after: float | timedelta | None = None) -> None:
        super().__init__(message)
        if isinstance(retry_after, timedelta):
            retry_after = retry_after.total_seconds()
        if retry_after is not None and isnan(retry_after):
            raise ValueError("retry_after: expected seconds, got NaN; leave it out to keep the policy's delay")
        self.retry_after = None if retry_after is None else max(0.0, float(retry_after))


class PermanentError(MillraceError):
    """Raised by a body: this run will never succeed, do not repeat it."""


class TaskInterrupted(BaseException):
    """Raised inside a body that was asked to stop (`ctx.check_cancelled()` and its kin).

    A `BaseException`, so that `except Exception` in a body does not keep it running.

    Args:
        reason: why; "preempted", "paused" and "shutdown" say that the run is to be repeated.
    """

    reason: InterruptReason

    def __init__(self, reason: InterruptReason) -> None:
        super().__init__(f"the run was asked to stop: {reason}; clean up and let this error out of the body")
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """As for `MillraceError`."""
        return rebuild, (type(self), self.args, dict(self.__dict__))


# The caller's


class InvalidTask(MillraceError, ValueError):
    """A definition, submission or schedule that cannot be accepted: bad payload, tag, key, option; nothing was stored.

    Args:
        message: the field, what was expected, what came.
        field: the name of the argument or option at fault, where there is one.
    """

    field: str | None

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class PayloadTooLarge(InvalidTask):
    """An encoded payload, memo or flow state over the bound.

    Args:
        size: bytes encoded.
        maximum: bytes accepted (`Scheduler(max_payload=)`).
        what: what was too large.
    """

    size: int
    maximum: int

    def __init__(self, size: int, maximum: int, *, what: str = "payload") -> None:
        super().__init__(
            f"{what}: expected at most {maximum:,} bytes encoded, got {size:,}; store the data elsewhere and pass a "
            "reference to it, or raise the scheduler's max_payload",
            field=what,
        )
        self.size = size
        self.maximum = maximum


class UnknownTask(MillraceError, LookupError):
    """A task whose domain is not among the scheduler's (or client's).

    Args:
        name: the task's qualified name, or the domain's.
        registered: names of the domains that are.
    """

    name: str
    registered: tuple[str, ...]

    def __init__(self, name: str, registered: Iterable[str] = ()) -> None:
        self.name = name
        self.registered = tuple(sorted(registered))
        known = ", ".join(self.registered) or "none"
        domain = name.partition("::")[0]
        super().__init__(
            f"{name!r}: expected a registered domain ({known}), got {domain!r}; add its Domain object to domains="
        )


class TaskNotFound(MillraceError, LookupError):
    """There is no task with that id, or no flow with that key; or the task is not of the kind that was asked for.

    Args:
        id: the id, or a flow's key.
        pruned: True where it was there once and has left the history by retention or `prune`.
        kind: what it was to be; "series" is a task of one.
        exists: True where there is a task of that id, of another kind.
    """

    id: int | str
    pruned: bool
    exists: bool

    def __init__(
        self,
        id: int | str,
        *,
        pruned: bool = False,
        kind: Literal["task", "flow", "series"] = "task",
        exists: bool = False,
    ) -> None:
        self.id = id
        self.pruned = pruned
        self.exists = exists
        if exists:
            why = "found a task that is none" if kind == "flow" else "found a task that is of none; see schedules()"
            super().__init__(f"task {id}: expected a {kind}, {why}")
            return
        what = "task" if kind == "series" else kind
        why = (
            "it was pruned from the history; keep more with Retention"
            if pruned
            else f"no such {what} was ever stored here"
            if isinstance(id, int)
            else f"no such {what} was ever stored here, or it was pruned from the history"
        )
        super().__init__(f"{what} {id!r}: expected one of this store, found none: {why}")


# The world's: processes and the scheduler's own life


class ForkedProcess(MillraceError):
    """An object was used in a child made by os.fork; the parent is undisturbed.

    Args:
        owner_pid: the process that made the object.
        pid: the process that used it.
    """

    owner_pid: int
    pid: int

    def __init__(self, owner_pid: int, pid: int) -> None:
        super().__init__(
            f"expected use in process {owner_pid}, which made this object, got process {pid}, forked from it; "
            "make a Scheduler in the child, which submits and reads without start()"
        )
        self.owner_pid = owner_pid
        self.pid = pid


class SchedulerStopped(MillraceError):
    """The scheduler or client was used after its stop, or stopped while the caller waited.

    Args:
        message: which one, and what can be done.
    """

    def __init__(self, message: str = "the scheduler has stopped; start a new one to go on") -> None:
        super().__init__(message)


class SchedulerFailed(SchedulerStopped):
    """The runtime's own actors failed more often than Restarts allows; the cause is chained (`__cause__`)."""


# Ours


class InternalError(MillraceError):
    """A bug of millrace.

    Args:
        message: what was expected to hold and did not.
    """

    def __init__(self, message: str) -> None:
        super().__init__(
            f"{message}; this is a bug of millrace, please report it with the traceback "
            "on the issue tracker of millrace"
        )


# What `handle.result()` raises


class TaskFailed(MillraceError):
    """The task ended otherwise than COMPLETED.

    Args:
        record: its terminal record.
    """

    record: TaskRecord
    error: str

    def __init__(self, record: TaskRecord) -> None:
        self.record = record
        self.error = record.error or ""
        tail = f": {self.error}" if self.error else ""
        super().__init__(
            f"{record.task_name} (task {record.id}) was expected to complete, it ended {record.status}{tail}"
        )


class TaskCancelled(TaskFailed):
    """The task ended CANCELLED or SUPERSEDED."""


class TaskExpired(TaskFailed):
    """The task's time to live ran out before it started (EXPIRED)."""
