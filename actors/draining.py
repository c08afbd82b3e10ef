"""How the runs of a scheduler end when it stops: waited for, asked to stop, given up; and what was claimed goes back."""

import logging
from collections.abc import Callable
from typing import Any, Final

from millrace.actors.dispatches import SetDispatching
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.requests import Flush, PutBack, Request
from millrace.actors.times import Times
from millrace.executors.pool import Executors
from millrace.model.errors import MillraceError
from millrace.model.outcomes import RunKind, RunOutcome

log = logging.getLogger("millrace")

STOP_AFTER_S: Final = 5.0
"""Seconds that bodies have to end once they were asked to stop for a shutdown, where ``cancel_timeout`` is not less."""

EXIT_AFTER_S: Final = 0.3
"""The same where the interpreter ends, or the user is in a hurry."""

FLUSH_WITHIN_S: Final = 40.0
"""Seconds that the persistence actor has for what it was told."""


class Draining:
    """See the module. Used by the thread that stops the scheduler.

    Args:
        executors: run the bodies.
        persistence, dispatcher: mailboxes.
        times: the clocks.
        cancel_timeout_s: seconds that a body has once it was asked to stop.
        wait: waits for an answer, at most so many seconds.
    """

    def __init__(
        self,
        *,
        executors: Executors,
        persistence: Mailbox[Request],
        dispatcher: Mailbox[Any],
        times: Times,
        cancel_timeout_s: float,
        wait: Callable[[Reply[None], float | None], object],
    ) -> None:
        self._executors = executors
        self._persistence = persistence
        self._dispatcher = dispatcher
        self._times = times
        self._patience_s = min(STOP_AFTER_S, cancel_timeout_s)
        self._wait = wait
        self.is_hurried = False
        """Whether no run is to be waited for any more. Set from any thread, and by signal handlers."""

    def drain(self, grace_s: float) -> bool:
        """Start nothing more, let runs end, ask the rest to stop, give up what does not. Whether all ended within the grace."""
        self._executors.pause()
        reply: Reply[None] = Reply()
        self._dispatcher.tell(SetDispatching(False, reply))
        deadline = self._times.monotonic() + grace_s
        self._settle_within(reply, 5.0)
        all_ended = self._wait_idle(deadline)
        if not all_ended:
            self._end_runs(EXIT_AFTER_S if self.is_hurried else self._patience_s)
        self._flush()
        if self._put_back():
            self._flush()
        return all_ended

    def end_runs(self) -> None:
        """Ask all runs to stop, and give up those that do not."""
        self._end_runs(self._patience_s)

    def put_back(self) -> Reply[None]:
        """Starts that the executors will take no more go back; the reply comes once that is committed."""
        self._put_back()
        flushed: Reply[None] = Reply()
        self._persistence.tell(Flush(flushed))
        return flushed

    def _end_runs(self, patience_s: float) -> None:
        self._executors.interrupt_all("shutdown")
        if not self._executors.wait_idle(patience_s):
            self._give_up_runs()

    def _put_back(self) -> bool:
        """Starts that were committed while the executors took none any more: as if they had not been. Whether there were any."""
        claims = self._executors.withdraw()
        if claims:
            self._persistence.tell(PutBack(tuple((claim.id, claim.run) for claim in claims)))
        return bool(claims)

    def _flush(self) -> None:
        """Wait until all that was told to the persistence actor is committed."""
        flushed: Reply[None] = Reply()
        self._persistence.tell(Flush(flushed))
        self._settle_within(flushed, EXIT_AFTER_S if self.is_hurried else FLUSH_WITHIN_S)

    def _wait_idle(self, deadline: float) -> bool:
        """Wait for the runs to end; a second signal cuts it short."""
        while not self._executors.wait_idle(min(0.1, max(0.0, deadline - self._times.monotonic()))):
            if self.is_hurried or self._times.monotonic() >= deadline:
                return False
        return True

    def _settle_within(self, reply: Reply[None], timeout_s: float) -> None:
        """Wait for an actor's word; a stop goes on without it."""
        try:
            self._wait(reply, timeout_s)
        except (TimeoutError, MillraceError) as error:
            log.warning("stopping: %r", error)

    def _give_up_runs(self) -> None:
        """Their tasks are pending again; what their threads still say is refused."""
        for run in self._executors.runs() + self._executors.hook_runs():
            claim = run.claim
            if self._executors.abandon(claim.id, claim.run, "shutdown") is not None:
                self._persistence.tell(
                    RunOutcome(
                        claim.id,
                        claim.run,
                        claim.phase,
                        claim.name,
                        RunKind.INTERRUPTED,
                        asked="shutdown",
                        abandoned=True,
                    )
                )
