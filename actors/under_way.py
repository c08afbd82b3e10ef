"""The runs under way, as the dispatcher knows them: those it takes over from the one before it, and those it asks to stop."""

from collections.abc import Callable, Iterable, Sequence

from millrace.actors.gating import Gating
from millrace.actors.hooks import HookQueue
from millrace.actors.mailbox import Tells
from millrace.actors.overdue import Overdue
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.starts import Holding
from millrace.actors.preemption import Preemption
from millrace.actors.requests import PutBack, Request
from millrace.actors.times import Times
from millrace.executors.pool import Executors
from millrace.executors.run import Run
from millrace.model.errors import InterruptReason
from millrace.model.lanes import make_lane
from millrace.model.rows import Claim, Phase, Ready


class UnderWay:
    """See the module. Of one dispatcher, in its thread.

    Args:
        persistence: takes back what has not begun.
        executors: where runs are.
        times: the clocks.
        queue: what they take of the limits.
        hooks: the queue of cancel hooks.
        overdue: watches over those that have to end.
        gating: counts what they move.
        preemption: knows who was asked to stop.
        free: called with the ids of tasks whose start is undone.
    """

    def __init__(
        self,
        *,
        persistence: Tells[Request],
        executors: Executors,
        times: Times,
        queue: ReadyQueue,
        hooks: HookQueue,
        overdue: Overdue,
        gating: Gating,
        preemption: Preemption,
        free: Callable[[Sequence[int]], object],
    ) -> None:
        self._persistence = persistence
        self._executors = executors
        self._times = times
        self._queue = queue
        self._hooks = hooks
        self._overdue = overdue
        self._gating = gating
        self._preemption = preemption
        self._free = free
        self._are_known = False
        self._ended_early: set[int] = set()
        """Runs whose end was told before all runs were known: the executor may have them still."""

    # Taking over

    def take_over(self) -> None:
        """A dispatcher begins with what executes."""
        for run in self._executors.runs():
            self._take_over(run)
        self._take_over_hooks()
        for run in self._executors.abandoned():
            self._overdue.note_abandoned(run.claim)

    def complete(self) -> None:
        """Claims of the dispatcher before this one have begun by now, or are lost: all runs are known.

        Lanes are looked for again where another program has written. Nothing is taken over then: what the executor has and the
        queue does not hold is a run that has ended, and whose thread has yet to leave it.
        """
        if self._are_known:
            return
        for run in self._executors.runs():
            if self._queue.holding(run.claim.id) is None and run.claim.id not in self._ended_early:
                self._take_over(run)
        self._take_over_hooks()
        self._are_known = True
        self._ended_early.clear()

    def ended(self, task_id: int) -> None:
        """A run is over."""
        if not self._are_known:
            self._ended_early.add(task_id)

    def _take_over(self, run: Run) -> None:
        claim = run.claim
        if self._executors.is_held_back(run):  # whatever was to take it back died with the dispatcher before this one
            self._executors.withdraw_one(claim.id, claim.run)
            self._persistence.tell(PutBack(((claim.id, claim.run),)))
            return
        holding = Holding(_ready(claim), claim.effective if claim.effective is not None else claim.priority)
        self._queue.hold(holding)
        if run.waits:
            self._queue.lend(claim.id)
        self._gating.started(holding)
        if run.asked is not None:
            self._preemption.asked(claim.id, self._times.monotonic())
        elif self._queue.limits.holds(claim.name, claim.grp):
            self._ask(claim.id, claim.run, "paused")
        self._overdue.guard(run)

    def _take_over_hooks(self) -> None:
        """Those under way take the places of hooks."""
        for run in self._executors.hook_runs():
            task_id = run.claim.id
            if task_id not in self._hooks.claimed and task_id not in self._ended_early:
                self._hooks.claimed.add(task_id)
                self._overdue.guard(run)

    # Stopping

    def interrupt(self, runs: Iterable[tuple[int, int, InterruptReason]]) -> None:
        """Ask these to stop: (task, run, reason)."""
        for task_id, run, reason in runs:
            self._ask(task_id, run, reason)

    def preempt(self, task_id: int) -> bool:
        """Ask the body of a task to make room; False where it is over and the finalizer goes on in its slot."""
        run = self._executors.run_of(task_id)
        if run is None:
            return True  # its end is on its way
        if run.claim.phase != Phase.BODY:
            return False
        self._ask(task_id, run.claim.run, "preempted")
        return True

    def pause(self, before: Limits) -> None:
        """Ask those to stop that are paused since the limits were these."""
        limits = self._queue.limits
        for run in self._executors.runs():
            name, group = run.claim.name, run.claim.grp
            if limits.holds(name, group) and not before.holds(name, group):
                self._ask(run.claim.id, run.claim.run, "paused")

    def _ask(self, task_id: int, run: int, reason: InterruptReason) -> None:
        """Ask a run to stop; one that has not begun goes back to the queue."""
        if self._executors.withdraw_one(task_id, run):
            self._free((task_id,))
            self._persistence.tell(PutBack(((task_id, run),)))
        elif self._executors.interrupt(task_id, run, reason):
            self._preemption.asked(task_id, self._times.monotonic())
            self._overdue.watch_stop(task_id, run, reason)


def _ready(claim: Claim) -> Ready:
    """A run under way as the queue knew it."""
    lane = make_lane(claim.name, claim.grp, claim.parent_id if claim.limited else None, claim.priority)
    return Ready(
        claim.priority, claim.phase, claim.id, claim.crashes, lane, None, claim.ready_ms or 0, claim.expected_io
    )
