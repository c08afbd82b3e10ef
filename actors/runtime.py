"""One scheduler's runtime: its actors, executors and store, from opening to stop. Knows no task's code.

States: new, open (the store is open, this process does not own it: submits go in, nothing runs), starting, running, stopping,
stopped, failed. ``start`` is possible from every state but failed.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, TypeVar

from millrace.actors.actor import Actor, Loop, ThreadLoop
from millrace.actors.clock import Arm, Clock
from millrace.actors.delivery import Delivery
from millrace.actors.dispatcher import Dispatcher, DispatchSettings
from millrace.actors.dispatches import (
    Lent,
    Measure,
    Reclaimed,
    RefillThreads,
    RunOverdue,
    SetLimits,
    ThreadEnded,
)
from millrace.actors.draining import STOP_AFTER_S, Draining
from millrace.actors.guardian import Guardian, StartAll, StopAll
from millrace.actors.hub import Hub
from millrace.actors.live import Live, Measured
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.means import NEWEST, Means
from millrace.actors.others import Others
from millrace.actors.persistence import Persistence
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.tuning import Kind, Value
from millrace.actors.progress import Board
from millrace.actors.pruning import Pruner
from millrace.actors.requests import (
    EndOfTurn,
    Reconcile,
    Recover,
    RefreshLimits,
    Request,
    SampleProgress,
    Submit,
    Tune,
)
from millrace.actors.sampler import Sampler
from millrace.actors.settings import Phases, Settings
from millrace.actors.sources import sources_of
from millrace.actors.supervisor import Spawn
from millrace.actors.supervisors import Supervisors
from millrace.actors.tally import Tally
from millrace.actors.telling import News, news_of
from millrace.actors.times import SystemTimes, Times
from millrace.executors.bodies import Bodies
from millrace.executors.pool import Executors
from millrace.executors.run import Run
from millrace.model import events
from millrace.model.catalog import Catalog, CodeSeries
from millrace.model.durations import ms_to_datetime
from millrace.model.errors import MillraceError, SchedulerFailed, SchedulerStopped, StoreError
from millrace.model.measures import FileSizes, QueueState
from millrace.model.records import TaskRecord
from millrace.model.rows import Phase
from millrace.store.connection import Location
from millrace.store.fork import ForkGuard
from millrace.store.measures import measure_files, measure_queue, sqlite_versions
from millrace.store.outcomes import read_newest_completed
from millrace.store.ownership import Ownership
from millrace.store.readers import Readers
from millrace.store.session import Session

log = logging.getLogger("millrace")
T = TypeVar("T")

GaugeSource = Callable[[], Iterable[tuple[str, tuple[str, ...], float]]]
"""Gives (family of ``model.families``, values of its labels, value). From any thread; must not block."""

MEASURE_WITHIN_S: Final = 0.5
"""Seconds that a look at the dispatcher's numbers may take; it answers within its turn."""

