"""Tasks submitted one by one, each durable before the next, while 8 threads run them."""

import time
from functools import partial
from typing import Literal

from bench.baselines.bare_apsw import submit_one_by_one as submit_bare
from bench.baselines.huey_store import Sync
from bench.baselines.huey_store import submit_one_by_one as submit_to_huey
from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.cases.flat import noop, tally, tasks
from bench.workload import open_scheduler, until_settled

_SIZES = Sizes(full=2_000, quick=500, tiny=30)


def submit_one_by_one(site: Site, *, durability: Literal["power", "process"]) -> Figures:
    """Rate from the first submit to the last row of the history; `submit_rate` to the return of the last submit."""
    count = _SIZES.at(site.scale)
    with open_scheduler(site.directory, [tasks], durability=durability) as scheduler:
        tally.expect(count)
        began = time.perf_counter()
        for number in range(count):
            scheduler.submit(noop, number)
        submitted = time.perf_counter()
        until_settled(scheduler, tally, count)
        ended = time.perf_counter()
    return {"rate": count / (ended - began), "submit_rate": count / (submitted - began)}


CASE = Case(
    name="one_by_one",
    title="2,000 tasks submitted one by one while 8 threads run",
    variants=(
        Variant("bare apsw, process", partial(submit_bare, sizes=_SIZES, is_synced=False)),
        Variant("bare apsw, power", partial(submit_bare, sizes=_SIZES, is_synced=True)),
        Variant("millrace, process", partial(submit_one_by_one, durability="process")),
        Variant("huey, process", partial(submit_to_huey, sizes=_SIZES, sync=Sync.PROCESS)),
        Variant("millrace, power", partial(submit_one_by_one, durability="power")),
        Variant("huey, power", partial(submit_to_huey, sizes=_SIZES, sync=Sync.POWER)),
        Variant("huey, no sync", partial(submit_to_huey, sizes=_SIZES, sync=Sync.OFF)),
    ),
    columns=(Column("rate", "tasks/s"), Column("submit_rate", "submits/s"), Column("rss_mb", "peak MB")),
    targets=(
        Target("SqliteHuey's, process", "millrace, process", "rate", at_least=3.0, against="huey, process"),
        Target("SqliteHuey's, power", "millrace, power", "rate", at_least=3.0, against="huey, power"),
    ),
)
