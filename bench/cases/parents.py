"""2,000 parents that wait for their children: a waiting parent costs a row, not a thread."""

import time

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.memory import ThreadWatch
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain, Scheduler, TaskStatus

_SIZES = Sizes(full=2_000, quick=200, tiny=10)
_BATCH = 500
_POLL_S = 0.02
# The children become due long after the measurement.
_CHILD_DELAY_S = 86_400.0

tasks = Domain("bench")


@tasks.task()
def later(ctx: Context, number: int) -> None:
    """The child that a parent waits for."""


@tasks.task()
def parent(ctx: Context, number: int) -> None:
    """Spawns one child that is not due yet, and so waits."""
    ctx.spawn_child(later.options(run_after=_CHILD_DELAY_S), number)


def wait_for_children(site: Site) -> Figures:
    """The most threads there were, from the first submit until all parents wait; and the rate at which they came to."""
    count = _SIZES.at(site.scale)
    with open_scheduler(site.directory, [tasks]) as scheduler, ThreadWatch() as watch:
        began = time.perf_counter()
        for first in range(0, count, _BATCH):
            scheduler.submit_batch([parent.call(number) for number in range(first, min(first + _BATCH, count))])
        _until_waiting(scheduler, count)
        took_s = time.perf_counter() - began
    return {"threads": watch.peak, "rate": count / took_s}


def _until_waiting(scheduler: Scheduler, count: int) -> None:
    deadline = time.monotonic() + GRACE_S
    while (waiting := scheduler.count(status=TaskStatus.WAITING, task=parent)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{waiting} of {count} parents wait after {GRACE_S:.0f} s")
        time.sleep(_POLL_S)


CASE = Case(
    name="parents",
    title="2,000 parents waiting for their children",
    variants=(Variant("millrace", wait_for_children),),
    columns=(Column("threads", "peak threads"), Column("rate", "parents/s"), Column("rss_mb", "peak MB")),
    targets=(Target("peak threads", "millrace", "threads", at_most=299.0),),
    repetitions=3,
)
