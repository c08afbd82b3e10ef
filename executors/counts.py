"""What a pool counts of its runs, under the pool's own lock: so that started less finished is what runs, at every moment.

A run is counted when its function is about to be called, and once more when it is over: when the function has ended, or
when the run is given up, whichever comes first. What was claimed and never began is not counted at all. Bodies and
finalizers are runs, and both are counted under their task's name; cancel hooks are not.
"""

import time

from millrace.executors.run import Run
from millrace.model.census import RunsOfName
from millrace.model.families import WAIT_BOUNDS, domain_of
from millrace.model.histograms import Histogram
from millrace.model.outcomes import RunOutcome, result_of, result_of_given_up
from millrace.model.rows import Phase


class RunCounts:
    """See the module. Every method is called with the pool's lock held."""

    __slots__ = ("latency", "names", "waits")

    def __init__(self) -> None:
        self.names: dict[str, RunsOfName] = {}
        self.waits: dict[str, Histogram] = {}
        """By domain."""
        self.latency = Histogram(WAIT_BOUNDS)

    def begin(self, run: Run) -> None:
        """The run's function is about to be called."""
        claim = run.claim
        of_name = self.names.get(claim.name)
        if of_name is None:
            waits = self.waits.setdefault(domain_of(claim.name), Histogram(WAIT_BOUNDS))
            of_name = self.names[claim.name] = RunsOfName(waits)
        of_name.started += 1
        if claim.phase == Phase.BODY and claim.ready_ms is not None and claim.started_at_ms is not None:
            waited_ms = claim.started_at_ms - claim.ready_ms
            of_name.waits.observe(waited_ms / 1000 if waited_ms > 0 else 0.0)

    def end(self, run: Run, outcome: RunOutcome) -> None:
        """The run's function has ended; where the run was given up before, it is counted already."""
        if not run.is_abandoned:
            self._finish(run, result_of(outcome), outcome.duration_s)
        self.note_stop(run)

    def give_up(self, run: Run) -> None:
        """The run is given up: it counts as over, though its thread goes on."""
        elapsed_s = 0.0 if run.begun_at is None else max(0.0, time.monotonic() - run.begun_at)
        self._finish(run, result_of_given_up(run.asked), elapsed_s)

    def note_stop(self, run: Run) -> None:
        """A function has ended: where the run was asked to stop, that took so long."""
        if run.asked_at is not None:
            self.latency.observe(max(0.0, time.monotonic() - run.asked_at))

    def _finish(self, run: Run, result: str, duration_s: float) -> None:
        of_name = self.names[run.claim.name]
        of_name.finished[result] = of_name.finished.get(result, 0) + 1
        of_name.durations.observe(duration_s)
