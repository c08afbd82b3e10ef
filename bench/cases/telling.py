"""What telling costs: no-op tasks as they are, with reports of progress, and with somebody who hears every event."""

import threading
import time
from functools import partial

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import Tally, open_scheduler, until_settled
from millrace import Context, Domain

_SIZES = Sizes(full=10_000, quick=2_000, tiny=50)
_BATCH = 500

tasks = Domain("bench")
tally = Tally()


@tasks.task()
def noop(ctx: Context, number: int) -> int:
    """Does nothing but be counted."""
    tally.add()
    return number


@tasks.task()
def telling(ctx: Context, number: int) -> int:
    """The same, and says how far it is: at the beginning, in the middle and at the end, with its bytes."""
    ctx.set_bytes_total(2)
    ctx.progress(0.0, "begun")
    ctx.add_bytes(1)
    ctx.progress(0.5)
    ctx.add_bytes(1)
    ctx.progress(1.0, "done")
    tally.add()
    return number


def drain(site: Site, *, tells: bool, hears: bool) -> Figures:
    """Rate from the first submit to the last row of the history, submitting and hearing included."""
    count = _SIZES.at(site.scale)
    task = telling if tells else noop
    heard = 0
    with open_scheduler(site.directory, [tasks]) as scheduler:
        reader: threading.Thread | None = None
        if hears:
            subscription = scheduler.subscribe(maxsize=100_000)

            def read() -> None:
                nonlocal heard
                for _ in subscription:
                    heard += 1

            reader = threading.Thread(target=read)
            reader.start()
        tally.expect(count)
        began = time.perf_counter()
        for first in range(0, count, _BATCH):
            scheduler.submit_batch([task.call(number) for number in range(first, min(first + _BATCH, count))])
        until_settled(scheduler, tally, count)
        took_s = time.perf_counter() - began
    if reader is not None:
        reader.join()
    return {"rate": count / took_s, "us_per_task": took_s / count * 1e6, "events": float(heard)}


CASE = Case(
    name="telling",
    title="10,000 no-op tasks in batches, 8 threads, with progress and with a subscriber to all events",
    variants=(
        Variant("silent", partial(drain, tells=False, hears=False)),
        Variant("progress", partial(drain, tells=True, hears=False)),
        Variant("events", partial(drain, tells=False, hears=True)),
        Variant("both", partial(drain, tells=True, hears=True)),
    ),
    columns=(Column("rate", "tasks/s"), Column("us_per_task", "us a task", 1), Column("events", "events")),
    targets=(
        Target("of the silent rate, with progress", "progress", "rate", at_least=0.95, against="silent"),
        Target("of the silent rate, with progress and events", "both", "rate", at_least=0.95, against="silent"),
    ),
)
