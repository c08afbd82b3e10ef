"""10,000 tasks under a rate limit: what waiting for tokens costs, and whether it writes anything."""

import sqlite3
import time
from functools import partial

from bench.baselines.bare_apsw import start_now_and_then
from bench.case import Case, Column, Figures, Scale, Site, Sizes, Target, Variant
from bench.workload import CpuMeter, open_scheduler
from millrace import Context, Domain, RateLimit

_TASKS = Sizes(full=10_000, quick=2_000, tiny=100)
_SETTLE_S = 1.5
_WINDOW_S = {Scale.FULL: 10.0, Scale.QUICK: 4.0, Scale.TINY: 0.5}

tasks = Domain("bench")


@tasks.task()
def noop(ctx: Context, number: int) -> None:
    """Does nothing."""


def wait_for_tokens(site: Site, *, per_second: float) -> Figures:
    """Percent of a core while tokens come, starts a second, and rows of tasks that changed though they did not start.

    `commits` tells whether anything at all was written meanwhile.
    """
    count, window_s = _TASKS.at(site.scale), _WINDOW_S[site.scale]
    limit = RateLimit(per_second, 1)
    with open_scheduler(site.directory, [tasks], rate_limits={"bench::noop": limit}) as scheduler:
        scheduler.submit_batch([noop.call(number) for number in range(count)])
        time.sleep(_SETTLE_S)
        with sqlite3.connect(f"file:{site.directory / 'millrace.db'}?mode=ro", uri=True) as reader:
            before, version = _pending(reader), _version(reader)
            meter = CpuMeter()
            time.sleep(window_s)
            percent = meter.percent()
            after, later = _pending(reader), _version(reader)
        reader.close()
    touched = sum(row != before.get(task_id) for task_id, row in after.items())
    started = len(before) - len(after)
    return {
        "per_second": started / window_s,
        "percent": percent,
        "ms_per_start": percent / 100 * window_s * 1e3 / started if started else 0.0,
        "touched": touched,
        "commits": int(later != version),
        "left": len(after),
    }


def _pending(reader: sqlite3.Connection) -> dict[int, tuple[object, ...]]:
    return {row[0]: row for row in reader.execute("SELECT id, * FROM task WHERE status = 'pending'")}


def _version(reader: sqlite3.Connection) -> int:
    return int(reader.execute("PRAGMA data_version").fetchone()[0])


CASE = Case(
    name="limited",
    title="10,000 tasks under a rate limit, for 10 s",
    variants=(
        Variant("bare apsw, 10 a second", partial(start_now_and_then, sizes=_TASKS, per_second=10, window_s=_WINDOW_S)),
        Variant("10 a second", partial(wait_for_tokens, per_second=10)),
        Variant("1 an hour", partial(wait_for_tokens, per_second=1 / 3600)),
    ),
    columns=(
        Column("per_second", "starts/s", 1),
        Column("percent", "% of a core", 2),
        Column("ms_per_start", "ms/start", 2),
        Column("touched", "rows written without a start"),
        Column("commits", "wrote"),
    ),
    targets=(
        Target("% of a core at 10/s", "10 a second", "percent", at_most=0.5),
        Target("starts a second", "10 a second", "per_second", at_least=9.0),
        Target("rows written without a start at 10/s", "10 a second", "touched", at_most=0),
        Target("% of a core at 1/h", "1 an hour", "percent", at_most=0.5),
        Target("anything written at 1/h", "1 an hour", "commits", at_most=0),
    ),
    repetitions=3,
)
