"""Listening to events."""

import queue
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from millrace.actors.hub import Feed, Hub
from millrace.model.durations import Seconds, to_seconds
from millrace.model.errors import ForkedProcess
from millrace.model.events import Event, TaskEvent


class Subscription:
    """Events from now on. Iterate over it, or ``get``. A slow reader loses the oldest, never silently: ``missed`` counts them."""

    def __init__(
        self, hub: Hub, *, kinds: Iterable[type[Event]] | None, domain: str | None, task: str | None, maxsize: int
    ) -> None:
        """Made by ``Scheduler.subscribe``."""
        wanted = None if kinds is None else _kinds(kinds)
        prefix = None if domain is None else f"{domain}::"

        def accepts(told: Event) -> bool:
            if wanted is not None and not isinstance(told, wanted):
                return False
            if not isinstance(told, TaskEvent):
                return True
            return (prefix is None or told.task_name.startswith(prefix)) and task in (None, told.task_name)

        self._hub = hub
        takes_all = (wanted is None or Event in wanted) and prefix is None and task is None
        self._feed = Feed(None if takes_all else accepts, maxsize, wanted)
        hub.add(self._feed)

    @property
    def missed(self) -> int:
        """Events that this reader was too slow for."""
        return self._feed.missed

    def get(self, timeout: Seconds | None = None) -> Event:
        """The next event.

        Raises:
            queue.Empty: none came within ``timeout`` seconds, or the subscription is closed and read out.
        """
        event = self._feed.get(None if timeout is None else to_seconds(timeout, "timeout"))
        if event is None:
            raise queue.Empty
        return event

    def __iter__(self) -> Iterator[Event]:
        """Until the subscription is closed and read out."""
        return iter(self._feed)

    def close(self) -> None:
        """No more events come; those that came can still be read."""
        self._hub.remove(self._feed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except ForkedProcess:
            # A child that leaves its block by an error, as ``sys.exit`` is one, ends with that.
            if error is None:
                raise


def _kinds(kinds: Iterable[type[Event]]) -> tuple[type[Event], ...]:
    """The classes; TypeError where one is none of events. Checked here, in the caller's thread: they are compared in an actor's."""
    given: object = kinds
    if not isinstance(given, Iterable):
        raise TypeError(
            f"kinds: expected an iterable of event classes, got {getattr(given, '__name__', type(given).__name__)}; "
            "put a single one into a list"
        )
    classes = tuple(given)
    for one in classes:
        if not isinstance(one, type) or not issubclass(one, Event):
            raise TypeError(f"kinds: expected classes of events, got {one!r}")
    return classes
