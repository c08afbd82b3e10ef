"""The actors of one runtime: their addresses, what each is made with, the order in which they start and stop.

What an actor is made with outlives it: the guardian has its successor made with the same.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from millrace.actors.actor import Actor, Loop, Watcher
from millrace.actors.callers import Callers
from millrace.actors.clock import Clock
from millrace.actors.delivery import Delivery
from millrace.actors.dispatcher import Dispatcher
from millrace.actors.dispatches import Measure
from millrace.actors.guardian import Guardian, StartAll, StopAll
from millrace.actors.live import Measured
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.opened import OpenedStore
from millrace.actors.others import Others
from millrace.actors.persistence import Persistence
from millrace.actors.policy.limits import Limits
from millrace.actors.pruning import Pruner
from millrace.actors.requests import EndOfTurn, Reconcile, Request
from millrace.actors.sampler import Sampler
from millrace.actors.settings import DispatchSettings, Settings
from millrace.actors.sources import sources_of
from millrace.actors.supervisors import Supervisors
from millrace.actors.times import Times
from millrace.executors.pool import Executors
from millrace.model.catalog import Catalog
from millrace.model.errors import MillraceError, SchedulerFailed, SchedulerStopped, StoreError

log = logging.getLogger("millrace")

MEASURE_WITHIN_S: Final = 0.5
"""Seconds that a look at the dispatcher's numbers may take; it answers within its turn."""
STOP_WITHIN_S: Final = 60.0
"""Seconds that the actors have to end."""


class Addresses:
    """The mailboxes of the actors."""

    def __init__(self) -> None:
        self.persistence: Mailbox[Request] = Mailbox("persistence")
        self.clock: Mailbox[Any] = Mailbox("clock")
        self.dispatcher: Mailbox[Any] = Mailbox("dispatcher")
        self.sampler: Mailbox[Any] = Mailbox("sampler")
        self.guardian: Mailbox[Any] = Mailbox("guardian")
        self.all: tuple[Mailbox[Any], ...] = (
            self.persistence,
            self.clock,
            self.dispatcher,
            self.sampler,
            self.guardian,
        )


