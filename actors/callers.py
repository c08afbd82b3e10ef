"""Who waits for an actor's answer: each gets one, or an error where nobody will answer any more.

Whoever ends the runtime sets its state first and then fails what is awaited here; whoever waits is noted here first and then
looks at the state. So no wait is overlooked, whichever comes first.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from millrace.actors.actor import Loop
from millrace.actors.mailbox import Mailbox, Reply

T = TypeVar("T")


class Callers:
    """See the module. From any thread.

    Args:
        loop: what waits.
        refusal: the error of calls that nobody will answer; None while somebody does.
    """

    def __init__(self, loop: Loop, refusal: Callable[[], BaseException | None]) -> None:
        self._loop = loop
        self._refusal = refusal
        self._awaited: set[Reply[Any]] = set()

    def wait(self, reply: Reply[T], timeout_s: float | None = None) -> T:
        """The answer. Raises what it was failed with; TimeoutError where it does not come in time."""
        self._awaited.add(reply)
        try:
            refusal = self._refusal()
            if refusal is not None:
                reply.fail(refusal)
            if not self._loop.wait(reply, timeout_s):
                raise TimeoutError
            return reply.result()
        finally:
            self._awaited.discard(reply)

    def fail(self, error: BaseException) -> None:
        """Nobody who waits now will be answered."""
        for reply in tuple(self._awaited):
            reply.fail(error)

    def refuse(self, error: BaseException, *boxes: Mailbox[Any]) -> None:
        """Nobody will handle what is in these mailboxes any more, nor answer who waits now."""
        self.fail(error)
        for box in boxes:
            while not box.inbox.empty():
                for envelope in box.inbox.take(0.0, 10_000):
                    unread = getattr(envelope.message, "reply", None)
                    if isinstance(unread, Reply):
                        unread.fail(error)
