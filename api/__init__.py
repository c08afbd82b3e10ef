"""millrace: durable background work inside one Python program.

Tasks live in one SQLite file, survive the death of the process, and form trees in which a parent supervises its children.
The runtime is threads and actors: no asyncio, no broker.

Everything here is public; every other module is the library's own.
"""

from millrace.context import Context
from millrace.flow import Flow
from millrace.handle import Outcome, TaskHandle
from millrace.model.durations import Seconds
from millrace.model.errors import (
    CommitUnknown,
    ForkedProcess,
    InternalError,
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
from millrace.model.events import (
    ActorRestarted,
    BatchSubmitted,
    Cancelled,
    CancelRequested,
    ChildSettled,
    Completed,
    DeadLettered,
    Dispatched,
    Event,
    Failed,
    Interrupted,
    Parked,
    Progress,
    Submitted,
    Superseded,
    TaskEvent,
    Waiting,
)
from millrace.model.priority import Priority
from millrace.model.records import CancelResult, ChildResult, ChildSummary, IoBudget, Json, Restarts, TaskId, TaskRecord
from millrace.model.retention import Retention
from millrace.model.retry import Retry
from millrace.model.statuses import DuplicatePolicy, SubmitKind, TaskStatus
from millrace.scheduler import Scheduler
from millrace.subscription import Subscription
from millrace.task import Domain, Submission, Task

__version__ = "0.1.0"

__all__ = [
    "ActorRestarted",
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
    "DeadLettered",
    "Dispatched",
    "Domain",
    "DuplicatePolicy",
    "Event",
    "Failed",
    "Flow",
    "ForkedProcess",
    "InternalError",
    "Interrupted",
    "InvalidTask",
    "IoBudget",
    "Json",
    "MillraceError",
    "NoParent",
    "Outcome",
    "ParentClosed",
    "Parked",
    "PayloadTooLarge",
    "PermanentError",
    "Priority",
    "Progress",
    "Restarts",
    "Retention",
    "Retry",
    "RetryableError",
    "RevisionConflict",
    "Scheduler",
    "SchedulerFailed",
    "SchedulerStopped",
    "Seconds",
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
    "TaskRecord",
    "TaskStatus",
    "UnknownTask",
    "UnsafeFilesystem",
    "Waiting",
    "__version__",
]
