"""Events: which, in what order, to whom (S-304..S-335, as far as their causes exist)."""

import queue
import threading
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

import pytest
from staging import WAIT_S, Stage, at_once, await_status, calm_down, heard_until, kinds, of_task, settle

from millrace import (
    Cancelled,
    CancelRequested,
    ChildSettled,
    Completed,
    Context,
    DeadLettered,
    Dispatched,
    Domain,
    DuplicatePolicy,
    Event,
    Failed,
    Interrupted,
    Outcome,
    Parked,
    PermanentError,
    Priority,
    Progress,
    Retry,
    RetryableError,
    Scheduler,
    Submitted,
    Subscription,
    Superseded,
    Task,
    TaskEvent,
    TaskStatus,
    Waiting,
)

ENDS = (Completed, DeadLettered, Cancelled, Superseded)


def is_end(event: Event) -> bool:
    """Whether the event is a task's last."""
    return isinstance(event, ENDS) or (isinstance(event, Failed) and not event.will_retry)


def ends_of(heard: Subscription, count: int) -> list[Event]:
    """All events up to the end of so many tasks."""
    ended: list[Event] = []

    def is_last(event: Event) -> bool:
        if is_end(event):
            ended.append(event)
        return len(ended) == count

    return heard_until(heard, is_last)


def steps(events: Sequence[Event], task_id: int) -> list[TaskEvent]:
    """The events of one task, but for those of its progress, which come when they come."""
    return [event for event in of_task(events, task_id) if not isinstance(event, Progress)]


# One task


class Plays:
    """Tasks that end in each way."""

    def __init__(self, stage: Stage, domain: Domain) -> None:
        self.gate = stage.gate()

        @domain.task()
        def good(ctx: Context) -> int:
            return 7

        @domain.task(retry=Retry.none())
        def bad(ctx: Context) -> None:
            raise ValueError("no")

        @domain.task()
        def lost(ctx: Context) -> None:
            raise PermanentError("never")

        @domain.task(retry=Retry.constant(2))
        def flaky(ctx: Context) -> int:
            if ctx.attempt < 3:
                raise RetryableError("again", retry_after=0.01)
            return ctx.attempt

        @domain.task()
        def hold(ctx: Context) -> None:
            self.gate.hold()

        self.good, self.bad, self.lost, self.flaky, self.hold = good, bad, lost, flaky, hold


def submit_good(scheduler: Scheduler, play: Plays) -> Outcome[Any]:
    return scheduler.submit(play.good)


def submit_bad(scheduler: Scheduler, play: Plays) -> Outcome[Any]:
    return scheduler.submit(play.bad)


def submit_lost(scheduler: Scheduler, play: Plays) -> Outcome[Any]:
    return scheduler.submit(play.lost)


def submit_flaky(scheduler: Scheduler, play: Plays) -> Outcome[Any]:
    return scheduler.submit(play.flaky)


def cancel_queued(scheduler: Scheduler, play: Plays) -> Outcome[Any]:
    outcome = scheduler.submit(play.good.options(run_after=3600))
    scheduler.cancel(outcome.id)
    return outcome


def cancel_running(scheduler: Scheduler, play: Plays) -> Outcome[Any]:
    outcome = scheduler.submit(play.hold)
    play.gate.await_arrivals()
    scheduler.cancel(outcome.id)
    play.gate.open()
    return outcome


def supersede_running(scheduler: Scheduler, play: Plays) -> Outcome[Any]:
    outcome = scheduler.submit(play.hold)
    play.gate.await_arrivals()
    scheduler.submit(play.hold.options(on_duplicate=DuplicatePolicy.SUPERSEDE))
    play.gate.open()
    return outcome


