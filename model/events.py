"""What subscribers hear. Every event is told after the commit that it tells of, those of one task in commit order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec

from millrace.model.priority import Priority
from millrace.model.records import Json, TaskId
from millrace.model.statuses import TaskStatus

_Told = TypeVar("_Told", bound="Event")


def _told(kind: type[_Told]) -> type[_Told]:
    """A frozen dataclass to whoever reads it, and to ``dataclasses``.

    Made by msgspec: a dataclass sets each field of a frozen instance by a call of its own, which takes ten times as long.
    """
    return dataclass(frozen=True, init=False, match_args=False)(kind)


# The collector need not look at those that a slow reader keeps: nothing in one refers to it.
@_told
class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of all events."""

    at: datetime


@_told
class TaskEvent(Event, frozen=True):
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


@_told
class Submitted(TaskEvent, frozen=True):
    """A new task is in the queue."""


@_told
class Dispatched(TaskEvent, frozen=True):
    """A run of the body starts (not of the finalizer)."""


@_told
class Completed(TaskEvent, frozen=True):
    """The task ended well."""

    memo: Json


@_told
class Failed(TaskEvent, frozen=True):
    """A run failed: it is repeated after ``retry_after`` seconds, or the task ended FAILED."""

    error: str
    will_retry: bool
    retry_after: float | None


@_told
class DeadLettered(TaskEvent, frozen=True):
    """The retries are used up."""

    error: str
    retries: int


@_told
class Waiting(TaskEvent, frozen=True):
    """The body returned while ``children`` children are active."""

    children: int


@_told
class ChildSettled(TaskEvent, frozen=True):
    """Of the parent: one more child has ended."""

    child_id: TaskId
    child_status: TaskStatus
    done: int
    total: int


@_told
class Progress(TaskEvent, frozen=True):
    """A task's fraction changed; a parent's rolls up its children's."""

    fraction: float
    message: str | None
    bytes_done: int | None
    bytes_total: int | None
    bytes_per_second: float | None
    eta: float | None


@_told
class Preempted(TaskEvent, frozen=True):
    """The body has ended to make room for a more urgent task; it begins anew later."""


@_told
class Paused(TaskEvent, frozen=True):
    """The body was stopped by a pause and has ended; it begins anew when nothing pauses the task any more."""


@_told
class Resumed(TaskEvent, frozen=True):
    """A task whose body was preempted or stopped by a pause is pending again."""


@_told
class CancelRequested(TaskEvent, frozen=True):
    """A cancel is recorded and something of the task has still to end."""


@_told
class Cancelled(TaskEvent, frozen=True):
    """The task ended cancelled."""


@_told
class Superseded(TaskEvent, frozen=True):
    """The task was replaced by the task ``by``."""

    by: TaskId


@_told
class ScheduleSkipped(TaskEvent, frozen=True):
    """Of a series: a due time, or several missed ones, are not run."""

    reason: str


@_told
class ScheduleEnded(TaskEvent, frozen=True):
    """The series is over, after so many runs."""

    runs: int


@_told
class Expired(TaskEvent, frozen=True):
    """No run began within the task's time to live; ``age`` is in seconds since that began."""

    age: float


@_told
class Unblocked(TaskEvent, frozen=True):
    """The last dependency of the task has settled: it is pending."""


@_told
class DependencyFailed(TaskEvent, frozen=True):
    """The task ended, or its rerun was dropped, as its dependency ``dependency`` failed."""

    dependency: TaskId


@_told
class Interrupted(TaskEvent, frozen=True):
    """Put back to pending by a shutdown or a crash; it costs no retry."""

    reason: str


@_told
class Parked(TaskEvent, frozen=True):
    """This program cannot run the task; ``reason`` says why."""

    reason: str


@_told
class BatchSubmitted(Event, frozen=True):
    """A batch stored ``inserted`` new tasks."""

    inserted: int


@_told
class GroupPaused(Event, frozen=True):
    """Nothing of the group starts any more, in any domain."""

    group: str


@_told
class GroupResumed(Event, frozen=True):
    """The group's pause is over, by a call or because its time has come."""

    group: str


@_told
class DomainPaused(Event, frozen=True):
    """Nothing of the domain starts any more."""

    domain: str


@_told
class DomainResumed(Event, frozen=True):
    """The domain's pause is over."""

    domain: str


@_told
class GroupWeightChanged(Event, frozen=True):
    """The weight of a group in force has changed."""

    group: str
    before: int
    after: int


@_told
class SchedulerPaused(Event, frozen=True):
    """Nothing starts any more."""


@_told
class SchedulerResumed(Event, frozen=True):
    """The pause of the whole scheduler is over."""


@_told
class ActorRestarted(Event, frozen=True):
    """An actor of the runtime failed with ``error`` and was replaced."""

    actor: str
    error: str
