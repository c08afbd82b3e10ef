"""The table of events (S-307..S-330): for each way that a task can go, all that is told of it, in order, with its fields."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, calm_down, kinds, of_task

from millrace import (
    ActorRestarted,
    Cancelled,
    ChildSettled,
    Completed,
    Context,
    DeadLettered,
    DependencyFailed,
    Domain,
    Event,
    Expired,
    Failed,
    Outcome,
    PermanentError,
    Priority,
    Progress,
    Restarts,
    Retry,
    Scheduler,
    Superseded,
    TaskEvent,
    TaskStatus,
    Unblocked,
)
from millrace.actors.requests import ExpireDue
from millrace.actors.telling import event_of

ENDS = (Completed, DeadLettered, Cancelled, Superseded, Expired, DependencyFailed)


def is_end(event: Event) -> bool:
    """Whether the event is a task's last."""
    return isinstance(event, ENDS) or (isinstance(event, Failed) and not event.will_retry)


class Play:
    """A started scheduler with its subscription, and tasks that do as they are told."""

    def __init__(self, stage: Stage, domain: Domain) -> None:
        self.gate: Gate = stage.gate()

        @domain.task(group="g", tags={"kind": "play"})
        def act(ctx: Context, name: str, how: str = "ok") -> str:
            if how == "fail":
                raise PermanentError(name)
            if how == "hold":
                self.gate.hold()
            if how == "stop" and ctx.record.started_at is not None and self.gate.arrived == 0:
                self.gate.hold()
                assert ctx.wait_cancelled(WAIT_S)
                ctx.check_cancelled()
            return name

        self.act = act
        self.scheduler: Scheduler = stage.scheduler(domain, max_concurrency=4, sweep_interval=3600)
        self.heard = self.scheduler.subscribe()
        self.scheduler.start()

    def submit(self, name: str, how: str = "ok", **options: Any) -> Outcome[str]:
        """One task."""
        return self.scheduler.submit(self.act.options(key=name, **options), name, how)

    def end(self) -> list[Event]:
        """Stop; all that was told."""
        self.gate.open()
        self.scheduler.stop()
        return list(self.heard)


def lose_dependency(play: Play) -> Outcome[Any]:
    first = play.submit("first", "hold")
    lost = play.submit("lost", depends_on=[first])
    play.scheduler.cancel(first.id)
    play.gate.open()
    return lost


def lose_indirectly(play: Play) -> Outcome[Any]:
    first = play.submit("first", "hold")
    between = play.submit("between", depends_on=[first])
    lost = play.submit("lost", depends_on=[between])
    play.scheduler.cancel(first.id)
    play.gate.open()
    return lost


def wait_for_dependency(play: Play) -> Outcome[Any]:
    first = play.submit("first", "hold")
    after = play.submit("after", depends_on=[first])
    play.gate.open()
    return after


def expire(play: Play) -> Outcome[Any]:
    late = play.submit("late", ttl=0, run_after=3600)
    while late.handle.status() is TaskStatus.PENDING:  # in the millisecond of its submit it is not late yet
        play.scheduler._runtime.persistence.tell(ExpireDue())
        calm_down(play.scheduler)
    return late


def be_paused(play: Play) -> Outcome[Any]:
    stopped = play.submit("stopped", "stop")
    play.gate.await_arrivals()
    play.scheduler.pause_group("g")
    play.gate.open()
    while stopped.handle.status() is not TaskStatus.PAUSED:
        calm_down(play.scheduler)
    play.scheduler.resume_group("g")
    return stopped


