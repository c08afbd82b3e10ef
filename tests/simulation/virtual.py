"""What stands in for the machine: a clock that is set by hand, one thread for all actors, and runs that are steps."""

import heapq
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from millrace.actors.actor import Actor
from millrace.actors.mailbox import Reply
from millrace.executors.run import Run
from millrace.executors.threads import ThreadExecutor
from millrace.model.outcomes import RunOutcome

WALL_MS = 1_700_000_000_000


class ProcessDied(BaseException):
    """The simulated process has died: whatever was under way in it ends here."""


class ActorFailed(Exception):
    """What an actor is made to raise."""


class MemoryFailed(BaseException):
    """The same, as what no actor handles: it ends with it."""


class VirtualTimes:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return WALL_MS + math.floor(self.now * 1000)

    def steady_ms(self) -> int:
        return self.wall_ms()


@dataclass(slots=True)
class Pause:
    """What a script waits for: any of these ends the wait; with none of them it goes on at any time."""

    reply: Reply[Any] | None = None
    until: float | None = None
    run: Run | None = None
    gate: bool = False

    def is_over(self, now: float, *, is_gate_open: bool) -> bool:
        if self.reply is None and self.until is None and self.run is None and not self.gate:
            return True
        return (
            (self.reply is not None and self.reply.is_set)
            or (self.until is not None and self.until <= now)
            or (self.run is not None and self.run.asked is not None)
            or (self.gate and is_gate_open)
        )


Script: TypeAlias = Generator[Pause, None, Any]


class Driver(Protocol):
    """What drives a loop and its pools: the world."""

    times: VirtualTimes

    def run_until(self, is_done: Callable[[], bool], timeout_s: float | None) -> bool:
        """Make steps until it is so, or until the time has passed."""
        ...


@dataclass(slots=True)
class Seat:
    """An actor in the loop."""

    actor: Actor
    is_started: bool = False
    wake_at: float | None = None


class SeededLoop:
    """All actors in one thread: whose turn it is, and how much of its mail it takes, is the world's choice."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.seats: list[Seat] = []
        self.detached: list[Callable[[], None]] = []
        self.detached_count = 0

    def begin(self, actor: Actor) -> None:
        self.seats.append(Seat(actor))

    def wait(self, reply: Reply[Any], timeout_s: float | None) -> bool:
        return self._driver.run_until(lambda: reply.is_set, timeout_s)

    def detach(self, work: Callable[[], None], name: str) -> None:
        self.detached.append(work)
        self.detached_count += 1

    def shield(self, work: Callable[[], None], name: str) -> None:
        work()

    def run_detached(self) -> None:
        """All that a thread of its own would do, with everything else going on meanwhile."""
        self.detached.pop(0)()
        self.detached_count -= 1

    def ready(self) -> list[Seat]:
        """Those that have something to do now."""
        now = self._driver.times.now
        return [
            seat
            for seat in self.seats
            if not seat.is_started
            or len(seat.actor.mailbox.inbox)
            or (seat.wake_at is not None and seat.wake_at <= now)
        ]

    def turn(self, seat: Seat, limit: int, failing: str | None) -> None:
        """One turn of an actor; ``failing`` makes it raise "before" or "after" it has handled its mail."""
        actor = seat.actor
        try:
            if not seat.is_started:
                seat.is_started = True
                self._start(actor, failing)
            elif len(actor.mailbox.inbox):
                self._handle(actor, limit, failing)
            else:
                actor.turn([])
        except ProcessDied:
            raise
        except BaseException as error:
            self._end(seat, error)
            return
        if actor.actor_stopped.is_set():
            self._end(seat, None)
        else:
            wait = actor.wake_in()
            seat.wake_at = None if wait is None else self._driver.times.now + wait

    @staticmethod
    def _start(actor: Actor, failing: str | None) -> None:
        if failing is not None:
            raise ActorFailed
        actor.on_start()

    def _handle(self, actor: Actor, limit: int, failing: str | None) -> None:
        envelopes = actor.mailbox.inbox.take(0.0, limit)
        if failing is None:
            actor.turn(envelopes)
            return
        receive = actor.receive

        def fail(messages: Any) -> None:
            if failing == "after":
                receive(messages)
            raise ActorFailed

        actor.receive = fail
        try:
            actor.turn(envelopes)
        finally:
            del actor.receive

    def _end(self, seat: Seat, error: BaseException | None) -> None:
        self.seats.remove(seat)
        seat.actor.end(error)


@dataclass(slots=True, eq=False)
class Worker:
    """A thread of the pool with its run."""

    run: Run
    script: Script
    pause: Pause = field(default_factory=Pause)
    outcome: RunOutcome | None = None
    is_reported: bool = False


class SteppedPool(ThreadExecutor):
    """A ThreadExecutor without threads: its books are the real ones, and each thing that a thread does is a step."""

    def __init__(
        self,
        runner: Callable[[Run], Any],
        report: Callable[[RunOutcome], None],
        *,
        driver: Driver,
        on_end: Callable[[Run, RunOutcome], None],
        on_thread_end: Callable[[Run], None] | None = None,
        name: str = "run",
    ) -> None:
        super().__init__(runner, report, on_thread_end=on_thread_end, name=name)
        self._driver = driver
        self._on_end = on_end
        self.name = name
        self.workers: list[Worker] = []

    def _fill(self) -> None:
        """No thread is started: the world calls ``begin_next`` where one would take a run."""

    def wait_idle(self, timeout_s: float) -> bool:
        return self._driver.run_until(self._is_idle, timeout_s)

    # Steps

    @property
    def can_begin(self) -> bool:
        is_open = not self._is_stopping and not self._is_paused
        return bool(self._waiting) and is_open and len(self.workers) < self._slots + self._extra

    def begin_next(self) -> Run:
        run = heapq.heappop(self._waiting)[2]
        run.begun_at = self._driver.times.now
        self._counts.begin(run)
        self.workers.append(Worker(run, self._runner(run)))
        return run

    def step(self, worker: Worker) -> None:
        run = worker.run
        if worker.outcome is None:
            try:
                worker.pause = next(worker.script)
            except StopIteration as stop:
                self._end(worker, stop.value)
        elif not worker.is_reported:
            self._report(worker.outcome)
            worker.is_reported = True
        else:
            self.workers.remove(worker)
            if self._runs.get(run.claim.id) is run:
                del self._runs[run.claim.id]

    def _end(self, worker: Worker, outcome: RunOutcome) -> None:
        run = worker.run
        worker.outcome, worker.pause = outcome, Pause()
        run.has_ended = True
        self._counts.end(run, outcome)
        self._on_end(run, outcome)
        if run.is_abandoned:
            self._abandoned.pop(run.claim.id, None)
            self._extra -= 1
            self.workers.remove(worker)
            if self._on_thread_end is not None:
                self._on_thread_end(run)
