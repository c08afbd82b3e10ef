"""What the dispatcher is told."""

from dataclasses import dataclass
from typing import TypeAlias

from millrace.actors.live import Measured
from millrace.actors.mailbox import Reply
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Place
from millrace.actors.sampler import Readings
from millrace.model.errors import InterruptReason
from millrace.model.lanes import Lane
from millrace.model.rows import Ready


@dataclass(frozen=True, slots=True)
class TasksReady:
    """These can start, but for the limits."""

    tasks: tuple[Ready, ...]
    number: int = 0
    """Of this news: see ``Openings.open``."""


@dataclass(frozen=True, slots=True)
class LookForNews:
    """Runs have started and ended in the places that were lent."""


@dataclass(frozen=True, slots=True)
class LanesFound:
    """A page of the lanes with ready tasks that were asked for; ``after`` None: the last."""

    lanes: tuple[Lane, ...]
    after: int | None
    by: object = None
    """Which dispatcher has asked."""


@dataclass(frozen=True, slots=True)
class PageLoaded:
    """The page of a lane's ready tasks that was asked for."""

    lane: Lane
    tasks: tuple[Ready, ...]
    after: Place
    limit: int


@dataclass(frozen=True, slots=True)
class RunsEnded:
    """(task, seconds) of runs that are over; their slots are free."""

    runs: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class ClaimsLost:
    """These were not ready any more; their slots are free."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HooksDue:
    """Cancelled tasks whose hook can run; ``is_page`` where they were asked for, with ``is_last`` at the end of them."""

    ids: tuple[int, ...]
    is_page: bool = False
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class HooksLost:
    """These had no hook due any more."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReadAnew:
    """What is ready, and which hooks are due, may be other than was told: it stands in the store."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """(task, run, reason): runs to be asked to stop."""

    runs: tuple[tuple[int, int, InterruptReason], ...]


@dataclass(frozen=True, slots=True)
class RunOverdue:
    """A run has reached its time-out."""

    task_id: int
    run: int


@dataclass(frozen=True, slots=True)
class StopOverdue:
    """A run was asked to stop some time ago: if it still goes on, it is given up."""

    task_id: int
    run: int
    why: str


@dataclass(frozen=True, slots=True)
class ThreadEnded:
    """A run that was given up has ended after all."""

    task_id: int
    run: int


@dataclass(frozen=True, slots=True)
class RetryOverdue:
    """Timer: a retry has waited for the thread of this run, which was given up, as long as it may."""

    task_id: int
    run: int
    why: str


@dataclass(frozen=True, slots=True)
class Lent:
    """A body waits for another task: it takes no slot meanwhile."""

    task_id: int


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """The wait is over: it takes one again, also where there is none free."""

    task_id: int


@dataclass(frozen=True, slots=True)
class SetLimits:
    """These limits and pauses are in force from now on."""

    limits: Limits


@dataclass(frozen=True, slots=True)
class RefillThreads:
    """The system had no thread for a run: try again."""


@dataclass(frozen=True, slots=True)
class SetDispatching:
    """Start or stop starting; ``reply`` is answered when nothing is claimed that has not begun."""

    is_on: bool
    reply: Reply[None] | None = None


@dataclass(frozen=True, slots=True)
class TasksPreempted:
    """Priorities of tasks that were preempted, and are paused until the urgent have run."""

    priorities: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """Say what is known only here."""

    reply: Reply[Measured]


@dataclass(frozen=True, slots=True)
class LeadChecked:
    """Timer: have the runs that were claimed ahead begun?"""

    ended_before: int


Message: TypeAlias = (
    TasksReady
    | LookForNews
    | LanesFound
    | PageLoaded
    | RunsEnded
    | ClaimsLost
    | HooksDue
    | HooksLost
    | ReadAnew
    | Interrupted
    | RunOverdue
    | StopOverdue
    | ThreadEnded
    | RetryOverdue
    | Lent
    | Reclaimed
    | SetLimits
    | RefillThreads
    | SetDispatching
    | TasksPreempted
    | Measure
    | LeadChecked
    | Readings
)