STORIES: dict[Callable[[Scheduler, Plays], Outcome[Any]], list[str]] = {
    submit_good: ["Submitted", "Dispatched", "Completed"],
    submit_bad: ["Submitted", "Dispatched", "DeadLettered"],
    submit_lost: ["Submitted", "Dispatched", "Failed"],
    submit_flaky: ["Submitted", "Dispatched", "Failed", "Dispatched", "Failed", "Dispatched", "Completed"],
    cancel_queued: ["Submitted", "Cancelled"],
    cancel_running: ["Submitted", "Dispatched", "CancelRequested", "Cancelled"],
    supersede_running: ["Submitted", "Dispatched", "CancelRequested", "Superseded"],
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_events_of_one_task(
    any_stage: Stage, domain: Domain, story: Callable[[Scheduler, Plays], Outcome[Any]]
) -> None:
    """S-304, S-306..S-311, S-317..S-319: the events of a task come in commit order and end with exactly one terminal event."""
    play = Plays(any_stage, domain)
    scheduler = any_stage.started(domain)
    heard = scheduler.subscribe()
    outcome = story(scheduler, play)
    outcome.wait(WAIT_S)
    scheduler.stop()
    events = steps(list(heard), outcome.id)
    assert kinds(events) == STORIES[story]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert sum(map(is_end, events)) == 1


def test_the_fields_of_events(stage: Stage, domain: Domain) -> None:
    """S-305, S-307..S-311: headers are as of the commit, times aware UTC; each event has its own fields."""
    play = Plays(stage, domain)
    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    flow = scheduler.flow("f")
    good = flow.spawn(play.good.options(key="k", label="shown", priority=9))
    flaky = scheduler.submit(play.flaky)
    good.wait(WAIT_S)
    flaky.wait(WAIT_S)
    scheduler.stop()
    events = list(heard)
    for event in steps(events, good.id):
        assert (event.task_name, event.key, event.label, event.parent_id) == ("play::good", "k", "shown", flow.id)
        assert (event.priority, event.effective_priority, event.group, event.tags) == (9, 9, None, {})
        assert event.at.tzinfo is UTC
        assert isinstance(event.priority, Priority)
    (completed,) = [event for event in steps(events, good.id) if isinstance(event, Completed)]
    assert completed.memo == 7
    failed = [event for event in steps(events, flaky.id) if isinstance(event, Failed)]
    assert {(event.error, event.will_retry, event.retry_after) for event in failed} == {
        ("RetryableError: again", True, 0.01)
    }


def test_other_outcomes_have_no_event(stage: Stage, domain: Domain) -> None:
    """S-331: DUPLICATE, UPGRADED, REQUEUED and REJECTED have no event."""
    play = Plays(stage, domain)
    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    first = scheduler.submit(play.hold)
    play.gate.await_arrivals()
    late = play.good.options(run_after=3600)
    scheduler.submit(late)
    outcomes = [
        scheduler.submit(play.hold),
        scheduler.submit(play.hold),
        scheduler.submit(play.hold.options(on_duplicate=DuplicatePolicy.REJECT)),
        scheduler.submit(late),
        scheduler.submit(late.options(priority=3)),
    ]
    assert [outcome.kind.value for outcome in outcomes] == [
        "requeued",
        "duplicate",
        "rejected",
        "duplicate",
        "upgraded",
    ]
    play.gate.open()
    first.wait(WAIT_S)
    scheduler.stop()
    assert kinds(list(heard)) == ["Submitted", "Dispatched", "Submitted", "Dispatched", "Completed"]


# Trees


def test_the_events_of_a_tree(stage: Stage, domain: Domain) -> None:
    """S-304, S-312, S-313: Waiting when the body has returned and children are active; a child's end before its ChildSettled."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def leaf(ctx: Context, n: int) -> None:
        gate.hold()
        if n == 1:
            raise ValueError

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([leaf.call(0), leaf.call(1)])

    scheduler = stage.started(domain, max_concurrency=3)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(parent)
    await_status(outcome, TaskStatus.WAITING)
    gate.let_pass()
    gate.open()
    events = heard_until(heard, lambda event: isinstance(event, Completed) and event.task_id == outcome.id)
    mine = steps(events, outcome.id)
    assert kinds(mine) == ["Submitted", "Dispatched", "Waiting", "ChildSettled", "ChildSettled", "Completed"]
    (waiting,) = [event for event in mine if isinstance(event, Waiting)]
    settled = [event for event in mine if isinstance(event, ChildSettled)]
    assert waiting.children == 2
    assert [(event.done, event.total) for event in settled] == [(1, 2), (2, 2)]
    assert sorted(event.child_status.value for event in settled) == ["completed", "dead_letter"]
    for event in settled:
        assert any(is_end(before) for before in steps(events[: events.index(event)], event.child_id))


def test_waiting_after_a_failure(stage: Stage, domain: Domain) -> None:
    """S-007, S-312: a body that failed for good while children are active is WAITING too, and Waiting says so."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task(retry=Retry.none())
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf)
        gate.await_arrivals()
        raise ValueError

    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(parent)
    await_status(outcome, TaskStatus.WAITING)
    gate.open()
    events = steps(heard_until(heard, lambda event: isinstance(event, DeadLettered)), outcome.id)
    assert kinds(events) == ["Submitted", "Dispatched", "Waiting", "ChildSettled", "DeadLettered"]


