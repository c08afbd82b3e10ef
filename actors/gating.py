"""What holds a task up that all limits let start: pressure, IO, a thread that was given up, a suspect that runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from millrace.actors.live import Measured
from millrace.actors.overdue import Overdue
from millrace.actors.policy.gate import HELD_AT_MOST_S, Bytes, IoGate
from millrace.actors.policy.pressure import Pressure
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.scopes import Scope
from millrace.actors.policy.starts import ASIDE, Aside, Holding
from millrace.actors.sampler import Readings
from millrace.executors.pool import Executors
from millrace.model.io import decode_io
from millrace.model.priority import LEAST_URGENT
from millrace.model.records import IoBudget
from millrace.model.rows import Phase, Ready

HELD_MOST: Final = 64
"""Tasks that the IO gate holds one by one, so that smaller ones behind them are looked at; further lines wait as wholes."""


@dataclass(slots=True)
class _Held:
    task: Ready
    since: float


class Gating:
    """Asked before each start, after all limits.

    Args:
        means: what runs of a task have moved on average, by its name; None: not known.
        max_crashes: a task one crash short of this starts only while no other such task runs.
    """

    def __init__(
        self,
        executors: Executors,
        overdue: Overdue,
        *,
        pressure: Pressure,
        io: IoGate,
        means: Callable[[str], IoBudget | None],
        max_crashes: int,
    ) -> None:
        self._executors = executors
        self._overdue = overdue
        self.pressure = pressure
        self.io = io
        self._means = means
        self._max_crashes = max_crashes
        self._held_from = 0
        """The most urgent effective priority that pressure holds, as of the last reading."""
        self._suspects: set[int] = set()
        """Claimed tasks that are one crash short of the dead letters."""
        self._behind_suspect: dict[int, Ready] = {}
        self._held: dict[int, _Held] = {}
        """Bodies that the IO gate holds."""
        self._moving: set[int] = set()
        """Runs that are expected to move bytes."""

    # Before a start

    def is_open(self, now: float) -> bool:
        """Whether whatever has never crashed would be let through."""
        return not self.io.is_on and not self._overdue.abandoned and self.pressure.held_from(now) > LEAST_URGENT

    def hold_up(self, queue: ReadyQueue, task: Ready, effective: int, now: float) -> Scope | Aside | None:
        """What stands in the way of a task that all limits let start."""
        if self.pressure.holds(effective, now):
            return queue.scopes.pressure
        if self._overdue.abandoned and self._overdue.hold(task):
            return ASIDE
        if self._suspects and self._is_suspect(task.crashes):
            self._behind_suspect[task.id] = task
            return ASIDE
        return self._hold_for_io(queue, task, now) if self.io.is_on and task.phase == Phase.BODY else None

    def _hold_for_io(self, queue: ReadyQueue, task: Ready, now: float) -> Scope | Aside | None:
        held = self._held.get(task.id)
        if self.io.admits(self._expected(task), now, None if held is None else held.since):
            return None
        if held is None and len(self._held) >= HELD_MOST:
            return queue.scopes.io
        self._held[task.id] = _Held(task, now if held is None else held.since)
        return ASIDE

    def _expected(self, task: Ready) -> Bytes:
        """What is declared, else what runs of the task have moved."""
        budget = self._means(task.lane.name) if task.io is None else decode_io(task.io)
        return (0, 0, 0, 0) if budget is None else (budget.disk_read, budget.disk_write, budget.net_rx, budget.net_tx)

    # Starts and ends

    def started(self, holding: Holding) -> None:
        """A task that was let through starts, or was found running."""
        task = holding.task
        if task.crashes and self._is_suspect(task.crashes):
            self._suspects.add(task.id)
        if self.io.is_on and task.phase == Phase.BODY:
            self._held.pop(task.id, None)
            expected = self._expected(task)
            if any(expected):
                self._moving.add(task.id)
                self.io.started(task.id, expected)

    def ended(self, queue: ReadyQueue, task_id: int) -> None:
        """Its run is over, or was not begun: what waited for it is looked at again."""
        if task_id in self._suspects:
            self._suspects.discard(task_id)
            waiting, self._behind_suspect = self._behind_suspect, {}
            queue.offer(waiting.values())
        if task_id in self._moving:
            self._moving.discard(task_id)
            self.io.ended(task_id)
            self.look_again(queue)

    def _is_suspect(self, crashes: int) -> bool:
        """One death of the process more, and it is a dead letter."""
        return 0 < crashes >= self._max_crashes - 1

    # News

    def read(self, queue: ReadyQueue, readings: Readings, now: float) -> None:
        """The sampler has read."""
        self.pressure.told(readings.pressures, now)
        # Compared with what was so at the last reading: a source may have gone out of date since.
        before, self._held_from = self._held_from, self.pressure.held_from(now)
        if self._held_from > before:
            queue.reopen(queue.scopes.pressure)
        if readings.resources is not None:
            self.io.reading(readings.resources, now)
        for task_id in self._moving:
            run = self._executors.run_of(task_id)
            if run is not None and run.recorded_io is not None:
                self.io.recorded(task_id, run.recorded_io)
        self.look_again(queue)

    def look_again(self, queue: ReadyQueue) -> None:
        """What the IO gate holds may be let through by now. It keeps the time since when it waits.

        Lines wait as wholes also when those that were held one by one have all started.
        """
        queue.offer(held.task for held in self._held.values())
        if queue.scopes.io.bins:
            queue.reopen(queue.scopes.io)

    def reasons(self) -> frozenset[str]:
        """Why tasks that all limits let start do not, apart from scopes."""
        if not (self._held or self._behind_suspect or self._overdue.has_waiting):
            return frozenset()
        found = (("io", self._held), ("concurrency", self._behind_suspect), ("no_worker", self._overdue.has_waiting))
        return frozenset(reason for reason, is_so in found if is_so)

    def due_in(self, now: float) -> float | None:
        """Seconds until a body has waited for IO as long as it may; None: none waits for that.

        Who has waited so long is not held by the gate any more, whatever else it waits for.
        """
        left = (HELD_AT_MOST_S - (now - held.since) for held in self._held.values())
        return min((each for each in left if each > 0), default=None)

    def measure(self, queue: ReadyQueue, now: float) -> Measured:
        """What a snapshot shows of what holds starts up."""
        return Measured(
            tokens=queue.tokens(),
            slots=queue.shares(),
            pressure_by_source=self.pressure.by_source(now),
            resources=self.io.resources(now),
            io_budgets=self.io.capacities(now),
            io_reserved=self.io.reserved,
        )
