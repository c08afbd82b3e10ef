"""The closed sets of the vocabulary: what a task can be, and what a submission can do."""

from enum import StrEnum


class TaskStatus(StrEnum):
    """Where a task stands. The first seven are rows of the queue, the others rows of the history.

    Nothing leaves a terminal status. ``actors.policy.lifecycle`` decides every move between them.
    """

    BLOCKED = "blocked"
    """Waits for other tasks. The settling of the last of them moves it on; a crash leaves it as it is."""
    PENDING = "pending"
    """Ready, or delayed until its ``run_at``. The dispatcher starts it; a crash leaves it as it is."""
    RUNNING = "running"
    """Its body or finalizer executes. Its outcome moves it on; after a crash it is pending again."""
    PAUSED = "paused"
    """Preempted, or in a paused group or domain. A resume moves it on."""
    WAITING = "waiting"
    """Its body has returned and children are active. The last child's end moves it on."""
    CANCELLING = "cancelling"
    """A cancel is recorded; the body, the hook or children have still to end. A crash resumes the cancel."""
    PARKED = "parked"
    """This program cannot run it. Pending again where a program that can run it starts."""
    COMPLETED = "completed"
    FAILED = "failed"
    """A permanent error, or a child's failure under fail-fast."""
    DEAD_LETTER = "dead_letter"
    """A retryable error with no retries left."""
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    DEPENDENCY_FAILED = "dependency_failed"

    @property
    def is_terminal(self) -> bool:
        """True for the seven statuses of the history."""
        return self in TERMINAL


TERMINAL = frozenset(
    {
        TaskStatus.COMPLETED,
        TaskStatus.FAILED,
        TaskStatus.DEAD_LETTER,
        TaskStatus.CANCELLED,
        TaskStatus.SUPERSEDED,
        TaskStatus.EXPIRED,
        TaskStatus.DEPENDENCY_FAILED,
    }
)
FAILED_ENDS = frozenset({TaskStatus.FAILED, TaskStatus.DEAD_LETTER, TaskStatus.EXPIRED, TaskStatus.DEPENDENCY_FAILED})
"""The ends that count as a failed child. Cancelled and superseded are neither good nor failed."""


class DuplicatePolicy(StrEnum):
    """What a submission does where an active task of its name and parent holds its key."""

    SKIP = "skip"
    """Raise the queued task's priority where the new one is more urgent; have a running one run once more."""
    SUPERSEDE = "supersede"
    """Cancel the holder and put this in its place, in one transaction."""
    REJECT = "reject"
    ALLOW = "allow"
    """No uniqueness: this submission neither minds nor holds the key."""


class DependencyPolicy(StrEnum):
    """What the failure of a dependency means for the task that depends on it: any end but COMPLETED is one."""

    CANCEL = "cancel"
    """The task ends DEPENDENCY_FAILED, which is a failure for its own dependents."""
    FAIL = "fail"
    """The task ends DEPENDENCY_FAILED; its own dependents stay blocked, until it is retried by hand."""
    IGNORE = "ignore"
    """The task runs anyway."""


class TtlFrom(StrEnum):
    """When the time to live of a task begins."""

    SUBMISSION = "submission"
    FIRST_ATTEMPT = "first_attempt"
    """With its first start: it bounds the starts of retries and repetitions."""


class SubmitKind(StrEnum):
    """What became of a submission."""

    INSERTED = "inserted"
    DUPLICATE = "duplicate"
    UPGRADED = "upgraded"
    REQUEUED = "requeued"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
