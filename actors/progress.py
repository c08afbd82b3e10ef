"""The progress of what is under way: live in this process, in the store and as events at intervals.

A body's report writes two fields of its run and, once an interval, puts the run into a list here; that is all it costs.
The list and the counters of the parents that have moved are taken up by whoever looks first: a reader, or a tick. A tick
is a message to the persistence actor, which writes what has changed and tells it after the commit, in its place among the
task's other events. It is armed by the first change after the last one, so where nothing changes there is none.

Not an actor: a board with a lock, that the bodies' threads, readers and the persistence actor share. It outlives actors.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from millrace.actors.effects import Effects, Report
from millrace.actors.ledger import Ledger
from millrace.actors.policy.rollup import Rollup
from millrace.actors.times import Times
from millrace.executors.run import Run
from millrace.model.rows import ParentCount, Row

WRITE_EVERY_S: Final = 0.5
"""A task's progress is written at most so often."""
SHORTEST_S: Final = 0.01
"""Ticks for events come no closer than this, whatever the interval."""
MAX_ROWS: Final = 500
"""Tasks that a tick writes or tells of at most; the rest follows in further ones."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a tick has to write and to tell. ``run`` is the run that reported; None where children have moved."""

    written: tuple[tuple[int, int | None, float], ...]
    told: tuple[tuple[int, Report], ...]


