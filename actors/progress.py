"""The progress of what is under way: live in this process, in the store and as events at intervals.

A body's report writes two fields of its run and, once an interval, puts the run into a list here; that is all it costs.
The list and the counters of the parents that have moved are taken up by whoever looks first: a reader, or a tick. A tick
is a message to the persistence actor, which writes what has changed and tells it after the commit, in its place among the
task's other events. ``progress_due`` knows when one is to come, and what is due then.

Not an actor: a board with a lock, that the bodies' threads, readers and the persistence actor share. It outlives actors.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from millrace.actors.effects import NO_REPORT, Effects, Report
from millrace.actors.policy.estimates import Rate, by_bytes, eta_s, extrapolate
from millrace.actors.policy.estimates import sample as sample_rate
from millrace.actors.policy.rollup import Rollup
from millrace.actors.progress_due import Due
from millrace.actors.times import Times
from millrace.executors.run import Run
from millrace.model.records import TaskProgress, TaskRecord
from millrace.model.rows import ChildBytes, ParentCount, Phase

ESTIMATE_EVERY_S: Final = 0.05
"""Runs that say nothing are looked through at most so often."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a tick has to write, as (task, run, report), and to tell. The run is None where children have moved."""

    written: tuple[tuple[int, int | None, Report], ...]
    told: tuple[tuple[int, Report], ...]


