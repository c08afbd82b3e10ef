"""How actors are reached: mailboxes that outlive the actors behind them, and replies that a caller waits for.

A mailbox is a stable name. When its actor dies and is replaced, what had not been taken out is still in it, and the
sender notices nothing. Pykka's own references die with the actor, so they are not handed out.
"""

import queue
import threading
import time
from typing import Generic, Protocol, TypeVar, cast

from pykka._envelope import Envelope

from millrace.model.durations import LONGEST_WAIT_S

T = TypeVar("T")
M_contra = TypeVar("M_contra", contravariant=True)


class Beat:
    """A message that no actor sees: its loop notes that it has turned."""


class Tells(Protocol[M_contra]):
    """Somebody who can be told something."""

    def tell(self, message: M_contra) -> None:
        """Put a message in; never blocks, from any thread."""
        ...


class Inbox:
    """The queue of one mailbox: C-implemented, unbounded, taken out in batches. Has what pykka expects of an inbox."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Envelope[object]] = queue.SimpleQueue()

    def put(self, envelope: Envelope[object], /) -> None:
        """Add one; from any thread."""
        self._queue.put(envelope)

    def get(self) -> Envelope[object]:
        """Take one, waiting for it."""
        return self._queue.get()

    def take(self, timeout_s: float | None, limit: int) -> list[Envelope[object]]:
        """All that is there, up to ``limit``, waiting for the first for ``timeout_s`` (None: for ever)."""
        try:
            batch = [self._queue.get(timeout=None if timeout_s is None else min(timeout_s, LONGEST_WAIT_S))]
        except queue.Empty:
            return []
        for _ in range(min(self._queue.qsize(), limit - 1)):
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty()

    def __len__(self) -> int:
        return self._queue.qsize()


class Mailbox(Generic[T]):
    """A stable address of an actor, typed by what the actor understands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inbox = Inbox()
        self.beat_at: float | None = None
        """When the actor's loop last turned to say so, in seconds since 1970; None: never."""
        self._beat_asked_at: float | None = None

    def tell(self, message: T) -> None:
        """Put a message in; never blocks, from any thread."""
        self.inbox.put(Envelope(cast("object", message)))

    def ask_beat(self) -> None:
        """Have the actor's loop say that it turns: ``beat_at`` moves on, or the loop is stuck. At most one is on its way."""
        if self._beat_asked_at is None:
            self._beat_asked_at = time.monotonic()
            self.inbox.put(Envelope(Beat()))

    def beat(self) -> None:
        """The loop has turned. Called by the actor."""
        self._beat_asked_at = None
        self.beat_at = time.time()

    def silent_s(self) -> float:
        """Seconds since the loop was asked to say that it turns and has not yet; 0 where no question is open."""
        asked_at = self._beat_asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at


class Reply(Generic[T]):
    """One answer to one caller. A raw lock is the event: a tenth of the cost of a condition.

    The first answer counts; later ones are ignored, so whoever clears up after a failure may answer without asking.
    """

    __slots__ = ("_error", "_first", "_gate", "_is_set", "_value")

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._first = threading.Lock()
        self._is_set = False
        self._value: T | None = None
        self._error: BaseException | None = None

    @property
    def is_set(self) -> bool:
        """Whether the answer is there."""
        return self._is_set

    def set(self, value: T) -> bool:
        """Answer; False where there was an answer before. From any thread, as ``fail``."""
        if not self._first.acquire(blocking=False):
            return False
        self._value = value
        self._is_set = True
        self._gate.release()
        return True

    def fail(self, error: BaseException) -> bool:
        """Answer with an error, which the caller raises; False where there was an answer before."""
        if not self._first.acquire(blocking=False):
            return False
        self._error = error
        self._is_set = True
        self._gate.release()
        return True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the answer; False where it did not come in time. One thread waits."""
        return self._gate.acquire(timeout=-1 if timeout_s is None else min(max(0.0, timeout_s), LONGEST_WAIT_S))

    def result(self) -> T:
        """The answer, once it is there."""
        if self._error is not None:
            raise self._error
        return cast("T", self._value)
