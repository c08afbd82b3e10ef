"""Bytes: what bodies tell of them, what shows, how they weigh and add up, and what outlives a restart (section 23)."""

import threading
from typing import Any

import pytest
from staging import WAIT_S, Stage, heard_until, of_task, settle

from millrace import Completed, Context, Domain, Event, Progress, Retry, Scheduler, TaskStatus
from millrace.model.records import TaskProgress


def look(scheduler: Scheduler, task_id: int) -> TaskProgress:
    """What the owner knows of the progress of a task."""
    (seen,) = scheduler._runtime.progress.progress_of([scheduler.task(task_id)])
    return seen


def columns(scheduler: Scheduler, task_id: int) -> tuple[Any, Any]:
    """The bytes in the store, done and in all."""
    with scheduler._runtime.readers().borrow() as connection:
        found = connection.execute(
            "SELECT bytes_done, bytes_total FROM task WHERE id = ?1"
            " UNION ALL SELECT bytes_done, bytes_total FROM history WHERE id = ?1",
            (task_id,),
        ).fetchone()
        assert found is not None
        return found[0], found[1]


def is_end(event: Event) -> bool:
    """Whether it is a good end."""
    return isinstance(event, Completed)


def test_a_task_is_as_far_as_its_bytes(stage: Stage, domain: Domain) -> None:
    """S-297, S-300: from any thread of the body, at once; a report of its own comes before them."""
    gate = stage.gate()

    @domain.task()
    def load(ctx: Context) -> None:
        ctx.set_bytes_total(1000)
        threads = [threading.Thread(target=lambda: [ctx.add_bytes(1) for _ in range(50)]) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        gate.hold()
        ctx.progress(0.9)
        gate.hold()

    scheduler = stage.started(domain)
    outcome = scheduler.submit(load)
    gate.await_arrivals()
    assert scheduler.task(outcome.id).progress == 0.25
    gate.let_pass()
    gate.await_arrivals(2)
    assert scheduler.task(outcome.id).progress == 0.9
    seen = look(scheduler, outcome.id)
    assert (seen.bytes_done, seen.bytes_total, seen.task_name, seen.label) == (250, 1000, "play::load", "play::load")
    gate.open()
    outcome.wait(WAIT_S)
    assert columns(scheduler, outcome.id) == (250, 1000)


def test_bytes_are_told(stage: Stage, domain: Domain) -> None:
    """S-314: done, total, rate and what is left, in the event too; the last one before the end says all of it."""
    gate = stage.gate()

    @domain.task()
    def load(ctx: Context) -> None:
        ctx.set_bytes_total(100)
        for _ in range(4):
            gate.hold()
            ctx.add_bytes(25)

    scheduler = stage.started(domain, progress_interval=0.0)
    heard = scheduler.subscribe()
    scheduler.submit(load)
    heard_until(heard, lambda event: isinstance(event, Progress))
    gate.let_pass()
    events = heard_until(heard, lambda event: isinstance(event, Progress) and bool(event.bytes_per_second))
    moving = events[-1]
    assert isinstance(moving, Progress)
    assert (moving.fraction, moving.bytes_done, moving.bytes_total, moving.message) == (0.25, 25, 100, None)
    assert moving.bytes_per_second is not None
    assert moving.eta == pytest.approx(75 / moving.bytes_per_second)
    gate.open()
    events = heard_until(heard, is_end)
    last = events[-2]
    assert isinstance(last, Progress)
    assert (last.fraction, last.bytes_done, last.bytes_total, last.eta) == (1.0, 100, 100, None)


def test_bytes_weigh_and_add_up_through_levels(stage: Stage, domain: Domain) -> None:
    """S-301, S-302: 3,000 of 3,000 and 0 of 1,000 bytes make 0.75, and the same three levels above; kept with the settled."""
    gate = stage.gate()

    @domain.task()
    def part(ctx: Context, size: int) -> None:
        ctx.set_bytes_total(size)
        if size == 1000:
            gate.hold()
        ctx.add_bytes(size)

    @domain.task()
    def level(ctx: Context, depth: int) -> None:
        if depth:
            ctx.spawn_child(level, depth - 1)
        else:
            ctx.spawn_children([part.call(3000), part.call(1000)])

    scheduler = stage.started(domain)
    heard = scheduler.subscribe(kinds=[Completed])
    outcome = scheduler.submit(level, 2)
    gate.await_arrivals()
    heard_until(heard, is_end)
    levels = scheduler.tasks(task=level)
    for record in levels:
        seen = look(scheduler, record.id)
        assert (record.progress, seen.fraction, seen.bytes_done, seen.bytes_total) == (0.75, 0.75, 3000, 4000)
    gate.open()
    outcome.wait(WAIT_S)
    assert {columns(scheduler, record.id) for record in levels} == {(4000, 4000)}


def test_a_total_is_known_where_all_have_one(stage: Stage, domain: Domain) -> None:
    """S-302: one child without bytes, and the parent's total is unknown; what is done adds up all the same."""

    @domain.task()
    def part(ctx: Context, size: int | None) -> None:
        if size is not None:
            ctx.set_bytes_total(size)
            ctx.add_bytes(size)

    @domain.task()
    def whole(ctx: Context) -> None:
        ctx.spawn_children([part.call(10), part.call(None), part.call(20)])

    @domain.task()
    def own(ctx: Context) -> None:
        ctx.set_bytes_total(8)
        ctx.add_bytes(4)
        ctx.spawn_children([part.call(None)])

    scheduler = stage.started(domain)
    ended = settle([scheduler.submit(whole), scheduler.submit(own)])
    assert [columns(scheduler, record.id) for record in ended] == [(30, None), (4, 8)]


def test_after_a_restart_bytes_are_rebuilt(stage: Stage, domain: Domain) -> None:
    """S-303: what settled children had weighs on, at every level; a run that went with the process begins anew."""
    begun, released = threading.Event(), threading.Event()
    has_told: list[bool] = []

    @domain.task()
    def part(ctx: Context, size: int) -> None:
        ctx.set_bytes_total(size)
        ctx.add_bytes(size)

    @domain.task()
    def slow(ctx: Context) -> None:
        if not has_told:
            has_told.append(True)
            ctx.set_bytes_total(1000)
            ctx.add_bytes(500)
        begun.set()
        while not released.is_set() and not ctx.wait_cancelled(0.01):
            pass
        ctx.check_cancelled()

    @domain.task()
    def whole(ctx: Context) -> None:
        ctx.spawn_children([part.call(1000), part.call(2000), slow.call()])

    @domain.task()
    def above(ctx: Context) -> None:
        ctx.spawn_child(whole)

    first = stage.started(domain)
    heard = first.subscribe(kinds=[Completed])
    top = first.submit(above)
    assert begun.wait(WAIT_S)
    for _ in range(2):
        heard_until(heard, is_end)
    ids = [top.id, first.tasks(task=whole)[0].id]
    assert [look(first, task_id).fraction for task_id in ids] == [3500 / 4000] * 2
    begun.clear()
    first.stop(0.0)
    second = stage.started(domain)
    assert begun.wait(WAIT_S)
    for task_id in ids:
        seen = look(second, task_id)
        assert seen.bytes_done == 3000
        assert seen.fraction == pytest.approx(3000 / 4500)
    released.set()
    assert second._core.wait(top.id, WAIT_S).status is TaskStatus.COMPLETED
    assert [columns(second, task_id) for task_id in ids] == [(3000, None), (3000, None)]


def test_a_run_that_is_repeated_begins_without_bytes(stage: Stage, domain: Domain) -> None:
    """S-303: in the store too; what the last run told is what is kept."""
    gate = stage.gate()

    @domain.task(retry=Retry.constant(1, 0.0))
    def load(ctx: Context) -> None:
        if ctx.attempt == 1:
            ctx.set_bytes_total(10)
            ctx.add_bytes(9)
            raise ValueError
        gate.hold()
        ctx.add_bytes(2)

    scheduler = stage.started(domain)
    outcome = scheduler.submit(load)
    gate.await_arrivals()
    assert columns(scheduler, outcome.id) == (None, None)
    assert scheduler.task(outcome.id).progress is None
    gate.open()
    outcome.wait(WAIT_S)
    assert columns(scheduler, outcome.id) == (2, None)


def test_a_failed_child_that_is_spawned_anew_counts_once(stage: Stage, domain: Domain) -> None:
    """S-302: its bytes are those of the new one, live and in the end."""
    gate = stage.gate()
    runs: list[int] = []

    @domain.task(retry=Retry.none())
    def part(ctx: Context, n: int) -> None:
        runs.append(n)
        ctx.set_bytes_total(100)
        ctx.add_bytes(50)
        if runs.count(n) == 1 and n:
            raise ValueError
        if n:
            gate.hold()
        ctx.add_bytes(50)

    @domain.task(retry=Retry.constant(1, 0.0), fail_fast=False)
    def whole(ctx: Context) -> None:
        children = ctx.spawn_children([part.call(0), part.call(1)])
        for child in children:
            child.wait(WAIT_S)
        if ctx.attempt == 1:
            raise RuntimeError

    scheduler = stage.started(domain, max_concurrency=4)
    outcome = scheduler.submit(whole)
    gate.await_arrivals()
    seen = look(scheduler, outcome.id)
    assert (seen.fraction, seen.bytes_done, seen.bytes_total) == (0.75, 150, 200)
    gate.open()
    outcome.wait(WAIT_S)
    assert columns(scheduler, outcome.id) == (200, 200)


def test_many_children_are_summed_up_by_their_index_alone(stage: Stage, domain: Domain) -> None:
    """S-303: the sum over a parent's settled children reads no row of theirs."""
    scheduler = stage.started(domain)
    scheduler.count()
    from millrace.store.statements import SQL  # noqa: PLC0415 - what the test looks into

    with scheduler._runtime.readers().borrow() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN " + SQL["select_child_bytes"], {"parent": 1, "round": 1}
        ).fetchall()
    (first,) = [row[3] for row in plan if row[3].startswith("SEARCH history ")][:1]
    assert first.startswith("SEARCH history USING COVERING INDEX history_bytes (parent_id=? AND parent_round=?")


