"""The guardian: starts the runtime's actors, watches them, and replaces those that fail, as OTP's supervisors do.

Owns: which actors run. Holds no state of tasks.
Strategy: rest for one. An actor's successor begins from the store and the executors; those that were started after it are
replaced too, since what they know came from it. More failures than ``Restarts`` allows, and the scheduler fails.
Start order: persistence, clock, dispatcher. Supervisors of tasks are replaced one by one, with what they knew.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from millrace.actors.actor import Actor, Loop, crash_of
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.policy.intensity import Intensity
from millrace.actors.times import Times
from millrace.model.errors import SchedulerFailed
from millrace.model.records import Restarts

log = logging.getLogger("millrace.guardian")

HALT_S: Final = 10.0
"""Seconds that an actor has to end where nobody watches it any more."""


@dataclass(frozen=True, slots=True)
class ActorEnded:
    """An actor's loop is over; ``error`` is None where it was asked to stop."""

    actor: Actor
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class StartAll:
    """Start the actors that do not run yet, in order."""

    names: tuple[str, ...]
    reply: Reply[None]


@dataclass(frozen=True, slots=True)
class StopAll:
    """Stop all actors in reverse order; answered when the last has ended."""

    reply: Reply[None]


Message: TypeAlias = ActorEnded | StartAll | StopAll
Factory: TypeAlias = Callable[[], Actor]


class Guardian(Actor):
    """See the module.

    Args:
        factories: how each actor is made, by name, in the order of starts.
        restarts: how many failures are put up with.
        on_failed: told of the failure that was one too many.
        on_restarted: told of each replacement: the actor's name and the error of its predecessor.
    """

    def __init__(
        self,
        mailbox: Mailbox[Message],
        loop: Loop,
        *,
        times: Times,
        factories: Sequence[tuple[str, Factory]],
        restarts: Restarts,
        on_failed: Callable[[SchedulerFailed], None],
        on_restarted: Callable[[str, BaseException], None],
    ) -> None:
        super().__init__(mailbox, loop, self._ended_itself)
        self._address = mailbox
        self._times = times
        self._factories = dict(factories)
        self._order = [name for name, _ in factories]
        self._intensity = Intensity(restarts)
        self._on_failed = on_failed
        self._on_restarted = on_restarted
        self._running: dict[str, Actor] = {}
        self._wanted: list[str] = []
        self._replace_at: float | None = None
        self._stopping: Reply[None] | None = None
        self._has_failed = False

    def watch(self, actor: Actor, error: BaseException | None) -> None:
        """The watcher of every actor: from the actor's own thread."""
        self._address.tell(ActorEnded(actor, error))

    def is_running(self, name: str) -> bool:
        """Whether the actor of that name runs now. From any thread."""
        return name in self._running

    def receive(self, messages: Sequence[Message]) -> None:
        """One after the other."""
        for message in messages:
            match message:
                case ActorEnded(actor, error):
                    self._on_ended(actor, error)
                case StartAll(names, reply):
                    self._wanted = [name for name in self._order if name in names or name in self._wanted]
                    self._start_missing()
                    reply.set(None)
                case StopAll(reply):
                    self._stopping = reply
                    self._stop_last()
                case _:
                    assert_never(message)

    def wake_in(self) -> float | None:
        """Until the pause before a replacement is over."""
        return None if self._replace_at is None else max(0.0, self._replace_at - self._times.monotonic())

    def wake(self) -> None:
        """The pause is over."""
        self._replace_at = None
        self._start_missing()

    def fail_message(self, message: Message, error: BaseException) -> None:
        """Answer who waits."""
        if isinstance(message, (StartAll, StopAll)):
            message.reply.fail(crash_of(self.mailbox.name, error))

    # Replacing

    def _on_ended(self, actor: Actor, error: BaseException | None) -> None:
        name = actor.mailbox.name
        if self._running.get(name) is actor:
            del self._running[name]
        if self._stopping is not None:
            self._stop_last()
            return
        if error is not None and not self._has_failed:
            log.error("%s failed", name, exc_info=error)
            now = self._times.monotonic()
            if not self._intensity.allows(now):
                self._fail(name, error)
                return
            if name not in self._factories:  # a supervisor of a task: replaced by itself, and counted like the others
                self._on_restarted("supervisor", error)
                return
            self._on_restarted(name, error)
            for later in self._order[self._order.index(name) + 1 :]:
                if later in self._running:
                    self._running[later].stop()
            self._replace_at = now + self._intensity.backoff_s()
        elif error is None and self._replace_at is None:
            self._start_missing()

    def _start_missing(self) -> None:
        """Start what is wanted and does not run, once everything before it runs and everything after it has ended."""
        if self._has_failed or self._stopping is not None or self._replace_at is not None:
            return
        for at, name in enumerate(self._wanted):
            if name in self._running:
                continue
            if any(later in self._running for later in self._wanted[at + 1 :]):
                return
            actor = self._factories[name]()
            self._running[name] = actor
            actor.launch()

    def _fail(self, name: str, error: BaseException) -> None:
        self._has_failed = True
        failed = SchedulerFailed(
            f"the runtime's own actors failed too often, last {name}: {error!r}; the scheduler has stopped, "
            "what was acknowledged is in the store"
        )
        failed.__cause__ = error
        self._on_failed(failed)

    # Stopping

    def _stop_last(self) -> None:
        """Actors stop one after the other, the last started first."""
        if self._stopping is None:
            return
        for name in reversed(self._order):
            actor = self._running.get(name)
            if actor is not None:
                actor.stop()
                return
        self._stopping.set(None)
        self._wanted = []
        self._stopping = None
        self.actor_stopped.set()

    def halt(self) -> None:
        """Stop what a guardian that has failed left running. Not from an actor's thread."""
        for name in reversed(self._order):
            actor = self._running.pop(name, None)
            if actor is not None:
                actor.stop()
                actor.actor_stopped.wait(HALT_S)

    def _ended_itself(self, actor: Actor, error: BaseException | None) -> None:
        if error is not None:
            log.critical("the guardian failed; nothing watches the runtime any more", exc_info=error)
            failed = SchedulerFailed(f"the guardian failed: {error!r}")
            failed.__cause__ = error
            self._on_failed(failed)
        del actor