def test_waiting_after_the_verdict(stage: Stage, domain: Domain) -> None:
    """S-182, S-312: a body that ends after a child has failed waits for the others, and Waiting says so."""
    gate, parent_gate = stage.gate(), stage.gate()

    @domain.task(retry=Retry.none())
    def leaf(ctx: Context, fails: bool) -> None:
        if fails:
            raise ValueError
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf, False)
        gate.await_arrivals()
        ctx.spawn_child(leaf, True)
        ctx.wait_cancelled(WAIT_S)
        parent_gate.hold()

    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(parent)
    parent_gate.await_arrivals()
    parent_gate.open()
    await_status(outcome, TaskStatus.WAITING)
    gate.open()
    is_over = lambda event: is_end(event) and isinstance(event, TaskEvent) and event.task_id == outcome.id  # noqa: E731 - a test of one event
    events = steps(heard_until(heard, is_over), outcome.id)
    assert kinds(events) == ["Submitted", "Dispatched", "ChildSettled", "Waiting", "ChildSettled", "Failed"]


def test_waiting_again_for_a_late_child(stage: Stage, domain: Domain) -> None:
    """S-178, S-312: a child added while the finalizer is pending makes the task WAITING again, and Waiting says so."""
    gate = stage.gate()

    @domain.task()
    def hold(ctx: Context, n: int) -> None:
        gate.hold()
        ctx.wait_cancelled(0.01)  # not so short that the finalizer is claimed ahead

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(hold.options(priority=0), 1)

    @parent.finalize
    def end(ctx: Context, memo: None) -> None: ...

    scheduler = stage.started(domain, max_concurrency=1)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(parent)
    gate.await_arrivals()
    scheduler.submit(hold.options(priority=0), 2)
    gate.let_pass()
    gate.await_arrivals(2)
    await_status(outcome, TaskStatus.PENDING)
    scheduler.spawn_child(outcome.id, hold.call(3))
    assert outcome.handle.status() is TaskStatus.WAITING
    gate.open()
    is_over = lambda event: isinstance(event, Completed) and event.task_id == outcome.id  # noqa: E731 - a test of one event
    events = steps(heard_until(heard, is_over), outcome.id)
    assert kinds(events) == [
        "Submitted",
        "Dispatched",
        "Waiting",
        "ChildSettled",
        "Waiting",
        "ChildSettled",
        "Completed",
    ]


def test_cancels_go_down(stage: Stage, domain: Domain) -> None:
    """S-317, S-318: CancelRequested comes for each task that does not settle at once, Cancelled for all of them."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([leaf.call(), leaf.options(run_after=3600, key="late").call()])

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    gate.await_arrivals()
    await_status(outcome, TaskStatus.WAITING)
    running, late = (child.id for child in scheduler.children(outcome.id))
    heard = scheduler.subscribe()
    scheduler.cancel(outcome.id)
    calm_down(scheduler)
    gate.open()
    events = ends_of(heard, 3)
    assert kinds(steps(events, outcome.id)) == ["CancelRequested", "ChildSettled", "ChildSettled", "Cancelled"]
    assert kinds(steps(events, running)) == ["CancelRequested", "Cancelled"]
    assert kinds(steps(events, late)) == ["Cancelled"]


def test_a_body_that_cancels_its_task(stage: Stage, domain: Domain) -> None:
    """S-086, S-317: a body that ends its task by TaskInterrupted while a child runs: CancelRequested, then Cancelled."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf)
        gate.await_arrivals()
        raise ctx._interruption("cancelled")

    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(parent)
    await_status(outcome, TaskStatus.CANCELLING)
    gate.open()
    events = steps(ends_of(heard, 2), outcome.id)
    assert kinds(events) == ["Submitted", "Dispatched", "CancelRequested", "ChildSettled", "Cancelled"]


