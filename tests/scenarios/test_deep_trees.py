"""Trees of ten thousand levels and of a hundred thousand children: everything climbs and goes down by loops."""

import time

import pytest
from staging import WAIT_S, Stage, heard_until
from tree_support import await_status, by_number, run_until_told, until

from millrace import Cancelled, Context, Domain, Retention, Retry, Scheduler, Submission, Task, TaskStatus

DEPTH = 10_000
WIDTH = 100_000
ALL = Retention(max_count=None)
CANCEL_S = 20.0
"""Seconds of processors within which either is cancelled whole on the slowest machine; work that grew with the square of the
tree would take minutes on any. What it takes here and now is measured by ``bench``: five at most."""
LONG_S = 100.0
"""A machine with much else to do takes no longer."""


@pytest.fixture
def late(domain: Domain) -> Task[[int], None]:
    """A task that is never due."""

    @domain.task(key=by_number)
    def late(ctx: Context, n: int) -> None:
        raise AssertionError("never due")

    return late.options(run_after=100_000)


def make_chain(scheduler: Scheduler, task: Task[[int], None], depth: int) -> list[int]:
    """A chain of tasks, each the child of the one before."""
    chain = [scheduler.submit(task, 0).id]
    for n in range(1, depth):
        chain.append(scheduler.spawn_child(chain[-1], task.call(n)).id)
    return chain


def test_a_chain_of_ten_thousand_is_cancelled(stage: Stage, domain: Domain, late: Task[[int], None]) -> None:
    """S-152, S-163: the cancel of the top goes down ten thousand levels and the ends climb back, in linear time."""
    scheduler = stage.scheduler(domain, retention=ALL)
    chain = make_chain(scheduler, late, DEPTH)
    scheduler.start()
    began = time.process_time()
    assert scheduler.cancel(chain[0]).accepted
    until(lambda: scheduler.task(chain[0]).status is TaskStatus.CANCELLED, timeout_s=LONG_S)
    assert time.process_time() - began < CANCEL_S
    assert scheduler.count(status=TaskStatus.CANCELLED) == DEPTH


def test_a_chain_of_ten_thousand_fails_from_below(stage: Stage, domain: Domain, late: Task[[int], None]) -> None:
    """S-185: a failure at the bottom climbs ten thousand levels in one commit, with an error that stays short."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError("deep down")

    scheduler = stage.scheduler(domain, retention=ALL)
    chain = make_chain(scheduler, late, DEPTH)
    scheduler.start()
    began = time.process_time()
    scheduler.spawn_child(chain[-1], bad.call())
    until(lambda: scheduler.task(chain[0]).status is TaskStatus.FAILED, timeout_s=LONG_S)
    assert time.process_time() - began < CANCEL_S
    assert scheduler.count(status=TaskStatus.FAILED) == DEPTH
    assert len(scheduler.task(chain[0]).error or "") < 2_000


def test_a_chain_of_parents_completes_from_below(stage: Stage, domain: Domain) -> None:
    """S-170: the end of the last of a thousand waiting generations completes all of them."""

    @domain.task(key=by_number)
    def generation(ctx: Context, n: int) -> None:
        if n:
            ctx.spawn_child(generation, n - 1)

    scheduler = stage.started(domain)
    task = scheduler.submit(generation, 1000)
    assert task.wait(60).status is TaskStatus.COMPLETED
    assert scheduler.count(status=TaskStatus.COMPLETED) == 1001


def make_wide(scheduler: Scheduler, task: Task[[int], None], width: int) -> int:
    """A task with so many children."""
    top = scheduler.submit(task, -1).id
    below = task.options(parent=top)
    children: list[Submission[None]] = [below.call(n) for n in range(width)]
    scheduler.submit_batch(children)
    return top


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_parent_of_a_hundred_thousand_is_cancelled(
    stage: Stage, domain: Domain, late: Task[[int], None], is_heard: bool
) -> None:
    """S-154: a hundred thousand queued children are cancelled in steps, in linear time, and others go on meanwhile."""

    @domain.task()
    def quick(ctx: Context) -> int:
        return 1

    width = WIDTH // 10 if is_heard else WIDTH
    scheduler = stage.scheduler(domain, retention=ALL)
    top = make_wide(scheduler, late, width)
    scheduler.start()
    heard = scheduler.subscribe(kinds=[Cancelled], maxsize=2 * width)
    if not is_heard:
        heard.close()
    began = time.process_time()
    result = scheduler.cancel(top)
    assert (result.accepted, result.settled, result.status) == (True, False, TaskStatus.CANCELLING)
    assert scheduler.submit(quick).result(WAIT_S) == 1
    until(lambda: scheduler.task(top).status is TaskStatus.CANCELLED, timeout_s=LONG_S)
    assert time.process_time() - began < CANCEL_S
    assert scheduler.count(parent=top, status=TaskStatus.CANCELLED) == width
    if is_heard:
        told = heard_until(
            heard, lambda event: getattr(event, "task_id", None) == top
        )  # readers see a commit before it is told
        assert len({getattr(event, "task_id", None) for event in told}) == width + 1


def test_a_wide_cancel_goes_on_after_a_stop(stage: Stage, domain: Domain, late: Task[[int], None]) -> None:
    """S-154, S-355: a cancel that a stop cuts off on its way down is carried out by the next scheduler."""
    first = stage.scheduler(domain, retention=ALL)
    top = make_wide(first, late, 5000)
    assert first.cancel(top).status is TaskStatus.CANCELLING
    assert first.count(parent=top, status=TaskStatus.CANCELLED) == 1000
    first.stop()
    second = stage.started(domain)
    await_status(second, top, TaskStatus.CANCELLED)
    assert second.count(parent=top, status=TaskStatus.CANCELLED) == 5000


def test_a_cancel_reaches_running_leaves_of_a_wide_tree(stage: Stage, domain: Domain) -> None:
    """S-152, S-153: of two thousand parents with a child each, of which some run, all end CANCELLED, the top last."""

    @domain.task()
    def leaf(ctx: Context) -> None:
        run_until_told(ctx)

    @domain.task(key=by_number)
    def parent(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain, retention=ALL)
    top = scheduler.submit(parent.options(run_after=1000), -1)
    below = [scheduler.spawn_child(top.id, parent.options(run_after=1000).call(n)) for n in range(2000)]
    scheduler.submit_batch([leaf.options(parent=one.id).call() for one in below])
    scheduler.start()
    until(lambda: scheduler.count(status=TaskStatus.RUNNING) >= 4)
    scheduler.cancel(top.id)
    assert top.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert scheduler.count(status=TaskStatus.CANCELLED) == 4001