class Board:
    """See the module. From any thread.

    Args:
        times: the clocks.
        interval_s: seconds between two events of a task at least; None: no events.
        is_heard: whether anybody subscribes to events.
        arm: has a tick sent to the persistence actor in so many seconds.
        runs: the runs of bodies and finalizers that are under way, or wait for a slot.
        mean_s: the mean duration of a task's runs that ended well, by its name; None where there was none. It must be kept,
            as it is asked at every look.
    """

    def __init__(
        self,
        times: Times,
        interval_s: float | None,
        *,
        is_heard: Callable[[], bool],
        arm: Callable[[float], None],
        runs: Callable[[], Iterable[Run]] = tuple,
        mean_s: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        self._times = times
        self._due = Due(times, interval_s, is_heard=is_heard, arm=arm)
        self._all_runs = runs
        self.mean_s = mean_s
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
        self._rates: dict[int, Rate] = {}
        """Of tasks that have told of bytes, or whose children have."""
        self._told: dict[int, Report] = {}
        self._estimated_at = float("-inf")
        self._due.clear()

    # Beginning and end

    def begin(self, parents: Iterable[ParentCount], below: Mapping[int, ChildBytes]) -> None:
        """From now on this process's view is whole.

        Args:
            parents: all active tasks with children in their round.
            below: the bytes of their settled children, where there are any.
        """
        with self._lock:
            self._clear()
            for parent in parents:
                self._rollup.count(parent.id, parent.parent_id, parent.settled, parent.total)
            for parent_id, settled in below.items():
                self._rollup.restore(parent_id, settled)
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
            self._due.is_armed = False
            self._arm_tick()

    # What happens

    def note(self, run: Run) -> None:
        """A run has reported something new. Called in its body's thread, once after each look at it."""
        run.is_fresh = True
        if run.has_ended or run.is_abandoned:
            return
        self._runs[run.claim.id] = run
        self._fresh.append(run)
        if not self._due.is_armed:
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
            if effects.moved_parents or len(self._rollup):
                self._take_up(effects)
            else:
                self._end_leaves(effects)

    def _take_up(self, effects: Effects) -> None:
        for task_id, run_number in effects.ended_runs:
            self._end_alone(task_id, run_number)
        if self._fresh:
            self._catch_up()  # the last word of what has ended is what its parents keep of it
        for parent_id, moved in effects.moved_parents.items():
            self._rollup.count(parent_id, moved.parent_id, moved.settled, moved.total)
        for task_id, _ in effects.settled:
            self._settle(task_id)
        for task_id, run_number in effects.ended_runs:
            self._end_run(task_id, run_number)
        for parent_id, settled in effects.child_bytes.items():
            if settled is not None:
                self._rollup.restore(parent_id, settled)
        self._told.update(entry for entry in effects.reports.items() if self._is_known(entry[0]))
        if effects.moved_parents:
            self._arm_tick()

    def _end_leaves(self, effects: Effects) -> None:
        """The same where nothing is known but of runs: what those have said that are over is nobody's any more.

        What the others have said is taken up by who looks.
        """
        runs, told = self._runs, self._told
        for task_id, run_number in effects.ended_runs:
            run = runs.get(task_id)
            if run is not None and run.claim.run == run_number:
                del runs[task_id]
                self._rates.pop(task_id, None)
                told.pop(task_id, None)
        if told:
            for task_id, _ in effects.settled:
                told.pop(task_id, None)
        told.update(entry for entry in effects.reports.items() if entry[0] in runs)
        while self._fresh and self._fresh[0].has_ended:
            self._fresh.popleft()

    def _end_alone(self, task_id: int, run_number: int) -> None:
        """Nobody is above the task and nothing below it: what its run has said is told by now, and is nobody's any more."""
        run = self._runs.get(task_id)
        if run is None or run.claim.run != run_number or run.claim.parent_id is not None:
            return
        if not self._rollup.has_children(task_id):
            del self._runs[task_id]
            self._rollup.report(task_id, None, None)
            self._rates.pop(task_id, None)
            self._told.pop(task_id, None)

    def _settle(self, task_id: int) -> None:
        if self._rollup.drop(task_id):
            self._messages.pop(task_id, None)
            self._rates.pop(task_id, None)
        if self._told:
            self._told.pop(task_id, None)

    def _is_known(self, task_id: int) -> bool:
        return task_id in self._runs or task_id in self._messages or self._rollup.has_children(task_id)

    def _end_run(self, task_id: int, run_number: int) -> None:
        run = self._runs.get(task_id)
        if run is None or run.claim.run != run_number:
            return
        del self._runs[task_id]
        self._rollup.report(task_id, None, None)
        self._rates.pop(task_id, None)
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
            is_over = run.has_ended and run.claim.parent_id is None  # its end tells, and nobody is above it
            if self._runs.get(run.claim.id) is run and not is_over:
                self._report(run, _own_fraction(run))
                changed[run.claim.id] = None
        now = self._times.monotonic()
        self._estimate(now)
        changed.update(dict.fromkeys(self._rollup.climb()))
        for task_id in changed:
            self._sample_rate(task_id, now)
        self._due.add(changed)

    def _report(self, run: Run, fraction: float | None) -> None:
        self._rollup.report(run.claim.id, run.claim.parent_id, fraction, run.bytes_done, run.bytes_total)

    def _estimate(self, now: float) -> None:
        """Children that say nothing of themselves count as far as the time of earlier runs says, in their parents only.

        This moves nothing by itself: it is taken up where somebody looks, or a tick comes anyway.
        """
        if now < self._estimated_at + ESTIMATE_EVERY_S:
            return
        self._estimated_at = now
        for run in self._all_runs():
            if run.claim.parent_id is not None and _own_fraction(run) is None:
                fraction = self._extrapolated(run, now)
                if fraction is not None:
                    self._report(run, fraction)

    def _extrapolated(self, run: Run, now: float) -> float | None:
        """How far a run of a body without children may be by now."""
        claim = run.claim
        if run.begun_at is None or claim.phase != Phase.BODY or self._rollup.has_children(claim.id):
            return None
        after = 0.0 if run.reported_at is None else run.reported_at - run.begun_at
        return extrapolate(self.mean_s(claim.name), now - run.begun_at, run.fraction, after)

    def _sample_rate(self, task_id: int, now: float) -> None:
        done = self._bytes_of(task_id)[0]
        if done is not None:
            self._rates[task_id] = sample_rate(self._rates.get(task_id), now, done)

    def _bytes_of(self, task_id: int) -> tuple[int | None, int | None]:
        if self._rollup.has_children(task_id):
            return self._rollup.bytes_of(task_id)
        run = self._runs.get(task_id)
        return (None, None) if run is None else (run.bytes_done, run.bytes_total)

    def _report_of(self, task_id: int) -> Report:
        run = self._runs.get(task_id)
        message = None if run is None else run.message
        if message is None:
            message = self._messages.get(task_id)
        if self._rollup.has_children(task_id):
            fraction = self._rollup.fraction(task_id)
        else:
            fraction = None if run is None else _own_fraction(run)
        done, total = self._bytes_of(task_id)
        rate = self._rates.get(task_id)
        if done is None or rate is None:
            return Report(fraction, message, done, total)
        return Report(fraction, message, done, total, rate.per_second, eta_s(rate.per_second, done, total))

    # Looking

    def fraction(self, task_id: int) -> float | None:
        """Where an active task is at this moment; None where nothing is known here."""
        if not self._is_on:
            return None
        with self._lock:
            self._catch_up()
            return self._report_of(task_id).fraction

    def with_fraction(self, record: TaskRecord) -> TaskRecord:
        """The record with where its task is at this moment, where that is active and something is known here."""
        fraction = None if record.status.is_terminal else self.fraction(record.id)
        return record if fraction is None else replace(record, progress=fraction)

    def progress_of(self, records: Iterable[TaskRecord]) -> list[TaskProgress]:
        """All that is known of the progress of these tasks at this moment: active ones, as a snapshot shows them."""
        now = self._times.monotonic()
        with self._lock:
            self._catch_up()
            runs = {run.claim.id: run for run in self._all_runs()}
            return [self._progress_of(record, runs.get(record.id), now) for record in records]

    def _progress_of(self, record: TaskRecord, run: Run | None, now: float) -> TaskProgress:
        self._sample_rate(record.id, now)
        report = self._report_of(record.id)
        extrapolated = None if run is None else self._extrapolated(run, now)
        done, total = self._rollup.children(record.id)
        return TaskProgress(
            task_id=record.id,
            task_name=record.task_name,
            label=record.label,
            fraction=extrapolated if report.fraction is None else report.fraction,
            reported=None if run is None else run.fraction,
            extrapolated=extrapolated,
            message=report.message,
            bytes_done=report.bytes_done,
            bytes_total=report.bytes_total,
            bytes_per_second=report.bytes_per_second,
            eta=report.eta_s,
            children_done=done,
            children_total=total,
        )

    def unsaid(self, task_id: int, settled: float | None) -> Report | None:
        """What subscribers have still to hear of a task's progress before they hear of its end.

        Args:
            task_id: the task.
            settled: the share of its children that have settled in the commit under way; None: it has none.
        """
        if not self._due.are_told or not self._is_on:
            return None
        if settled is None and not self._rollup.has_children(task_id):
            return self._unsaid_of_run(task_id)
        with self._lock:
            self._catch_up()
            report = self._report_of(task_id)
            if settled is not None:
                report = report._replace(fraction=settled)
            told = self._told.get(task_id, NO_REPORT)
        return None if report.facts in (NO_REPORT.facts, told.facts) else report

    def _unsaid_of_run(self, task_id: int) -> Report | None:
        """The same of a task without children. Without the lock: the run is over, and only this thread tells of it."""
        run = self._runs.get(task_id)
        if run is None:
            return None
        facts = (_own_fraction(run), run.message, run.bytes_done, run.bytes_total)
        told = self._told.get(task_id)
        if facts == (NO_REPORT if told is None else told).facts:
            return None
        if run.bytes_done is None:
            return Report(*facts)
        rate = sample_rate(self._rates.get(task_id), self._times.monotonic(), run.bytes_done).per_second
        return Report(*facts, rate, eta_s(rate, run.bytes_done, run.bytes_total))

    # Ticks

    def _arm_tick(self) -> None:
        """Have a tick come when what has just changed may be written or told. Holding the lock."""
        if self._is_on:
            self._due.arm()

    def sample(self) -> Sample:
        """What is due to be written and told now; ``sampled`` once it is committed."""
        due = self._due
        with self._lock:
            due.tick()
            self._catch_up()
            now = self._times.monotonic()
            for task_id in self._moving():
                self._sample_rate(task_id, now)
                due.untold[task_id] = None
            to_write, to_tell = due.take(now)
            return Sample(tuple(self._writes(to_write)), tuple(self._tales(to_tell)))

    def sampled(self) -> None:
        """It is written; what it left out comes with the next tick."""
        due = self._due
        with self._lock:
            due.committed()
            is_fresh = bool(self._fresh)
            is_untold = is_fresh or bool(due.untold) or bool(self._moving())
            if self._is_on:
                due.arm(is_unwritten=is_fresh or bool(due.unwritten), is_untold=is_untold)

    def _moving(self) -> list[int]:
        """Tasks whose rate is not told yet as it is: bytes came too soon for a sample, or it falls as nothing moves any more."""
        return [
            task_id
            for task_id, rate in self._rates.items()
            if rate.per_second or rate.done != self._bytes_of(task_id)[0]
        ]

    def _writes(self, ids: Iterable[int]) -> Iterator[tuple[int, int | None, Report]]:
        for task_id in ids:
            run = None if self._rollup.has_children(task_id) else self._runs.get(task_id)
            if run is not None and run.has_ended:
                continue  # its end writes the same
            report = self._report_of(task_id)
            if report.fraction is not None or report.bytes_done is not None:
                yield task_id, None if run is None else run.claim.run, report

    def _tales(self, ids: Iterable[int]) -> Iterator[tuple[int, Report]]:
        for task_id in ids:
            report = self._report_of(task_id)
            if report.facts != NO_REPORT.facts and report.is_news_after(self._told.get(task_id, NO_REPORT)):
                yield task_id, report


def _own_fraction(run: Run) -> float | None:
    """How far a run says that it is, or its bytes do."""
    return by_bytes(run.bytes_done, run.bytes_total) if run.fraction is None else run.fraction
