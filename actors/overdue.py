"""Runs that were asked to stop and do not: time-outs, giving up, and what waits for a thread that was given up."""

from collections.abc import Callable, Iterable
from typing import Final

from millrace.actors.clock import Arm
from millrace.actors.dispatches import Message, RetryOverdue, RunOverdue, StopOverdue
from millrace.actors.hooks import HookQueue
from millrace.actors.mailbox import Mailbox, Tells
from millrace.actors.requests import GiveUpRetry, Request
from millrace.executors.pool import Executors
from millrace.executors.run import Run
from millrace.model.rows import Claim, Phase, Ready

ABANDON_AGAIN_S: Final = 1.0
"""Where as many threads are given up as there may be, the next is looked at again after this."""
REQUESTS: Final = frozenset({"preempted", "paused"})
"""Reasons that only ask: a body that ignores them runs to its end."""


class Overdue:
    """Watches over runs that have to end.

    Args:
        address: the dispatcher's own mailbox, for timers.
        hooks: the queue of cancel hooks.
        cancel_timeout_s: how long a run that was asked to stop for good may take.
        free: called with the id of a task whose run was given up: its slot is free.
        offer: called with tasks that may start again.
    """

    def __init__(
        self,
        address: Mailbox[Message],
        *,
        persistence: Tells[Request],
        clock: Tells[Arm],
        executors: Executors,
        hooks: HookQueue,
        cancel_timeout_s: float,
        free: Callable[[int], object],
        offer: Callable[[Iterable[Ready]], object],
    ) -> None:
        self._address = address
        self._persistence = persistence
        self._clock = clock
        self._executors = executors
        self._hooks = hooks
        self._cancel_timeout_s = cancel_timeout_s
        self._free = free
        self._offer = offer
        self.abandoned: dict[int, int] = {}
        """Tasks whose body or finalizer was given up while its thread goes on, with the number of that run."""
        self._waiting: dict[int, Ready] = {}
        """Ready tasks that wait for such a thread."""
        self._too_late: dict[int, Ready] = {}
        """Those of them that have waited as long as a retry may. A rerun may wait longer: it must not be forgotten here."""

    def guard(self, run: Run) -> None:
        """Set the timers of a run anew: the clock that held them may have died with the dispatcher before this one."""
        claim = run.claim
        if run.asked is not None and claim.phase != Phase.HOOK:
            self.watch_stop(claim.id, claim.run, run.asked)
        timeout_s = self._executors.timeout_left_s(run)
        if timeout_s is not None:
            self._clock.tell(Arm(timeout_s, self._address, RunOverdue(claim.id, claim.run)))

    def watch_stop(self, task_id: int, run: int, reason: str) -> None:
        """The run was asked to stop: for good, it has so long; otherwise it may ignore it."""
        if reason not in REQUESTS:
            why = f"asked to stop ({reason}); its thread did not stop within {self._cancel_timeout_s:g} s"
            self._clock.tell(Arm(self._cancel_timeout_s, self._address, StopOverdue(task_id, run, why)))

    def run_overdue(self, task_id: int, run: int, slots: int) -> None:
        """A body or finalizer is asked to stop and has a while to do so; a hook has had its time, and is given up."""
        hook_s = self._executors.hook_timeout_s(task_id, run)
        if hook_s is not None:
            self.stop_overdue(StopOverdue(task_id, run, f"it did not end within {hook_s:g} s"), slots)
            return
        timeout_s = self._executors.interrupt_overdue(task_id, run)
        if timeout_s is not None:
            grace_s = min(5.0, self._cancel_timeout_s)
            why = f"TimeoutError: timed out after {timeout_s:g} s; its thread did not stop"
            self._clock.tell(Arm(grace_s, self._address, StopOverdue(task_id, run, why)))

    def stop_overdue(self, message: StopOverdue, slots: int) -> None:
        """Give the run up, unless as many as there are slots are given up already: then it keeps its slot, and is asked again."""
        if len(self.abandoned) + len(self._hooks.abandoned) >= slots:
            if self._executors.is_running(message.task_id, message.run):
                self._clock.tell(Arm(ABANDON_AGAIN_S, self._address, message))
            return
        run = self._executors.run_of(message.task_id)
        outcome = self._executors.abandon(message.task_id, message.run, message.why)
        if run is not None and outcome is not None:
            self.note_abandoned(run.claim)
            self._persistence.tell(outcome)
            if run.claim.phase == Phase.HOOK:
                self._hooks.end(message.task_id)
            else:
                self._free(message.task_id)

    def note_abandoned(self, claim: Claim) -> None:
        """The run was given up, and its thread goes on."""
        is_hook = claim.phase == Phase.HOOK
        (self._hooks.abandoned if is_hook else self.abandoned)[claim.id] = claim.run

    def thread_ended(self, task_id: int, run: int) -> None:
        """A thread that was given up has ended: what waited for it may start."""
        self._hooks.thread_ended(task_id, run)
        if self.abandoned.get(task_id) == run:
            del self.abandoned[task_id]
            waiting, late = self._waiting.pop(task_id, None), self._too_late.pop(task_id, None)
            task = waiting or late
            if task is not None:
                self._offer((task,))

    def hold(self, task: Ready) -> bool:
        """Whether the thread of the task's last run, which was given up, goes on: nothing of the task starts beside that.

        Where the run was out of time, this is its retry, and waits as long as a run may take.
        """
        run = self.abandoned.get(task.id)
        if run is None:
            return False
        self._waiting[task.id] = task
        timeout_s = self._executors.abandoned_timeout_s(task.id, run)
        if timeout_s is not None:
            why = f"its thread did not stop within {timeout_s:g} s after the retry was due"
            self._clock.tell(Arm(timeout_s, self._address, RetryOverdue(task.id, run, why)))
        return True

    @property
    def has_waiting(self) -> bool:
        """Whether a ready task waits for a thread that was given up."""
        return bool(self._waiting)

    def retry_overdue(self, message: RetryOverdue) -> None:
        """A retry has waited for its thread as long as it may."""
        if self.abandoned.get(message.task_id) == message.run and message.task_id in self._waiting:
            self._too_late[message.task_id] = self._waiting.pop(message.task_id)
            self._persistence.tell(GiveUpRetry(message.task_id, message.why))