def test_one_task_tells_the_events_of_its_bytes_only(stage: Stage, domain: Domain) -> None:
    """S-295, S-298: events come on change; a transfer that has ended is told no more."""

    @domain.task()
    def load(ctx: Context) -> None:
        ctx.set_bytes_total(10)
        ctx.add_bytes(10)

    scheduler = stage.started(domain, progress_interval=3600)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(load)
    events = of_task(heard_until(heard, is_end), outcome.id)
    told = [event for event in events if isinstance(event, Progress)]
    assert 1 <= len(told) <= 2
    assert (told[-1].bytes_done, told[-1].bytes_total) == (10, 10)


def test_a_finalizer_that_is_repeated_leaves_the_bytes_of_the_body(stage: Stage, domain: Domain) -> None:
    """S-303: only a run of the body begins anew; a finalizer that tells of no bytes leaves those that the body told of."""
    attempts: list[int] = []

    @domain.task(retry=Retry.constant(1, 0.0))
    def load(ctx: Context) -> None:
        ctx.set_bytes_total(10)
        ctx.add_bytes(10)

    @load.finalize
    def end(ctx: Context, memo: None) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) == 1:
            raise ValueError

    scheduler = stage.started(domain)
    outcome = scheduler.submit(load)
    assert outcome.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert (attempts, columns(scheduler, outcome.id)) == ([1, 2], (10, 10))
