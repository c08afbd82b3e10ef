"""How soon an idle scheduler starts what is submitted."""

import threading
import time
from functools import partial
from statistics import median, quantiles
from typing import Literal

from bench.baselines.huey_store import Sync, start_when_idle
from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain

_SIZES = Sizes(full=1_000, quick=200, tiny=5)
# Between two submits, so that the runtime is idle again: seconds.
_PAUSE_S = 0.01

tasks = Domain("bench")
started = threading.Event()
started_at: list[float] = []


@tasks.task()
def mark(ctx: Context, number: int) -> None:
    """Notes when it began."""
    started_at.append(time.perf_counter())
    started.set()


def start_idle(site: Site, *, durability: Literal["power", "process"]) -> Figures:
    """Milliseconds from the call of submit to the body's first line."""
    latencies: list[float] = []
    with open_scheduler(site.directory, [tasks], durability=durability) as scheduler:
        for number in range(_SIZES.at(site.scale)):
            time.sleep(_PAUSE_S)
            started.clear()
            began = time.perf_counter()
            scheduler.submit(mark, number)
            if not started.wait(GRACE_S):
                raise TimeoutError(f"task {number} has not started within {GRACE_S:.0f} s")
            latencies.append((started_at[-1] - began) * 1e3)
    return {"median_ms": median(latencies), "p99_ms": quantiles(latencies, n=100)[98]}


CASE = Case(
    name="latency",
    title="idle, one submit to its body started",
    variants=(
        Variant("millrace, process", partial(start_idle, durability="process")),
        Variant("millrace, power", partial(start_idle, durability="power")),
        Variant("huey, process", partial(start_when_idle, sizes=_SIZES, sync=Sync.PROCESS, pause_s=_PAUSE_S)),
    ),
    columns=(Column("median_ms", "median ms", 2), Column("p99_ms", "99 % ms", 2)),
    targets=(
        Target("median ms", "millrace, process", "median_ms", at_most=1.0),
        Target("99 % ms", "millrace, process", "p99_ms", at_most=10.0),
    ),
    repetitions=3,
)
