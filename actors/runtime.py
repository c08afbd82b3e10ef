"""One scheduler's runtime: its actors, executors and store, from opening to stop. Knows no task's code.

States: new, open (the store is open, this process does not own it: submits go in, nothing runs), starting, running, stopping,
stopped, failed. ``start`` is possible from every state but failed.
"""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from millrace.actors.actor import Loop, ThreadLoop
from millrace.actors.callers import Callers
from millrace.actors.clock import Arm
from millrace.actors.delivery import Delivery
from millrace.actors.dispatches import SetLimits
from millrace.actors.draining import STOP_AFTER_S, Draining
from millrace.actors.executing import Executing
from millrace.actors.hub import Hub
from millrace.actors.live import GaugeSource, Live, Measured
from millrace.actors.mailbox import Reply
from millrace.actors.means import NEWEST, Means
from millrace.actors.opened import OpenedStore
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.tuning import Kind, Value
from millrace.actors.progress import Board
from millrace.actors.requests import Recover, RefreshLimits, Request, SampleProgress, Submit, Tune
from millrace.actors.roster import Addresses, Roster
from millrace.actors.settings import Phases, Settings
from millrace.actors.supervisor import Spawn
from millrace.actors.tally import Tally
from millrace.actors.times import SystemTimes, Times
from millrace.executors.bodies import Bodies
from millrace.executors.pool import Executors
from millrace.executors.run import Run
from millrace.model import events
from millrace.model.catalog import Catalog, CodeSeries
from millrace.model.durations import ms_to_datetime
from millrace.model.errors import SchedulerFailed, SchedulerStopped, StoreError
from millrace.model.records import TaskRecord
from millrace.store.connection import Location
from millrace.store.fork import ForkGuard
from millrace.store.outcomes import read_newest_completed
from millrace.store.readers import Readers

log = logging.getLogger("millrace")
T = TypeVar("T")


