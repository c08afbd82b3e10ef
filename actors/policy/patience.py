"""Which requests may wait for the next transaction, so that those whose callers wait do not pay for them.

While callers submit one after the other, every one of their commits would carry the ends and the starts of a run or two
along. Put off by a millisecond, they come in groups, and cost a commit what a few of them cost it alone. Where nobody
waits, nothing is put off.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 0.001
"""Nothing is put off for longer."""
MOST: Final = 256
"""Requests that are put off at most."""


class Patience(Generic[T]):
    """What is put off, and until when.

    Args:
        may_wait: whether a request answers nobody and starts nothing that an idle slot waits for.
        is_urgent: whether somebody waits for the answer to a request. A request that is neither takes all along.
    """

    def __init__(self, may_wait: Callable[[T], bool], is_urgent: Callable[[T], bool]) -> None:
        self._may_wait = may_wait
        self._is_urgent = is_urgent
        self._put_off: list[T] = []
        self._until = 0.0

    def __len__(self) -> int:
        return len(self._put_off)

    def take(self, messages: Sequence[T], now: float) -> list[T]:
        """What is to be done now, at monotonic time ``now``: all of it, or what cannot wait."""
        waiting = [message for message in messages if self._may_wait(message)]
        urgent = [message for message in messages if self._is_urgent(message)]
        is_known = len(waiting) + len(urgent) == len(messages)
        is_due = bool(self._put_off) and (now >= self._until or len(self._put_off) >= MOST)
        if is_due or not is_known or not (urgent or self._put_off):
            return [*self.release(), *messages]
        if waiting and not self._put_off:
            self._until = now + PATIENCE_S
        self._put_off += waiting
        return urgent

    def release(self) -> list[T]:
        """All that is put off; nothing is, afterwards."""
        released, self._put_off = self._put_off, []
        return released

    def due_in(self, now: float) -> float | None:
        """Seconds until what is put off is due; None where nothing is."""
        return max(0.0, self._until - now) if self._put_off else None
