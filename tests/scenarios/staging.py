"""What scenarios are played with: gates that hold bodies, and stores that outlive their schedulers."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from millrace import Event, Outcome, Scheduler, Subscription, TaskRecord, TaskStatus
from millrace.actors.dispatches import SetDispatching
from millrace.actors.mailbox import Reply
from millrace.actors.requests import Flush
from millrace.model.events import TaskEvent

WAIT_S: Final = 60.0
"""Longer than anything here takes, also on a machine with much else to do: what is not there by then never comes."""
SLOW_MACHINE_S: Final = 4.0
"""What a machine with much else to do may add to a time that is promised."""
T = TypeVar("T")


def quickest(action: Callable[[], object], goes: int = 5) -> float:
    """Seconds of the quickest of several goes, which tells most of the action and least of what else the machine does."""
    times: list[float] = []
    for _ in range(goes):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


class Gate:
    """Bodies stop at it; the test sees how many did, and lets them go on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_open = False
        self._passes = 0
        self.arrived = 0
        """How often a body has come to it."""

    def hold(self) -> None:
        """Called by a body: wait until the gate is open, or one pass is given."""
        with self._changed:
            self.arrived += 1
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._is_open or self._passes > 0, WAIT_S):
                raise TimeoutError("nobody opened the gate")
            if not self._is_open:
                self._passes -= 1

    def await_arrivals(self, count: int = 1) -> None:
        """Wait until bodies have come to it ``count`` times in all."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.arrived >= count, WAIT_S):
                raise TimeoutError(f"expected {count} bodies at the gate, {self.arrived} came")

    def let_pass(self, count: int = 1) -> None:
        """Let so many bodies go on, those of later included."""
        with self._changed:
            self._passes += count
            self._changed.notify_all()

    def open(self) -> None:
        """Let all go on, now and later."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()


class Stage:
    """Schedulers and gates of one test: at its end all gates are opened and all schedulers stopped.

    Args:
        path: of the store, unless a scheduler is given another.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._schedulers: list[Scheduler] = []
        self._gates: list[Gate] = []

    def scheduler(self, *domains: Any, path: str | None = None, **settings: Any) -> Scheduler:
        """A scheduler on the store of the test, not started."""
        settings.setdefault("durability", "process")
        made = Scheduler(path or self.path, domains=domains, **settings)
        self._schedulers.append(made)
        return made

    def started(self, *domains: Any, **settings: Any) -> Scheduler:
        """A scheduler that runs."""
        return self.scheduler(*domains, **settings).start()

    def gate(self) -> Gate:
        """A gate that is shut."""
        gate = Gate()
        self._gates.append(gate)
        return gate

    def clear(self) -> None:
        """Open and stop everything."""
        for gate in self._gates:
            gate.open()
        for scheduler in self._schedulers:
            scheduler.stop(5.0)


def settle(outcomes: Iterable[Outcome[Any]]) -> list[TaskRecord]:
    """The terminal records, once there are all."""
    return [outcome.wait(WAIT_S) for outcome in outcomes]


def heard_until(subscription: Subscription, is_last: Callable[[Event], bool]) -> list[Event]:
    """The events up to the first for which ``is_last`` is true, that one included."""
    events: list[Event] = []
    while not events or not is_last(events[-1]):
        events.append(subscription.get(WAIT_S))
    return events


def of_task(events: Sequence[Event], task_id: int) -> list[TaskEvent]:
    """The events of one task."""
    return [event for event in events if isinstance(event, TaskEvent) and event.task_id == task_id]


def kinds(events: Sequence[Event]) -> list[str]:
    """What the events are, by name."""
    return [type(event).__name__ for event in events]


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each call gives when all are made at one moment, each in a thread of its own."""
    line = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def play(place: int, call: Callable[[], T]) -> None:
        line.wait(WAIT_S)
        try:
            results[place] = call()
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=play, args=entry) for entry in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def await_status(outcome: Outcome[Any], *wanted: TaskStatus) -> TaskRecord:
    """The record as soon as the task is in one of these statuses, which nothing announces."""
    deadline = time.monotonic() + WAIT_S
    while (record := outcome.handle.record()).status not in wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected task {outcome.id} to become {wanted}, it is {record.status}")
    return record


def calm_down(scheduler: Scheduler) -> None:
    """Return when what was on its way between the store and the dispatcher has arrived, and what follows from it too."""
    for _ in range(2):
        for _ in range(2):  # the first answer comes before the news of its own turn
            turn: Reply[None] = Reply()
            scheduler._runtime.persistence.tell(Flush(turn))
            assert turn.wait(WAIT_S)
        ping: Reply[None] = Reply()
        scheduler._runtime.dispatcher.tell(SetDispatching(True, ping))
        assert ping.wait(WAIT_S)
