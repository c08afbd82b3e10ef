"""Flat tasks: no-op tasks submitted in batches and run by 8 threads, until all are in the history."""

import time
from functools import partial
from typing import Literal

from bench.baselines.bare_apsw import drain_flat as drain_bare
from bench.baselines.huey_store import Sync
from bench.baselines.huey_store import drain_flat as drain_huey
from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.memory import peak_rss_mb
from bench.workload import Tally, open_scheduler, until_settled
from millrace import Context, Domain

SIZES = Sizes(full=10_000, quick=2_000, tiny=50)
_BATCH = 500

tasks = Domain("bench")
tally = Tally()


@tasks.task()
def noop(ctx: Context, number: int) -> int:
    """Does nothing but be counted."""
    tally.add()
    return number


def drain_flat(site: Site, *, sizes: Sizes, durability: Literal["power", "process"]) -> Figures:
    """Rate from the first submit to the last row of the history, submitting included."""
    count = sizes.at(site.scale)
    with open_scheduler(site.directory, [tasks], durability=durability) as scheduler:
        tally.expect(count)
        began = time.perf_counter()
        for first in range(0, count, _BATCH):
            scheduler.submit_batch([noop.call(number) for number in range(first, min(first + _BATCH, count))])
        until_settled(scheduler, tally, count)
        took_s = time.perf_counter() - began
    return {"rate": count / took_s, "us_per_task": took_s / count * 1e6, "rss_mb": peak_rss_mb()}


CASE = Case(
    name="flat",
    title="10,000 no-op tasks in batches, 8 threads, until all are in the history",
    variants=(
        Variant("bare apsw", partial(drain_bare, sizes=SIZES)),
        Variant("millrace, process", partial(drain_flat, sizes=SIZES, durability="process")),
        Variant("huey, process", partial(drain_huey, sizes=SIZES, sync=Sync.PROCESS)),
        Variant("millrace, power", partial(drain_flat, sizes=SIZES, durability="power")),
        Variant("huey, power", partial(drain_huey, sizes=SIZES, sync=Sync.POWER)),
        Variant("huey, no sync", partial(drain_huey, sizes=SIZES, sync=Sync.OFF)),
    ),
    columns=(Column("rate", "tasks/s"), Column("rss_mb", "peak MB")),
    targets=(
        Target("of bare apsw's rate", "millrace, process", "rate", at_least=1 / 3, against="bare apsw"),
        Target("SqliteHuey's, process", "millrace, process", "rate", at_least=5.0, against="huey, process"),
        Target("SqliteHuey's, power", "millrace, power", "rate", at_least=5.0, against="huey, power"),
    ),
)
