"""The supervisor of one parent task: its children's lifecycle.

Owns: the way in for children (each is stored by a message to it), and the way of an end down to them. Never holds its
children's rows.
Talks to: the persistence actor (spawns, further cancels).
Sleeps: after a while without mail, its thread ends; the next message wakes it.
What it decides falls in the transaction that a child's end is settled in, by the pure rules of ``policy.ends`` (one failure too
many, the last child's end, what follows): so a parent never waits without an active child, whenever the process dies. Its bound
on how many children run at once goes with each of them to the dispatcher, which counts all limits in one place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from millrace.actors.actor import Actor, Loop, Watcher, crash_of
from millrace.actors.mailbox import Mailbox, Tells
from millrace.actors.requests import Cascade, Request, Submit


@dataclass(frozen=True, slots=True)
class Spawn:
    """Children to be stored, by a body or from outside."""

    submit: Submit


@dataclass(frozen=True, slots=True)
class TellChildren:
    """The parent's end is decided: its active children have to be told."""


Message: TypeAlias = Spawn | TellChildren


class Supervisor(Actor):
    """See the module.

    Args:
        parent_id: the task whose children these are.
        sleep_after: seconds without mail after which it may sleep.
        may_sleep: asked when there has been no mail for a while; True where the thread may end.
    """

    def __init__(
        self,
        mailbox: Mailbox[Message],
        loop: Loop,
        watcher: Watcher,
        *,
        parent_id: int,
        persistence: Tells[Request],
        sleep_after: Callable[[], float],
        may_sleep: Callable[["Supervisor"], bool],
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self.parent_id = parent_id
        self._persistence = persistence
        self._sleep_after = sleep_after
        self._may_sleep = may_sleep

    def receive(self, messages: Sequence[Message]) -> None:
        """Hand on what the children are to be stored or told."""
        for message in messages:
            match message:
                case Spawn(submit):
                    self._persistence.tell(submit)
                case TellChildren():
                    self._persistence.tell(Cascade((self.parent_id,)))
                case _:
                    assert_never(message)

    def fail_message(self, message: Message, error: BaseException) -> None:
        """Answer who waits."""
        if isinstance(message, Spawn):
            message.submit.reply.fail(crash_of(self.mailbox.name, error))

    def wake_in(self) -> float | None:
        """It sleeps when nothing has come for a while."""
        return self._sleep_after()

    def wake(self) -> None:
        """Nothing has come."""
        if self._may_sleep(self):
            self.actor_stopped.set()
