"""The clock: all that is due later. It waits for the earliest of it and never polls.

Owns: timers of other actors (in memory: they concern runs of this process), the times at which the next delayed task or series
is due by either clock (a cache: tasks and series are in the store, however many), and that of the next sweep for tasks past
their deadline.
Talks to: whoever set a timer; the persistence actor, which makes due tasks ready and expires late ones.
Dies: its timers are lost with it, so what they guard is guarded anew by the successor's owner at its next occasion.
"""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final, TypeAlias, assert_never

from millrace.actors.actor import Actor, Loop, Watcher
from millrace.actors.mailbox import Mailbox, Tells
from millrace.actors.requests import EndPauses, ExpireDue, PromoteDue, Request
from millrace.actors.times import Times

LOOK_AGAIN_AFTER_S: Final = 30.0
"""A wait for a time of the wall clock is cut up into such: nothing tells that it was set, or that the machine slept. Half of what
a due time may be late by and still not count as missed; a look reads two clocks, and no row."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Send ``message`` to ``to`` in ``delay_s`` seconds."""

    delay_s: float
    to: Tells[Any]
    message: object


@dataclass(frozen=True, slots=True)
class NextDue:
    """Something that is delayed is due at this time (steady milliseconds); None: nothing is."""

    due_ms: int | None
    is_exact: bool = False
    """Whether these are the earliest of all, and not only one more."""
    wall_ms: int | None = None
    """The same by the wall clock."""


Message: TypeAlias = Arm | NextDue


class Clock(Actor):
    """See the module.

    Args:
        times: the clocks.
        persistence: its mailbox.
        sweep_interval_s: seconds between two sweeps; infinite: there is one only when the clock begins.
    """

    def __init__(
        self,
        mailbox: Mailbox[Any],
        loop: Loop,
        watcher: Watcher,
        *,
        times: Times,
        persistence: Tells[Request],
        sweep_interval_s: float = inf,
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self._times = times
        self._persistence = persistence
        self._timers: list[tuple[float, int, Tells[Any], object]] = []
        self._order = itertools.count()
        self._next_due_ms: int | None = None
        self._next_wall_ms: int | None = None
        self._sweep_interval_s = sweep_interval_s
        self._sweep_at = inf

    def on_start(self) -> None:
        """What is due, or past its deadline, is in the store: ask. Late tasks go first: they must not become ready."""
        self._sweep()
        self._persistence.tell(PromoteDue())
        self._persistence.tell(EndPauses())

    def receive(self, messages: Sequence[Message]) -> None:
        """Note the timers; ring those that are due meanwhile."""
        for message in messages:
            match message:
                case Arm(delay_s, to, what):
                    due = self._times.monotonic() + delay_s
                    heapq.heappush(self._timers, (due, next(self._order), to, what))
                case NextDue():
                    self._note_due(message)
                case _:
                    assert_never(message)
        self._ring()

    def wake_in(self) -> float | None:
        """Until the earliest timer, delayed task, series or sweep; not longer than for which the wall clock can be trusted."""
        waits: list[float] = []
        if self._timers:
            waits.append(self._timers[0][0] - self._times.monotonic())
        if self._next_due_ms is not None:
            waits.append((self._next_due_ms - self._times.steady_ms()) / 1000)
        if isfinite(self._sweep_at):
            waits.append(self._sweep_at - self._times.monotonic())
        if self._next_wall_ms is not None:
            waits.append(min((self._next_wall_ms - self._times.wall_ms()) / 1000, LOOK_AGAIN_AFTER_S))
        return max(0.0, min(waits)) if waits else None

    def wake(self) -> None:
        """Something is due."""
        self._ring()

    def _note_due(self, news: NextDue) -> None:
        if news.is_exact:
            self._next_due_ms, self._next_wall_ms = news.due_ms, news.wall_ms
        else:
            self._next_due_ms = earlier(self._next_due_ms, news.due_ms)
            self._next_wall_ms = earlier(self._next_wall_ms, news.wall_ms)

    def _is_due(self) -> bool:
        if self._next_due_ms is not None and self._next_due_ms <= self._times.steady_ms():
            return True
        return self._next_wall_ms is not None and self._next_wall_ms <= self._times.wall_ms()

    def _ring(self) -> None:
        now = self._times.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, to, message = heapq.heappop(self._timers)
            to.tell(message)
        if self._sweep_at <= now:
            self._sweep()
        if self._is_due():
            self._next_due_ms = self._next_wall_ms = None  # the answer names the next
            self._persistence.tell(PromoteDue())

    def _sweep(self) -> None:
        self._sweep_at = self._times.monotonic() + self._sweep_interval_s
        self._persistence.tell(ExpireDue())


def earlier(one: int | None, other: int | None) -> int | None:
    """Of two times the one that comes first; None is never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
