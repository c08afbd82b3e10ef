"""What the persistence actor is asked for. Those with a ``reply`` are answered after COMMIT; the others answer nobody."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from millrace.actors.enqueueing import Stored
from millrace.actors.flows import NewFlow
from millrace.actors.mailbox import Reply
from millrace.model.outcomes import RunOutcome
from millrace.model.records import CancelResult
from millrace.model.rows import NewTask


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
class Watch:
    """Answer with the terminal status once the task has settled, also where it has already."""

    task_id: int
    reply: Reply[str]


@dataclass(frozen=True, slots=True)
class Unwatch:
    """The caller has given up waiting."""

    task_id: int
    reply: Reply[str]


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


@dataclass(frozen=True, slots=True)
class Flush:
    """Answer once all before it is committed, and synced where anything is not."""

    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class ClaimTasks:
    """Start these; who lost the race is named in the dispatcher's ``ClaimsLost``."""

    ids: tuple[int, ...]


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
    """Send the dispatcher the next ready tasks after a place in the order of starts."""

    after: tuple[int, int, int]
    limit: int


@dataclass(frozen=True, slots=True)
class FindHooks:
    """Send the dispatcher tasks whose hook is due."""

    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class FindOffers:
    """Send a parent's supervisor the most urgent of its children that can start, but for those it knows."""

    parent_id: int
    known: tuple[int, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class Cascade:
    """Go on telling the children of these parents of their end."""

    parents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PromoteDue:
    """Make ready what is due."""


@dataclass(frozen=True, slots=True)
class WriteProgress:
    """(task, run, fraction) of runs under way."""

    entries: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Put back starts that are committed and that no executor knows of."""


Control: TypeAlias = Cancel | Repeat | OpenFlow | UpdateFlow | EndFlow | CancelFlow | Watch | Unwatch | AskAncestors
Work: TypeAlias = (
    Recover
    | Flush
    | ClaimTasks
    | ClaimHooks
    | PutBack
    | GiveUpRetry
    | Refill
    | FindHooks
    | FindOffers
    | Cascade
    | PromoteDue
    | WriteProgress
    | Reconcile
)
Request: TypeAlias = RunOutcome | Submit | Control | Work
