"""What the persistence actor is asked for. Those with a ``reply`` are answered after COMMIT; the others answer nobody."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from millrace.actors.flows import NewFlow
from millrace.actors.mailbox import Reply
from millrace.actors.policy.tuning import Kind, Value
from millrace.actors.policy.window import Page
from millrace.actors.stored import Stored
from millrace.model.catalog import CodeSeries
from millrace.model.new_tasks import NewTask
from millrace.model.outcomes import RunOutcome
from millrace.model.pauses import Scope
from millrace.model.records import CancelResult
from millrace.model.retention import Retention
from millrace.store.writer import SettledRow


@dataclass(frozen=True, slots=True)
class Submit:
    """Store these, all or none."""

    tasks: tuple[NewTask, ...]
    is_batch: bool
    reply: Reply[list[Stored]]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Record the cancel of a task."""

    task_id: int
    reply: Reply[CancelResult]


@dataclass(frozen=True, slots=True)
class CancelMany:
    """Record the cancels of these tasks, as many as one transaction takes; the answer is which were accepted."""

    ids: tuple[int, ...]
    reply: Reply[list[int]]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Repeat by hand a task that ended badly."""

    task_id: int
    dead_letters_only: bool
    reply: Reply[Stored]


@dataclass(frozen=True, slots=True)
class OpenFlow:
    """Open a flow, or find it."""

    flow: NewFlow
    reply: Reply[int]


@dataclass(frozen=True, slots=True)
class UpdateFlow:
    """Replace a flow's state."""

    flow_id: int
    state: str
    expected: int | None
    reply: Reply[int]


@dataclass(frozen=True, slots=True)
class EndFlow:
    """Finish or fail a flow; ``detail`` is the memo's JSON text or the error."""

    flow_id: int
    end: Literal["finish", "fail"]
    detail: str | None
    state: str | None
    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class CancelFlow:
    """Cancel a flow, its state with it."""

    flow_id: int
    state: str | None
    reply: Reply[CancelResult]


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause the scheduler, a domain or a group; the answer is how many tasks that newly holds."""

    scope: Scope
    name: str
    until_ms: int | None
    reply: Reply[int]


@dataclass(frozen=True, slots=True)
class Resume:
    """End a pause; the answer is how many tasks nothing pauses any more."""

    scope: Scope
    name: str
    reply: Reply[int]


@dataclass(frozen=True, slots=True)
class Tune:
    """Set a limit, weight, minimum or rate at run time."""

    kind: Kind
    name: str
    value: Value
    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class RunNow:
    """Make a delayed task, or the next run of a series, due at once; whether there was one."""

    task_id: int
    reply: Reply[bool]


@dataclass(frozen=True, slots=True)
class ChangeSeries:
    """Pause, resume or cancel a series, by its id or that of one of its runs."""

    task_id: int
    change: Literal["pause", "resume", "cancel"]
    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class Watch:
    """Answer with the row once the task has settled, also where it has already."""

    task_id: int
    reply: Reply[SettledRow]


@dataclass(frozen=True, slots=True)
class Unwatch:
    """The caller has given up waiting."""

    task_id: int
    reply: Reply[SettledRow]


@dataclass(frozen=True, slots=True)
class AskAncestors:
    """The ids of a task and of everything above it."""

    task_id: int
    reply: Reply[list[int]]


@dataclass(frozen=True, slots=True)
class Recover:
    """Take up what the last process left, before anything starts."""

    max_crashes: int
    reply: Reply[None]
    series: CodeSeries = field(default_factory=CodeSeries)


@dataclass(frozen=True, slots=True)
class Flush:
    """Answer once all before it is committed, and synced where anything is not."""

    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """Answer when all turns that began before are over: what they committed is told."""

    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class ClaimTasks:
    """Start these; who lost the race is named in the dispatcher's ``ClaimsLost``."""

    ids: tuple[int, ...]
    effective: tuple[int, ...] | None = None
    """The priorities by which they start, where waiting raises them."""
    is_ahead: bool = False
    """Bodies are so short that starts are claimed ahead of the slots: these can wait a moment."""


@dataclass(frozen=True, slots=True)
class ClaimHooks:
    """Start the cancel hooks of these."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PutBack:
    """(task, run) that were claimed and have not begun."""

    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class GiveUpRetry:
    """A pending retry has waited too long for a thread of an earlier run: the task is a dead letter."""

    task_id: int
    why: str


@dataclass(frozen=True, slots=True)
class Refill:
    """Send the dispatcher these pages of lanes."""

    pages: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class FindLanes:
    """Send the dispatcher the lanes that have ready tasks, a page of them, after the lane of this number."""

    after: int = 0
    by: object = None
    """Which dispatcher asks: what was sent to one that is no more does not say where the next one stands."""


@dataclass(frozen=True, slots=True)
class FindHooks:
    """Send the dispatcher tasks whose hook is due."""

    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Cascade:
    """Go on telling the children of these parents of their end."""

    parents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PromoteDue:
    """Make ready what is due."""


@dataclass(frozen=True, slots=True)
class RefreshLimits:
    """Look at the program's own limits again: a task that has one was added."""


@dataclass(frozen=True, slots=True)
class EndPauses:
    """End the pauses whose time has come, and set a timer for the next."""

    timer: int | None = None
    """Which timer this is of; None: of none, and whatever timer was set is lost."""


@dataclass(frozen=True, slots=True)
class ResumePreempted:
    """Nothing more urgent is in the way of the tasks that were preempted: they are pending again."""


@dataclass(frozen=True, slots=True)
class ExpireDue:
    """Expire what is past its deadline and has not started, in steps until none is left."""


@dataclass(frozen=True, slots=True)
class SampleProgress:
    """A tick: write and tell the progress that has changed."""


@dataclass(frozen=True, slots=True)
class Prune:
    """Take out of the history, at once, what is beyond these bounds, all rows alike; the answer is how many went."""

    retention: Retention
    reply: Reply[int]


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The dispatcher is a new one: let it and the executors know what the last one's mail would have told.

    Starts that are committed and that no executor knows of are put back, runs whose end is decided are asked to stop.
    """


@dataclass(frozen=True, slots=True)
class FollowOthers:
    """Another program has written to the store, as a client does: let who has to hear of it read what it may concern."""


@dataclass(frozen=True, slots=True)
class WithdrawLost:
    """Put back those of these (task, run) that still have no end, and that no executor knows of.

    Told when they were first found so: an outcome that was on its way then has been handled before this.
    """

    runs: tuple[tuple[int, int], ...]


Control: TypeAlias = (
    Cancel
    | CancelMany
    | Repeat
    | RunNow
    | ChangeSeries
    | OpenFlow
    | UpdateFlow
    | EndFlow
    | CancelFlow
    | Pause
    | Resume
    | Tune
    | Watch
    | Unwatch
    | AskAncestors
)
Work: TypeAlias = (
    Recover
    | Flush
    | EndOfTurn
    | ClaimTasks
    | ClaimHooks
    | PutBack
    | GiveUpRetry
    | Refill
    | FindHooks
    | FindLanes
    | Cascade
    | PromoteDue
    | RefreshLimits
    | EndPauses
    | ResumePreempted
    | ExpireDue
    | SampleProgress
    | Prune
    | Reconcile
    | FollowOthers
    | WithdrawLost
)
Request: TypeAlias = RunOutcome | Submit | Control | Work
