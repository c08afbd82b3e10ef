"""What a scheduler takes that has nothing to do now, but much to remember."""

import time

from bench.case import Case, Column, Figures, Scale, Site, Sizes, Target, Variant
from bench.workload import CpuMeter, open_scheduler
from millrace import Context, Domain, Every

_DELAYED = Sizes(full=100_000, quick=10_000, tiny=100)
_SERIES = Sizes(full=1_000, quick=200, tiny=5)
_BATCH = 10_000
_SETTLE_S = 2.0
_WINDOW_S = {Scale.FULL: 30.0, Scale.QUICK: 5.0, Scale.TINY: 0.5}
_HOUR_S = 3600.0

tasks = Domain("bench")


@tasks.task()
def noop(ctx: Context, number: int) -> None:
    """Does nothing."""


def wait(site: Site, *, is_full: bool) -> Figures:
    """Percent of a core while nothing is due."""
    window_s = _WINDOW_S[site.scale]
    delayed, series = _DELAYED.at(site.scale), _SERIES.at(site.scale)
    with open_scheduler(site.directory, [tasks]) as scheduler:
        if is_full:
            later = noop.options(run_after=_HOUR_S)
            for first in range(0, delayed, _BATCH):
                scheduler.submit_batch([later.call(number) for number in range(first, min(first + _BATCH, delayed))])
            every = noop.options(schedule=Every(_HOUR_S, initial_delay=_HOUR_S))
            scheduler.submit_batch([every.call(-number) for number in range(1, series + 1)])
        time.sleep(_SETTLE_S)
        meter = CpuMeter()
        time.sleep(window_s)
        percent = meter.percent()
        count = scheduler.count()
    expected = delayed + series if is_full else 0
    if count != expected:
        raise AssertionError(f"expected {expected} tasks, there are {count}")
    return {"percent": percent}


CASE = Case(
    name="idle",
    title="100,000 delayed tasks and 1,000 schedules, none due",
    variants=(
        Variant("empty", lambda site: wait(site, is_full=False)),
        Variant("full", lambda site: wait(site, is_full=True)),
    ),
    columns=(Column("percent", "% of a core", 3), Column("rss_mb", "peak MB")),
    targets=(Target("% of a core", "full", "percent", at_most=0.5),),
    repetitions=3,
)
