"""50,000 children of one parent, spawned by one another: the shape of a directory scan, without the directories."""

import threading
import time
from functools import partial

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.cases.flat import drain_flat
from bench.memory import rss_mb
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain

_SIZES = Sizes(full=50_000, quick=5_000, tiny=60)
_BRANCHES = 10

tasks = Domain("bench")


class _Mark:
    """Remembers what was resident once a fifth of the nodes had run, to show whether memory grows after that."""

    def __init__(self) -> None:
        self.rss_mb = 0.0
        self._lock = threading.Lock()
        self._left = 0

    def after(self, count: int) -> None:
        self._left = count

    def pass_one(self) -> None:
        with self._lock:
            self._left -= 1
            is_now = self._left == 0
        if is_now:
            self.rss_mb = rss_mb()


a_fifth = _Mark()


@tasks.task()
def node(ctx: Context, number: int, count: int) -> dict[str, int]:
    """Number n spawns the numbers 10n+1 to 10n+10, those below `count`, so that each number runs once."""
    first = number * _BRANCHES + 1
    siblings = range(first, min(first + _BRANCHES, count))
    if siblings:
        ctx.spawn_siblings([node.call(sibling, count) for sibling in siblings])
    a_fifth.pass_one()
    return {"number": number}


@tasks.task(fail_fast=False)
def tree(ctx: Context, count: int) -> dict[str, int]:
    """The parent of all: spawns number 0. Its memo becomes how many nodes there were, and the sum of their numbers."""
    ctx.spawn_child(node, 0, count)
    return {}


@tree.finalize
def add_up(ctx: Context, memo: dict[str, int], count: int) -> dict[str, int]:
    """Adds the nodes' memos up, streamed."""
    nodes = total = 0
    for child in ctx.child_results(node):
        nodes += 1
        total += child.memo["number"] if child.memo is not None else 0
    return {"nodes": nodes, "sum": total}


def run_siblings(site: Site) -> Figures:
    """Nodes per second, from the parent's submit until its result is there; memory's growth after a fifth of them."""
    count = _SIZES.at(site.scale)
    a_fifth.after(count // 5)
    with open_scheduler(site.directory, [tasks]) as scheduler:
        began = time.perf_counter()
        result = scheduler.submit(tree, count).result(timeout=GRACE_S)
        took_s = time.perf_counter() - began
        growth_mb = rss_mb() - a_fifth.rss_mb
    expected = {"nodes": count, "sum": sum(range(count))}
    if result != expected:
        raise AssertionError(f"expected {expected} from the finalizer, got {result}")
    return {"rate": count / took_s, "us_per_task": took_s / count * 1e6, "growth_mb": growth_mb}


CASE = Case(
    name="siblings",
    title="one parent, 50,000 siblings spawned by one another, memos streamed by the finalizer",
    variants=(
        Variant("siblings", run_siblings),
        Variant("flat", partial(drain_flat, sizes=_SIZES, durability="process")),
    ),
    columns=(
        Column("rate", "tasks/s"),
        Column("us_per_task", "us/task", 1),
        Column("rss_mb", "peak MB"),
        Column("growth_mb", "MB more than after a fifth", 1),
    ),
    targets=(
        Target("the rate of flat tasks", "siblings", "rate", at_least=0.8, against="flat"),
        Target("peak resident MB", "siblings", "rss_mb", at_most=150.0),
    ),
    repetitions=3,
)
