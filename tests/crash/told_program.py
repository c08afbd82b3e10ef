"""A program that runs its scheduler until it is told to end: ``python told_program.py <store> <grace> [quiet]``.

It says "READY" when it runs. Unless it is quiet it submits one short task after the other, and notes those that were stored.
"""

import itertools
import os
import signal
import sys
import threading

from busy_program import Notes, Program

from millrace import Context, Domain, MillraceError, Scheduler

domain = Domain("told")


@domain.task()
def patient(ctx: Context) -> str:
    """Stops when it is asked to, half a minute later otherwise."""
    Program.runs.write("B", ctx.id)
    ctx.wait_cancelled(30)
    ctx.check_cancelled()
    return "done"


@domain.task()
def brief(ctx: Context, n: int) -> int:
    Program.runs.write("B", ctx.id)
    ctx.wait_cancelled(0.002)
    ctx.check_cancelled()
    return n


@domain.task()
def innocent(ctx: Context, n: int) -> int:
    ctx.wait_cancelled(0.01)
    return n


@domain.task()
def poison(ctx: Context) -> None:
    """Takes the process along."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    path, grace = sys.argv[1], float(sys.argv[2])
    acks = Notes(path + ".acks")
    Program.runs = Notes(path + ".runs")
    scheduler = Scheduler(path, domains=[domain], max_concurrency=3)
    scheduler.start()

    def submit() -> None:
        for number in itertools.count():
            try:
                acks.write("S", scheduler.submit(brief, number).id)
            except MillraceError:
                return  # stopped

    if "quiet" not in sys.argv:
        threading.Thread(target=submit, daemon=True).start()
    # What asks to end may come at any time from now on; before run() has its handlers it ends the process as ever.
    threading.Thread(target=say_ready, daemon=True).start()
    scheduler.run(grace=grace)


def say_ready() -> None:
    """Say so once ``run`` handles signals."""
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        threading.Event().wait(0.001)
    os.write(1, b"READY\n")


if __name__ == "__main__":
    main()
