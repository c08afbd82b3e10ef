"""A cancel that has far to go: down a chain of 10,000 parents, or to 100,000 children of one."""

import time
from functools import partial

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain, Scheduler, Task, TaskStatus

_DEPTH = Sizes(full=10_000, quick=1_000, tiny=10)
_WIDTH = Sizes(full=100_000, quick=10_000, tiny=20)
_BATCH = 5_000
_POLL_S = 0.02
# They become due long after the measurement.
_DELAY_S = 86_400.0

tasks = Domain("bench")


@tasks.task()
def later(ctx: Context, number: int) -> None:
    """Never runs."""


def _make_chain(scheduler: Scheduler, task: Task[[int], None], depth: int) -> int:
    top = last = scheduler.submit(task, 0).id
    for number in range(1, depth):
        last = scheduler.spawn_child(last, task.call(number)).id
    return top


def _make_wide(scheduler: Scheduler, task: Task[[int], None], width: int) -> int:
    top = scheduler.submit(task, -1).id
    below = task.options(parent=top)
    for first in range(0, width, _BATCH):
        scheduler.submit_batch([below.call(number) for number in range(first, min(first + _BATCH, width))])
    return top


def cancel(site: Site, *, is_deep: bool) -> Figures:
    """Seconds from the cancel of the topmost task until it has settled, as the last of all."""
    count = (_DEPTH if is_deep else _WIDTH).at(site.scale)
    task = later.options(run_after=_DELAY_S)
    with open_scheduler(site.directory, [tasks]) as scheduler:
        top = (_make_chain if is_deep else _make_wide)(scheduler, task, count)
        began, used = time.perf_counter(), time.process_time()
        scheduler.cancel(top)
        while scheduler.task(top).status is not TaskStatus.CANCELLED:
            if time.perf_counter() - began > GRACE_S:
                raise TimeoutError(f"the cancel of {count} tasks goes on after {GRACE_S:.0f} s")
            time.sleep(_POLL_S)
        took_s, used_s = time.perf_counter() - began, time.process_time() - used
    return {"seconds": took_s, "cpu_s": used_s, "rate": count / took_s}


CASE = Case(
    name="cancelling",
    title="cancelling a chain of 10,000 parents, and 100,000 children of one",
    variants=(Variant("deep", partial(cancel, is_deep=True)), Variant("wide", partial(cancel, is_deep=False))),
    columns=(Column("seconds", "s", 2), Column("cpu_s", "s of cpu", 2), Column("rate", "tasks/s")),
    targets=(
        Target("seconds, deep", "deep", "seconds", at_most=5.0),
        Target("seconds, wide", "wide", "seconds", at_most=5.0),
    ),
    repetitions=3,
)
