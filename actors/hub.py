"""Who listens: subscriptions to events, fed after each commit. A slow reader delays nobody and is told what it missed.

Whoever tells pays as little as possible: what is told is put behind the rest in one step, without a lock where nobody waits for
it, and is finished in the thread that reads it.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from millrace.actors.telling import event_of
from millrace.model.durations import LONGEST_WAIT_S
from millrace.model.events import Event
from millrace.store.fork import ForkGuard


class Feed:
    """The bounded queue of one subscription.

    Args:
        accepts: what it wants of what is told; None: all.
        kinds: no events but of these classes, and those below them; None: all.
        maxsize: events kept; beyond, the oldest go, and are counted in ``missed``.
    """

    def __init__(
        self, accepts: Callable[[Event], bool] | None, maxsize: int, kinds: tuple[type[Event], ...] | None = None
    ) -> None:
        self._accepts = accepts
        self.kinds = kinds
        self._maxsize = maxsize
        self._told: deque[Event] = deque()
        self._changed = threading.Condition()
        self._is_awaited = False
        """Whether a reader waits whom nobody has woken yet. It says so before it looks a last time: what is told before that is
        found, and who tells after it wakes the reader. Whoever tells more until the reader runs has no more to do."""
        self._is_closed = False
        self._guard = ForkGuard()
        self.missed = 0

    def put(self, told: Sequence[Event]) -> int:
        """Add what it accepts; how many older ones went for that."""
        accepts = self._accepts
        if accepts is not None:
            told = [one for one in told if accepts(one)]
        if not told or self._is_closed:
            return 0
        held = self._told
        held.extend(told)
        if self._is_awaited:
            with self._changed:
                self._is_awaited = False
                self._changed.notify_all()  # of several, those that find nothing wait again
        return self._drop_oldest() if len(held) > self._maxsize else 0

    def _drop_oldest(self) -> int:
        dropped = 0
        with self._changed:
            while len(self._told) > self._maxsize and self._take() is not None:
                dropped += 1
            self.missed += dropped
        return dropped

    def _take(self) -> Event | None:
        """The oldest; None: there is none. In one step: others take without the lock."""
        try:
            return self._told.popleft()
        except IndexError:
            return None

    def get(self, timeout_s: float | None) -> Event | None:
        """The oldest; None on time-out, or where the feed is closed and read out. ForkedProcess in a forked child."""
        self._guard.check()
        told = self._take()
        if told is None:
            told = self._wait(timeout_s)
        return None if told is None else event_of(told)

    def __iter__(self) -> Iterator[Event]:
        """All, oldest first, until the feed is closed and read out. ForkedProcess in a forked child."""
        check, take = self._guard.check, self._told.popleft
        while True:
            check()
            try:
                told = take()
            except IndexError:
                awaited = self._wait(None)
                if awaited is None:
                    return
                told = awaited
            yield event_of(told)

    def _wait(self, timeout_s: float | None) -> Event | None:
        found: list[Event] = []

        def is_over() -> bool:
            self._is_awaited = True
            told = self._take()
            if told is not None:
                found.append(told)
            return told is not None or self._is_closed

        with self._changed:
            self._changed.wait_for(is_over, None if timeout_s is None else min(timeout_s, LONGEST_WAIT_S))
        return found[0] if found else None

    @property
    def is_over(self) -> bool:
        """Closed and read out."""
        return self._is_closed and not self._told

    def close(self) -> None:
        """No more events come; those that are there can still be read."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class Hub:
    """All feeds of a scheduler. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guard = ForkGuard()
        self._feeds: tuple[Feed, ...] = ()
        self._hears: dict[type[Event], bool] = {}
        """Of the present feeds: whether one of them wants events of a class."""
        self.dropped = 0
        """Events that slow readers lost."""

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens: without, no event is made."""
        return bool(self._feeds)

    def hears(self, kind: type[Event]) -> bool:
        """Whether anybody wants events of this class: without, none is made."""
        known = self._hears  # before the feeds are looked at: whoever changes them afterwards begins another
        found = known.get(kind)
        if found is None:
            found = known[kind] = any(feed.kinds is None or issubclass(kind, feed.kinds) for feed in self._feeds)
        return found

    def add(self, feed: Feed) -> None:
        """From now on the feed hears of every commit. ForkedProcess in a forked child."""
        self._guard.check()
        with self._lock:
            self._feeds = (*self._feeds, feed)
            self._hears = {}

    def remove(self, feed: Feed) -> None:
        """The feed hears of nothing more. ForkedProcess in a forked child."""
        self._guard.check()
        with self._lock:
            self._feeds = tuple(other for other in self._feeds if other is not feed)
            self._hears = {}
        feed.close()

    def publish(self, told: Sequence[Event]) -> None:
        """Tell everybody, in this order."""
        for feed in self._feeds:
            dropped = feed.put(told)
            if dropped:
                with self._lock:
                    self.dropped += dropped

    def close(self) -> None:
        """Close all feeds, after the last event."""
        with self._lock:
            feeds, self._feeds = self._feeds, ()
            self._hears = {}
        for feed in feeds:
            feed.close()