REFILL_AFTER_S: Final = 0.2
"""Pause before a thread is asked for again where the system gave none."""


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
        self._locate = location
        self._catalog = catalog
        self._code_series = code_series
        self._settings = settings
        self._looks_for_others = looks_for_others
        self.times: Times = times or SystemTimes()
        self.loop: Loop = loop or ThreadLoop()
        self.hub = Hub()
        self.guard = ForkGuard()
        self.limits = settings.limits
        """In force. Replaced whole, by the persistence actor."""
        self._lock = threading.RLock()
        self._state = Phases.NEW
        self._failure: SchedulerFailed | StoreError | None = None
        self._ownership: Ownership | None = None
        self._location: Location | None = None
        self._readers: Readers | None = None
        self._first_session: Session | None = None
        self._stop_result = True
        self._stopped = threading.Event()
        """Of the present life: each start makes a new one."""
        self._awaited: set[Reply[Any]] = set()
        """What callers wait for: answered with an error where nobody else will."""
        self.persistence: Mailbox[Request] = Mailbox("persistence")
        self.clock: Mailbox[Any] = Mailbox("clock")
        self.dispatcher: Mailbox[Any] = Mailbox("dispatcher")
        self.sampler: Mailbox[Any] = Mailbox("sampler")
        self._sources = sources_of(settings.pressure, settings.resources, settings.bandwidth_limit, self.times)
        self._first_reading: Reply[None] | None = None
        self.guardian_box: Mailbox[Any] = Mailbox("guardian")
        self.executors = executors(
            bodies, self.persistence.tell, on_begin=self._on_begin, on_thread_end=self._on_thread_end
        )
        self._draining = Draining(
            executors=self.executors,
            persistence=self.persistence,
            dispatcher=self.dispatcher,
            times=self.times,
            cancel_timeout_s=settings.cancel_timeout_s,
            wait=self._await,
        )
        self._bodies = bodies
        self.means = Means()
        """What the dispatcher knows at this moment."""
        self.progress = Board(
            self.times,
            settings.progress_interval_s,
            is_heard=lambda: self.hub.hears(events.Progress),
            arm=self._arm_sample,
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
        self.executors.when_starved(self._refill_later)
        self._guardian: Guardian | None = None
        self.supervisors: Supervisors | None = None
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
        location = self._location = self._location or self._locate()
        if self._ownership is None and not location.is_memory:
            self._ownership = Ownership.acquire(location)
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
        self._location = self._location or self._locate()
        # Opened here first, so that an error reaches the caller, and before there is a guardian that would have to be stopped.
        self._first_session = self._open_session()
        self._guardian = guardian = Guardian(
            self.guardian_box,
            self.loop,
            times=self.times,
            factories=[
                ("persistence", self._make_persistence),
                ("clock", self._make_clock),
                *([("sampler", self._make_sampler)] if self._sources.all else []),
                ("dispatcher", self._make_dispatcher),
            ],
            restarts=self._settings.restarts,
            on_failed=self._fail,
            on_restarted=self._on_restarted,
        )
        self.supervisors = Supervisors(self.loop, persistence=self.persistence, on_death=guardian.watch)
        self._readers = Readers(self._location)
        guardian.launch()
        self._start_actors("persistence")

    def _recover(self) -> None:
        if self.supervisors is None or self._readers is None:
            raise AssertionError("begin comes first")
        self.means.load(read_newest_completed(self._readers, NEWEST))
        self.executors.start(self.limits.slots)
        self.delivery.connect(self.supervisors, self.executors)
        reply: Reply[None] = Reply()
        self.persistence.tell(Recover(self._settings.max_crashes, reply, self._code_series()))
        self._await(reply)
        self._start_actors("clock")
        if self._sources.all:
            self._first_reading = Reply()
            self._start_actors("sampler")
            self._await(self._first_reading)  # so that nothing starts before the pressure is known
        self._start_actors("dispatcher")

    def _start_actors(self, *names: str) -> None:
        reply: Reply[None] = Reply()
        self.guardian_box.tell(StartAll(names, reply))
        self._await(reply)

    def _open_session(self) -> Session:
        location = self._location
        if location is None:
            raise AssertionError("located before")
        ownership = self._ownership
        return Session(
            location, upgrade=ownership is not None, check_owner=None if ownership is None else ownership.check
        )

    def _take_session(self) -> Session:
        first, self._first_session = self._first_session, None
        return first if first is not None else self._open_session()

    def _make_persistence(self) -> Actor:
        if self._guardian is None:
            raise AssertionError("made by the guardian")
        return Persistence(
            self.persistence,
            self.loop,
            self._guardian.watch,
            open_session=self._take_session,
            catalog=self._catalog,
            times=self.times,
            delivery=self.delivery,
            code_limits=self._code_limits,
            syncs_answers=self._settings.is_power_safe,
            pruner=Pruner(self._settings.retention, self.times, is_owner=self._owns_store),
            on_fatal=self._fail_store,
            ages=self._settings.aging is not None,
            others=self._make_others(),
        )

    def _make_others(self) -> Others | None:
        """Nobody else can write to a store in memory."""
        if not self._looks_for_others or self._location is None or self._location.is_memory:
            return None
        return Others(is_owner=self._owns_store, is_successor=self._first_session is None)

    @property
    def _owns_store(self) -> bool:
        return self._ownership is not None or (self._location is not None and self._location.is_memory)

    def _make_clock(self) -> Actor:
        if self._guardian is None:
            raise AssertionError("made by the guardian")
        return Clock(
            self.clock,
            self.loop,
            self._guardian.watch,
            times=self.times,
            persistence=self.persistence,
            sweep_interval_s=self._settings.sweep_interval_s,
        )

    def _make_sampler(self) -> Actor:
        if self._guardian is None:
            raise AssertionError("made by the guardian")
        return Sampler(
            self.sampler,
            self.loop,
            self._guardian.watch,
            times=self.times,
            sources=self._sources,
            dispatcher=self.dispatcher,
            first=self._first_reading,
        )

    def _make_dispatcher(self) -> Actor:
        if self._guardian is None:
            raise AssertionError("made by the guardian")
        self.persistence.tell(Reconcile())
        return Dispatcher(
            self.dispatcher,
            self.loop,
            self._guardian.watch,
            persistence=self.persistence,
            clock=self.clock,
            executors=self.executors,
            times=self.times,
            tally=self.tally,
            limits=self.limits,
            settings=DispatchSettings(
                cancel_timeout_s=self._settings.cancel_timeout_s,
                max_crashes=self._settings.max_crashes,
                aging=self._settings.aging,
                preempt_at=self._settings.preempt_at,
                throttle=self._settings.throttle,
                has_resources=self._sources.resources is not None,
                bandwidth_limit=self._settings.bandwidth_limit,
                means=self.means.io,
            ),
            is_dispatching=self._state is not Phases.STOPPING,
        )

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

    def _code_limits(self) -> Limits:
        """The program's own."""
        limits = self._settings.limits
        aliases = self._catalog.aliases()
        given = {aliases.get(name, name): rate for name, rate in limits.task_rates.items()}
        return replace(limits, task_rates={**self._settings.task_rates(), **given})

    def _on_limits(self, limits: Limits) -> None:
        """Limits or pauses have changed. Told in every state: a start that is under way has read the former ones already."""
        self.limits = limits
        self.dispatcher.tell(SetLimits(limits))

    def readers(self) -> Readers:
        """Connections to read by; the store is opened where it is not."""
        self._check()
        if self._readers is None:
            raise SchedulerStopped
        return self._readers

    @property
    def is_owner(self) -> bool:
        """Whether this process runs the store."""
        return self._state in (Phases.STARTING, Phases.RUNNING, Phases.STOPPING)

    def measure_queue(self) -> QueueState:
        """The active tasks, counted; nothing where the store is not open, which this does not open it for. From any thread."""
        readers = self._readers
        return QueueState() if readers is None else measure_queue(readers)

    def measure_files(self) -> FileSizes | None:
        """What the store takes on its disk; None where it is not open. OSError where its file is gone."""
        location, readers = self._location, self._readers
        return None if location is None or readers is None else measure_files(location)

    def ask(self, request: Request, reply: Reply[T]) -> T:
        """Send a request to the persistence actor and wait for its answer."""
        self._check()
        self.persistence.tell(request)
        return self._await(reply)

    def spawn(self, parent_id: int, submit: Submit) -> None:
        """Send children to the supervisor of their parent; the answer comes to the reply in ``submit``."""
        self._check()
        supervisors = self.supervisors
        if self._state is Phases.RUNNING and supervisors is not None:
            supervisors.tell(parent_id, Spawn(submit))
        else:
            self.persistence.tell(submit)

    def await_reply(self, reply: Reply[T], timeout_s: float | None = None) -> T:
        """Wait for an answer; TimeoutError where it does not come in time."""
        return self._await(reply, timeout_s)

    def tell(self, request: Request) -> None:
        """Send a request that nobody waits for."""
        self._check()
        self.persistence.tell(request)
        if self._state in (Phases.STOPPED, Phases.FAILED):
            self._refuse_mail(self._failure or SchedulerStopped())  # it may have come in behind the last actor

    def await_turn(self) -> None:
        """Wait until all that the store is at is committed and told: what is committed later knows of who listens now."""
        if self._state in (Phases.OPEN, Phases.RUNNING, Phases.STOPPING):
            reply: Reply[None] = Reply()
            self.persistence.tell(EndOfTurn(reply))
            try:
                self._await(reply)
            except (StoreError, SchedulerStopped) as error:
                log.debug("nothing is committed now: %r", error)

    def _check(self) -> None:
        self.guard.check()
        if self._state is Phases.NEW:
            self.open()
        if self._failure is not None:
            raise self._failure
        if self._state is Phases.STOPPED:
            raise SchedulerStopped

    def _await(self, reply: Reply[T], timeout_s: float | None = None) -> T:
        """Whoever ends the runtime sets its state first and then fails what is awaited: so no wait is overlooked."""
        self._awaited.add(reply)
        try:
            if self._failure is not None or self._state is Phases.STOPPED:
                reply.fail(self._failure or SchedulerStopped())
            if not self.loop.wait(reply, timeout_s):
                raise TimeoutError
            return reply.result()
        finally:
            self._awaited.discard(reply)

    # Runs that wait, and their progress

    def lend(self, run: Run) -> None:
        """A body waits for another task: its slots, a bounded parent's too, are free meanwhile."""
        self.executors.lend(run)
        self.dispatcher.tell(Lent(run.claim.id))

    def reclaim(self, run: Run) -> None:
        """The wait is over: the body goes on at once."""
        self.executors.reclaim(run)
        self.dispatcher.tell(Reclaimed(run.claim.id))

    def with_progress(self, record: TaskRecord) -> TaskRecord:
        """The record with what is known here of the progress of an active task."""
        fraction = None if record.status.is_terminal else self.progress.fraction(record.id)
        return record if fraction is None else replace(record, progress=fraction)

    def live(self) -> Live:
        """What a snapshot shows that is not in the store."""
        return Live(self.limits, self._settings.aging, self._measure())

    def _measure(self) -> Measured:
        """What only the dispatcher knows. One that is busy, or not there, is not waited for long."""
        if self._state is not Phases.RUNNING:
            return Measured()
        reply: Reply[Measured] = Reply()
        self.dispatcher.tell(Measure(reply))
        try:
            return self._await(reply, MEASURE_WITHIN_S)
        except (TimeoutError, MillraceError):
            return Measured()

    def _arm_sample(self, delay_s: float) -> None:
        self.clock.tell(Arm(delay_s, self.persistence, SampleProgress()))

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
        return self._stop_result

    def _close(self) -> None:
        """The end, holding the lock: nothing runs any more but what was given up."""
        self._end_actors()
        self._state = Phases.STOPPED if self._failure is None else Phases.FAILED
        self._refuse_mail(self._failure or SchedulerStopped())
        self._release()
        self.hub.close()
        if self._location is not None and self._location.is_memory:
            self._location.discard()
            self._location = None
        self._stopped.set()

    def wait_stopped(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of ``stop`` (or a failure), in another thread."""
        return self._stopped.wait(timeout_s)

    def _end_actors(self) -> None:
        """Stop the actors in reverse order, and close what they used."""
        if self.supervisors is not None:
            self.supervisors.stop()
        self.delivery.disconnect()
        self.progress.end()
        if self._readers is not None:
            # Before the writer: the last connection that closes copies the log into the file and removes it.
            self._readers.close()
            self._readers = None
        if self._guardian is not None and not self._guardian.actor_stopped.is_set():
            reply: Reply[None] = Reply()
            self.guardian_box.tell(StopAll(reply))
            self.loop.wait(reply, 60.0)
        elif self._guardian is not None:
            self._guardian.halt()
        self._guardian = None
        self.executors.stop()

    def _release(self) -> None:
        """Free the store, unless a thread that was given up still works on a task of it."""
        if self._ownership is not None and not self.executors.abandoned():
            self._ownership.release()
            self._ownership = None

    def _refuse_mail(self, error: BaseException) -> None:
        """Nobody will handle what is in the mailboxes any more: those who wait for answers get one."""
        for reply in tuple(self._awaited):
            reply.fail(error)
        for box in (self.persistence, self.dispatcher, self.clock):
            while not box.inbox.empty():
                for envelope in box.inbox.take(0.0, 10_000):
                    unread = getattr(envelope.message, "reply", None)
                    if isinstance(unread, Reply):
                        unread.fail(error)
        self.delivery.fail_watchers(error)

    # What happens by itself

    def _fail_store(self, error: StoreError) -> None:
        failed = SchedulerFailed(f"the store must not be written any more: {error}")
        failed.__cause__ = error
        self._fail(failed)

    def _fail(self, failed: SchedulerFailed) -> None:
        """The end of a scheduler that cannot go on: bodies are asked to stop, calls and waits raise. The process goes on."""
        log.critical("millrace has failed: %s", failed)
        self._failure = failed
        self._state = Phases.FAILED
        self.executors.pause()
        self.executors.interrupt_all("shutdown")
        for reply in tuple(self._awaited):
            reply.fail(failed)
        self.delivery.fail_watchers(failed)
        # Not here: this is an actor's thread, and the actors are to end.
        self.loop.detach(self._wind_down, "wind-down")

    def _wind_down(self) -> None:
        """After a failure: as a stop without grace, as far as there are actors left to do it."""
        guardian = self._guardian
        self._draining.end_runs()
        if guardian is not None and guardian.is_running("persistence"):
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

    def _on_begin(self, run: Run) -> None:
        """In the run's thread, just before the function is called."""
        claim = run.claim
        timeout_s = self._bodies.timeout_s(run)
        if timeout_s is not None:
            self.clock.tell(Arm(timeout_s, self.dispatcher, RunOverdue(claim.id, claim.run)))
        if claim.phase == Phase.BODY and self.hub.hears(events.Dispatched):
            self.hub.publish((dispatched(run, self.times.wall_ms()),))

    def _refill_later(self) -> None:
        """The system gives no more threads: runs that wait for one are looked at again in a while."""
        self.clock.tell(Arm(REFILL_AFTER_S, self.dispatcher, RefillThreads()))

    def _on_thread_end(self, run: Run) -> None:
        """A run that had been given up has ended after all."""
        self.dispatcher.tell(ThreadEnded(run.claim.id, run.claim.run))
        with self._lock:
            if self._state is Phases.STOPPED:
                self._release()


def store_versions() -> tuple[str, str]:
    """The versions of SQLite and of apsw, for who may not ask them."""
    return sqlite_versions()


def dispatched(run: Run, now_ms: int) -> News:
    """The event of a body's start."""
    return news_of(events.Dispatched, now_ms, run.claim, {}, run.claim.effective)