STORIES: dict[Callable[[Play], Outcome[Any]], list[str]] = {
    lose_dependency: ["Submitted", "DependencyFailed"],
    lose_indirectly: ["Submitted", "DependencyFailed"],
    wait_for_dependency: ["Submitted", "Unblocked", "Dispatched", "Completed"],
    expire: ["Submitted", "Expired"],
    be_paused: ["Submitted", "Dispatched", "Paused", "Resumed", "Dispatched", "Completed"],
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_events_of_one_task(any_stage: Stage, domain: Domain, story: Callable[[Play], Outcome[Any]]) -> None:
    """S-306, S-315, S-316, S-320, S-321, S-322: in commit order, and one end; headers say group and tags (S-305)."""
    play = Play(any_stage, domain)
    outcome = story(play)
    outcome.wait(WAIT_S)
    events = of_task(play.end(), outcome.id)
    assert kinds(events) == STORIES[story]
    assert [is_end(event) for event in events] == [False] * (len(events) - 1) + [True]
    assert {(event.group, event.tags["kind"]) for event in events} == {("g", "play")}


def of_kind(events: Sequence[Event], kind: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_a_lost_dependency_is_named_directly(stage: Stage, domain: Domain) -> None:
    """S-322, S-304: each names the one it itself waited for, whose end is told before."""
    play = Play(stage, domain)
    outcome = lose_indirectly(play)
    outcome.wait(WAIT_S)
    events = play.end()
    ids = [event.task_id for event in of_kind(events, TaskEvent) if type(event).__name__ == "Submitted"]
    assert [(event.task_id, event.dependency) for event in of_kind(events, DependencyFailed)] == [
        (ids[1], ids[0]),
        (ids[2], ids[1]),
    ]
    ended = [event.task_id for event in of_kind(events, TaskEvent) if is_end(event)]
    assert ended == ids


def test_an_end_is_told_before_what_it_unblocks(stage: Stage, domain: Domain) -> None:
    """S-304: a dependency's end before Unblocked."""
    play = Play(stage, domain)
    outcome = wait_for_dependency(play)
    outcome.wait(WAIT_S)
    events = play.end()
    (unblocked,) = of_kind(events, Unblocked)
    (first, _) = of_kind(events, Completed)
    assert first.task_id != outcome.id
    assert events.index(first) < events.index(unblocked)


def test_every_end_is_told_once(stage: Stage, domain: Domain) -> None:
    """S-306: whatever ended it: good, bad for good, retried out, cancelled in the queue and while it ran."""
    play = Play(stage, domain)

    @domain.task(retry=Retry.constant(1, 0.0))
    def bad(ctx: Context) -> None:
        raise ValueError

    outcomes = [
        play.submit("good"),
        play.submit("lost", "fail"),
        play.submit("queued", run_after=3600),
        play.submit("running", "hold"),
        play.scheduler.submit(bad),
    ]
    play.gate.await_arrivals()
    for outcome in outcomes[2:4]:
        play.scheduler.cancel(outcome.id)
    play.gate.open()
    for outcome in outcomes:
        outcome.wait(WAIT_S)
    events = play.end()
    told = [[type(event).__name__ for event in of_task(events, one.id) if is_end(event)] for one in outcomes]
    assert told == [["Completed"], ["Failed"], ["Cancelled"], ["Cancelled"], ["DeadLettered"]]
    assert [event.retries for event in of_kind(events, DeadLettered)] == [1]


def test_children_that_end_together_are_counted_one_by_one(stage: Stage, domain: Domain) -> None:
    """S-304, S-313, S-314: each child's last progress and end, then the parent's ChildSettled; done grows by one each time."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context, n: int) -> int:
        gate.hold()
        ctx.progress(0.5, str(n))
        return n

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([leaf.call(n) for n in range(8)])

    scheduler = stage.started(domain, max_concurrency=9, progress_interval=3600)
    heard = scheduler.subscribe()
    outcome = scheduler.submit(parent)
    gate.await_arrivals(8)
    gate.open()
    outcome.wait(WAIT_S)
    scheduler.stop()
    events = list(heard)
    settled = of_kind(events, ChildSettled)
    assert [(event.done, event.total) for event in settled] == [(n, 8) for n in range(1, 9)]
    for event in settled:
        mine = [one for one in events[: events.index(event)] if isinstance(one, TaskEvent)]
        child = [one for one in mine if one.task_id == event.child_id]
        assert isinstance(child[-1], Completed)
        assert any(isinstance(one, Progress) and one.message == str(child[-1].memo) for one in child)


def test_headers_say_the_priority_of_the_commit(stage: Stage, domain: Domain) -> None:
    """S-305: one that was raised in the queue is told as it is from then on."""
    play = Play(stage, domain)
    outcome = play.submit("raised", priority=Priority.IDLE, run_after=3600)
    play.submit("raised", priority=Priority.HIGH, run_after=3600)
    play.scheduler.cancel(outcome.id)
    events = of_task(play.end(), outcome.id)
    assert [(type(event).__name__, event.priority) for event in events] == [
        ("Submitted", Priority.IDLE),
        ("Cancelled", Priority.HIGH),
    ]


def test_a_replaced_actor_is_told(stage: Stage, domain: Domain) -> None:
    """S-330: which one, and what it failed with; the scheduler goes on."""
    play = Play(stage, domain)
    scheduler = play.scheduler
    assert scheduler._runtime._settings.restarts == Restarts()
    scheduler._runtime.clock.tell(None)
    restarted = next(event for event in play.heard if isinstance(event, ActorRestarted))
    assert restarted.actor == "clock"
    assert "None" in restarted.error
    assert play.submit("after").result(WAIT_S) == "after"


def test_nothing_is_made_that_nobody_wants(stage: Stage, domain: Domain) -> None:
    """S-332: a subscriber to failures alone hears them, and no other event is made for it."""

    @domain.task(retry=Retry.none())
    def act(ctx: Context, fails: bool) -> None:
        ctx.progress(0.5)
        if fails:
            raise PermanentError("no")

    scheduler = stage.started(domain)
    made: list[Event] = []
    publish = scheduler._runtime.hub.publish

    def watch(events: Any) -> None:
        made.extend(map(event_of, events))
        publish(events)

    scheduler._runtime.hub.publish = watch  # type: ignore[method-assign]  # to see what is made
    heard = scheduler.subscribe(kinds=[Failed])
    for fails in (False, True):
        scheduler.submit(act, fails).wait(WAIT_S)
    assert kinds([heard.get(WAIT_S)]) == ["Failed"]
    assert kinds(made) == ["Failed"]
