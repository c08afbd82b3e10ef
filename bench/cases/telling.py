"""What telling costs: no-op tasks as they are, with reports of progress, and with somebody who hears events; and one report."""

import threading
import time
from functools import partial

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import Tally, open_scheduler, until_settled
from millrace import Context, Domain, Event, Failed

_SIZES = Sizes(full=10_000, quick=2_000, tiny=50)
_CALLS = Sizes(full=200_000, quick=50_000, tiny=1_000)
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


@tasks.task()
def reporting(ctx: Context, calls: int) -> list[float]:
    """Seconds of the thread's own time that one call of each kind takes, the loop around it included."""
    seconds: list[float] = []
    for call in (lambda n: ctx.progress(n / calls), lambda _: ctx.add_bytes(1)):
        began = time.thread_time()
        for number in range(calls):
            call(number)
        seconds.append((time.thread_time() - began) / calls)
    return seconds


def report(site: Site) -> Figures:
    """Microseconds of one report, in a body with a subscriber to its progress."""
    calls = _CALLS.at(site.scale)
    with open_scheduler(site.directory, [tasks]) as scheduler, scheduler.subscribe(maxsize=1):
        progress_s, bytes_s = scheduler.submit(reporting, calls).result(600)
    return {"rate": 2 / (progress_s + bytes_s), "progress_us": progress_s * 1e6, "add_bytes_us": bytes_s * 1e6}


def drain(site: Site, *, tells: bool, hears: tuple[type[Event], ...], reads_later: bool = False) -> Figures:
    """Rate from the first submit to the last row of the history, submitting and telling included, and what all threads used for it.

    Hearing, too, unless the subscriber reads later: its thread takes its time from the others, whatever it does with the events.
    """
    count = _SIZES.at(site.scale)
    task = telling if tells else noop
    heard = 0
    with open_scheduler(site.directory, [tasks]) as scheduler:
        reader: threading.Thread | None = None
        if hears:
            subscription = scheduler.subscribe(kinds=hears, maxsize=100_000)

            def read() -> None:
                nonlocal heard
                for _ in subscription:
                    heard += 1

            reader = threading.Thread(target=read)
            if not reads_later:
                reader.start()
        tally.expect(count)
        began, used = time.perf_counter(), time.process_time()
        for first in range(0, count, _BATCH):
            scheduler.submit_batch([task.call(number) for number in range(first, min(first + _BATCH, count))])
        until_settled(scheduler, tally, count)
        took_s, used_s = time.perf_counter() - began, time.process_time() - used
        if reader is not None and reads_later:
            reader.start()
    if reader is not None:
        reader.join()
    return {
        "rate": count / took_s,
        "us_per_task": took_s / count * 1e6,
        "cpu_us_per_task": used_s / count * 1e6,
        "events": float(heard),
    }


CASE = Case(
    name="telling",
    title="10,000 no-op tasks in batches, 8 threads, with progress and with a subscriber to all events",
    variants=(
        Variant("silent", partial(drain, tells=False, hears=())),
        Variant("progress", partial(drain, tells=True, hears=())),
        Variant("progress, failures heard", partial(drain, tells=True, hears=(Failed,))),
        Variant("events", partial(drain, tells=False, hears=(Event,))),
        Variant("events, read later", partial(drain, tells=False, hears=(Event,), reads_later=True)),
        Variant("progress, events", partial(drain, tells=True, hears=(Event,))),
        Variant("one report", report),
    ),
    columns=(
        Column("rate", "a second"),
        Column("us_per_task", "us a task", 1),
        Column("cpu_us_per_task", "us of cpu", 1),
        Column("events", "events"),
        Column("progress_us", "us progress", 2),
        Column("add_bytes_us", "us add_bytes", 2),
    ),
    targets=(
        Target("of the silent rate, with progress", "progress", "rate", at_least=0.95, against="silent"),
        Target(
            "of the silent rate, with progress and failures heard",
            "progress, failures heard",
            "rate",
            at_least=0.95,
            against="silent",
        ),
        Target("of the silent rate, with all events", "events", "rate", at_least=0.95, against="silent"),
        Target(
            "of the silent rate, with all events told", "events, read later", "rate", at_least=0.95, against="silent"
        ),
        Target(
            "of the silent rate, with progress and all events",
            "progress, events",
            "rate",
            at_least=0.95,
            against="silent",
        ),
        Target("us a call of progress", "one report", "progress_us", at_most=1.0),
        Target("us a call of add_bytes", "one report", "add_bytes_us", at_most=1.0),
    ),
)
