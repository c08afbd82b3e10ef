"""Programs that die while their tasks run: a process of its own, whose end leaves the store as a crash does."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from millrace import Context, Domain, Retry, Scheduler, TaskRecord

domain: Final = Domain("dying", retry=Retry.constant(1))


def die() -> None:
    """End this process at once, as a power button does."""
    signal.raise_signal(signal.SIGKILL)


@domain.task()
def killer(ctx: Context, deadly: bool = True) -> str:
    """Kills its process in each run, while it is told to."""
    if deadly and is_deadly:
        die()
    return f"attempt {ctx.attempt}"


@domain.task()
def waits(ctx: Context, n: int = 0) -> int:
    """Runs until it is asked to stop, in a program that dies; ends at once in one that does not."""
    begun.set()
    if is_deadly:
        ctx.wait_cancelled(patience_s)
    return n


@domain.task()
def quick(ctx: Context, n: int = 0) -> int:
    """Ends at once."""
    return n


@domain.task()
def fails(ctx: Context) -> None:
    """Fails."""
    raise ValueError("it broke")


@domain.task()
def parent(ctx: Context, children: int, dies_in_finalizer: bool) -> str:
    """Has children, and a finalizer that may kill the process."""
    ctx.spawn_children([quick.call(n) for n in range(children)])
    return "body"


@parent.finalize
def end(ctx: Context, memo: str, children: int, dies_in_finalizer: bool) -> str:
    """Adds up the children."""
    if dies_in_finalizer and is_deadly:
        die()
    return f"{memo} of attempt {ctx.attempt}, {sum(found.memo for found in ctx.child_results(quick))}"


@domain.task()
def hooked(ctx: Context) -> None:
    """Runs until it is asked to stop."""
    begun.set()
    if is_deadly:
        ctx.wait_cancelled(60)


@hooked.on_cancel
def clear(ctx: Context) -> None:
    """Kills the process in a program that dies; else says that it was called."""
    if is_deadly:
        die()
    hooks.append(ctx.id)


@domain.task()
def family(ctx: Context) -> None:
    """A parent whose children wait, and which waits for them."""
    ctx.spawn_children([waits.call(n) for n in range(3)])
    if is_deadly:
        ctx.wait_cancelled(60)


hooks: Final[list[int]] = []
begun: Final = threading.Event()
"""Set once ``waits`` or ``hooked`` has begun in this process, which is later than its status says that it runs."""
is_deadly = False
"""True in the programs that die."""
patience_s = 60.0
"""Seconds that ``waits`` waits in them."""


def run(script: str, path: str, *, timeout_s: float = 120.0) -> str:
    """Run a script in a process of its own, with ``scheduler`` made and this module's tasks at hand; what it printed.

    The process ends with the script's last line, killed, whatever still runs in it.
    """
    lines = [
        "import os, sys, threading, time",
        f"sys.path.insert(0, {str(__file__).rpartition('/')[0]!r})",
        "import dying",
        "from dying import *",
        "from millrace import *",
        "dying.is_deadly = True",
        f"scheduler = Scheduler({path!r}, domains=[domain], durability='process')",
        "def await_status(task, status):",
        "    until = time.monotonic() + 60",
        "    while True:",
        "        try:",
        "            found = scheduler.task(task if isinstance(task, int) else task.id).status",
        "        except TaskNotFound:",
        "            found = None",
        "        if found == status:",
        "            return",
        "        assert time.monotonic() < until, (task, found)",
        "        time.sleep(0.005)",
        script,
        "sys.stdout.flush()",
        "die()",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if ended.returncode != -signal.SIGKILL:
        raise AssertionError(f"expected the program to be killed, it ended {ended.returncode}: {ended.stderr}")
    return ended.stdout.strip()


def reached(scheduler: Scheduler, task_id: int, is_there: Callable[[TaskRecord], bool]) -> TaskRecord:
    """The record of a task that another program submitted, once ``is_there`` is true of it."""
    until = time.monotonic() + 60.0
    while not is_there(record := scheduler.task(task_id)):
        if time.monotonic() > until:
            raise TimeoutError(f"task {task_id} is {record.status}")
        time.sleep(0.005)
    return record


def settled(scheduler: Scheduler, task_id: int) -> TaskRecord:
    """The record of a task that another program submitted, once it is terminal."""
    return reached(scheduler, task_id, lambda record: record.status.is_terminal)
