"""A program that does a bit of everything with a store until it is killed, and notes what was acknowledged to it.

Run as a script it is a nursery: it reads one JSON object a line, forks a program for each before anything of millrace is in
use, and says "R <pid>" when that runs and "D <pid>" when it is dead. Forking saves the imports, half a second a kill.

Acknowledgements and starts of bodies are lines of files opened with O_APPEND: what was written survives a SIGKILL.

``<name>.acks``: ``S id`` stored; ``D id status`` seen as ended; ``C id`` cancelled.
``<name>.runs``: ``B boot id phase attempt`` before and ``E ...`` after a function's work, ``I ...`` where it was asked to stop and
did: after a pause the attempt goes on from its beginning.
"""

import contextlib
import json
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from millrace import (
    Context,
    DependencyPolicy,
    Domain,
    Every,
    MillraceError,
    Outcome,
    PermanentError,
    RateLimit,
    Retry,
    Scheduler,
    Submission,
    TaskInterrupted,
)

domain = Domain("busy", retry=Retry.constant(3, 0.002))
GROUPS = ("g0", "g1")
SERIES_RUNS = 3
"""Of each series."""


@dataclass(frozen=True)
class Job:
    """What a program is told."""

    path: str
    seed: int
    durability: Literal["power", "process"]
    boot: int


