"""Which task starts when: priorities, exact order, slots (S-001, S-003, S-074..S-084)."""

import random
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from staging import WAIT_S, Stage, await_status, calm_down, settle

from millrace import Completed, Context, Domain, Outcome, Priority, TaskStatus


class Tally:
    """Bodies count themselves in and out."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self._changed.notify_all()

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self.now -= 1
            self._changed.notify_all()


def test_priorities_are_named_ints() -> None:
    """S-074: Priority is an int of 0..255, lower is more urgent; its repr names the levels."""
    levels = {"REALTIME": 0, "HIGH": 64, "NORMAL": 128, "BACKGROUND": 192, "IDLE": 255}
    for name, value in levels.items():
        assert (getattr(Priority, name), repr(Priority(value))) == (value, f"Priority.{name}")
    assert repr(Priority(42)) == "Priority(42)"
    for wrong in (-1, 256):
        with pytest.raises(ValueError, match=str(wrong)):
            Priority(wrong)


def test_priority_of_a_submission(stage: Stage) -> None:
    """S-074, S-166: the submission's priority counts before the task's, the domain's and NORMAL; plain ints are taken."""
    plain, low = Domain("plain"), Domain("low", priority=200)

    @plain.task()
    def first(ctx: Context) -> None: ...

    @low.task()
    def second(ctx: Context) -> None: ...

    @low.task(priority=Priority.HIGH)
    def third(ctx: Context) -> None: ...

    scheduler = stage.scheduler(plain, low)
    tasks: list[Any] = [first, second, third, third.options(priority=7)]
    outcomes = [scheduler.submit(task.options(key=str(n))) for n, task in enumerate(tasks)]
    records = [scheduler.task(outcome.id) for outcome in outcomes]
    assert [record.priority for record in records] == [128, 200, 64, 7]
    assert all(record.effective_priority == record.priority for record in records)
    assert isinstance(records[3].priority, Priority)


def test_the_order_is_exact_over_the_whole_queue(stage: Stage, domain: Domain) -> None:
    """S-075, S-076: ready tasks start by priority, then by id, however many there are."""
    started: list[int] = []

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        started.append(ctx.id)

    numbers = random.Random(4)
    scheduler = stage.scheduler(domain, max_concurrency=1)
    entries = [work.options(priority=numbers.randrange(256)).call(n) for n in range(6_000)]
    outcomes = scheduler.submit_batch(entries)
    expected = [
        outcome.id
        for _, outcome in sorted(zip(entries, outcomes, strict=True), key=lambda e: (e[0].options.priority, e[1].id))
    ]
    scheduler.start()
    scheduler.submit(work.options(priority=Priority.IDLE), -1).wait(WAIT_S)
    assert started[: len(expected)] == expected


def test_a_more_urgent_task_goes_before_what_waits(stage: Stage, domain: Domain) -> None:
    """S-075: what comes later and is more urgent starts before what is less urgent and waits."""
    gate = stage.gate()
    started: list[int] = []

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        started.append(n)
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    outcomes = [scheduler.submit(work.options(priority=priority), priority) for priority in (0, 200, 100, 150, 50)]
    calm_down(scheduler)
    gate.open()
    settle(outcomes)
    assert started == [0, 50, 100, 150, 200]


def test_finalizers_go_before_bodies(stage: Stage, domain: Domain) -> None:
    """S-075, S-174: of one priority a finalizer that waits starts before the bodies that wait."""
    gate = stage.gate()
    started: list[str] = []

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf)

    @parent.finalize
    def end(ctx: Context, memo: None) -> None:
        started.append("finalizer")

    @domain.task()
    def other(ctx: Context, n: int) -> None:
        started.append(f"body {n}")

    scheduler = stage.started(domain, max_concurrency=1)
    outcome = scheduler.submit(parent)
    gate.await_arrivals()
    block = scheduler.submit(leaf.options(priority=0))
    others = [scheduler.submit(other, n) for n in range(3)]
    gate.let_pass()
    gate.await_arrivals(2)
    await_status(outcome, TaskStatus.PENDING)
    calm_down(scheduler)
    gate.open()
    settle([outcome, block, *others])
    assert started == ["finalizer", "body 0", "body 1", "body 2"]


