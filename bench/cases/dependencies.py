"""Tasks that wait for tasks: a chain, and one that waits for many."""

import time

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S, open_scheduler
from millrace import Context, Domain

_CHAIN = Sizes(full=1_000, quick=300, tiny=10)
_FAN = Sizes(full=10_000, quick=2_000, tiny=50)

tasks = Domain("bench")


@tasks.task()
def noop(ctx: Context, number: int) -> int:
    """Does nothing."""
    return number


def run_chain(site: Site) -> Figures:
    """Milliseconds a step, from the start of the scheduler until the last is in the history; each waits for the one before."""
    count = _CHAIN.at(site.scale)
    scheduler = open_scheduler(site.directory, [tasks])
    began = time.perf_counter()
    last = scheduler.submit(noop, 0)
    for number in range(1, count):
        last = scheduler.submit(noop.options(depends_on=[last]), number)
    submit_s = time.perf_counter() - began
    began = time.perf_counter()
    with scheduler:
        last.wait(GRACE_S)
        took_s = time.perf_counter() - began
    return {"rate": count / took_s, "ms_per_step": took_s / count * 1e3, "took_s": took_s, "submit_s": submit_s}


def run_fan(site: Site) -> Figures:
    """Seconds from the start of the scheduler until the one that waits for all others is in the history."""
    count = _FAN.at(site.scale)
    scheduler = open_scheduler(site.directory, [tasks])
    began = time.perf_counter()
    before = scheduler.submit_batch([noop.call(number) for number in range(count)])
    last = scheduler.submit(noop.options(depends_on=before), count)
    submit_s = time.perf_counter() - began
    began = time.perf_counter()
    with scheduler:
        last.wait(GRACE_S)
        took_s = time.perf_counter() - began
    return {"rate": count / took_s, "ms_per_step": took_s / count * 1e3, "took_s": took_s, "submit_s": submit_s}


CASE = Case(
    name="dependencies",
    title="a chain of 1,000 tasks, and one that waits for 10,000, from the start until the last is in the history",
    variants=(Variant("chain", run_chain), Variant("fan-in", run_fan)),
    columns=(
        Column("ms_per_step", "ms/step", 3),
        Column("took_s", "s", 2),
        Column("submit_s", "s to submit", 2),
        Column("rate", "tasks/s"),
    ),
    targets=(
        Target("ms a step of the chain", "chain", "ms_per_step", at_most=0.5),
        Target("s of the fan-in", "fan-in", "took_s", at_most=1.0),
    ),
)
