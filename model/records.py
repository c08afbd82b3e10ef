"""What a reader is given: records of tasks and of children, and the results of calls. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, Self, TypeAlias, TypeVar, cast

from millrace.model.durations import Seconds, to_seconds
from millrace.model.numbers import check_whole
from millrace.model.priority import Priority
from millrace.model.redaction import REDACTED, redact
from millrace.model.statuses import TaskStatus

R = TypeVar("R")

Json: TypeAlias = Any
"""None, bool, int, float, str, or lists and dicts of the same."""
TaskId: TypeAlias = int


@dataclass(frozen=True)
class IoBudget:
    """Bytes that one run is expected to move, or has moved."""

    disk_read: int = 0
    disk_write: int = 0
    net_rx: int = 0
    net_tx: int = 0

    @classmethod
    def disk(cls, read: int = 0, write: int = 0) -> Self:
        """A budget of disk traffic alone, in bytes."""
        return cls(disk_read=read, disk_write=write)

    @classmethod
    def net(cls, rx: int = 0, tx: int = 0) -> Self:
        """A budget of network traffic alone, in bytes."""
        return cls(net_rx=rx, net_tx=tx)


@dataclass(frozen=True)
class TaskRecord:
    """One task as one consistent read saw it. Times are aware UTC datetimes, durations seconds."""

    id: TaskId
    task_name: str
    key: str
    label: str
    status: TaskStatus
    priority: Priority
    effective_priority: Priority
    payload: Json
    memo: Json
    parent_id: TaskId | None
    group: str | None
    tags: Mapping[str, str]
    fail_fast: bool
    attempt: int
    """0 before the first start, then 1 + retries."""
    retries: int
    max_retries: int
    error: str | None
    traceback: str | None
    created_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    """Start of the last run."""
    finished_at: datetime | None
    expires_at: datetime | None
    cancel_requested_at: datetime | None
    duration: float | None
    """Seconds the last run took."""
    expected_io: IoBudget
    actual_io: IoBudget
    progress: float | None
    depends_on: Sequence[TaskId]
    retry_of: TaskId | None
    schedule_id: TaskId | None

    def __repr__(self) -> str:
        """All fields, but for the payload's values: a record outlives its task's code, which says what is to be redacted."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        if self.payload is not None:
            values["payload"] = self._redacted(self.payload)
        return f"TaskRecord({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    @staticmethod
    def _redacted(payload: Any) -> Any:
        if not isinstance(payload, Mapping):
            return REDACTED
        named = cast("Mapping[str, Any]", payload)
        return redact(named, named)


@dataclass(frozen=True)
class TaskProgress:
    """How far an active task is at one moment. None is unknown."""

    task_id: TaskId
    task_name: str
    label: str
    fraction: float | None
    """The best that is known, 0 to 1: reported, else by its bytes, else extrapolated; a parent's rolls up its children's."""
    reported: float | None
    """What its run has said of itself."""
    extrapolated: float | None
    """By the time that runs of the task take, and by the pace of its own reports; never over 0.99."""
    message: str | None
    bytes_done: int | None
    bytes_total: int | None
    bytes_per_second: float | None
    """Smoothed."""
    eta: float | None
    """Seconds until all bytes are done, at that rate."""
    children_done: int
    children_total: int


@dataclass(frozen=True)
class ChildResult(Generic[R]):
    """A settled child, as ``Context.child_results`` yields it."""

    id: TaskId
    task_name: str
    key: str
    label: str
    status: TaskStatus
    memo: R | None
    error: str | None


@dataclass(frozen=True)
class ChildSummary:
    """One consistent count of the children of a parent's present round."""

    total: int
    active: int
    by_status: Mapping[TaskStatus, int]
    """Settled children by how they ended; ``total`` is ``active`` plus their sum."""
    errors: Sequence[tuple[str, int]] = field(default=())
    """First lines of the failed children's errors with how often each came: most frequent first, at most 20."""


@dataclass(frozen=True)
class CancelResult:
    """A cancel that was accepted is a success, also while children wind down."""

    found: bool
    accepted: bool
    settled: bool
    """True once nothing of the task runs any more."""
    status: TaskStatus | None
    reason: str


@dataclass(frozen=True)
class Restarts:
    """OTP's restart intensity: more than ``limit`` restarts within ``window`` seconds stop the scheduler.

    Source: the Erlang/OTP design principles, "Supervisor behaviour", maximum restart intensity.
    """

    limit: int = 3
    window: Seconds = 60.0

    def __post_init__(self) -> None:
        """Seconds become a float; ValueError and TypeError where a value is not as said."""
        check_whole(self.limit, "limit", least=0)
        object.__setattr__(self, "window", to_seconds(self.window, "window"))

    @property
    def window_s(self) -> float:
        """The window in seconds."""
        return to_seconds(self.window, "window")
