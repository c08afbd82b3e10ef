"""Runs bodies on daemon threads of this process. Stopping is cooperative: nothing is ever thrown into a thread.

Runs wait in a heap in the order of starts, and as many threads as there are slots take them out: so a run that was
claimed ahead of the free slots begins when a slot is free, and not before. A thread whose run waits for another task
or was given up is replaced for as long as that lasts.
"""

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Container, Iterable
from typing import Final

from millrace.executors.counts import RunCounts
from millrace.executors.run import Run
from millrace.model.census import Census
from millrace.model.errors import InterruptReason
from millrace.model.outcomes import RunOutcome
from millrace.model.rows import Claim

log = logging.getLogger("millrace.executors")

_AT_ONCE: Final = (-1, 0, 0)
"""The place of all runs that begin in the order in which they come."""

Runner = Callable[[Run], RunOutcome]
Report = Callable[[RunOutcome], None]


class ThreadExecutor:
    """A pool of daemon threads.

    Args:
        runner: calls the function of a run and says how it ended; must not raise.
        report: takes the outcome; called in the run's thread.
        on_thread_end: told of a run that had been given up and has ended after all.
        name: for the threads' names.
    """

    def __init__(
        self,
        runner: Runner,
        report: Report,
        *,
        on_thread_end: Callable[[Run], None] | None = None,
        name: str = "run",
    ) -> None:
        self._runner = runner
        self._report = report
        self._on_thread_end = on_thread_end
        self.on_starved: Callable[[], None] | None = None
        """Called where the system gives no thread for a run that waits, to have ``resize`` called later. Must not block."""
        self._name = name
        self._lock = threading.Lock()
        self._waiting: list[tuple[tuple[int, int, int], int, Run]] = []
        self._order = itertools.count()
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._held: dict[int, Run] = {}
        """Runs that have not begun and never will, by task: they wait to be taken back."""
        self._runs: dict[int, Run] = {}
        """Begun, waiting or held back, by task."""
        self._abandoned: dict[int, Run] = {}
        self._counts = RunCounts()
        self._slots = 0
        self._threads = 0
        self._extra = 0
        """Threads over the slots: stand-ins for those that wait or were given up."""
        self._thread_numbers = itertools.count(1)
        self._is_paused = False
        self._is_stopping = False
        self._is_in_turn = False
        self._idle = threading.Condition(self._lock)

    def start(self, slots: int) -> None:
        """Begin to run, ``slots`` runs at once."""
        with self._lock:
            self._is_stopping = self._is_paused = False
            waiting = len(self._waiting)
        self.resize(slots)
        for _ in range(waiting):
            self._tokens.put(None)

    def pause(self) -> None:
        """Begin nothing more: what has not begun by now waits, to be withdrawn, or for the next ``start``."""
        with self._lock:
            self._is_paused = True
            self._idle.notify_all()

    def resize(self, slots: int) -> None:
        """Change the number of slots: more begin at once, fewer as runs end."""
        with self._lock:
            self._slots = slots
            self._fill()

    def begin_in_turn(self, *, is_on: bool) -> None:
        """Whether runs submitted from now on begin in the order in which they come, and not the most urgent first."""
        self._is_in_turn = is_on

    def submit(self, runs: Iterable[Run], *, held: Container[tuple[int, int]] = ()) -> None:
        """Run these as slots become free, the most urgent first or, in turn, the first first.

        Those whose (task, run) is among ``held`` are held back from the first.
        """
        count = 0
        with self._lock:
            for run in runs:
                self._runs[run.claim.id] = run
                if (run.claim.id, run.claim.run) in held:
                    self._held[run.claim.id] = run
                    continue
                heapq.heappush(self._waiting, (_AT_ONCE if self._is_in_turn else run.place, next(self._order), run))
                count += 1
            self._fill()
        for _ in range(count):
            self._tokens.put(None)

    def interrupt(self, task_id: int, run_number: int, reason: InterruptReason) -> bool:
        """Ask a run to stop. False where it is not here (it has ended, or never was)."""
        run = self._runs.get(task_id)
        if run is None or run.claim.run != run_number:
            return False
        run.ask(reason)
        return True

    def interrupt_all(self, reason: InterruptReason) -> None:
        """Ask all runs to stop."""
        for run in list(self._runs.values()):
            run.ask(reason)

    def hold_back(self, is_over: Callable[[Claim], bool]) -> None:
        """Begin no more those of the waiting runs for which it is so. They stay here, until they are taken back."""
        with self._lock:
            held = [entry[2] for entry in self._waiting if is_over(entry[2].claim)]
            if held:
                self._held.update((run.claim.id, run) for run in held)
                self._waiting = [entry for entry in self._waiting if entry[2].claim.id not in self._held]
                heapq.heapify(self._waiting)

    def is_held_back(self, run: Run) -> bool:
        """Whether the run is to be taken back."""
        return self._held.get(run.claim.id) is run

    def withdraw(self) -> list[Run]:
        """Take back the runs that have not begun, those held back too."""
        with self._lock:
            return self._take_waiting()

    def _take_waiting(self) -> list[Run]:
        taken = [entry[2] for entry in self._waiting] + list(self._held.values())
        self._waiting.clear()
        self._held.clear()
        for run in taken:
            del self._runs[run.claim.id]
        return taken

    def withdraw_one(self, task_id: int, run_number: int) -> bool:
        """Take one run back, also where it is held back; False where it has begun, or is not here."""
        with self._lock:
            held = self._held.get(task_id)
            if held is not None and held.claim.run == run_number:
                del self._held[task_id], self._runs[task_id]
                return True
            for at, (_, _, run) in enumerate(self._waiting):
                if run.claim.id == task_id and run.claim.run == run_number:
                    del self._waiting[at]
                    heapq.heapify(self._waiting)
                    del self._runs[task_id]
                    return True
        return False

    def withdraw_after(self, place: tuple[int, int, int]) -> Run | None:
        """Take back the last of the runs that have not begun, where it comes after this place in the order of starts."""
        with self._lock:
            last = max(self._waiting, default=None)
            if last is None or last[0] <= place:
                return None
            self._waiting.remove(last)
            heapq.heapify(self._waiting)
            del self._runs[last[2].claim.id]
            return last[2]

    def lend(self, run: Run) -> None:
        """The run waits for another task: a stand-in takes its slot. Called by the run's own threads."""
        with self._lock:
            run.waits += 1
            if run.waits == 1:
                self._extra += 1
                self._fill()

    def reclaim(self, run: Run) -> None:
        """The wait is over; the run goes on at once, and one thread ends when its run has ended."""
        with self._lock:
            run.waits -= 1
            if run.waits == 0:
                self._extra -= 1

    def abandon(self, task_id: int, run_number: int) -> Run | None:
        """Give a run up: its slot is free, its own outcome is dropped. None where it has ended by itself."""
        with self._lock:
            run = self._runs.get(task_id)
            if run is None or run.claim.run != run_number or run.begun_at is None or run.has_ended:
                return None
            run.is_abandoned = True
            self._counts.give_up(run)
            del self._runs[task_id]
            self._abandoned[task_id] = run
            if self._is_idle():
                self._idle.notify_all()
            self._extra += 1
            self._fill()
            return run

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until every run is over and reported, while paused every one that has begun.

        False where ``timeout_s`` was not enough.
        """
        with self._idle:
            return self._idle.wait_for(self._is_idle, timeout_s)

    def _is_idle(self) -> bool:
        return len(self._runs) == (len(self._waiting) + len(self._held) if self._is_paused else 0)

    def run_of(self, task_id: int) -> Run | None:
        """The run of a task, begun or not."""
        return self._runs.get(task_id)

    def runs(self) -> list[Run]:
        """All runs, begun or not."""
        return list(self._runs.values())

    def abandoned(self) -> list[Run]:
        """Runs that were given up and whose threads still go on."""
        return list(self._abandoned.values())

    def census(self) -> Census:
        """What is counted of its runs, and what runs now, at one moment."""
        with self._lock:
            now = time.monotonic()
            census = Census(self._name, {name: runs.copy() for name, runs in self._counts.names.items()})
            census.waits = {domain: waits.copy() for domain, waits in self._counts.waits.items()}
            census.latency = self._counts.latency.copy()
            for run in self._runs.values():
                if run.begun_at is not None and not run.has_ended:
                    name = run.claim.name
                    census.running[name] = census.running.get(name, 0) + 1
                    if run.claim.grp is not None:
                        census.groups[run.claim.grp] = census.groups.get(run.claim.grp, 0) + 1
                    census.oldest_s[name] = max(census.oldest_s.get(name, 0.0), now - run.begun_at)
            busy = sum(census.running.values())
            abandoned = len(self._abandoned)
            idle = max(0, self._threads - busy - abandoned)
            census.workers = {"busy": busy, "idle": idle, "starting": 0, "abandoned": abandoned}
        return census

    def stop(self) -> None:
        """Let the threads end as their runs end; what has not begun is dropped (withdraw it first)."""
        with self._lock:
            self._is_stopping = True
            self._take_waiting()
            threads = self._threads
        for _ in range(threads):
            self._tokens.put(None)

    # The threads

    def _fill(self) -> None:
        """Start threads up to the slots, and no more than there are runs. Holding the lock."""
        if self._is_stopping or self._is_paused or not self._waiting:
            return
        wanted = min(self._slots + self._extra, len(self._runs) - len(self._held) + len(self._abandoned))
        while self._threads < wanted:
            self._threads += 1
            name = f"millrace-{self._name}-{next(self._thread_numbers)}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError:
                # The system gives no more threads: those that are there go on, and others are tried for later.
                self._threads -= 1
                log.warning("cannot start a thread for a run; %d are running", self._threads, exc_info=True)
                if self.on_starved is not None:
                    self.on_starved()
                return

    def _work(self) -> None:
        while True:
            self._tokens.get()
            with self._lock:
                if self._is_stopping or self._threads > self._slots + self._extra:
                    self._threads -= 1
                    if not self._is_stopping:
                        self._tokens.put(None)  # the token was for a run: another thread takes it
                    return
                if not self._waiting or self._is_paused:
                    continue
                run = heapq.heappop(self._waiting)[2]
                run.begin()
                self._counts.begin(run)
            if not self._do(run):
                return

    def _do(self, run: Run) -> bool:
        """Run it and report; False where this thread was replaced meanwhile."""
        outcome = self._runner(run)
        with self._lock:
            run.has_ended = True
            self._counts.end(run, outcome)
            if run.is_abandoned:
                self._abandoned.pop(run.claim.id, None)
                self._extra -= 1
                self._threads -= 1
        if run.is_abandoned:
            if self._on_thread_end is not None:
                self._on_thread_end(run)
            return False
        self._report(outcome)
        with self._lock:
            # Only now, so that a run is always known here or reported; the task's next run may be here already.
            if self._runs.get(run.claim.id) is run:
                del self._runs[run.claim.id]
            if self._is_idle():
                self._idle.notify_all()
        return True