class Notes:
    """A file of lines that are out of the process when ``write`` returns."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *words: object) -> None:
        """One line, in one system call."""
        os.write(self._descriptor, (" ".join(map(str, words)) + "\n").encode())


class Program:
    """The notes of one boot; the bodies find it here."""

    boot = 0
    acks: Notes
    runs: Notes


@contextlib.contextmanager
def noted(ctx: Context, phase: str) -> Iterator[None]:
    """Around the work of a function."""
    words = (Program.boot, ctx.id, phase, ctx.attempt)
    Program.runs.write("B", *words)
    word = "E"
    try:
        yield
    except TaskInterrupted:
        word = "I"
        raise
    finally:
        Program.runs.write(word, *words)


def stored(outcomes: list[Outcome[Any]]) -> list[Outcome[Any]]:
    """Note what was acknowledged."""
    for outcome in outcomes:
        Program.acks.write("S", outcome.id)
    return outcomes


@domain.task()
def leaf(ctx: Context, n: int) -> int:
    with noted(ctx, "body"):
        if n % 5 == 0:
            ctx.wait_cancelled(0.002)
        return n


@domain.task()
def flaky(ctx: Context, n: int) -> int:
    """Fails until its second or third attempt, or for good."""
    with noted(ctx, "body"):
        if ctx.attempt <= n % 6:
            raise RuntimeError(f"attempt {ctx.attempt}")
        return n


@domain.task()
def doomed(ctx: Context, n: int) -> int:
    with noted(ctx, "body"):
        raise PermanentError(f"number {n}")


@domain.task()
def link(ctx: Context, n: int, left: int) -> int:
    """A chain of siblings."""
    with noted(ctx, "body"):
        if left:
            stored([ctx.spawn_sibling(link, n, left - 1)])
        return n


@domain.task()
def tree(ctx: Context, n: int, width: int, depth: int) -> int:
    with noted(ctx, "body"):
        if depth:
            stored(ctx.spawn_children([tree.call(n + i, width, depth - 1) for i in range(width)]))
        else:
            stored(ctx.spawn_children([leaf.call(n * 10 + i) for i in range(width)]))
            stored([ctx.spawn_child(link, n, 2)])
        return n


@tree.finalize
def tree_done(ctx: Context, memo: int, n: int, width: int, depth: int) -> int:
    with noted(ctx, "finalizer"):
        total = sum(1 for _ in ctx.child_results())
        if total < width:
            raise PermanentError(f"task {ctx.id}: {total} children of at least {width}")
        return total


@domain.task(fail_fast=True)
def fragile(ctx: Context, n: int) -> int:
    """One of its children fails and takes the others along."""
    with noted(ctx, "body"):
        stored(ctx.spawn_children([slow.call(n), slow.call(n + 1), doomed.call(n)]))
        return n


@domain.task()
def slow(ctx: Context, n: int) -> int:
    with noted(ctx, "body"):
        if ctx.wait_cancelled(0.02):
            ctx.check_cancelled()
        return n


@slow.on_cancel
def slow_cancelled(ctx: Context, n: int) -> None:
    with noted(ctx, "hook"):
        ctx.wait_cancelled(0.001)


def submission(rng: random.Random) -> Submission[Any]:
    """One of the kinds that there are."""
    n = rng.randrange(1_000_000)
    kinds: list[Callable[[], Submission[Any]]] = [
        lambda: leaf.call(n),
        lambda: leaf.call(n),
        lambda: flaky.call(n),
        lambda: doomed.call(n),
        lambda: slow.call(n),
        lambda: tree.call(n, rng.randint(1, 4), 0),
        lambda: tree.options(child_concurrency=2).call(n, 2, 1),
        lambda: fragile.call(n),
        lambda: leaf.options(run_after=rng.random() * 0.05).call(n),
        lambda: leaf.options(group=rng.choice(GROUPS), tags={"kind": rng.choice("ab")}).call(n),
        lambda: slow.options(group="g0", ttl=rng.random() * 0.05).call(n),
    ]
    return rng.choice(kinds)()


def step(scheduler: Scheduler, rng: random.Random, name: str) -> None:
    """One thing that a caller does."""
    match rng.randrange(14):
        case 0 | 1 | 2:
            stored([submit(scheduler, submission(rng))])
        case 3 | 4:
            outcome = stored([submit(scheduler, submission(rng))])[0]
            with contextlib.suppress(TimeoutError):
                Program.acks.write("D", outcome.id, outcome.wait(0.05).status.value)
        case 5 | 6:
            size = rng.randint(2, 40)
            label = f"batch {name}-{rng.randrange(1 << 30)} {size}"
            stored(
                scheduler.submit_batch([leaf.options(label=label).call(rng.randrange(1 << 30)) for _ in range(size)])
            )
        case 7 | 8:
            outcome = stored(
                [
                    submit(
                        scheduler,
                        rng.choice([slow.call(rng.randrange(1 << 30)), tree.call(rng.randrange(1 << 30), 3, 1)]),
                    )
                ]
            )[0]
            result = scheduler.cancel(outcome.id)
            if result.accepted:
                Program.acks.write("C", outcome.id)
        case 9:
            run_errand(scheduler, rng, name)
        case 10 | 11:
            wait_for_each_other(scheduler, rng)
        case 12:
            every = Every(0.01 + rng.random() * 0.02, max_runs=SERIES_RUNS, catch_up=rng.choice(("once", "all")))
            stored([scheduler.submit(leaf.options(schedule=every), rng.randrange(1 << 30))])
        case _:
            rule(scheduler, rng)


def run_errand(scheduler: Scheduler, rng: random.Random, name: str) -> None:
    """A flow with two children, perhaps finished."""
    flow = scheduler.flow("errand", key=f"{name}-{rng.randrange(3)}", state={"n": 0})
    Program.acks.write("S", flow.id)
    with contextlib.suppress(MillraceError):
        stored([flow.spawn(leaf, rng.randrange(1 << 30)), flow.spawn(flaky, rng.randrange(1 << 30))])
        flow.update({"n": rng.random()})
        if rng.random() < 0.5:
            flow.finish({"ok": True})


def wait_for_each_other(scheduler: Scheduler, rng: random.Random) -> None:
    """A fan-in, a fan-out and a chain, some of them on what fails; what has failed already is refused."""
    policies = list(DependencyPolicy)
    roots = stored(scheduler.submit_batch([submission(rng) for _ in range(rng.randint(1, 3))]))
    for _ in range(3):
        with contextlib.suppress(MillraceError):
            waiting = leaf.options(
                depends_on=[root.id for root in roots],
                on_dependency_failure=rng.choice(policies),
                group=rng.choice(GROUPS),
            )
            new = stored([scheduler.submit(waiting, rng.randrange(1 << 30))])
            roots = new if rng.random() < 0.5 else roots


def rule(scheduler: Scheduler, rng: random.Random) -> None:
    """Pauses and limits, set and taken back; a killed program leaves them as they are."""
    group = rng.choice(GROUPS)
    scheduler.set_group_limit(group, rng.choice((1, 2, None)))
    scheduler.set_rate_limit(slow, rng.choice((RateLimit(200.0, 5), None)))
    scheduler.set_group_weight(group, rng.choice((1, 3)))
    match rng.randrange(3):
        case 0:
            scheduler.pause_group(group)
            stored([scheduler.submit(leaf.options(group=group), rng.randrange(1 << 30))])
            scheduler.resume_group(group)
        case 1:
            scheduler.pause_group(group, until=datetime.now(UTC) + timedelta(milliseconds=30))
        case _:
            scheduler.pause()
            scheduler.resume()


def submit(scheduler: Scheduler, one: Submission[Any]) -> Outcome[Any]:
    """A single submission that was built as a value."""
    return scheduler.submit_batch([one])[0]


def live(job: Job, *, say_ready: bool) -> None:
    """Run until killed."""
    Program.boot = job.boot
    Program.acks = Notes(job.path + ".acks")
    Program.runs = Notes(job.path + ".runs")
    scheduler = Scheduler(job.path, domains=[domain], durability=job.durability, max_crashes=1_000_000)
    scheduler.start()
    if say_ready:
        os.write(1, f"R {os.getpid()}\n".encode())

    def work(number: int) -> None:
        rng = random.Random(f"{job.seed}-{number}")
        name = f"{job.boot}-{number}"
        while True:
            step(scheduler, rng, name)

    callers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    os.write(1, f"X {os.getpid()}\n".encode())  # a caller's thread has died of an error: its traceback is on stderr


def nurse() -> None:
    """Fork a program for each line of stdin."""
    for line in sys.stdin:
        told = json.loads(line)
        is_early = told.pop("is_early", False)
        pid = os.fork()
        if pid == 0:
            try:
                if is_early:
                    os.write(1, f"R {os.getpid()}\n".encode())
                live(Job(**told), say_ready=not is_early)
            finally:
                os._exit(1)
        os.waitpid(pid, 0)
        os.write(1, f"D {pid}\n".encode())


def read_lines(path: Path) -> list[list[str]]:
    """The notes so far, as words; an unfinished last line is left out."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    return [line.split(" ") for line in text.split("\n")[:-1]]


if __name__ == "__main__":
    nurse()