class Board:
    """See the module. From any thread.

    Args:
        times: the clocks.
        interval_s: seconds between two events of a task at least; None: no events.
        is_heard: whether anybody subscribes to events.
        arm: has a tick sent to the persistence actor in so many seconds.
    """

    def __init__(
        self, times: Times, interval_s: float | None, *, is_heard: Callable[[], bool], arm: Callable[[float], None]
    ) -> None:
        self._times = times
        self._interval_s = None if interval_s is None else max(SHORTEST_S, interval_s)
        self._is_heard = is_heard
        self._arm = arm
        self._lock = threading.Lock()
        self._is_on = False
        self._fresh: deque[Run] = deque()
        """Runs that have reported since they were last looked at."""
        self._runs: dict[int, Run] = {}
        """Runs that have reported and not ended, by task."""
        self._clear()

    def _clear(self) -> None:
        self._rollup = Rollup()
        self._messages: dict[int, str] = {}
        """Of tasks whose body has ended while their children go on."""
        self._told: dict[int, Report] = {}
        self._unwritten: dict[int, None] = {}
        self._untold: dict[int, None] = {}
        self._in_flight: tuple[dict[int, None], dict[int, None]] = ({}, {})
        """What the tick under way has taken from either: it comes back where the commit fails."""
        self._is_armed = False
        self._written_at = self._told_at = float("-inf")

    # Beginning and end

    def begin(self, parents: Iterable[ParentCount]) -> None:
        """From now on this process's view is whole: these are all active tasks with children in their round."""
        with self._lock:
            self._clear()
            for parent in parents:
                self._rollup.count(parent.id, parent.parent_id, parent.settled, parent.total)
            for task_id, run in list(self._runs.items()):
                if run.has_ended:
                    self._runs.pop(task_id, None)
                else:
                    self._fresh.append(run)
            self._is_on = True
            if self._runs:
                self._arm_tick()

    def end(self) -> None:
        """Nothing runs any more."""
        with self._lock:
            self._is_on = False
            self._runs.clear()
            self._fresh.clear()
            self._clear()

    def rearm(self) -> None:
        """An actor has been replaced: a tick may have been lost with it."""
        with self._lock:
            self._is_armed = False
            if self._is_on:
                self._arm_tick()

    # What happens

    def note(self, run: Run) -> None:
        """A run has reported something new. Called in its body's thread, once after each look at it."""
        run.is_fresh = True
        if run.has_ended or run.is_abandoned:
            return
        self._runs[run.claim.id] = run
        self._fresh.append(run)
        if not self._is_armed:
            with self._lock:
                self._arm_tick()

    @property
    def has_reports(self) -> bool:
        """Whether any run under way has reported."""
        return bool(self._runs)

    def committed(self, effects: Effects) -> None:
        """Runs and tasks have ended, children were counted. In the persistence actor's thread, in the order of commits."""
        if not self._is_on or not (effects.moved_parents or self._runs or len(self._rollup) or self._told):
            return
        with self._lock:
            for parent_id, moved in effects.moved_parents.items():
                self._rollup.count(parent_id, moved.parent_id, moved.settled, moved.total)
            for task_id, run_number in effects.ended_runs:
                self._end_run(task_id, run_number)
            for task_id, _ in effects.settled:
                if self._rollup.drop(task_id):
                    self._messages.pop(task_id, None)
                if self._told:
                    self._told.pop(task_id, None)
            self._told.update(entry for entry in effects.reports.items() if self._is_known(entry[0]))
            if effects.moved_parents:
                self._arm_tick()

    def _is_known(self, task_id: int) -> bool:
        return task_id in self._runs or task_id in self._messages or self._rollup.has_children(task_id)

    def _end_run(self, task_id: int, run_number: int) -> None:
        run = self._runs.get(task_id)
        if run is None or run.claim.run != run_number:
            return
        del self._runs[task_id]
        self._rollup.report(task_id, None, None)
        if self._rollup.has_children(task_id):
            if run.message is not None:
                self._messages[task_id] = run.message
        else:
            self._told.pop(task_id, None)

    def _catch_up(self) -> None:
        """Take up all that was reported and counted. Holding the lock."""
        changed: dict[int, None] = {}
        while self._fresh:
            run = self._fresh.popleft()
            run.is_fresh = False  # before the fields are read: what is written from now on is noted again
            if self._runs.get(run.claim.id) is run:
                self._rollup.report(run.claim.id, run.claim.parent_id, run.fraction)
                changed[run.claim.id] = None
        changed.update(dict.fromkeys(self._rollup.climb()))
        self._unwritten.update(changed)
        self._untold.update(changed)

    def _report_of(self, task_id: int) -> Report:
        run = self._runs.get(task_id)
        message = None if run is None else run.message
        if message is None:
            message = self._messages.get(task_id)
        if run is not None and not self._rollup.has_children(task_id):
            return run.fraction, message
        return self._rollup.fraction(task_id), message

    # Looking

    def fraction(self, task_id: int) -> float | None:
        """Where an active task is at this moment; None where nothing is known here."""
        if not self._is_on:
            return None
        with self._lock:
            self._catch_up()
            return self._report_of(task_id)[0]

    def unsaid(self, row: Row) -> Report | None:
        """What subscribers have still to hear of a task's progress before they hear of its end."""
        if self._interval_s is None or not self._is_on:
            return None
        with self._lock:
            self._catch_up()
            report = self._report_of(row.id)
            if row.child_total:
                report = ((row.child_total - row.child_active) / row.child_total, report[1])
            told = self._told.get(row.id)
        return None if report in ((None, None), told) else report

    # Ticks

    def _arm_tick(self) -> None:
        """Have a tick come when what has just changed may be written or told. Holding the lock."""
        self._arm_for(is_unwritten=True, is_untold=True)

    def _arm_for(self, *, is_unwritten: bool, is_untold: bool) -> None:
        if self._is_armed or not self._is_on:
            return
        dues: list[float] = []
        if is_unwritten:
            dues.append(self._written_at + WRITE_EVERY_S)
        if is_untold and self._interval_s is not None and self._is_heard():
            dues.append(self._told_at + self._interval_s)
        if dues:
            self._is_armed = True
            self._arm(max(0.0, min(dues) - self._times.monotonic()))

    def sample(self) -> Sample:
        """What is due to be written and told now; ``sampled`` once it is committed."""
        with self._lock:
            self._is_armed = False
            self._catch_up()
            unwritten, untold = self._in_flight
            self._unwritten |= unwritten
            self._untold |= untold
            now = self._times.monotonic()
            to_write: dict[int, None] = {}
            to_tell: dict[int, None] = {}
            if now >= self._written_at + WRITE_EVERY_S:
                to_write = _take(self._unwritten)
                self._written_at = now if not self._unwritten else self._written_at
            if self._interval_s is None or not self._is_heard():
                self._untold.clear()
            elif now >= self._told_at + self._interval_s:
                to_tell = _take(self._untold)
                self._told_at = now if not self._untold else self._told_at
            self._in_flight = (to_write, to_tell)
            return Sample(tuple(self._writes(to_write)), tuple(self._tales(to_tell)))

    def sampled(self) -> None:
        """It is written; what it left out comes with the next tick."""
        with self._lock:
            self._in_flight = ({}, {})
            is_fresh = bool(self._fresh)
            self._arm_for(is_unwritten=is_fresh or bool(self._unwritten), is_untold=is_fresh or bool(self._untold))

    def _writes(self, ids: Iterable[int]) -> Iterator[tuple[int, int | None, float]]:
        for task_id in ids:
            fraction, _ = self._report_of(task_id)
            run = None if self._rollup.has_children(task_id) else self._runs.get(task_id)
            if fraction is not None:
                yield task_id, None if run is None else run.claim.run, fraction

    def _tales(self, ids: Iterable[int]) -> Iterator[tuple[int, Report]]:
        for task_id in ids:
            report = self._report_of(task_id)
            if report not in ((None, None), self._told.get(task_id)):
                yield task_id, report


def _take(ids: dict[int, None]) -> dict[int, None]:
    """Take the first out, as many as one tick handles."""
    taken = dict.fromkeys(islice(ids, MAX_ROWS))
    for task_id in taken:
        del ids[task_id]
    return taken


def write_sample(ledger: Ledger, board: Board) -> None:
    """A tick: write and tell what is due, in the open transaction."""
    sample = board.sample()
    ledger.load([task_id for task_id, _, _ in sample.written] + [task_id for task_id, _ in sample.told])
    for task_id, run, fraction in sample.written:
        row = ledger.row(task_id)
        if row is not None and (run is None or (row.executing and row.run == run)) and row.progress != fraction:
            row.progress = fraction
            ledger.changed(row)
    for task_id, report in sample.told:
        row = ledger.row(task_id)
        if row is not None:
            ledger.tell_progress(row, report)
    ledger.effects.answers.append(board.sampled)
