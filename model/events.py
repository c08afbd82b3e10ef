"""What subscribers hear. Every event is told after the commit that it tells of, those of one task in commit order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from millrace.model.priority import Priority
from millrace.model.records import Json, TaskId
from millrace.model.statuses import TaskStatus


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    at: datetime


@dataclass(frozen=True)
class TaskEvent(Event):
    """Base of the events of one task; the header is as of the commit."""

    task_id: TaskId
    task_name: str
    key: str
    label: str
    parent_id: TaskId | None
    group: str | None
    tags: Mapping[str, str]
    priority: Priority
    effective_priority: Priority


@dataclass(frozen=True)
class Submitted(TaskEvent):
    """A new task is in the queue."""


@dataclass(frozen=True)
class Dispatched(TaskEvent):
    """A run of the body starts (not of the finalizer)."""


@dataclass(frozen=True)
class Completed(TaskEvent):
    """The task ended well."""

    memo: Json


@dataclass(frozen=True)
class Failed(TaskEvent):
    """A run failed: it is repeated after ``retry_after`` seconds, or the task ended FAILED."""

    error: str
    will_retry: bool
    retry_after: float | None


@dataclass(frozen=True)
class DeadLettered(TaskEvent):
    """The retries are used up."""

    error: str
    retries: int


@dataclass(frozen=True)
class Waiting(TaskEvent):
    """The body returned while ``children`` children are active."""

    children: int


@dataclass(frozen=True)
class ChildSettled(TaskEvent):
    """Of the parent: one more child has ended."""

    child_id: TaskId
    child_status: TaskStatus
    done: int
    total: int


@dataclass(frozen=True)
class Progress(TaskEvent):
    """A task's fraction changed; a parent's rolls up its children's."""

    fraction: float
    message: str | None
    bytes_done: int | None
    bytes_total: int | None
    bytes_per_second: float | None
    eta: float | None


@dataclass(frozen=True)
class Preempted(TaskEvent):
    """The body has ended to make room for a more urgent task; it begins anew later."""


@dataclass(frozen=True)
class Paused(TaskEvent):
    """The body was stopped by a pause and has ended; it begins anew when nothing pauses the task any more."""


@dataclass(frozen=True)
class Resumed(TaskEvent):
    """A task whose body was preempted or stopped by a pause is pending again."""


@dataclass(frozen=True)
class CancelRequested(TaskEvent):
    """A cancel is recorded and something of the task has still to end."""


@dataclass(frozen=True)
class Cancelled(TaskEvent):
    """The task ended cancelled."""


@dataclass(frozen=True)
class Superseded(TaskEvent):
    """The task was replaced by the task ``by``."""

    by: TaskId


@dataclass(frozen=True)
class ScheduleSkipped(TaskEvent):
    """Of a series: a due time, or several missed ones, are not run."""

    reason: str


@dataclass(frozen=True)
class ScheduleEnded(TaskEvent):
    """The series is over, after so many runs."""

    runs: int


@dataclass(frozen=True)
class Expired(TaskEvent):
    """No run began within the task's time to live; ``age`` is in seconds since that began."""

    age: float


@dataclass(frozen=True)
class Unblocked(TaskEvent):
    """The last dependency of the task has settled: it is pending."""


@dataclass(frozen=True)
class DependencyFailed(TaskEvent):
    """The task ended, or its rerun was dropped, as its dependency ``dependency`` failed."""

    dependency: TaskId


@dataclass(frozen=True)
class Interrupted(TaskEvent):
    """Put back to pending by a shutdown or a crash; it costs no retry."""

    reason: str


@dataclass(frozen=True)
class Parked(TaskEvent):
    """This program cannot run the task; ``reason`` says why."""

    reason: str


@dataclass(frozen=True)
class BatchSubmitted(Event):
    """A batch stored ``inserted`` new tasks."""

    inserted: int


@dataclass(frozen=True)
class GroupPaused(Event):
    """Nothing of the group starts any more, in any domain."""

    group: str


@dataclass(frozen=True)
class GroupResumed(Event):
    """The group's pause is over, by a call or because its time has come."""

    group: str


@dataclass(frozen=True)
class DomainPaused(Event):
    """Nothing of the domain starts any more."""

    domain: str


@dataclass(frozen=True)
class DomainResumed(Event):
    """The domain's pause is over."""

    domain: str


@dataclass(frozen=True)
class GroupWeightChanged(Event):
    """The weight of a group in force has changed."""

    group: str
    before: int
    after: int


@dataclass(frozen=True)
class SchedulerPaused(Event):
    """Nothing starts any more."""


@dataclass(frozen=True)
class SchedulerResumed(Event):
    """The pause of the whole scheduler is over."""


@dataclass(frozen=True)
class ActorRestarted(Event):
    """An actor of the runtime failed with ``error`` and was replaced."""

    actor: str
    error: str
