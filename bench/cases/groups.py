"""What groups, weights, aging and rate limits cost where none of them holds anything up."""

import time
from functools import partial
from types import MappingProxyType
from typing import Any

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import Tally, open_scheduler, until_settled
from millrace import Aging, Context, Domain, RateLimit

_SIZES = Sizes(full=10_000, quick=4_000, tiny=50)
_BATCH = 500
_AMPLE = 1e6
"""Starts a second that no machine makes."""
_NOTHING: MappingProxyType[str, Any] = MappingProxyType({})

tasks = Domain("bench")
tally = Tally()


@tasks.task()
def noop(ctx: Context, number: int) -> int:
    """Does nothing but be counted."""
    tally.add()
    return number


def drain(site: Site, *, groups: int = 0, settings: MappingProxyType[str, Any] = _NOTHING) -> Figures:
    """Rate from the first submit to the last row of the history, submitting included."""
    count = _SIZES.at(site.scale)
    made = [noop.options(group=f"group_{number:03}") for number in range(groups)] or [noop]
    with open_scheduler(site.directory, [tasks], **settings) as scheduler:
        tally.expect(count)
        began = time.perf_counter()
        for first in range(0, count, _BATCH):
            numbers = range(first, min(first + _BATCH, count))
            scheduler.submit_batch([made[number % len(made)].call(number) for number in numbers])
        until_settled(scheduler, tally, count)
        took_s = time.perf_counter() - began
    return {"rate": count / took_s, "us_per_task": took_s / count * 1e6}


def _variant(name: str, groups: int = 0, **settings: Any) -> Variant:
    return Variant(name, partial(drain, groups=groups, settings=MappingProxyType(settings)))


_VARIANTS = (
    _variant("without"),
    _variant("one group", 1, group_concurrency={"group_000": 1_000}),
    _variant("100 groups", 100, default_group_concurrency=1_000),
    _variant("weights", 100, group_weights={f"group_{number:03}": 1 + number % 4 for number in range(100)}),
    _variant("aging", aging=Aging(grace=0, interval=1)),
    _variant("rate limit", rate_limits={"bench::noop": RateLimit(_AMPLE, int(_AMPLE))}),
)

CASE = Case(
    name="groups",
    title="10,000 no-op tasks under limits that do not bind, until all are in the history",
    variants=_VARIANTS,
    columns=(Column("rate", "tasks/s"), Column("us_per_task", "us/task", 1), Column("rss_mb", "peak MB")),
    targets=tuple(
        Target(f"the rate without, {variant.name}", variant.name, "rate", at_least=0.75, against="without")
        for variant in _VARIANTS[1:]
    ),
)
