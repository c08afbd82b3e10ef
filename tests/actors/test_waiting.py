"""Waits that race with what they wait for, the order of requests forced."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millrace import Context, Domain, Scheduler, TaskStatus
from millrace.actors.mailbox import Reply
from millrace.actors.requests import Cancel, Flush, Watch
from millrace.model.records import CancelResult
from millrace.store.records import make_record
from millrace.store.writer import SettledRow

WAIT_S = 60.0


@pytest.mark.parametrize("order", [(Watch, Cancel), (Cancel, Watch)], ids=["wait first", "end first"])
def test_a_wait_in_the_transaction_that_ends_its_task_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[type, type]
) -> None:
    """S-041: whoever waits when the task settles is answered, also where both requests are of one turn of the actor."""
    domain = Domain("play")

    @domain.task()
    def body(ctx: Context) -> None:
        """Never runs: the scheduler is not started."""

    scheduler = Scheduler(tmp_path / "store.db", domains=[domain], durability="process")
    task = scheduler.submit(body)
    persistence = scheduler._core.runtime.persistence
    both_are_there = threading.Event()
    flushed: Reply[None] = Reply()
    take: Callable[..., list[Any]] = persistence.inbox.take

    def take_both(*args: Any) -> list[Any]:
        if flushed.is_set:
            both_are_there.wait(WAIT_S)
        return take(*args)

    monkeypatch.setattr(persistence.inbox, "take", take_both)
    persistence.tell(
        Flush(flushed)
    )  # ends the take that is under way, be it the one before or after: the next waits for both
    assert flushed.wait(WAIT_S)
    settled: Reply[SettledRow] = Reply()
    cancelled: Reply[CancelResult] = Reply()
    requests = {Watch: Watch(task.id, settled), Cancel: Cancel(task.id, cancelled)}
    for kind in order:
        persistence.tell(requests[kind])
    both_are_there.set()
    assert cancelled.wait(WAIT_S)
    assert settled.wait(WAIT_S)
    assert make_record(settled.result()).status is TaskStatus.CANCELLED
    scheduler.stop()