def test_interruptions_are_told(stage: Stage, domain: Domain) -> None:
    """S-325: Interrupted names the shutdown, and after it the task is Dispatched again."""
    runs: list[int] = []
    begun = threading.Event()

    @domain.task()
    def work(ctx: Context) -> None:
        runs.append(1)
        begun.set()
        if len(runs) == 1:
            ctx.wait_cancelled(WAIT_S)
            ctx.check_cancelled()

    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(work)
    assert begun.wait(WAIT_S)
    scheduler.stop(0)
    events = list(heard)
    assert kinds(events) == ["Submitted", "Dispatched", "Interrupted"]
    assert isinstance(events[-1], Interrupted)
    assert events[-1].reason == "shutdown"
    again = stage.scheduler(domain)
    later = again.subscribe()
    again.start()
    type(outcome.handle)(again._core, outcome.id, None).wait(WAIT_S)
    assert kinds(ends_of(later, 1)) == ["Dispatched", "Completed"]


def test_parked_tasks_are_told(stage: Stage, domain: Domain) -> None:
    """S-326: a task that this program does not know is PARKED at the start, with the reason."""
    gone = Domain("gone")

    @gone.task()
    def work(ctx: Context) -> None: ...

    first = stage.scheduler(gone)
    outcome = first.submit(work)
    first.stop()
    scheduler = stage.scheduler(domain)
    heard = scheduler.subscribe()
    scheduler.start()
    event = heard.get(WAIT_S)
    assert isinstance(event, Parked)
    assert (event.task_id, "gone::work" in event.reason) == (outcome.id, True)


# Subscriptions


def test_kinds_and_filters(stage: Stage, domain: Domain) -> None:
    """S-332: kinds takes base classes; domain and task filter task events and let events of no task through."""
    other = Domain("other")

    @domain.task()
    def one(ctx: Context, n: int) -> None: ...

    @domain.task()
    def two(ctx: Context, n: int) -> None: ...

    @other.task("one")
    def twin(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain, other)
    feeds = {
        "all": scheduler.subscribe(),
        "events": scheduler.subscribe(kinds=[Event]),
        "tasks": scheduler.subscribe(kinds=[TaskEvent]),
        "some": scheduler.subscribe(kinds=(Superseded, Cancelled)),
        "domain": scheduler.subscribe(domain="other"),
        "task": scheduler.subscribe(task=one),
        "name": scheduler.subscribe(task="play::one", kinds=[Submitted]),
    }
    entries: list[Task[[int], None]] = [one, two, twin]
    outcomes = scheduler.submit_batch([task.call(1) for task in entries])
    scheduler.cancel(outcomes[0].id)
    scheduler.stop()
    heard = {
        name: [f"{type(e).__name__} {getattr(e, 'task_name', '')}".strip() for e in feed]
        for name, feed in feeds.items()
    }
    submitted = [f"Submitted {task.name}" for task in entries]
    assert heard == {
        "all": [*submitted, "BatchSubmitted", "Cancelled play::one"],
        "events": [*submitted, "BatchSubmitted", "Cancelled play::one"],
        "tasks": [*submitted, "Cancelled play::one"],
        "some": ["Cancelled play::one"],
        "domain": ["Submitted other::one", "BatchSubmitted"],
        "task": ["Submitted play::one", "BatchSubmitted", "Cancelled play::one"],
        "name": ["Submitted play::one"],
    }


