"""One parent, 1,000 children, a finalizer over their results: what other queues call a chord."""

import time
from functools import partial
from typing import Literal

from bench.baselines.huey_store import Sync, run_chord
from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain

_SIZES = Sizes(full=1_000, quick=200, tiny=20)

tasks = Domain("bench")


@tasks.task()
def member(ctx: Context, number: int) -> int:
    """A child; its memo is its number."""
    return number


@tasks.task()
def total(ctx: Context, count: int) -> int:
    """The parent: spawns its children at once. Its memo becomes the sum of theirs."""
    ctx.spawn_children([member.call(number) for number in range(count)])
    return 0


@total.finalize
def add_up(ctx: Context, memo: int, count: int) -> int:
    """Sums the children's memos, streamed."""
    return sum(child.memo or 0 for child in ctx.child_results(member))


def run_fanout(site: Site, *, durability: Literal["power", "process"]) -> Figures:
    """Children per second, from the parent's submit until its result is there."""
    count = _SIZES.at(site.scale)
    with open_scheduler(site.directory, [tasks], durability=durability) as scheduler:
        began = time.perf_counter()
        result = scheduler.submit(total, count).result(timeout=GRACE_S)
        took_s = time.perf_counter() - began
    if result != sum(range(count)):
        raise AssertionError(f"expected {sum(range(count))} from the finalizer, got {result}")
    return {"rate": count / took_s}


CASE = Case(
    name="fanout",
    title="one parent with 1,000 children and a finalizer, until its result is there",
    variants=(
        Variant("millrace, process", partial(run_fanout, durability="process")),
        Variant("huey, process", partial(run_chord, sizes=_SIZES, sync=Sync.PROCESS)),
        Variant("millrace, power", partial(run_fanout, durability="power")),
        Variant("huey, power", partial(run_chord, sizes=_SIZES, sync=Sync.POWER)),
        Variant("huey, no sync", partial(run_chord, sizes=_SIZES, sync=Sync.OFF)),
    ),
    columns=(Column("rate", "children/s"), Column("rss_mb", "peak MB")),
    targets=(
        Target("huey's chord, process", "millrace, process", "rate", at_least=10.0, against="huey, process"),
        Target("huey's chord, power", "millrace, power", "rate", at_least=10.0, against="huey, power"),
    ),
)
