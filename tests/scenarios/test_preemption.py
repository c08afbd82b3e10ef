"""Preemption: S-101 to S-107. Bodies stand until they are asked to stop, or let go."""

import threading
from collections import Counter

import pytest
from staging import WAIT_S, Stage, await_status, calm_down, settle

from millrace import Context, Domain, Preempted, Priority, Resumed, Task, TaskStatus


class Crew:
    """Bodies that work until they are asked to stop, or dismissed; the test sees who began how often."""

    def __init__(self, domain: Domain) -> None:
        self._changed = threading.Condition()
        self._is_dismissed = threading.Event()
        self.begun: Counter[int] = Counter()

        @domain.task(priority=Priority.BACKGROUND)
        def work(ctx: Context, n: int, *, heeds: bool = True) -> None:
            with self._changed:
                self.begun[ctx.id] += 1
                self._changed.notify_all()
            while not self._is_dismissed.is_set():
                if heeds and ctx.wait_cancelled(0.005):
                    ctx.check_cancelled()
                elif not heeds:
                    self._is_dismissed.wait(WAIT_S)

        self.work: Task[..., None] = work

    def await_begun(self, count: int) -> None:
        """Until there have been so many starts."""
        with self._changed:
            assert self._changed.wait_for(lambda: sum(self.begun.values()) >= count, WAIT_S)

    def dismiss(self) -> None:
        """All go home, now and later."""
        self._is_dismissed.set()


@pytest.fixture
def crew(domain: Domain) -> Crew:
    return Crew(domain)


@pytest.fixture
def urgent(domain: Domain) -> Task[[int], int]:
    @domain.task(priority=Priority.REALTIME)
    def alarm(ctx: Context, n: int) -> int:
        return ctx.id

    return alarm


def test_one_of_four_runs_twice(stage: Stage, domain: Domain, crew: Crew, urgent: Task[[int], int]) -> None:
    """S-104, S-106, S-107: the latest started gives way, and goes on when the urgent one has ended; nothing is lost."""
    scheduler = stage.started(domain, max_concurrency=4)
    events = scheduler.subscribe(kinds=[Preempted, Resumed])
    outcomes = []
    for n in range(4):
        outcomes.append(scheduler.submit(crew.work, n))
        crew.await_begun(n + 1)
    alarm = scheduler.submit(urgent, 1)
    assert alarm.result(WAIT_S) == alarm.id
    heard = [events.get(WAIT_S), events.get(WAIT_S)]
    assert [type(event) for event in heard] == [Preempted, Resumed]
    crew.await_begun(5)
    calm_down(scheduler)
    assert crew.begun == {outcome.id: 1 + (outcome is outcomes[3]) for outcome in outcomes}
    crew.dismiss()
    for record in settle(outcomes):
        assert (record.status, record.attempt, record.retries) == (TaskStatus.COMPLETED, 1, 0)


@pytest.mark.parametrize("preempt_at", [None, 0, 64])
def test_the_threshold_is_of_the_stored_priority(
    stage: Stage, domain: Domain, crew: Crew, preempt_at: int | None
) -> None:
    """S-101: a HIGH task preempts only where the threshold says so."""

    @domain.task(priority=Priority.HIGH)
    def high(ctx: Context) -> int:
        return ctx.id

    scheduler = stage.started(domain, max_concurrency=1, preempt_at=preempt_at)
    held = scheduler.submit(crew.work, 1)
    crew.await_begun(1)
    outcome = scheduler.submit(high)
    if preempt_at == 64:
        assert outcome.result(WAIT_S) == outcome.id
    else:
        calm_down(scheduler)
        assert outcome.handle.status() is TaskStatus.PENDING
        assert held.handle.status() is TaskStatus.RUNNING
    crew.dismiss()
    settle([held, outcome])


def test_nobody_is_asked_while_a_slot_is_free(
    stage: Stage, domain: Domain, crew: Crew, urgent: Task[[int], int]
) -> None:
    """S-102: nor for a task that a delay holds."""
    scheduler = stage.started(domain, max_concurrency=2)
    held = scheduler.submit(crew.work, 1)
    crew.await_begun(1)
    assert scheduler.submit(urgent, 1).result(WAIT_S)
    second = scheduler.submit(crew.work, 2)
    crew.await_begun(2)
    delayed = scheduler.submit(urgent.options(run_after=3600), 3)
    calm_down(scheduler)
    assert sum(crew.begun.values()) == 2
    assert held.handle.status() is second.handle.status() is TaskStatus.RUNNING
    delayed.handle.cancel()
    crew.dismiss()
    settle([held, second])


def test_one_of_the_full_group_gives_way(stage: Stage, domain: Domain, crew: Crew, urgent: Task[[int], int]) -> None:
    """S-103: though another is less urgent, and though slots are free."""
    scheduler = stage.started(domain, max_concurrency=4, group_concurrency={"g": 1})
    events = scheduler.subscribe(kinds=[Preempted])
    inside = scheduler.submit(crew.work.options(group="g", priority=Priority.NORMAL), 1)
    crew.await_begun(1)
    outside = scheduler.submit(crew.work.options(priority=Priority.IDLE), 2)
    crew.await_begun(2)
    alarm = scheduler.submit(urgent.options(group="g"), 3)
    assert alarm.result(WAIT_S) == alarm.id
    event = events.get(WAIT_S)
    assert isinstance(event, Preempted)
    assert event.task_id == inside.id
    assert outside.handle.status() is TaskStatus.RUNNING
    crew.dismiss()
    settle([inside, outside])


def test_another_is_asked_where_one_does_not_stop(
    stage: Stage, domain: Domain, crew: Crew, urgent: Task[[int], int]
) -> None:
    """S-105: after a second; who ignores the request runs to its normal end."""
    scheduler = stage.started(domain, max_concurrency=2)
    heeds = scheduler.submit(crew.work, 1)
    crew.await_begun(1)
    deaf = scheduler.submit(crew.work, 2, heeds=False)
    crew.await_begun(2)
    alarm = scheduler.submit(urgent, 3)
    assert alarm.result(WAIT_S) == alarm.id
    crew.await_begun(3)
    assert crew.begun == {heeds.id: 2, deaf.id: 1}
    crew.dismiss()
    assert [record.attempt for record in settle([heeds, deaf])] == [1, 1]


def test_it_stays_paused_while_the_urgent_run(stage: Stage, domain: Domain, crew: Crew) -> None:
    """S-107: and no slot is free; then it goes on by itself."""
    gate = stage.gate()

    @domain.task(priority=Priority.REALTIME)
    def hold(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    victim = scheduler.submit(crew.work, 1)
    crew.await_begun(1)
    alarm = scheduler.submit(hold)
    gate.await_arrivals()
    await_status(victim, TaskStatus.PAUSED)
    calm_down(scheduler)
    assert victim.handle.status() is TaskStatus.PAUSED
    gate.open()
    alarm.wait(WAIT_S)
    crew.await_begun(2)
    crew.dismiss()
    assert victim.wait(WAIT_S).status is TaskStatus.COMPLETED
