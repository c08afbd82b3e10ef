"""What others hear of a run while it executes. Called in the run's thread, or whichever finds it out."""

from typing import Final

from millrace.actors.clock import Arm
from millrace.actors.dispatches import Lent, Reclaimed, RefillThreads, RunOverdue, ThreadEnded
from millrace.actors.hub import Hub
from millrace.actors.roster import Addresses
from millrace.actors.telling import news_of, time_of
from millrace.actors.times import Times
from millrace.executors.bodies import Bodies
from millrace.executors.run import Run
from millrace.model import events
from millrace.model.rows import Phase

_BODY: Final = Phase.BODY
"""Looked up once: in Python 3.11 that takes several times as long as to compare it."""
REFILL_AFTER_S: Final = 0.2
"""Pause before a thread is asked for again where the system gave none."""


class Executing:
    """See the module.

    Args:
        to: the actors.
        bodies: know how long a run may take.
        hub: the subscribers.
        times: the clocks.
    """

    def __init__(self, to: Addresses, bodies: Bodies, hub: Hub, times: Times) -> None:
        self._to = to
        self._bodies = bodies
        self._hub = hub
        self._times = times

    def began(self, run: Run) -> None:
        """The function is called next."""
        claim = run.claim
        timeout_s = self._bodies.timeout_s(run)
        if timeout_s is not None:
            self._to.clock.tell(Arm(timeout_s, self._to.dispatcher, RunOverdue(claim.id, claim.run)))
        if self._hub.hears(events.Dispatched) and claim.phase == _BODY:
            at = time_of(self._times.wall_ms())
            self._hub.publish((news_of(events.Dispatched, at, claim, claim.effective),))

    def starved(self) -> None:
        """The system gives no more threads: runs that wait for one are looked at again in a while."""
        self._to.clock.tell(Arm(REFILL_AFTER_S, self._to.dispatcher, RefillThreads()))

    def lent(self, run: Run) -> None:
        """The body waits for another task: its slots, a bounded parent's too, are free meanwhile."""
        self._to.dispatcher.tell(Lent(run.claim.id))

    def reclaimed(self, run: Run) -> None:
        """The wait is over."""
        self._to.dispatcher.tell(Reclaimed(run.claim.id))

    def thread_ended(self, run: Run) -> None:
        """A run that had been given up has ended after all."""
        self._to.dispatcher.tell(ThreadEnded(run.claim.id, run.claim.run))
