"""A program that ends in a given way, in the middle of a given kind of work. What was acknowledged is noted beside the store.

``python ending_program.py <store> <work> <end>``; it says "END" just before it ends.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable

from busy_program import Notes

from millrace import Context, Domain, MillraceError, Scheduler
from millrace.actors.settings import Phases

domain = Domain("ending")
has_begun = threading.Semaphore(0)


@domain.task()
def patient(ctx: Context) -> str:
    """Stops when it is asked to."""
    has_begun.release()
    ctx.wait_cancelled(60)
    ctx.check_cancelled()
    return "done"


@domain.task()
def deaf(ctx: Context) -> str:
    """Never looks."""
    has_begun.release()
    threading.Event().wait(60)
    return "done"


@domain.task()
def leaf(ctx: Context, n: int) -> int:
    return n


@domain.task()
def fruitful(ctx: Context) -> str:
    """Has children, one after the other, until it is asked to stop."""
    has_begun.release()
    number = 0
    while not ctx.cancelled:
        ctx.spawn_child(leaf, number)
        number += 1
    ctx.check_cancelled()
    return "done"


WORK = {"patient": patient, "deaf": deaf, "fruitful": fruitful}


def end_exception(scheduler: Scheduler) -> None:
    raise RuntimeError("the end")


def end_interrupted(scheduler: Scheduler) -> None:
    """As if the user had pressed Ctrl-C a second time, while the scheduler stops with all its grace."""
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def interrupt() -> None:
        while scheduler._runtime.state is Phases.RUNNING:
            os.sched_yield()
        signal.pthread_kill(main_thread, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    scheduler.stop()
    threading.Event().wait()  # where nothing had to be waited for


ENDS: dict[str, Callable[[Scheduler], object]] = {
    "main ends": lambda scheduler: None,
    "sys.exit": lambda scheduler: sys.exit(3),
    "exception": end_exception,
    "interrupted": end_interrupted,
    "os._exit": lambda scheduler: os._exit(4),
}


def main() -> None:
    path, work, end = sys.argv[1:]
    acks = Notes(path + ".acks")
    scheduler = Scheduler(path, domains=[domain], max_concurrency=3)
    scheduler.start()
    if work != "idle":
        for number in range(3):
            acks.write("S", scheduler.submit(WORK[work].options(key=str(number))).id)
        for _ in range(3):
            has_begun.acquire()

    def submit() -> None:
        number = 0
        while True:
            try:
                acks.write("S", scheduler.submit(leaf, number).id)
            except MillraceError:
                return  # stopped
            number += 1

    if work == "fruitful":
        threading.Thread(target=submit, daemon=True).start()
    os.write(1, b"END\n")
    ENDS[end](scheduler)


if __name__ == "__main__":
    main()
