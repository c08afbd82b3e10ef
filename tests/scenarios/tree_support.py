"""What the tests of trees share: tasks that do as they are told, and waiting for what readers see."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from staging import WAIT_S

from millrace import Context, Outcome, Scheduler, TaskStatus

PAUSE_S: Final = 0.002


def until(holds: Callable[[], object], what: str = "the condition", *, timeout_s: float = WAIT_S) -> None:
    """Wait until a condition that other threads bring about holds."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} never came about")
        pause.wait(PAUSE_S)


def await_status(scheduler: Scheduler, task_id: int, status: TaskStatus) -> None:
    """Wait until readers see the task in that status."""
    until(lambda: scheduler.task(task_id).status is status, f"task {task_id} {status}")


def run_until_told(ctx: Context) -> None:
    """A body that goes on until it is asked to stop."""
    ctx.wait_cancelled(WAIT_S)
    ctx.check_cancelled()


def reason_told(ctx: Context) -> str:
    """What the body was asked to stop for."""
    try:
        run_until_told(ctx)
    except BaseException as error:
        return str(getattr(error, "reason", error))
    return "nothing"


def ends(scheduler: Scheduler, parent: int) -> list[TaskStatus]:
    """The statuses of a task's children, by id."""
    return [child.status for child in scheduler.children(parent)]


def ids(outcomes: list[Outcome[Any]]) -> list[int]:
    """The tasks of outcomes."""
    return [outcome.id for outcome in outcomes]


def by_number(n: int) -> str:
    """A key: the number that the task is of."""
    return str(n)


def by_name(name: str) -> str:
    """A key: the name that the task is of."""
    return name
