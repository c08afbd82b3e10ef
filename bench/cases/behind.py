"""One task that can start, submitted after 100,000 that cannot: how soon it does."""

import threading
import time
from functools import partial
from statistics import median

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain, Priority

_PENDING = Sizes(full=100_000, quick=10_000, tiny=100)
_STARTS = Sizes(full=50, quick=20, tiny=3)
_BATCH = 10_000

tasks = Domain("bench")
started = threading.Event()
is_over = threading.Event()
holders = threading.Semaphore(0)


@tasks.task()
def hold(ctx: Context, number: int) -> None:
    """Keeps its group full until the end."""
    holders.release()
    is_over.wait(GRACE_S)


@tasks.task(priority=Priority.IDLE)
def mark(ctx: Context, number: int) -> None:
    """Says that it has begun."""
    started.set()


def start_last(site: Site, *, groups: int) -> Figures:
    """Milliseconds from the call of submit to the body's first line, with a free slot and everything else behind full groups."""
    pending = _PENDING.at(site.scale)
    took_ms: list[float] = []
    made = [hold.options(group=f"group_{number:04}", priority=Priority.HIGH) for number in range(groups)]
    with open_scheduler(
        site.directory,
        [tasks],
        max_concurrency=groups + 1,
        default_group_concurrency=1,
        preempt_at=None,
        cancel_timeout=1,
    ) as scheduler:
        try:
            for first in range(0, pending, _BATCH):
                numbers = range(first, min(first + _BATCH, pending))
                scheduler.submit_batch([made[number % groups].call(number) for number in numbers])
            for _ in range(groups):
                if not holders.acquire(timeout=GRACE_S):
                    raise TimeoutError("not every group has a run")
            for number in range(_STARTS.at(site.scale)):
                started.clear()
                began = time.perf_counter()
                outcome = scheduler.submit(mark, number)
                if not started.wait(GRACE_S):
                    raise TimeoutError(f"task {number} has not started within {GRACE_S:.0f} s")
                took_ms.append((time.perf_counter() - began) * 1e3)
                outcome.wait(GRACE_S)
        finally:
            scheduler.pause()
            is_over.set()
    return {"median_ms": median(took_ms), "worst_ms": max(took_ms)}


CASE = Case(
    name="behind",
    title="100,000 pending behind full groups, one task of the lowest priority that can start",
    variants=(
        Variant("one group", partial(start_last, groups=1)),
        Variant("100 groups", partial(start_last, groups=100)),
    ),
    columns=(Column("median_ms", "median ms", 2), Column("worst_ms", "worst ms", 2), Column("rss_mb", "peak MB")),
    targets=(
        Target("worst ms, one group", "one group", "worst_ms", at_most=50.0),
        Target("worst ms, 100 groups", "100 groups", "worst_ms", at_most=50.0),
    ),
    repetitions=3,
)
