"""Who listens: subscriptions to events, fed after each commit. A slow reader delays nobody and is told what it missed."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from millrace.model.durations import LONGEST_WAIT_S
from millrace.model.events import Event
from millrace.store.fork import ForkGuard


class Feed:
    """The bounded queue of one subscription.

    Args:
        accepts: which events it wants; None: all.
        kinds: no events but of these classes, and those below them; None: all.
        maxsize: events kept; beyond, the oldest go, and are counted in ``missed``.
    """

    def __init__(
        self, accepts: Callable[[Event], bool] | None, maxsize: int, kinds: tuple[type[Event], ...] | None = None
    ) -> None:
        self._accepts = accepts
        self.kinds = kinds
        self._maxsize = maxsize
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._guard = ForkGuard()
        self.missed = 0

    def put(self, events: Sequence[Event]) -> int:
        """Add those it accepts; how many older ones went for them."""
        accepts = self._accepts
        wanted = events if accepts is None else [event for event in events if accepts(event)]
        if not wanted:
            return 0
        with self._changed:
            if self._is_closed:
                return 0
            self._events.extend(wanted)
            dropped = 0
            while len(self._events) > self._maxsize:
                self._events.popleft()
                dropped += 1
            self.missed += dropped
            self._changed.notify(len(wanted))
        return dropped

    def get(self, timeout_s: float | None) -> Event | None:
        """The oldest; None on time-out, or where the feed is closed and read out. ForkedProcess in a forked child."""
        self._guard.check()
        if self._events:
            with suppress(IndexError):  # another reader was faster
                return self._events.popleft()
        with self._changed:
            wait_s = None if timeout_s is None else min(timeout_s, LONGEST_WAIT_S)
            self._changed.wait_for(lambda: self._events or self._is_closed, wait_s)
            return self._events.popleft() if self._events else None

    @property
    def is_over(self) -> bool:
        """Closed and read out."""
        return self._is_closed and not self._events

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

    def publish(self, events: Iterable[Event]) -> None:
        """Tell everybody, in this order."""
        told = tuple(events)
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
