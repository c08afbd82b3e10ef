"""millrace: durable background work inside one Python program.

Tasks live in one SQLite file, survive the death of the process, and form trees in which a parent supervises its children.
The runtime is threads and actors: no asyncio, no broker.

Everything here is public; every other module is the library's own. What runs tasks, what it is told and what it tells is loaded
when it is first asked for: a program that only looks at a store starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from millrace.model.durations import Seconds
from millrace.model.errors import (
    CommitUnknown,
    CyclicDependency,
    ForkedProcess,
    InternalError,
    InvalidDependency,
    InvalidTask,
    MillraceError,
    NoParent,
    ParentClosed,
    PayloadTooLarge,
    PermanentError,
    RetryableError,
    RevisionConflict,
    SchedulerFailed,
    SchedulerStopped,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMoved,
    StoreReadOnly,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TaskInterrupted,
    TaskNotFound,
    UnknownTask,
    UnsafeFilesystem,
)
from millrace.model.priority import Priority
from millrace.model.records import (
    CancelResult,
    ChildResult,
    ChildSummary,
    IoBudget,
    Json,
    Restarts,
    TaskId,
    TaskProgress,
    TaskRecord,
)
from millrace.model.schedule import Cron, Every, Schedule, ScheduleInfo
from millrace.model.statuses import DependencyPolicy, DuplicatePolicy, SubmitKind, TaskStatus, TtlFrom

if TYPE_CHECKING:
    from millrace.context import Context
    from millrace.domains import DomainHandle
    from millrace.flow import Flow
    from millrace.handle import Outcome, TaskHandle
    from millrace.model.events import (
        ActorRestarted,
        BatchSubmitted,
        Cancelled,
        CancelRequested,
        ChildSettled,
        Completed,
        DeadLettered,
        DependencyFailed,
        Dispatched,
        DomainPaused,
        DomainResumed,
        Event,
        Expired,
        Failed,
        GroupPaused,
        GroupResumed,
        GroupWeightChanged,
        Interrupted,
        Parked,
        Paused,
        Preempted,
        Progress,
        Resumed,
        ScheduleEnded,
        SchedulerPaused,
        SchedulerResumed,
        ScheduleSkipped,
        Submitted,
        Superseded,
        TaskEvent,
        Unblocked,
        Waiting,
    )
    from millrace.model.limits import Aging, RateLimit, ResourceSampler, ResourceSnapshot, Throttle
    from millrace.model.metrics import MetricsSnapshot
    from millrace.model.retention import Retention
    from millrace.model.retry import Retry
    from millrace.model.snapshots import GroupInfo, RateLimitInfo, Snapshot
    from millrace.model.stats import TypeStats
    from millrace.scheduler import Scheduler
    from millrace.subscription import Subscription
    from millrace.task import Domain, Submission, Task

__version__ = "0.1.0"

_LATER: Final = {
    "Aging": "millrace.model.limits",
    "Context": "millrace.context",
    "Domain": "millrace.task",
    "DomainHandle": "millrace.domains",
    "Flow": "millrace.flow",
    "GroupInfo": "millrace.model.snapshots",
    "MetricsSnapshot": "millrace.model.metrics",
    "Outcome": "millrace.handle",
    "RateLimit": "millrace.model.limits",
    "RateLimitInfo": "millrace.model.snapshots",
    "ResourceSampler": "millrace.model.limits",
    "ResourceSnapshot": "millrace.model.limits",
    "Retention": "millrace.model.retention",
    "Retry": "millrace.model.retry",
    "Scheduler": "millrace.scheduler",
    "Snapshot": "millrace.model.snapshots",
    "Submission": "millrace.task",
    "Subscription": "millrace.subscription",
    "Task": "millrace.task",
    "TaskHandle": "millrace.handle",
    "Throttle": "millrace.model.limits",
    "TypeStats": "millrace.model.stats",
}
"""What is loaded when it is first asked for, and where it is. All public names that are neither here nor loaded are events."""
_EVENTS: Final = "millrace.model.events"


__all__ = [
    "ActorRestarted",
    "Aging",
    "BatchSubmitted",
    "CancelRequested",
    "CancelResult",
    "Cancelled",
    "ChildResult",
    "ChildSettled",
    "ChildSummary",
    "CommitUnknown",
    "Completed",
    "Context",
    "Cron",
    "CyclicDependency",
    "DeadLettered",
    "DependencyFailed",
    "DependencyPolicy",
    "Dispatched",
    "Domain",
    "DomainHandle",
    "DomainPaused",
    "DomainResumed",
    "DuplicatePolicy",
    "Event",
    "Every",
    "Expired",
    "Failed",
    "Flow",
    "ForkedProcess",
    "GroupInfo",
    "GroupPaused",
    "GroupResumed",
    "GroupWeightChanged",
    "InternalError",
    "Interrupted",
    "InvalidDependency",
    "InvalidTask",
    "IoBudget",
    "Json",
    "MetricsSnapshot",
    "MillraceError",
    "NoParent",
    "Outcome",
    "ParentClosed",
    "Parked",
    "Paused",
    "PayloadTooLarge",
    "PermanentError",
    "Preempted",
    "Priority",
    "Progress",
    "RateLimit",
    "RateLimitInfo",
    "ResourceSampler",
    "ResourceSnapshot",
    "Restarts",
    "Resumed",
    "Retention",
    "Retry",
    "RetryableError",
    "RevisionConflict",
    "Schedule",
    "ScheduleEnded",
    "ScheduleInfo",
    "ScheduleSkipped",
    "Scheduler",
    "SchedulerFailed",
    "SchedulerPaused",
    "SchedulerResumed",
    "SchedulerStopped",
    "Seconds",
    "Snapshot",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreMoved",
    "StoreReadOnly",
    "Submission",
    "SubmitKind",
    "Submitted",
    "Subscription",
    "Superseded",
    "Task",
    "TaskCancelled",
    "TaskEvent",
    "TaskExpired",
    "TaskFailed",
    "TaskHandle",
    "TaskId",
    "TaskInterrupted",
    "TaskNotFound",
    "TaskProgress",
    "TaskRecord",
    "TaskStatus",
    "Throttle",
    "TtlFrom",
    "TypeStats",
    "Unblocked",
    "UnknownTask",
    "UnsafeFilesystem",
    "Waiting",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load what was not needed until now. Python's own hook for attributes of a module, PEP 562."""
    home = _LATER.get(name) or (_EVENTS if name in __all__ else None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    """All public names, loaded or not."""
    return sorted(__all__)
