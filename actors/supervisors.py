"""The supervisors of one scheduler: woken by mail, put to sleep without it. A waiting parent costs no thread."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from millrace.actors.actor import Actor, Loop
from millrace.actors.mailbox import Mailbox, Tells
from millrace.actors.requests import Request
from millrace.actors.supervisor import Message, Spawn, Supervisor
from millrace.model.errors import SchedulerStopped

log = logging.getLogger("millrace.supervisors")

MANY: Final = 32
"""From so many supervisors awake on, they sleep sooner: two thousand parents in a second keep a few dozen threads."""
MOST: Final = 128
"""Supervisors awake at most: further ones wait for one of them to fall asleep, which is soon, as none ever blocks."""
SLEEP_AFTER_S: Final = 0.5
SLEEP_SOON_AFTER_S: Final = 0.02


@dataclass(slots=True)
class _Entry:
    mailbox: Mailbox[Message]
    actor: Supervisor | None


class Supervisors:
    """Finds the supervisor of a parent, or wakes it.

    Args:
        loop: what drives actors.
        persistence: whom supervisors talk to.
        on_death: told of a supervisor that failed and was replaced; called in its thread.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        persistence: Tells[Request],
        on_death: Callable[[Actor, BaseException], None],
    ) -> None:
        self._loop = loop
        self._persistence = persistence
        self._on_death = on_death
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._drowsy: dict[int, None] = {}
        """Parents with mail whose supervisors wait for their turn to wake, in order."""
        self._awake_count = 0
        self._is_stopped = False

    def tell(self, parent_id: int, message: Message) -> None:
        """Put a message into a supervisor's mailbox, waking it where it sleeps. From any thread."""
        with self._lock:
            if self._is_stopped:
                _refuse(message)
                return
            entry = self._entries.get(parent_id)
            if entry is None:
                entry = self._entries[parent_id] = _Entry(Mailbox(f"supervisor-{parent_id}"), None)
            entry.mailbox.tell(message)
            if entry.actor is None:
                self._wake(parent_id, entry)

    @property
    def awake(self) -> int:
        """Supervisors with a thread."""
        return self._awake_count

    @property
    def asleep(self) -> int:
        """Supervisors that are remembered without one."""
        return len(self._entries) - self._awake_count

    def stop(self) -> None:
        """End all. Who waits for the answer of one that was not awake hears that there will be none."""
        with self._lock:
            self._is_stopped = True
            actors = [entry.actor for entry in self._entries.values() if entry.actor is not None]
            for parent_id in self._drowsy:
                for envelope in self._entries[parent_id].mailbox.inbox.take(0.0, 1 << 30):
                    _refuse(envelope.message)
            self._drowsy.clear()
        for actor in actors:
            actor.stop()

    def _wake(self, parent_id: int, entry: _Entry) -> None:
        if self._awake_count >= MOST:
            self._drowsy[parent_id] = None
            return
        actor = Supervisor(
            entry.mailbox,
            self._loop,
            self._ended,
            parent_id=parent_id,
            persistence=self._persistence,
            may_sleep=self._may_sleep,
            sleep_after=self._sleep_after,
        )
        try:
            actor.launch()
        except RuntimeError as error:
            # The system gives no thread, or the interpreter ends: its mail waits for the next that falls asleep, or comes in.
            log.warning("cannot wake the supervisor of task %d: %s", parent_id, error)
            self._drowsy[parent_id] = None
            return
        self._drowsy.pop(parent_id, None)
        entry.actor = actor
        self._awake_count += 1

    def _wake_next(self) -> None:
        """One has fallen asleep: another's turn has come."""
        parent_id = next(iter(self._drowsy), None)
        if parent_id is not None and not self._is_stopped:
            del self._drowsy[parent_id]
            self._wake(parent_id, self._entries[parent_id])

    def _sleep_after(self) -> float:
        if self._drowsy:
            return 0.0
        return SLEEP_AFTER_S if self._awake_count < MANY else SLEEP_SOON_AFTER_S

    def _may_sleep(self, actor: Supervisor) -> bool:
        with self._lock:
            entry = self._entries.get(actor.parent_id)
            if entry is None or entry.actor is not actor:
                return True
            if not entry.mailbox.inbox.empty():
                return False
            self._awake_count -= 1
            del self._entries[actor.parent_id]
            self._wake_next()
            return True

    def _ended(self, actor: Actor, error: BaseException | None) -> None:
        if error is None or not isinstance(actor, Supervisor):
            return
        with self._lock:
            entry = self._entries.get(actor.parent_id)
            if entry is not None and entry.actor is actor:
                entry.actor = None
                self._awake_count -= 1
                if not self._is_stopped:
                    self._wake(actor.parent_id, entry)
        self._on_death(actor, error)


def _refuse(message: object) -> None:
    """Nobody will handle it any more."""
    if isinstance(message, Spawn):
        message.submit.reply.fail(SchedulerStopped())