def test_a_subscription_hears_all_that_is_committed_later(stage: Stage, domain: Domain) -> None:
    """S-332, S-015: what is not visible to readers when subscribe returns is heard."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    for round_number in range(30):
        batch = [work.call(1000 * round_number + n) for n in range(300)]
        sent = threading.Event()

        def submit(batch: list[Any] = batch, sent: threading.Event = sent) -> None:
            sent.set()
            scheduler.submit_batch(batch)

        thread = threading.Thread(target=submit)
        thread.start()
        sent.wait(WAIT_S)
        with scheduler.subscribe(kinds=[Submitted]) as heard:
            stored = scheduler.count() % 300 == 0 and scheduler.count() == 300 * (round_number + 1)
            thread.join(WAIT_S)
            if not stored:
                assert isinstance(heard.get(5), Submitted)


def test_events_are_told_after_their_commit(stage: Stage, domain: Domain) -> None:
    """S-015: when a subscriber hears of a change, every reader sees it."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(domain)
    heard = scheduler.subscribe(kinds=[Submitted, Completed])
    outcomes = scheduler.submit_batch(work.call(n) for n in range(100))
    seen = 0
    while seen < 100:
        event = heard.get(WAIT_S)
        assert isinstance(event, TaskEvent)
        status = scheduler.task(event.task_id).status
        if isinstance(event, Completed):
            seen += 1
            assert status is TaskStatus.COMPLETED
    settle(outcomes)


def test_a_slow_reader_loses_the_oldest(stage: Stage, domain: Domain) -> None:
    """S-333: beyond maxsize the oldest events go and are counted in missed; others are not delayed and lose nothing."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    slow, fast = scheduler.subscribe(maxsize=10, kinds=[Submitted]), scheduler.subscribe(kinds=[Submitted])
    outcomes = [scheduler.submit(work, n) for n in range(15)]
    outcomes += scheduler.submit_batch(work.call(100 + n) for n in range(50))
    scheduler.stop()
    kept = [event.task_id for event in slow if isinstance(event, Submitted)]
    assert (kept, slow.missed) == ([outcome.id for outcome in outcomes[-10:]], 55)
    assert (len(list(fast)), fast.missed) == (65, 0)


def test_getting_and_closing(stage: Stage, domain: Domain) -> None:
    """S-334: get raises queue.Empty on time-out, and at once when closed and read out; iteration then ends."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    with scheduler.subscribe() as heard:
        with pytest.raises(queue.Empty):
            heard.get(0.01)
        scheduler.submit(work)
    assert isinstance(heard.get(), Submitted)
    with pytest.raises(queue.Empty):
        heard.get()
    assert list(heard) == []
    heard.close()


def test_closing_ends_a_wait(stage: Stage) -> None:
    """S-334: a reader that waits is woken by close, in whichever thread."""
    heard = stage.scheduler().subscribe()
    closer = threading.Timer(0.05, heard.close)
    closer.start()
    with pytest.raises(queue.Empty):
        heard.get(WAIT_S)
    closer.join(WAIT_S)


def test_stopping_closes_subscriptions(stage: Stage, domain: Domain) -> None:
    """S-335: stop closes subscriptions after the last event; what is not read yet can still be read."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    scheduler.submit(work)
    gate.await_arrivals()
    gate.open()
    scheduler.stop()
    assert kinds(list(heard)) == ["Submitted", "Dispatched", "Completed"]
    later = stage.scheduler(domain).subscribe()
    with pytest.raises(queue.Empty):
        later.get(0)


def test_many_readers_share_no_events(stage: Stage, domain: Domain) -> None:
    """S-332: each subscription has every event, whoever else listens."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(domain)
    feeds = [scheduler.subscribe(kinds=[Completed]) for _ in range(4)]
    settle(scheduler.submit_batch(work.call(n) for n in range(50)))
    read = at_once([lambda feed=feed: [feed.get(WAIT_S) for _ in range(50)] for feed in feeds])  # type: ignore[misc]  # each its own
    assert all(events == read[0] for events in read)


def test_requests_to_cancel_are_told_once(stage: Stage, domain: Domain) -> None:
    """S-139, S-317: however often a cancel is asked for, CancelRequested comes once."""
    play = Plays(stage, domain)
    scheduler = stage.started(domain)
    heard = scheduler.subscribe(kinds=[CancelRequested, Cancelled, Dispatched])
    outcome = scheduler.submit(play.hold)
    play.gate.await_arrivals()
    for _ in range(3):
        scheduler.cancel(outcome.id)
    play.gate.open()
    assert kinds(ends_of(heard, 1)) == ["Dispatched", "CancelRequested", "Cancelled"]