def test_what_is_delayed_keeps_nobody_else(stage: Stage, domain: Domain) -> None:
    """S-077, S-081: a more urgent task that cannot start keeps no other from starting, and nothing is written for it."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def hold(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=2)
    urgent = Priority.REALTIME
    delayed = scheduler.submit(work.options(priority=urgent, run_after=3600), 1)
    cancelling = scheduler.submit(hold)
    gate.await_arrivals()
    scheduler.cancel(cancelling.id)
    held = scheduler.submit(hold.options(priority=urgent))
    before = [delayed.handle.record(), held.handle.record()]
    assert scheduler.submit(work.options(priority=Priority.IDLE), 2).result(WAIT_S) == 2
    assert [delayed.handle.record(), held.handle.record()] == before


@pytest.mark.parametrize("slots", [1, 3])
def test_never_more_than_max_concurrency_and_never_fewer(stage: Stage, domain: Domain, slots: int) -> None:
    """S-078, S-079: with enough ready work exactly max_concurrency bodies run, cancelled ones that have not ended included."""
    gate, tally = stage.gate(), Tally()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        with tally:
            gate.hold()

    scheduler = stage.started(domain, max_concurrency=slots)
    outcomes = [scheduler.submit(work, n) for n in range(20)]
    for arrived in range(slots, 20):
        gate.await_arrivals(arrived)
        assert tally.now <= slots
        if arrived == slots:
            scheduler.cancel(outcomes[0].id)
        gate.let_pass()
    gate.open()
    settle(outcomes)
    assert tally.most == slots


def test_short_bodies_never_exceed_the_slots(stage: Stage, domain: Domain) -> None:
    """S-078: however short bodies are, and however many starts are committed ahead, no more run than there are slots."""
    tally = Tally()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        with tally:
            pass

    @domain.task()
    def longer(ctx: Context, n: int) -> None:
        with tally:
            ctx.wait_cancelled(0.01)

    scheduler = stage.started(domain, max_concurrency=3)
    outcomes = scheduler.submit_batch([(longer if n % 100 == 99 else work).call(n) for n in range(2000)])
    settle(outcomes)
    assert tally.most <= 3


def test_waiting_parents_take_no_slot(stage: Stage, domain: Domain) -> None:
    """S-079: WAITING and delayed tasks take no slot: with one slot a deep tree comes to its end."""

    @domain.task()
    def node(ctx: Context, depth: int) -> int:
        if depth:
            ctx.spawn_children([node.call(depth - 1)])
        return depth

    scheduler = stage.started(domain, max_concurrency=1)
    scheduler.submit(node.options(run_after=3600), 0)
    assert scheduler.submit(node, 30).result(WAIT_S) == 30


def test_hooks_take_no_slot(stage: Stage, domain: Domain) -> None:
    """S-079: a cancel hook runs beside the slots: while it does, the one slot is another task's."""
    gate, hook_gate = stage.gate(), stage.gate()

    @domain.task()
    def hooked(ctx: Context) -> None:
        gate.hold()

    @hooked.on_cancel
    def clear(ctx: Context) -> None:
        hook_gate.hold()

    @domain.task()
    def work(ctx: Context) -> int:
        return 1

    scheduler = stage.started(domain, max_concurrency=1)
    outcome = scheduler.submit(hooked)
    gate.await_arrivals()
    scheduler.cancel(outcome.id)
    gate.open()
    hook_gate.await_arrivals()
    assert scheduler.submit(work).result(WAIT_S) == 1
    assert outcome.handle.status() is TaskStatus.CANCELLING


