"""A program that the tests of commands run."""

import os
import threading

from millrace import Context, Domain, PermanentError, Scheduler

media = Domain("media")


@media.task(redact=["token"])
def thumb(ctx: Context, path: str, token: str = "hush") -> str:
    if path == "bad":
        raise PermanentError("timed out: no answer")
    return path.upper()


@media.task()
def hold(ctx: Context) -> None:
    while not ctx.wait_cancelled(60.0):
        pass
    ctx.check_cancelled()


scheduler = Scheduler(os.environ.get("JOBS_DB", "jobs.db"), domains=[media], durability="process")


def make() -> Scheduler:
    return Scheduler(os.environ["JOBS_DB"], domains=[media], durability="process", name=threading.current_thread().name)
