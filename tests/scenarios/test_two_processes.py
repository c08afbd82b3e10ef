"""What another program writes to a store is acted on by the one that runs it, within 100 ms of the commit.

The other one is a scheduler that is not started (S-368): it has connections of its own, as one in another process has.
"""

import threading
from typing import Any

import pytest
from staging import WAIT_S, Stage, await_status

from millrace import Aging, Context, Domain, PermanentError, Scheduler, TaskCancelled, TaskStatus


class Jobs:
    """Tasks with the names that all tests here use, and what their bodies saw."""

    def __init__(self) -> None:
        self.domain = Domain("jobs")
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.reasons: list[str] = []
        self.hooks: list[int] = []

        @self.domain.task()
        def quick(ctx: Context, n: int) -> int:
            return n + 1

        @self.domain.task()
        def long(ctx: Context) -> str:
            self.begun.set()
            while not self.go_on.is_set():
                if ctx.wait_cancelled(0.01):
                    ctx.check_cancelled()
            return "done"

        @self.domain.task()
        def parent(ctx: Context, ends: bool) -> int:
            if ends:
                ctx.spawn_child(quick.options(run_after=3600.0), 1)
            else:
                ctx.spawn_child(long)
            return 1

        @parent.finalize
        def finish(ctx: Context, memo: int, ends: bool) -> int:
            return memo + 10

        @parent.on_cancel
        def undo(ctx: Context, ends: bool) -> None:
            self.hooks.append(ctx.id)

        self.quick, self.long, self.parent = quick, long, parent


@pytest.fixture
def jobs() -> Any:
    made = Jobs()
    yield made
    made.go_on.set()


@pytest.fixture
def other(stage: Stage, jobs: Jobs) -> Scheduler:
    """It has no code of any task: what it knows is in the store."""
    return stage.scheduler()


@pytest.mark.parametrize("aging", [None, Aging()])
def test_what_is_submitted_elsewhere_starts_and_can_be_waited_for(
    stage: Stage, jobs: Jobs, aging: Aging | None
) -> None:
    """S-369, S-370: again and again, as each time the queue is complete before; within 100 ms where the machine has time.

    Whether waiting makes tasks more urgent is for the owner to say, and the client need not know.
    """
    stage.started(jobs.domain, aging=aging)
    client = stage.scheduler(jobs.domain)
    waited: list[float] = []
    for n in range(5):
        record = client.submit(jobs.quick, n).wait(WAIT_S)
        assert record.memo == n + 1
        assert record.started_at is not None
        waited.append((record.started_at - record.created_at).total_seconds())
    assert min(waited) < 0.1


def test_a_batch_that_is_longer_than_a_page(stage: Stage, jobs: Jobs) -> None:
    """S-369: all of it."""
    owner = stage.started(jobs.domain)
    client = stage.scheduler(jobs.domain)
    outcomes = client.submit_batch([jobs.quick.call(n) for n in range(700)])
    for n, outcome in enumerate(outcomes):
        assert outcome.handle.wait(WAIT_S).memo == n + 1
    assert owner.count(status=TaskStatus.COMPLETED) == 700


def test_a_delayed_task_of_another_program_becomes_due(stage: Stage, jobs: Jobs) -> None:
    """S-369: the owner's clock hears of it."""
    stage.started(jobs.domain)
    client = stage.scheduler(jobs.domain)
    assert client.submit(jobs.quick.options(run_after=0.05), 1).result(WAIT_S) == 2


def test_run_now_of_another_program(stage: Stage, jobs: Jobs, other: Scheduler) -> None:
    """A task that would wait for an hour begins."""
    owner = stage.started(jobs.domain)
    outcome = owner.submit(jobs.quick.options(run_after=3600.0), 1)
    assert other.run_now(outcome.id)
    assert outcome.result(WAIT_S) == 2


def test_a_cancel_of_another_program_stops_a_running_body(stage: Stage, jobs: Jobs, other: Scheduler) -> None:
    """The owner asks the body to stop; who waits here and there hears of the end."""
    owner = stage.started(jobs.domain)
    outcome = owner.submit(jobs.long)
    assert jobs.begun.wait(WAIT_S)
    result = other.cancel(outcome.id)
    assert (result.accepted, result.settled) == (True, False)
    with pytest.raises(TaskCancelled):
        outcome.result(WAIT_S)
    assert other.task(outcome.id).status is TaskStatus.CANCELLED


def test_a_cancel_of_a_waiting_parent_goes_down_the_tree_and_its_hook_runs(
    stage: Stage, jobs: Jobs, other: Scheduler
) -> None:
    """The other program does not know that the task has a hook: the owner does."""
    owner = stage.started(jobs.domain)
    outcome = owner.submit(jobs.parent, False)
    assert jobs.begun.wait(WAIT_S)
    await_status(outcome, TaskStatus.WAITING)
    other.cancel(outcome.id)
    assert outcome.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert [child.status for child in owner.children(outcome.id)] == [TaskStatus.CANCELLED]
    assert jobs.hooks == [outcome.id]


def test_cancelling_the_last_child_lets_the_parent_finalize(stage: Stage, jobs: Jobs, other: Scheduler) -> None:
    """The finalizer, of which the other program knows nothing, runs here; the parent is not parked."""
    owner = stage.started(jobs.domain)
    outcome = owner.submit(jobs.parent, True)
    await_status(outcome, TaskStatus.WAITING)
    (child,) = owner.children(outcome.id)
    assert other.cancel(child.id).settled
    assert outcome.result(WAIT_S) == 11


def test_a_finalizer_that_there_is_not_ends_at_once(stage: Stage, other: Scheduler) -> None:
    """Nor does a program that cannot know it keep a parent without a finalizer from completing."""
    domain = Domain("plain")

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def root(ctx: Context) -> str:
        ctx.spawn_child(leaf.options(run_after=3600.0))
        return "memo"

    owner = stage.started(domain)
    outcome = owner.submit(root)
    await_status(outcome, TaskStatus.WAITING)
    (child,) = owner.children(outcome.id)
    other.cancel(child.id)
    assert outcome.result(WAIT_S) == "memo"


def test_pauses_of_another_program_hold_and_end(stage: Stage, jobs: Jobs, other: Scheduler) -> None:
    """A group is paused from elsewhere: nothing of it starts, its body stops, and all goes on after the resume."""
    owner = stage.started(jobs.domain)
    running = owner.submit(jobs.long.options(group="g"))
    assert jobs.begun.wait(WAIT_S)
    other.pause_group("g")
    await_status(running, TaskStatus.PAUSED)
    held = owner.submit(jobs.quick.options(group="g"), 1)
    assert owner.submit(jobs.quick, 5).result(WAIT_S) == 6
    assert held.handle.record().status is TaskStatus.PAUSED
    jobs.go_on.set()
    other.resume_group("g")
    assert running.result(WAIT_S) == "done"
    assert held.result(WAIT_S) == 2


def test_a_task_that_is_repeated_elsewhere_runs(stage: Stage, other: Scheduler) -> None:
    """As a new task, with the code that is here."""
    domain = Domain("d")
    fails = [True]

    @domain.task()
    def once(ctx: Context) -> str:
        if fails.pop():
            fails.append(False)
            raise PermanentError("no")
        return "yes"

    owner = stage.started(domain)
    first = owner.submit(once).wait(WAIT_S)
    assert first.status is TaskStatus.FAILED
    again = other.retry(first.id)
    assert again.wait(WAIT_S).memo == "yes"
    assert owner.task(again.id).retry_of == first.id
