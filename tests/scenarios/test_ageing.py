"""Ageing: S-268, S-269, S-271. A task that has waited for long goes before one that is more urgent and has just come."""

from contextlib import closing
from datetime import datetime

import apsw
import pytest
from hand_clock import HandClock
from staging import WAIT_S, Stage, heard_until, settle

from millrace import Aging, Completed, Context, Dispatched, Domain, Priority, TaskEvent

QUICK = Aging(grace=0.0, interval=0.001, ceiling=Priority(10))
"""255 becomes 10 within a quarter of a second."""


@pytest.mark.parametrize(("aging", "order"), [(QUICK, ["old", "new"]), (None, ["new", "old"])])
def test_who_has_waited_goes_first(
    stage: Stage, domain: Domain, clock: HandClock, aging: Aging | None, order: list[str]
) -> None:
    """S-268, S-269: by effective priority; a delay is no waiting."""
    gate = stage.gate()
    begun: list[str] = []

    @domain.task()
    def work(ctx: Context, name: str) -> None:
        begun.append(name)

    @domain.task()
    def busy(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=1, aging=aging)
    events = scheduler.subscribe(kinds=[Dispatched], task=work)
    first = scheduler.submit(busy)
    old = scheduler.submit(work.options(priority=Priority.IDLE), "old")
    new = scheduler.submit(work.options(priority=Priority.NORMAL, run_after=100.0), "new")
    gate.await_arrivals()
    clock.let_pass(100.0, scheduler)
    gate.open()
    settle([first, old, new])
    assert begun == order
    heard = {
        event.task_id: event for event in heard_until(events, lambda _: len(begun) == 2) if isinstance(event, TaskEvent)
    }
    while len(heard) < 2:
        event = events.get(WAIT_S)
        assert isinstance(event, TaskEvent)
        heard[event.task_id] = event
    assert [heard[outcome.id].priority for outcome in (old, new)] == [255, 128]
    effective = [heard[outcome.id].effective_priority for outcome in (old, new)]
    assert (effective[0] == 10) if aging else (effective == [255, 128])
    records = [outcome.handle.record() for outcome in (old, new)]
    assert [record.priority for record in records] == [255, 128]
    assert [record.effective_priority for record in records] == effective


def test_age_is_kept_over_a_restart(stage: Stage, domain: Domain) -> None:
    """S-269, S-271: downtime included; the stored priority never changes."""

    @domain.task()
    def work(ctx: Context) -> int:
        return ctx.record.effective_priority

    aging = Aging(grace=0.0, interval=0.001, ceiling=Priority(250))
    scheduler = stage.scheduler(domain, max_concurrency=1, aging=aging)
    outcome = scheduler.submit(work.options(priority=Priority.IDLE))
    created = outcome.handle.record().created_at
    while (datetime.now(created.tzinfo) - created).total_seconds() < 0.01:
        pass
    scheduler.start()
    assert outcome.result(WAIT_S) == 250
    assert outcome.handle.record().priority == 255


def test_a_most_urgent_task_stays_so(stage: Stage, domain: Domain) -> None:
    """S-270: no ceiling holds it down."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.started(domain, aging=QUICK)
    events = scheduler.subscribe(kinds=[Completed])
    scheduler.submit(work.options(priority=Priority.REALTIME))
    event = events.get(WAIT_S)
    assert isinstance(event, Completed)
    assert (event.priority, event.effective_priority) == (0, 0)


def test_all_that_is_stored_ages_where_its_owner_says_so(stage: Stage, domain: Domain) -> None:
    """Also what was stored before, is not ready yet, or is added by a program that does not know.

    What is not marked so is not found again beyond the part of the queue that is in memory.
    """

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        pass

    def marks() -> list[int]:
        connection = apsw.Connection(str(stage.path), flags=apsw.SQLITE_OPEN_READONLY)
        with closing(connection):
            return [ages for (ages,) in connection.execute("SELECT ages FROM task ORDER BY id")]

    later = work.options(run_after=3600.0)
    first = stage.scheduler(domain)
    blocker = first.submit(later, 1)
    first.submit(work.options(depends_on=(blocker.id,)), 2)
    first.pause_group("g")
    first.submit(work.options(group="g"), 3)
    first.stop()
    assert marks() == [0, 0, 0]
    ageing = stage.started(domain, aging=Aging())
    assert marks() == [1, 1, 1]
    client = stage.scheduler(domain)
    client.submit(later, 4)
    assert marks() == [1, 1, 1, 1]
    ageing.stop()
    client.submit(later, 5)
    assert marks() == [1, 1, 1, 1, 1]  # as the last owner had it
    stage.started(domain).stop()
    client.submit(later, 6)
    assert marks() == [1, 1, 1, 1, 1, 0]