class Roster:
    """See the module. Begun and ended under the runtime's lock; its actors are made in the guardian's thread.

    Args:
        addresses: the mailboxes.
        loop, times: what drives the actors, and their clocks.
        settings, catalog: the program's own.
        store: what they read and write.
        executors: where runs are.
        delivery: takes the effects of commits to everybody.
        callers: waits for their answers.
        on_failed: told where an actor has failed once too often, or the store must not be written any more. Called in an actor's
            thread.
        on_restarted: told of each replacement: the actor's name and the error of its predecessor. In the guardian's thread.
        limits: those in force, as a dispatcher begins.
        is_dispatching: whether tasks may start, as a dispatcher begins.
        looks_for_others: whether other programs may write to the store.
    """

    def __init__(
        self,
        addresses: Addresses,
        loop: Loop,
        times: Times,
        *,
        settings: Settings,
        catalog: Catalog,
        store: OpenedStore,
        executors: Executors,
        delivery: Delivery,
        callers: Callers,
        on_failed: Callable[[SchedulerFailed], None],
        on_restarted: Callable[[str, BaseException], None],
        limits: Callable[[], Limits],
        is_dispatching: Callable[[], bool],
        looks_for_others: bool,
    ) -> None:
        self._to = addresses
        self._loop = loop
        self._times = times
        self._settings = settings
        self._catalog = catalog
        self._store = store
        self._executors = executors
        self._delivery = delivery
        self._callers = callers
        self._on_failed = on_failed
        self._on_restarted = on_restarted
        self._limits = limits
        self._is_dispatching = is_dispatching
        self._looks_for_others = looks_for_others
        self._sources = sources_of(settings.pressure, settings.resources, settings.bandwidth_limit, times)
        self._first_reading: Reply[None] | None = None
        self._guardian: Guardian | None = None
        self.supervisors: Supervisors | None = None
        """None before the first start."""

    # Starting

    def begin(self) -> None:
        """Start the guardian and the persistence actor. The store is open."""
        self._guardian = guardian = Guardian(
            self._to.guardian,
            self._loop,
            times=self._times,
            factories=[
                ("persistence", self._make_persistence),
                ("clock", self._make_clock),
                *([("sampler", self._make_sampler)] if self._sources.all else []),
                ("dispatcher", self._make_dispatcher),
            ],
            restarts=self._settings.restarts,
            on_failed=self._on_failed,
            on_restarted=self._on_restarted,
        )
        self.supervisors = Supervisors(self._loop, persistence=self._to.persistence, on_death=guardian.watch)
        guardian.launch()
        self._start("persistence")
        if self._store.bell is not None and self._looks_for_others:
            self._store.bell.listen(self._to.persistence.ask_beat)

    def complete(self) -> None:
        """Start the others. What the last process left has been taken up."""
        self._start("clock")
        if self._sources.all:
            self._first_reading = Reply()
            self._start("sampler")
            self._callers.wait(self._first_reading)  # so that nothing starts before the pressure is known
        self._start("dispatcher")

    def _start(self, *names: str) -> None:
        reply: Reply[None] = Reply()
        self._to.guardian.tell(StartAll(names, reply))
        self._callers.wait(reply)

    def is_running(self, name: str) -> bool:
        """Whether the actor of that name runs now. From any thread."""
        guardian = self._guardian
        return guardian is not None and guardian.is_running(name)

    # Asking

    def await_turn(self) -> None:
        """Wait until all that the persistence actor is at is committed and told, or cannot be."""
        reply: Reply[None] = Reply()
        self._to.persistence.tell(EndOfTurn(reply))
        try:
            self._callers.wait(reply)
        except (StoreError, SchedulerStopped) as error:
            log.debug("nothing is committed now: %r", error)

    def measure(self) -> Measured:
        """What only the dispatcher knows. One that is busy, or not there, is not waited for long."""
        reply: Reply[Measured] = Reply()
        self._to.dispatcher.tell(Measure(reply))
        try:
            return self._callers.wait(reply, MEASURE_WITHIN_S)
        except (TimeoutError, MillraceError):
            return Measured()

    # Making

    @property
    def _watcher(self) -> Watcher:
        if self._guardian is None:
            raise AssertionError("made by the guardian")
        return self._guardian.watch

    def _make_persistence(self) -> Actor:
        return Persistence(
            self._to.persistence,
            self._loop,
            self._watcher,
            open_session=self._store.take_session,
            catalog=self._catalog,
            times=self._times,
            delivery=self._delivery,
            code_limits=lambda: self._settings.code_limits(self._catalog.aliases()),
            syncs_answers=self._settings.is_power_safe,
            pruner=Pruner(self._settings.retention, self._times, is_owner=self._store.is_owned),
            on_fatal=self._on_store_failed,
            ages=self._settings.aging is not None if self._store.is_owned else None,
            others=self._make_others(),
        )

    def _on_store_failed(self, error: StoreError) -> None:
        failed = SchedulerFailed(f"the store must not be written any more: {error}")
        failed.__cause__ = error
        self._on_failed(failed)

    def _make_others(self) -> Others | None:
        """Nobody else can write to a store in memory."""
        if not self._looks_for_others or self._store.is_memory:
            return None
        return Others(is_owner=self._store.is_owned, is_successor=not self._store.is_untaken, bell=self._store.bell)

    def _make_clock(self) -> Actor:
        return Clock(
            self._to.clock,
            self._loop,
            self._watcher,
            times=self._times,
            persistence=self._to.persistence,
            sweep_interval_s=self._settings.sweep_interval_s,
        )

    def _make_sampler(self) -> Actor:
        return Sampler(
            self._to.sampler,
            self._loop,
            self._watcher,
            times=self._times,
            sources=self._sources,
            dispatcher=self._to.dispatcher,
            first=self._first_reading,
        )

    def _make_dispatcher(self) -> Actor:
        watcher = self._watcher
        self._to.persistence.tell(Reconcile())
        return Dispatcher(
            self._to.dispatcher,
            self._loop,
            watcher,
            persistence=self._to.persistence,
            clock=self._to.clock,
            executors=self._executors,
            openings=self._delivery.openings,
            times=self._times,
            tally=self._delivery.tally,
            limits=self._limits(),
            settings=DispatchSettings(
                cancel_timeout_s=self._settings.cancel_timeout_s,
                max_crashes=self._settings.max_crashes,
                aging=self._settings.aging,
                preempt_at=self._settings.preempt_at,
                throttle=self._settings.throttle,
                has_resources=self._sources.resources is not None,
                bandwidth_limit=self._settings.bandwidth_limit,
                means=self._delivery.means.io,
            ),
            is_dispatching=self._is_dispatching(),
        )

    # Stopping

    def end(self) -> None:
        """Stop the actors in reverse order, and wait for it."""
        if self._guardian is not None and not self._guardian.actor_stopped.is_set():
            reply: Reply[None] = Reply()
            self._to.guardian.tell(StopAll(reply))
            self._loop.wait(reply, STOP_WITHIN_S)
        elif self._guardian is not None:
            self._guardian.halt()
        self._guardian = None
