"""The loop that every actor of the runtime runs in, over pykka's.

Pykka alone gives no death watch, loses an asker whose actor raises SystemExit, and stops every actor of the process for
it. Here, whatever an actor raises ends that actor only: those who wait for an answer from the failed batch get one, and the
guardian hears of the death and decides (experiments on supervision over pykka settled this).
"""

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Protocol

import pykka
from pykka._envelope import Envelope
from pykka._ref import ActorRef
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]  # how pykka's refs ask to stop

from millrace.actors.mailbox import Beat, Mailbox, Reply
from millrace.model.errors import InternalError

log = logging.getLogger("millrace.actors")

LOOK_UP_S: Final = 0.25
"""Seconds that a signal may wait which comes just before a wait, or to another thread than the one that handles it."""


class Loop(Protocol):
    """What drives actors: a thread each in a program, one seeded thread for all in a simulation."""

    def begin(self, actor: "Actor") -> None:
        """Have the actor's ``turn`` called from now on."""
        ...

    def wait(self, reply: Reply[Any], timeout_s: float | None) -> bool:
        """Wait for a reply in a thread that is no actor's; False where it did not come in time."""
        ...

    def detach(self, work: Callable[[], None], name: str) -> None:
        """Have something done in a thread of its own."""
        ...

    def shield(self, work: Callable[[], None], name: str) -> None:
        """The same, and wait for it: a KeyboardInterrupt ends the wait, and not the work. Raises what the work raises."""
        ...


class ThreadLoop:
    """A daemon thread for each actor."""

    def begin(self, actor: "Actor") -> None:
        """Start the thread."""
        threading.Thread(target=actor.run, name=f"millrace-{actor.mailbox.name}", daemon=True).start()

    def wait(self, reply: Reply[Any], timeout_s: float | None) -> bool:
        """Block."""
        return reply.wait(timeout_s)

    def detach(self, work: Callable[[], None], name: str) -> None:
        """Start a daemon thread."""
        threading.Thread(target=work, name=f"millrace-{name}", daemon=True).start()

    def shield(self, work: Callable[[], None], name: str) -> None:
        """Start a daemon thread, and block. Where there is none to be had, as at the interpreter's end, here."""
        reply: Reply[None] = Reply()

        def carry_out() -> None:
            try:
                work()
                reply.set(None)
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                reply.fail(error)

        try:
            self.detach(carry_out, name)
        except RuntimeError:
            carry_out()
        while not reply.wait(LOOK_UP_S):
            pass  # a signal that comes just before a wait begins is seen when that ends
        reply.result()


Watcher = Callable[["Actor", BaseException | None], None]

_OWN = (_ActorStop, Beat)
"""Messages that the loop handles by itself."""


def crash_of(name: str, error: BaseException) -> InternalError:
    """What a caller is told whose request an actor died of, or died with: a new error for each, as it carries a traceback."""
    crash = InternalError(f"the {name} actor failed: {error!r}; please report it")
    crash.__cause__ = error
    return crash


class Actor(pykka.ThreadingActor):
    """Base of the actors: takes its mail in batches and wakes up when a time of its own has come.

    Args:
        mailbox: where its mail comes from; a successor takes over what is left in it.
        loop: what drives it.
        watcher: told of its end, with the error or None. Called in the actor's own thread.
    """

    use_daemon_thread = True
    batch_limit: ClassVar[int] = 2000
    """Messages that one turn takes at most."""

    def __init__(self, mailbox: Mailbox[Any], loop: Loop, watcher: Watcher) -> None:
        super().__init__()
        self.mailbox = mailbox
        self.actor_inbox = mailbox.inbox
        self._actor_ref = ActorRef(self)
        self._loop = loop
        self._watcher = watcher

    # What actors are made of

    @abstractmethod
    def receive(self, messages: Sequence[Any]) -> None:
        """Handle a batch, in the order in which it came in. Whatever it raises ends the actor."""

    def wake_in(self) -> float | None:
        """Seconds until ``wake`` is due where no mail comes; None: never."""
        return None

    def wake(self) -> None:
        """The time that ``wake_in`` named has come."""

    def fail_message(self, message: Any, error: BaseException) -> None:
        """Answer whoever waits for this message's answer, as it will not be handled."""

    # The loop

    def launch(self) -> None:
        """Begin. Pykka's registry does not hear of it: a ``stop_all`` of the application is not meant for the runtime."""
        self._start_actor_loop()

    def stop(self) -> None:
        """Ask it to end; nothing where it has ended already. From any thread."""
        with suppress(pykka.ActorDeadError):
            super().stop()

    def _start_actor_loop(self) -> None:
        self._loop.begin(self)

    def run(self) -> None:
        """The thread's work: start, turns, end."""
        error: BaseException | None = None
        try:
            self.on_start()
            self.mailbox.beat()
            while not self.actor_stopped.is_set():
                self.turn(self.mailbox.inbox.take(self.wake_in(), self.batch_limit))
        except BaseException as caught:  # noqa: BLE001 - an actor's death is its own, whatever it died of
            error = caught
        self.end(error)

    def turn(self, envelopes: Sequence[Envelope[Any]]) -> None:
        """One batch of mail, or a wake-up where there is none."""
        if not envelopes:
            self.wake()
            return
        messages = [envelope.message for envelope in envelopes]
        own = [envelope for envelope in envelopes if isinstance(envelope.message, _OWN)]
        if own:
            messages = [message for message in messages if not isinstance(message, _OWN)]
        try:
            if messages:
                self.receive(messages)
        except BaseException as error:
            for message in messages:
                self.fail_message(message, error)
            raise
        for envelope in own:
            if isinstance(envelope.message, Beat):
                self.mailbox.beat()
                continue
            self.actor_stopped.set()
            if envelope.reply_to is not None:
                envelope.reply_to.set(None)

    def end(self, error: BaseException | None) -> None:
        """Clear up and tell the watcher."""
        self.actor_stopped.set()
        try:
            self.on_stop()
        except Exception:
            log.exception("%s: clearing up failed", self.mailbox.name)
        self._watcher(self, error)
