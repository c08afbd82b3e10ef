"""A scrape of 200 tasks at 1,000,000 rows of history: what it takes to read, write and compress, and how many bytes go out."""

import gzip
import statistics
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain, Outcome
from millrace.metrics import Exporter
from millrace.metrics.exporter import CACHED_S

_ROWS = Sizes(full=1_000_000, quick=20_000, tiny=400)
_SCRAPES = Sizes(full=50, quick=20, tiny=3)
_NAMES = 200
_BATCH = 10_000

tasks = Domain("bench")


def noop(ctx: Context, number: int) -> None:
    """Does nothing."""


_TASKS = [tasks.task(f"task_{number:03}")(noop) for number in range(_NAMES)]


def fill(directory: Path, rows: int) -> None:
    """Runs that many tasks to their end, all names alike."""
    with open_scheduler(directory, [tasks]) as scheduler:
        last: list[Outcome[None]] = []
        for first in range(0, rows, _BATCH):
            numbers = range(first, min(first + _BATCH, rows))
            last = scheduler.submit_batch([_TASKS[number % _NAMES].call(number) for number in numbers])
        for outcome in last:
            outcome.wait(GRACE_S)


def fill_history(site: Site) -> None:
    """The history, once for all repetitions."""
    fill(site.shared, _ROWS.at(site.scale))


def scrape(site: Site) -> Figures:
    """`median_ms`, `worst_ms`: of a scrape, reading, writing and compressing included, each after a run of every task.

    So every family of what tasks do has changed, in a series of each task. `kilobytes`: what goes out, compressed as Prometheus
    asks for it; `plain_kilobytes`: before that.
    """
    now: Iterator[float] = count(0.0, 2 * CACHED_S)
    took_ms: list[float] = []
    with open_scheduler(site.shared, [tasks]) as scheduler:
        exporter = Exporter(scheduler, monotonic=lambda: next(now))  # each scrape reads anew
        exporter.body(is_compressed=True)
        packed = b""
        for _ in range(_SCRAPES.at(site.scale)):
            for outcome in scheduler.submit_batch([task.call(-1) for task in _TASKS]):
                outcome.wait(GRACE_S)
            began = time.perf_counter()
            packed = exporter.body(is_compressed=True)
            took_ms.append((time.perf_counter() - began) * 1000)
    return {
        "median_ms": statistics.median(took_ms),
        "worst_ms": max(took_ms),
        "kilobytes": len(packed) / 1000,
        "plain_kilobytes": len(gzip.decompress(packed)) / 1000,
    }


CASE = Case(
    name="scrape",
    title="a scrape of 200 tasks at 1,000,000 rows of history",
    variants=(Variant("millrace", scrape, prepare=fill_history),),
    columns=(
        Column("median_ms", "ms", 2),
        Column("worst_ms", "worst ms", 2),
        Column("kilobytes", "kB sent"),
        Column("plain_kilobytes", "kB before"),
    ),
    targets=(
        Target("milliseconds of a scrape", "millrace", "median_ms", at_most=5.0),
        Target("kilobytes sent", "millrace", "kilobytes", at_most=200.0),
    ),
    repetitions=3,
)
