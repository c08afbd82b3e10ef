"""A queue of 1,000,000 pending tasks: it costs disk, not memory, nor the time to start or to find the next one.

What a long queue does cost: the keys of tasks lie at random in their index, so each end of a task writes a page of it that no
other does, where those of a short queue share a few pages. Most of that is paid when the log is copied into the file, every
8,000 pages, some 5,000 tasks. So the bodies that are timed are as many as fill the log several times, of both queues: with
5,000 of them it was luck whether a measurement had one such copy in it or none.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain

_BACKLOG = Sizes(full=1_000_000, quick=50_000, tiny=200)
# Tasks whose running is timed, and those before them, which are not: they run while the scheduler still starts.
_TIMED = Sizes(full=20_000, quick=1_000, tiny=50)
_UNTIMED = Sizes(full=500, quick=100, tiny=5)
# What the small queue still has pending when the timing ends.
_SMALL = 1_000
_BATCH = 10_000

tasks = Domain("bench")


class Laps:
    """The moments at which given numbers of bodies have run."""

    def __init__(self) -> None:
        """No lap is asked for yet."""
        self.times: dict[int, float] = {}
        self.is_over = threading.Event()
        self._marks: Sequence[int] = ()
        self._count = 0
        self._lock = threading.Lock()

    def begin(self, marks: Sequence[int]) -> None:
        """Asks for the moments of these counts, ascending."""
        self._marks = marks

    def pass_one(self) -> None:
        """One more body runs."""
        with self._lock:
            self._count += 1
            if self._count in self._marks:
                self.times[self._count] = time.perf_counter()
            if self._count == self._marks[-1]:
                self.is_over.set()


laps = Laps()


@tasks.task()
def step(ctx: Context, number: int) -> None:
    """Does nothing but be counted."""
    laps.pass_one()


def fill(directory: Path, count: int) -> None:
    """Submits that many tasks to the store in that directory, and runs none."""
    scheduler = open_scheduler(directory, [tasks])
    try:
        for first in range(0, count, _BATCH):
            scheduler.submit_batch([step.call(number) for number in range(first, min(first + _BATCH, count))])
    finally:
        scheduler.stop()


def fill_large(site: Site) -> None:
    """The backlog, once for all repetitions: what each of them takes off it does not show in a million."""
    fill(site.shared, _BACKLOG.at(site.scale))


def run_large(site: Site) -> Figures:
    """Runs the first tasks of the backlog."""
    return _run_first(site.shared, site)


def run_small(site: Site) -> Figures:
    """Runs as many tasks of a queue that has 1,000 left at the end.

    At first it has as many more as are timed: to submit them meanwhile would cost what the other queue does not pay.
    """
    fill(site.directory, _UNTIMED.at(site.scale) + _TIMED.at(site.scale) + _SMALL)
    return _run_first(site.directory, site)


def _run_first(directory: Path, site: Site) -> Figures:
    """`start_s`: from opening the file to the first body. `rate`: of the timed bodies."""
    timed_from = _UNTIMED.at(site.scale)
    timed_to = timed_from + _TIMED.at(site.scale)
    laps.begin((1, timed_from, timed_to))
    began = time.perf_counter()
    with open_scheduler(directory, [tasks]):
        if not laps.is_over.wait(GRACE_S):
            raise TimeoutError(f"not {timed_to} bodies have run after {GRACE_S:.0f} s; laps: {laps.times}")
    timed_s = laps.times[timed_to] - laps.times[timed_from]
    return {"start_s": laps.times[1] - began, "rate": (timed_to - timed_from) / timed_s}


CASE = Case(
    name="million",
    title="1,000,000 pending tasks: start, run the first 20,500",
    variants=(
        Variant("1,000,000 pending", run_large, prepare=fill_large),
        Variant("1,000 pending", run_small),
    ),
    columns=(Column("start_s", "s to first body", 3), Column("rate", "tasks/s"), Column("rss_mb", "peak MB")),
    targets=(
        Target("seconds from opening to the first body", "1,000,000 pending", "start_s", at_most=2.0),
        Target("peak resident MB", "1,000,000 pending", "rss_mb", at_most=200.0),
        # "As with 1,000", within the fifth that is allowed between siblings and flat tasks too.
        Target("the rate with 1,000 pending", "1,000,000 pending", "rate", at_least=0.8, against="1,000 pending"),
    ),
    repetitions=3,
)