def test_the_slots_can_be_changed(stage: Stage, domain: Domain) -> None:
    """S-080: more slots start more at once; fewer stop nothing, and start nothing until the runs are fewer."""
    gate, tally = stage.gate(), Tally()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        with tally:
            gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    outcomes = [scheduler.submit(work, n) for n in range(12)]
    gate.await_arrivals(1)
    scheduler.max_concurrency = 4
    assert scheduler.max_concurrency == 4
    gate.await_arrivals(4)
    scheduler.max_concurrency = 2
    assert tally.now == 4
    gate.let_pass(2)
    settle(outcomes[:2] if all(o.handle.status().is_terminal for o in outcomes[:2]) else [])
    scheduler.submit(work, 99)
    gate.let_pass()
    gate.await_arrivals(5)
    assert tally.now <= 2
    gate.open()
    settle(outcomes)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_concurrency"):
            scheduler.max_concurrency = wrong


def test_the_slots_can_be_changed_before_the_start(stage: Stage, domain: Domain) -> None:
    """S-080: what is set before start() is what the first start finds."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        gate.hold()

    scheduler = stage.scheduler(domain, max_concurrency=1)
    outcomes = [scheduler.submit(work, n) for n in range(3)]
    scheduler.max_concurrency = 3
    scheduler.start()
    gate.await_arrivals(3)
    gate.open()
    settle(outcomes)


def test_a_delayed_task_starts_when_it_is_due(stage: Stage, domain: Domain) -> None:
    """S-003, S-128: a task with run_after starts by itself, not before its time."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(domain)
    delays = [0.15, 0.05, 0.1, 0]
    began = datetime.now(UTC)
    outcomes: list[Outcome[None]] = [scheduler.submit(work.options(run_after=s), n) for n, s in enumerate(delays)]
    for delay, record in zip(delays, settle(outcomes), strict=True):
        assert record.started_at is not None
        assert (
            record.started_at - began
        ).total_seconds() >= delay - 0.002  # it counts from the call, not from the commit


def test_the_start_is_committed_before_the_body_begins(stage: Stage, domain: Domain) -> None:
    """S-084: a body finds itself RUNNING in the store, with its start."""

    @domain.task()
    def work(ctx: Context) -> tuple[str, int, bool]:
        record = ctx.scheduler.task(ctx.id)
        return record.status.value, record.attempt, record.started_at is not None

    assert stage.started(domain).submit(work).result(WAIT_S) == ("running", 1, True)


def test_an_idle_scheduler_touches_no_row(stage: Stage, domain: Domain) -> None:
    """S-083: with nothing to do but delayed and held tasks, no statement is run."""
    gate = stage.gate()

    @domain.task()
    def hold(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    scheduler.submit(hold.options(key="late", run_after=3600))
    first = scheduler.submit(hold)
    gate.await_arrivals()
    scheduler.cancel(first.id)
    scheduler.submit(hold)
    persistence = scheduler._runtime.persistence
    turns: list[Any] = []
    tell = persistence.tell

    def note_and_tell(message: Any) -> None:
        turns.append(message)
        tell(message)

    persistence.tell = note_and_tell  # type: ignore[method-assign]  # a test signal
    try:
        for _ in range(10):  # what was to be done may still be under way, on a busy machine for longer
            turns.clear()
            threading.Event().wait(1.5)  # longer than what nobody waits for stays unsynced
            if not turns:
                break
    finally:
        persistence.tell = tell  # type: ignore[method-assign]  # as it was
    assert turns == []


def test_times_far_away_disturb_nobody(stage: Stage, domain: Domain) -> None:
    """S-042, S-099, S-446: delays, time-outs and waits of thousands of years are taken as they come."""

    @domain.task()
    def work(ctx: Context, n: int) -> bool:
        return ctx.wait_cancelled(0)

    @domain.task()
    def waits(ctx: Context) -> bool:
        return ctx.wait_cancelled(2e11)

    far = 2e11
    scheduler = stage.started(domain)
    late = scheduler.submit(work.options(run_after=far), 1)
    assert scheduler.submit(work.options(timeout=far), 2).result(far) is False
    with scheduler.subscribe(kinds=[Completed]) as heard:
        scheduler.submit(work, 3)
        assert isinstance(heard.get(far), Completed)
    waiting = scheduler.submit(waits)
    await_status(waiting, TaskStatus.RUNNING)
    scheduler.cancel(waiting.id)
    assert waiting.wait(far).status is TaskStatus.CANCELLED
    assert late.handle.status() is TaskStatus.PENDING
