"""The history is kept within its bounds (behaviour.md, S-346 to S-350)."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from staging import WAIT_S, Stage, settle

from millrace import (
    Context,
    DependencyPolicy,
    Domain,
    Outcome,
    Retention,
    Retry,
    Scheduler,
    TaskNotFound,
    TaskStatus,
)
from millrace.store.connection import locate
from millrace.store.session import Session


def until(is_true: Callable[[], bool]) -> None:
    """Wait for what happens by itself, and that nothing announces."""
    deadline = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < deadline, "it never became true"
        threading.Event().wait(0.01)


def ids(scheduler: Scheduler) -> list[int]:
    """All tasks that there are, oldest first."""
    return [record.id for record in reversed(scheduler.tasks(limit=100_000))]


def pruned(stage: Stage) -> int:
    """The counter in the store, once its scheduler has stopped."""
    session = Session(locate(stage.path), upgrade=False)
    try:
        return session.writer.meta("pruned")
    finally:
        session.close()


def add_tasks(domain: Domain) -> tuple[Callable[[Scheduler, int], list[int]], Callable[[Scheduler, int], list[int]]]:
    """Tasks that end well and tasks that end as dead letters: each call runs some and gives their ids in order of ends."""

    @domain.task()
    def good(ctx: Context, n: int) -> int:
        return n

    @domain.task(retry=Retry.none())
    def bad(ctx: Context, n: int) -> None:
        raise ValueError(n)

    def run_good(scheduler: Scheduler, count: int) -> list[int]:
        return [scheduler.submit(good.options(key=None), n).wait(WAIT_S).id for n in range(count)]

    def run_bad(scheduler: Scheduler, count: int) -> list[int]:
        return [scheduler.submit(bad, n).wait(WAIT_S).id for n in range(count)]

    return run_good, run_bad


def test_the_newest_rows_are_kept(stage: Stage, domain: Domain) -> None:
    """S-347: the earliest settled go, soon after the last settlement, and are counted as pruned."""
    run_good, _ = add_tasks(domain)
    scheduler = stage.started(domain, retention=Retention(max_count=3))
    begun = time.monotonic()
    done = run_good(scheduler, 10)
    until(lambda: ids(scheduler) == done[-3:])
    assert time.monotonic() - begun < 5.0
    with pytest.raises(TaskNotFound, match="pruned"):
        scheduler.task(done[0])
    scheduler.stop()
    assert pruned(stage) == 7


def test_dead_letters_are_not_pushed_out_by_successes(stage: Stage, domain: Domain) -> None:
    """S-348: each kind has its own newest rows."""
    run_good, run_bad = add_tasks(domain)
    scheduler = stage.started(domain, retention=Retention(max_count=2))
    bad = run_bad(scheduler, 3)
    good = run_good(scheduler, 6)
    until(lambda: ids(scheduler) == bad[-2:] + good[-2:])


def test_old_rows_go_without_anything_happening(stage: Stage, domain: Domain) -> None:
    """S-347: a row goes when it has become too old, though nothing settles any more."""
    run_good, _ = add_tasks(domain)
    scheduler = stage.started(domain, retention=Retention(max_count=None, max_age=timedelta(seconds=0.3)))
    done = run_good(scheduler, 3)
    assert len(done) == 3
    until(lambda: ids(scheduler) == [])


def test_the_bounds_hold_for_what_an_earlier_process_left(stage: Stage, domain: Domain) -> None:
    """A smaller retention prunes at the start, a step after the other; a history within it is left alone."""
    run_good, run_bad = add_tasks(domain)
    first = stage.started(domain, retention=Retention(max_count=None))
    good, bad = run_good(first, 20), run_bad(first, 4)
    first.stop()
    second = stage.started(domain, retention=Retention(max_count=4))
    until(lambda: ids(second) == good[-4:] + bad)


def test_a_scheduler_that_is_not_started_prunes_nothing(stage: Stage, domain: Domain) -> None:
    """The retention is the owner's: a process that only submits or cancels does not apply its own."""
    run_good, _ = add_tasks(domain)
    first = stage.started(domain, retention=Retention(max_count=None))
    done = run_good(first, 5)
    first.stop()
    other = stage.scheduler(domain, retention=Retention(max_count=0))
    assert other.prune(Retention(max_count=None)) == 0
    assert ids(other) == done


