"""A start that is committed and waits for a slot never begins once its stop is acknowledged (S-109, S-139).

The order of events is forced: the dispatcher, which takes such starts back, stands still while a caller is answered and a slot
becomes free.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, calm_down, settle

from millrace import Context, Domain, DuplicatePolicy, Outcome, Scheduler, TaskStatus
from millrace.actors.dispatches import Measure
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.policy.admission import Lookahead
from millrace.actors.requests import Cancel, Flush, Pause

KEY, GROUP = "k", "g"


class Door(Reply[Any]):
    """Whoever answers it stands still until the gate opens."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._door = gate

    def set(self, value: Any) -> bool:
        self._door.hold()
        return super().set(value)


def stand_still(stage: Stage, mailbox: Mailbox[Any], message: Callable[[Reply[Any]], Any]) -> Gate:
    """The actor stands still until the gate is opened."""
    gate = stage.gate()
    mailbox.tell(message(Door(gate)))
    gate.await_arrivals()
    return gate


@pytest.fixture
def far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts are committed ahead of the slots however long bodies take, and stay so."""
    monkeypatch.setattr(Lookahead, "ahead", lambda _, slots: 8)
    monkeypatch.setattr("millrace.actors.lead.RECALL_AFTER_S", 60.0)


class Play:
    """One slot: a body is under way, and two starts wait behind it, the victim's first."""

    def __init__(self, stage: Stage, domain: Domain) -> None:
        first, second = stage.gate(), stage.gate()
        self.begun: list[Any] = []

        @domain.task()
        def hold(ctx: Context) -> None:
            first.hold()

        @domain.task(key=lambda p: KEY, group=GROUP)
        def victim(ctx: Context, n: int) -> None:
            self.begun.append(n)

        @domain.task()
        def follower(ctx: Context) -> None:
            self.begun.append("follower")
            second.hold()

        self.first, self.second = first, second
        self.task = victim
        self.scheduler = scheduler = stage.started(domain, max_concurrency=1)
        entries = [hold.options(priority=100).call(), victim.call(1), follower.call()]
        self.held, self.victim, self.follower = scheduler.submit_batch(entries)
        first.await_arrivals()
        calm_down(scheduler)
        assert scheduler._runtime.executors.run_of(self.victim.id) is not None
        assert self.victim.handle.record().status is TaskStatus.RUNNING
        self.door = stand_still(stage, scheduler._runtime.dispatcher, Measure)

    def free_the_slot(self) -> None:
        """The next start begins; only then the dispatcher hears of the stop."""
        self.first.open()
        self.second.await_arrivals()
        self.door.open()
        self.second.open()

    def end(self, *outcomes: Outcome[Any]) -> list[TaskStatus]:
        """How these, and the others, have ended."""
        ends = settle([*outcomes, self.held, self.follower])
        return [end.status for end in ends][: len(outcomes)]


@pytest.fixture
def play(stage: Stage, domain: Domain, far_ahead: None) -> Play:
    return Play(stage, domain)


def test_a_cancelled_start_never_begins(play: Play) -> None:
    """S-139: the slot goes to the next one."""
    assert play.victim.handle.cancel()
    assert play.victim.handle.record().status is TaskStatus.CANCELLING
    play.free_the_slot()
    assert play.end(play.victim) == [TaskStatus.CANCELLED]
    assert play.begun == ["follower"]


def test_a_superseded_start_never_begins(play: Play) -> None:
    """S-049, S-139: only the newer one runs."""
    newer = play.scheduler.submit(play.task.options(on_duplicate=DuplicatePolicy.SUPERSEDE), 2)
    play.free_the_slot()
    assert play.end(play.victim, newer) == [TaskStatus.SUPERSEDED, TaskStatus.COMPLETED]
    assert play.begun == ["follower", 2]


def test_a_paused_start_begins_when_the_pause_is_over(play: Play) -> None:
    """S-109, S-110: it is one that waits, again."""
    play.scheduler.pause_group(GROUP)
    play.free_the_slot()
    settle([play.follower])
    calm_down(play.scheduler)
    assert play.begun == ["follower"]
    assert play.victim.handle.record().status is TaskStatus.PAUSED
    play.scheduler.resume_group(GROUP)
    assert play.end(play.victim) == [TaskStatus.COMPLETED]
    assert play.begun == ["follower", 1]


def end_body_and(stage: Stage, scheduler: Scheduler, gate: Gate, request: Callable[[Reply[Any]], Any]) -> Any:
    """The answer to a request that is carried out in the same transaction as the end of the body at the gate."""
    persistence = scheduler._runtime.persistence
    calm_down(scheduler)
    dispatcher_door = stand_still(stage, scheduler._runtime.dispatcher, Measure)
    door = stand_still(stage, persistence, Flush)
    reply: Reply[Any] = Reply()
    persistence.tell(request(reply))
    gate.open()
    deadline = time.monotonic() + WAIT_S
    while len(persistence.inbox) < 2:  # the end of the body, which nothing else announces
        assert time.monotonic() < deadline
    door.open()
    assert reply.wait(WAIT_S)
    calm = stand_still(stage, persistence, Flush)  # what was told after the answer is told
    calm.open()
    dispatcher_door.open()
    return reply.result()


@pytest.fixture
def finals() -> list[int]:
    """Finalizers that have begun."""
    return []


@pytest.fixture
def parent(domain: Domain, stage: Stage, finals: list[int]) -> tuple[Any, Gate]:
    """A task with a finalizer, and the gate that its body stops at."""
    gate = stage.gate()

    @domain.task(group=GROUP)
    def parent(ctx: Context, n: int) -> int:
        gate.hold()
        return n

    @parent.finalize
    def end(ctx: Context, memo: int, n: int) -> int:
        finals.append(n)
        return memo * 10

    return parent, gate


def test_a_finalizer_is_not_begun_by_the_commit_that_cancels_it(
    stage: Stage, domain: Domain, parent: tuple[Any, Gate], finals: list[int]
) -> None:
    """S-139: the end of the body has started it in its slot, and the cancel came before it was called."""
    task, gate = parent
    scheduler = stage.started(domain, max_concurrency=1)
    outcome = scheduler.submit(task, 1)
    gate.await_arrivals()
    result = end_body_and(stage, scheduler, gate, lambda reply: Cancel(outcome.id, reply))
    assert (result.accepted, result.settled) == (True, False)
    assert [end.status for end in settle([outcome])] == [TaskStatus.CANCELLED]
    assert finals == []
    gate.open()
    assert scheduler.submit(task, 2).result(WAIT_S) == 20


def test_a_finalizer_is_not_begun_by_the_commit_that_pauses_it(
    stage: Stage, domain: Domain, parent: tuple[Any, Gate], finals: list[int]
) -> None:
    """S-112: it begins when the pause is over, once."""
    task, gate = parent
    scheduler = stage.started(domain, max_concurrency=1)
    outcome = scheduler.submit(task, 1)
    gate.await_arrivals()
    end_body_and(stage, scheduler, gate, lambda reply: Pause("group", GROUP, None, reply))
    calm_down(scheduler)
    assert outcome.handle.record().status is TaskStatus.PAUSED
    assert finals == []
    scheduler.resume_group(GROUP)
    assert outcome.result(WAIT_S) == 10
    assert finals == [1]