class Runtime:
    """See the module. From any thread."""

    def __init__(
        self,
        location: Callable[[], Location],
        *,
        catalog: Catalog,
        bodies: Bodies,
        settings: Settings,
        code_series: Callable[[], CodeSeries] = CodeSeries,
        times: Times | None = None,
        loop: Loop | None = None,
        executors: Callable[..., Executors] = Executors,
        looks_for_others: bool = False,
    ) -> None:
        self._settings = settings
        self._code_series = code_series
        self.times: Times = times or SystemTimes()
        self.loop: Loop = loop or ThreadLoop()
        self.hub = Hub()
        self.guard = ForkGuard()
        self.limits = settings.limits
        """In force. Replaced whole, by the persistence actor."""
        self._lock = threading.RLock()
        self._state = Phases.NEW
        self._failure: SchedulerFailed | StoreError | None = None
        self._stop_result = True
        self._stopped = threading.Event()
        """Of the present life: each start makes a new one."""
        self._callers = Callers(self.loop, self._refusal)
        self.store = OpenedStore(location, lambda: self.tally.count("store_busy"))
        self.addresses = addresses = Addresses()
        self.persistence, self.clock, self.dispatcher = addresses.persistence, addresses.clock, addresses.dispatcher
        self._executing = Executing(addresses, bodies, self.hub, self.times)
        self.executors = executors(
            bodies, self.persistence.tell, on_begin=self._executing.began, on_thread_end=self._on_thread_end
        )
        self.executors.when_starved(self._executing.starved)
        self._draining = Draining(
            executors=self.executors,
            persistence=self.persistence,
            dispatcher=self.dispatcher,
            times=self.times,
            cancel_timeout_s=settings.cancel_timeout_s,
            wait=self._callers.wait,
        )
        self.means = Means()
        self.progress = Board(
            self.times,
            settings.progress_interval_s,
            is_heard=lambda: self.hub.hears(events.Progress),
            arm=lambda delay_s: self.clock.tell(Arm(delay_s, self.persistence, SampleProgress())),
            runs=self.executors.runs,
            mean_s=self.means.duration_s,
        )
        self.tally = Tally(self.times.monotonic)
        self.delivery = Delivery(
            dispatcher=self.dispatcher,
            clock=self.clock,
            hub=self.hub,
            board=self.progress,
            means=self.means,
            tally=self.tally,
            on_limits=self._on_limits,
        )
        self.roster = Roster(
            addresses,
            self.loop,
            self.times,
            settings=settings,
            catalog=catalog,
            store=self.store,
            executors=self.executors,
            delivery=self.delivery,
            callers=self._callers,
            on_failed=self._fail,
            on_restarted=self._on_restarted,
            limits=lambda: self.limits,
            is_dispatching=lambda: self._state is not Phases.STOPPING,
            looks_for_others=looks_for_others,
        )
        self.gauges: list[GaugeSource] = [lambda: self.live().gauges()]
        """Who else has something to measure: asked at each scrape, in the scraping thread."""

    # Opening and starting

    def open(self) -> None:
        """Open the store without owning it, so that it can be written to and read. Idempotent."""
        self.guard.check()
        with self._lock:
            if self._state in (Phases.NEW, Phases.STOPPED):
                self._begin()
                self._state = Phases.OPEN

    def start(self) -> None:
        """Own the store, take up what the last process left, and begin to run.

        Raises:
            StoreLocked: another process owns it. StoreError: it cannot be opened.
        """
        self.guard.check()
        while True:
            with self._lock:
                if self._state is not Phases.STOPPING:
                    self._start()
                    return
                stopped = self._stopped
            stopped.wait()

    def _start(self) -> None:
        """Holding the lock, in no state but stopping."""
        if self._state is Phases.RUNNING:
            return
        if self._failure is not None:
            raise self._failure
        self.store.own()
        before, self._state = self._state, Phases.STARTING
        try:
            if before is Phases.OPEN:
                self._end_actors()
            self._begin()
            self._recover()
        except BaseException as error:
            self._end_actors()
            self._release()
            if self._failure is None:
                self._state = Phases.NEW if before is Phases.OPEN else before
                self._refuse_mail(error if isinstance(error, StoreError) else SchedulerStopped())
            raise
        self._stopped = threading.Event()
        self._draining.is_hurried = False
        if self._failure is None:
            self._state = Phases.RUNNING

    def _begin(self) -> None:
        """Start the guardian and the persistence actor."""
        self.store.open()
        self.roster.begin()

    def _recover(self) -> None:
        supervisors, readers = self.roster.supervisors, self.store.readers
        if supervisors is None or readers is None:
            raise AssertionError("begin comes first")
        self.means.load(read_newest_completed(readers, NEWEST))
        self.executors.start(self.limits.slots)
        self.delivery.connect(supervisors, self.executors)
        reply: Reply[None] = Reply()
        self.persistence.tell(Recover(self._settings.max_crashes, reply, self._code_series()))
        self._callers.wait(reply)
        self.roster.complete()

    # Asking

    @property
    def state(self) -> Phases:
        """Where the runtime stands."""
        return self._state

    def tune(self, kind: Kind, name: str, value: Value) -> None:
        """Set a limit, at once and for as long as the program's own value stays the same."""
        reply: Reply[None] = Reply()
        self.ask(Tune(kind, name, value, reply), reply)

    def refresh_limits(self) -> None:
        """The program has other limits of its own than when they were last looked at: a task with a rate was added."""
        self.tell(RefreshLimits())

    def _on_limits(self, limits: Limits) -> None:
        """Limits or pauses have changed. Told in every state: a start that is under way has read the former ones already."""
        self.limits = limits
        self.dispatcher.tell(SetLimits(limits))

    def readers(self) -> Readers:
        """Connections to read by; the store is opened where it is not."""
        self._check()
        readers = self.store.readers
        if readers is None:
            raise SchedulerStopped
        return readers

    @property
    def is_owner(self) -> bool:
        """Whether this process runs the store."""
        return self._state in (Phases.STARTING, Phases.RUNNING, Phases.STOPPING)

    def ask(self, request: Request, reply: Reply[T]) -> T:
        """Send a request to the persistence actor and wait for its answer."""
        self._check()
        self.persistence.tell(request)
        return self._callers.wait(reply)

    def spawn(self, parent_id: int, submit: Submit) -> None:
        """Send children to the supervisor of their parent; the answer comes to the reply in ``submit``."""
        self._check()
        supervisors = self.roster.supervisors
        if self._state is Phases.RUNNING and supervisors is not None:
            supervisors.tell(parent_id, Spawn(submit))
        else:
            self.persistence.tell(submit)

    def await_reply(self, reply: Reply[T], timeout_s: float | None = None) -> T:
        """Wait for an answer; TimeoutError where it does not come in time."""
        return self._callers.wait(reply, timeout_s)

    def tell(self, request: Request) -> None:
        """Send a request that nobody waits for."""
        self._check()
        self.persistence.tell(request)
        if self._state in (Phases.STOPPED, Phases.FAILED):
            self._refuse_mail(self._failure or SchedulerStopped())  # it may have come in behind the last actor

    def await_turn(self) -> None:
        """Wait until all that the store is at is committed and told: what is committed later knows of who listens now.

        Raises:
            SchedulerStopped: nothing will be told any more.
        """
        if self._state in (Phases.OPEN, Phases.RUNNING, Phases.STOPPING):
            self.roster.await_turn()
        refusal = self._refusal()
        if refusal is not None:
            raise refusal

    def _check(self) -> None:
        self.guard.check()
        if self._state is Phases.NEW:
            self.open()
        refusal = self._refusal()
        if refusal is not None:
            raise refusal

    def _refusal(self) -> SchedulerFailed | StoreError | SchedulerStopped | None:
        """What calls get that nobody will answer."""
        if self._failure is not None:
            return self._failure
        return SchedulerStopped() if self._state is Phases.STOPPED else None

    # Runs that wait, and their progress

    def lend(self, run: Run) -> None:
        """A body waits for another task: its slots, a bounded parent's too, are free meanwhile."""
        self.executors.lend(run)
        self._executing.lent(run)

    def reclaim(self, run: Run) -> None:
        """The wait is over: the body goes on at once."""
        self.delivery.openings.shut()
        self.executors.reclaim(run)
        self._executing.reclaimed(run)

    def with_progress(self, record: TaskRecord) -> TaskRecord:
        """The record with what is known here of the progress of an active task."""
        return self.progress.with_fraction(record)

    def live(self) -> Live:
        """What a snapshot shows that is not in the store."""
        measured = self.roster.measure() if self._state is Phases.RUNNING else Measured()
        return Live(self.limits, self._settings.aging, measured)

    # Stopping

    def hurry(self) -> None:
        """Cut the grace of the stop under way short. From a signal handler: takes no lock."""
        self._draining.is_hurried = True

    def stop_at_exit(self) -> None:
        """The interpreter ends: as ``stop(0)``, but without waiting for bodies."""
        if self.guard.is_forked:
            return
        self._draining.is_hurried = True
        self.stop(0.0)

    def stop(self, grace_s: float) -> bool:
        """See ``Scheduler.stop``. True where all runs had ended within the grace."""
        self.guard.check()
        if self._state not in (Phases.NEW, Phases.STOPPED):
            # A KeyboardInterrupt in the midst of it would leave a scheduler that never stops, and that the exit waits for.
            self.loop.shield(lambda: self._stop(grace_s), "stop")
        return self._stop_result

    def _stop(self, grace_s: float) -> None:
        with self._lock:
            before, stopped = self._state, self._stopped
            if before in (Phases.OPEN, Phases.RUNNING):
                self._state = Phases.STOPPING
        if before in (Phases.STOPPING, Phases.FAILED):
            stopped.wait()
        elif before in (Phases.OPEN, Phases.RUNNING):
            all_ended = self._draining.drain(grace_s) if before is Phases.RUNNING else True
            with self._lock:
                self._stop_result = all_ended
                self._close()

    def _close(self) -> None:
        """The end, holding the lock: nothing runs any more but what was given up."""
        self._end_actors()
        self._state = Phases.STOPPED if self._failure is None else Phases.FAILED
        self._refuse_mail(self._failure or SchedulerStopped())
        self._release()
        self.hub.close()
        self.store.discard()
        self._stopped.set()

    def wait_stopped(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of ``stop`` (or a failure), in another thread."""
        return self._stopped.wait(timeout_s)

    def _end_actors(self) -> None:
        """Stop the actors in reverse order, and close what they used."""
        if self.roster.supervisors is not None:
            self.roster.supervisors.stop()
        self.delivery.disconnect()
        self.progress.end()
        self.store.close_readers()
        self.roster.end()
        self.executors.stop()

    def _release(self) -> None:
        """Free the store, unless a thread that was given up still works on a task of it."""
        if not self.executors.abandoned():
            self.store.release()

    def _refuse_mail(self, error: BaseException) -> None:
        """Nobody will handle what is in the mailboxes any more: those who wait for answers get one."""
        self._callers.refuse(error, self.persistence, self.dispatcher, self.clock)
        self.delivery.fail_watchers(error)

    # What happens by itself

    def _fail(self, failed: SchedulerFailed) -> None:
        """The end of a scheduler that cannot go on: bodies are asked to stop, calls and waits raise. The process goes on."""
        log.critical("millrace has failed: %s", failed)
        self._failure = failed
        self._state = Phases.FAILED
        self.executors.pause()
        self.executors.interrupt_all("shutdown")
        self._callers.fail(failed)
        self.delivery.fail_watchers(failed)
        # Not here: this is an actor's thread, and the actors are to end.
        self.loop.detach(self._wind_down, "wind-down")

    def _wind_down(self) -> None:
        """After a failure: as a stop without grace, as far as there are actors left to do it."""
        self._draining.end_runs()
        if self.roster.is_running("persistence"):
            self.loop.wait(self._draining.put_back(), STOP_AFTER_S)
        with self._lock:
            self._stop_result = False
            self._close()

    def _on_restarted(self, name: str, error: BaseException) -> None:
        self.delivery.count("actor_restarts", value=name)
        self.progress.rearm()
        self.hub.publish(
            [events.ActorRestarted(at=ms_to_datetime(self.times.wall_ms()), actor=name, error=repr(error))]
        )

    def _on_thread_end(self, run: Run) -> None:
        """A run that had been given up has ended after all."""
        self._executing.thread_ended(run)
        with self._lock:
            if self._state is Phases.STOPPED:
                self._release()