def test_children_of_an_active_parent_stay(stage: Stage, domain: Domain) -> None:
    """S-349: as long as the parent is active its results are all there; then they go."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([leaf.call(n) for n in range(30)])

    @parent.finalize
    def add_up(ctx: Context, memo: None) -> int:
        gate.hold()
        return sum(result.memo or 0 for result in ctx.child_results(leaf))

    scheduler = stage.started(domain, retention=Retention(max_count=2))
    outcome = scheduler.submit(parent)
    gate.await_arrivals()
    # One by one: of several, the first may be pruned before it is waited for.
    others = [scheduler.submit(leaf.options(key=str(n)), n).wait(WAIT_S) for n in range(5)]
    until(lambda: scheduler.count(task=leaf, parent=None) == 32)
    assert scheduler.count(parent=outcome.id) == 30
    gate.open()
    assert outcome.wait(WAIT_S).memo == sum(range(30))
    until(lambda: scheduler.count(parent=outcome.id) == 0)
    until(lambda: ids(scheduler) == [outcome.id, others[-1].id])


def test_what_a_task_still_waits_for_stays(stage: Stage, domain: Domain) -> None:
    """S-349, S-252: a failed dependency is there as long as a task is blocked on it, over a restart, and can be retried."""
    run_good, run_bad = add_tasks(domain)
    good = domain.tasks[f"{domain.name}::good"]
    first = stage.started(domain, retention=Retention(max_count=2))
    broken = run_bad(first, 1)[0]
    later = first.submit(good.options(run_after=3600.0), 101)
    between = first.submit(good.options(depends_on=[later.id], on_dependency_failure=DependencyPolicy.FAIL), 102)
    last = first.submit(good.options(depends_on=[between.id]), 103)
    first.cancel(later.id)
    assert between.wait(WAIT_S).status is TaskStatus.DEPENDENCY_FAILED
    assert last.handle.status() is TaskStatus.BLOCKED
    newest = run_good(first, 4)[-2:]
    until(lambda: ids(first) == [broken, between.id, last.id, *newest])
    assert first.prune(Retention(max_count=0)) == 3
    assert ids(first) == [between.id, last.id]
    first.stop()

    second = stage.started(domain, retention=Retention(max_count=2))
    newest = run_good(second, 4)[-2:]
    until(lambda: ids(second) == [between.id, last.id, *newest])
    assert second.cancel(last.id).settled
    until(lambda: ids(second) == [last.id, newest[-1]])


def test_a_waiter_gets_the_record_of_a_row_that_is_pruned_at_once(stage: Stage, domain: Domain) -> None:
    """S-350: handles, results and futures, though nothing is kept."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> int:
        gate.hold()
        return n

    scheduler = stage.started(domain, retention=Retention(max_count=0))
    outcome = scheduler.submit(work, 7)
    future = outcome.handle.future()
    gate.await_arrivals()
    gate.open()
    record = outcome.wait(WAIT_S)
    assert (record.status, record.memo) == (TaskStatus.COMPLETED, 7)
    assert record.finished_at is not None
    assert future.result(WAIT_S) == 7
    until(lambda: ids(scheduler) == [])


def test_waiters_are_answered_from_the_row_and_not_by_a_second_look(
    stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-350: what a waiter gets came with the answer; a row that is gone by the time it wakes up does not matter."""

    @domain.task()
    def work(ctx: Context) -> str:
        return "done"

    scheduler = stage.started(domain)
    monkeypatch.setattr("millrace.store.records.read_record", lambda *_: pytest.fail("the row was read again"))
    assert scheduler.submit(work).wait(WAIT_S).memo == "done"
    assert scheduler.submit(work).handle.future().result(WAIT_S) == "done"


def test_one_transaction_does_not_leave_the_history_far_over(stage: Stage, domain: Domain) -> None:
    """S-347: also where thousands settle in one commit the history never shows more than 1,000 rows too many."""

    @domain.task()
    def leaf(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.started(domain, retention=Retention(max_count=100))
    seen: list[int] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            seen.append(scheduler.count(status=[status for status in TaskStatus if status.is_terminal]))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        settle(scheduler.submit_batch([leaf.call(n) for n in range(6000)])[-1:])
        until(lambda: scheduler.count() == 100)
    finally:
        is_over.set()
        reader.join(WAIT_S)
    assert max(seen) <= 1100


def test_prune_applies_other_bounds_at_once(any_stage: Stage, domain: Domain) -> None:
    """S-348: all rows alike, dead letters too, and the number that went."""
    run_good, run_bad = add_tasks(domain)
    scheduler = any_stage.started(domain)
    bad, good = run_bad(scheduler, 3), run_good(scheduler, 4)
    assert scheduler.prune(Retention()) == 0
    assert scheduler.prune(Retention(max_count=5)) == 2
    assert ids(scheduler) == bad[-1:] + good
    assert scheduler.prune(Retention(max_count=None, max_age=3600)) == 0
    too_old = scheduler.prune(Retention(max_count=None, max_age=0))
    assert too_old + scheduler.prune(Retention(max_count=0)) == 5
    assert ids(scheduler) == []


def test_prune_takes_more_than_a_step(stage: Stage, domain: Domain) -> None:
    """Long histories go in steps, and the caller hears of all of them."""

    @domain.task()
    def leaf(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.started(domain, retention=Retention(max_count=None))
    settle(scheduler.submit_batch([leaf.call(n) for n in range(1300)]))
    assert scheduler.prune(Retention(max_count=50)) == 1250
    assert scheduler.count() == 50
    scheduler.stop()
    assert pruned(stage) == 1250


def test_the_state_of_a_flow_goes_with_its_row(stage: Stage, domain: Domain) -> None:
    """A pruned flow is not found any more, neither by its key nor by its id."""
    scheduler = stage.started(domain)
    flow = scheduler.flow("import", key="k", state={"page": 1})
    flow.finish()
    flow.wait(WAIT_S)
    assert scheduler.prune(Retention(max_count=0)) == 1
    with pytest.raises(TaskNotFound):
        scheduler.open_flow("k")
    with pytest.raises(TaskNotFound):
        scheduler.open_flow(flow.id)


def test_ids_do_not_come_back(stage: Stage, domain: Domain) -> None:
    """S-349, S-019: also where the newest row was pruned and the store opened again."""
    run_good, _ = add_tasks(domain)
    first = stage.started(domain)
    done = run_good(first, 2)
    first.prune(Retention(max_count=0))
    first.stop()
    second = stage.started(domain)
    assert run_good(second, 1)[0] > done[-1]


def test_a_settled_task_keeps_its_record(stage: Stage, domain: Domain) -> None:
    """S-346: its id, and all that was known of it; it finished when that was committed."""

    @domain.task(retry=Retry.none())
    def work(ctx: Context, n: int) -> None:
        ctx.progress(0.25)
        raise ValueError("no")

    scheduler = stage.started(domain)
    outcome: Outcome[None] = scheduler.submit(work.options(key="k", label="a label"), 3)
    record = outcome.wait(WAIT_S)
    assert scheduler.task(outcome.id) == record
    assert (record.key, record.label, record.payload, record.progress) == ("k", "a label", {"n": 3}, 0.25)
    assert record.started_at is not None
    assert record.finished_at is not None
    assert record.finished_at >= record.started_at >= record.created_at


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Retention(max_count=-1), ValueError),
        (lambda: Retention(max_count=1.5), TypeError),  # type: ignore[arg-type]  # what is refused
        (lambda: Retention(max_count=True), TypeError),
        (lambda: Retention(max_age=-1), ValueError),
        (lambda: Retention(max_age="1 h"), TypeError),  # type: ignore[arg-type]  # what is refused
        (lambda: Scheduler(retention=5), TypeError),  # type: ignore[arg-type]  # what is refused
    ],
)
def test_bounds_that_cannot_be_are_refused(make: Callable[[], object], error: type[Exception]) -> None:
    """A count below 0, an age below 0, and values of other types."""
    with pytest.raises(error):
        make()


def test_ages_have_one_form() -> None:
    """Seconds and timedeltas are equal."""
    assert Retention(max_age=timedelta(minutes=1)) == Retention(max_age=60)
