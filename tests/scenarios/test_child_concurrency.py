"""Bounded children, and the supervisors that offer them (behaviour.md, S-187; architecture, rule 2)."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest
from staging import WAIT_S, Gate, Stage, at_once, calm_down
from tree_support import await_status, by_name, by_number, ends, until

from millrace import Context, Domain, DuplicatePolicy, Retry, Scheduler, SchedulerStopped, SubmitKind, TaskStatus


class Busy:
    """How many bodies are inside at once, and the most there were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self.now -= 1


@pytest.fixture
def peak_threads() -> Iterator[list[int]]:
    """The highest number of threads seen while the test ran."""
    seen = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            seen[0] = max(seen[0], threading.active_count())

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield seen
    done.set()
    watcher.join()


@pytest.mark.parametrize("bound", [1, 3])
def test_so_many_children_run_at_once_and_no_more(stage: Stage, domain: Domain, bound: int) -> None:
    """S-187: of many children as many run at once as `child_concurrency` says, and all of them in the end."""
    busy, gate = Busy(), stage.gate()

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None:
        with busy:
            gate.hold()

    @domain.task(child_concurrency=bound)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.call(n) for n in range(30)])

    scheduler = stage.started(domain, max_concurrency=8)
    task = scheduler.submit(parent)
    gate.await_arrivals(bound)
    assert scheduler.count(parent=task.id, status=TaskStatus.RUNNING) == bound
    gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert busy.most == bound


def test_bounded_children_start_by_priority_and_id(stage: Stage, domain: Domain) -> None:
    """S-187: the more urgent of a bounded parent's children run first, then the older; so do those that come later."""
    gate = stage.gate()
    order: list[int] = []

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None:
        gate.hold()
        order.append(n)

    scheduler = stage.started(domain)
    flow = scheduler.flow("f", child_concurrency=1)
    flow.spawn(child, 0)
    gate.await_arrivals()
    for n, priority in ((1, 200), (2, 128), (3, 128), (4, 10)):
        flow.spawn(child.options(priority=priority), n)
    gate.open()
    flow.finish()
    flow.wait(WAIT_S)
    assert order == [0, 4, 2, 3, 1]


def test_waiting_children_and_grandchildren_do_not_count(stage: Stage, domain: Domain) -> None:
    """S-187: a child that waits for its own children leaves its place to another, and takes one again to finalize."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> int:
        ctx.spawn_child(leaf)
        return -1

    @child.finalize
    def finalizer(ctx: Context, memo: int, n: int) -> int:
        return n

    @domain.task(child_concurrency=1)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.call(n) for n in range(4)])

    @parent.finalize
    def total(ctx: Context, memo: None) -> int:
        return sum(one.memo or 0 for one in ctx.child_results(child))

    scheduler = stage.started(domain, max_concurrency=8)
    task = scheduler.submit(parent)
    gate.await_arrivals(4)
    while scheduler.count(parent=task.id, status=TaskStatus.WAITING) < 4:  # the last bodies may not have returned yet
        calm_down(scheduler)
    gate.open()
    assert task.wait(WAIT_S).memo == 6


def test_a_place_is_left_by_every_end(stage: Stage, domain: Domain) -> None:
    """S-187: a child that fails, is retried, cancelled, superseded or delayed leaves its place to the next."""
    gate = stage.gate()
    ran: list[str] = []

    @domain.task(key=by_name, retry=Retry.constant(1, 0.05))
    def child(ctx: Context, what: str) -> None:
        ran.append(what)
        if what == "fails":
            raise ValueError
        if what == "held":
            gate.hold()

    scheduler = stage.started(domain)
    flow = scheduler.flow("f", child_concurrency=1, fail_fast=False)
    held = flow.spawn(child, "held")
    gate.await_arrivals()
    flow.spawn(child, "fails")
    queued = flow.spawn(child, "queued")
    old = flow.spawn(child, "old")
    flow.spawn(child.options(run_after=0.05), "delayed")
    flow.spawn(child, "last")
    scheduler.cancel(queued.id)
    assert flow.spawn(child.options(on_duplicate=DuplicatePolicy.SUPERSEDE), "old").replaced == old.id
    scheduler.cancel(held.id)
    gate.open()
    flow.finish()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert sorted(ran) == ["delayed", "fails", "fails", "held", "last", "old"]


def test_bounds_go_on_after_a_restart(stage: Stage, domain: Domain) -> None:
    """S-187: children of bounded parents that had not started run under the next scheduler, as many at once as before."""
    busy, gate = Busy(), stage.gate()

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None:
        with busy:
            ctx.wait_cancelled(0.001)

    first = stage.scheduler(domain)
    flows = [first.flow("f", key=str(n), child_concurrency=2) for n in range(5)]
    for flow in flows:
        first.submit_batch([child.options(parent=flow.id).call(n) for n in range(10)])
        flow.finish()
    first.stop()
    gate.open()
    second = stage.started(domain, max_concurrency=4)
    for flow in flows:
        await_status(second, flow.id, TaskStatus.COMPLETED)
    assert busy.most <= 4


def test_a_rerun_has_its_own_bound(stage: Stage, domain: Domain) -> None:
    """S-054, S-187: the new round of a parent has the bound of the newest submission, also where the first had none."""
    gates = {1: stage.gate(), 2: stage.gate(), 3: stage.gate()}
    hold = stage.gate()

    @domain.task(key=lambda n, of: f"{of} {n}")
    def child(ctx: Context, n: int, of: int) -> None:
        gates[of].hold()

    @domain.task(key=lambda of: "one")
    def parent(ctx: Context, of: int) -> None:
        ctx.spawn_children([child.call(n, of) for n in range(6)])
        if of < 3:
            hold.hold()

    scheduler = stage.started(domain, max_concurrency=8)
    task = scheduler.submit(parent, 1)
    for of, bound in ((2, 2), (3, 4)):
        hold.await_arrivals(of - 1)
        outcome = scheduler.submit(parent.options(child_concurrency=bound), of)
        assert outcome.kind is SubmitKind.REQUEUED
        gates[of - 1].open()
        hold.let_pass()
        gates[of].await_arrivals(bound)
        running = [one for one in scheduler.tasks(task=child, status=TaskStatus.RUNNING) if one.payload["of"] == of]
        assert len(running) == bound
    gates[3].open()
    assert task.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert ends(scheduler, task.id) == [TaskStatus.COMPLETED] * 18


def test_bounded_children_of_low_priority_run_behind_a_long_queue(stage: Stage, domain: Domain) -> None:
    """S-187, S-076: children that a supervisor offers are not lost behind more tasks than the dispatcher has in memory."""

    @domain.task(key=by_number)
    def task(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    flow = scheduler.flow("f", child_concurrency=1)
    for n in range(3):
        flow.spawn(task.options(priority=250), -n - 1)
    scheduler.submit_batch([task.call(n) for n in range(6000)])
    flow.finish()
    scheduler.start()
    assert flow.wait(60).status is TaskStatus.COMPLETED
    until(lambda: scheduler.count(task=task, status=TaskStatus.COMPLETED) == 6003)


def test_bounded_and_unbounded_parents_share_the_slots(stage: Stage, domain: Domain) -> None:
    """S-187, S-078: a bound holds its own children only; the other slots are not left idle for it."""
    bounded, free = stage.gate(), stage.gate()

    @domain.task(key=by_number)
    def slow(ctx: Context, n: int) -> None:
        bounded.hold()

    @domain.task(key=by_number)
    def other(ctx: Context, n: int) -> None:
        free.hold()

    scheduler = stage.started(domain, max_concurrency=4)
    flow = scheduler.flow("f", child_concurrency=1)
    for n in range(10):
        flow.spawn(slow, n)
    bounded.await_arrivals(1)
    for n in range(3):
        scheduler.submit(other, n)
    free.await_arrivals(3)
    assert bounded.arrived == 1
    for gate in (bounded, free):
        gate.open()
    flow.finish()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED


def run_parents(scheduler: Scheduler, gate: Gate, parents: list[int]) -> None:
    """Let the children of waiting parents go, and wait for all of them."""
    for parent in parents:
        await_status(scheduler, parent, TaskStatus.WAITING)
    gate.open()
    for parent in parents:
        await_status(scheduler, parent, TaskStatus.COMPLETED)


@pytest.mark.parametrize("bound", [None, 1])
def test_two_thousand_waiting_parents_take_few_threads(
    stage: Stage, domain: Domain, bound: int | None, peak_threads: list[int]
) -> None:
    """Architecture, rule 2: waiting parents cost a row each and no thread; also when all of them are woken at a start."""

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task(key=by_number, child_concurrency=bound)
    def parent(ctx: Context, n: int) -> None:
        ctx.spawn_children([leaf.options(run_after=1000).call(m) for m in range(2)])

    first = stage.started(domain, path=":memory:") if bound is None else stage.started(domain)
    first.submit_batch([parent.call(n) for n in range(2000)])
    until(lambda: first.count(task=parent, status=TaskStatus.WAITING) == 2000)
    supervisors = first._runtime.roster.supervisors
    assert supervisors is not None
    until(lambda: supervisors.awake == 0)
    assert threading.active_count() < 50
    first.cancel(1)
    assert first.task(1).status is TaskStatus.CANCELLED
    assert peak_threads[0] < 300


def test_two_thousand_bounded_parents_at_a_start_take_few_threads(
    stage: Stage, domain: Domain, peak_threads: list[int]
) -> None:
    """Architecture, rule 2: the supervisors of 2,000 bounded parents, all with queued children, wake a few at a time."""

    @domain.task(key=by_number)
    def leaf(ctx: Context, n: int) -> int:
        return n

    first = stage.scheduler(domain)
    flows = [first.flow("f", key=str(n), child_concurrency=1) for n in range(2000)]
    first.submit_batch([leaf.options(parent=flow.id).call(m) for flow in flows for m in range(2)])
    for flow in flows:
        flow.finish()
    first.stop()
    second = stage.started(domain)
    until(lambda: second.count(task="flow::f", status=TaskStatus.COMPLETED) == 2000)
    assert second.count(task=leaf, status=TaskStatus.COMPLETED) == 4000
    assert peak_threads[0] < 300


def test_a_supervisor_sleeps_and_wakes(stage: Stage, domain: Domain) -> None:
    """Architecture, rule 2: a supervisor without mail gives up its thread, and the next spawn wakes it, its bound kept."""
    busy, gate = Busy(), stage.gate()

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None:
        with busy:
            gate.hold()

    scheduler = stage.started(domain)
    flow = scheduler.flow("f", child_concurrency=1)
    supervisors = scheduler._runtime.roster.supervisors
    assert supervisors is not None
    for n in range(3):
        flow.spawn(child, n)
        until(lambda: supervisors.awake == 0)
    gate.await_arrivals(1)
    assert gate.arrived == 1
    gate.open()
    flow.finish()
    assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert busy.most == 1
    until(lambda: supervisors.awake + supervisors.asleep == 0)


def test_spawns_from_many_threads_while_it_falls_asleep(stage: Stage, domain: Domain) -> None:
    """Architecture, rule 2: no message is lost between a supervisor's last look into its mailbox and the end of its thread."""

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(domain)
    flows = [scheduler.flow("f", child_concurrency=2) for _ in range(60)]

    def spawn(thread: int) -> int:
        for step in range(5):
            for flow in flows:
                flow.spawn(child, thread * 100 + step)
        return thread

    at_once([partial(spawn, thread) for thread in range(4)])
    for flow in flows:
        flow.finish()
    for flow in flows:
        assert flow.wait(WAIT_S).status is TaskStatus.COMPLETED
        assert flow.summary().total == 20


def test_a_spawn_beside_a_stop_is_answered(stage: Stage, domain: Domain) -> None:
    """S-376: a child that is spawned while the scheduler stops is stored, or refused with SchedulerStopped; no call hangs."""

    @domain.task(key=by_number)
    def child(ctx: Context, n: int) -> None: ...

    for _ in range(10):
        scheduler = stage.started(domain, path=":memory:")
        flow = scheduler.flow("f")
        refused: list[bool] = []

        def spawn() -> None:
            for n in range(10_000):
                try:
                    flow.spawn(child, n)  # noqa: B023 - run within its own round of the loop
                except SchedulerStopped:
                    refused.append(True)  # noqa: B023 - the same
                    return

        spawner = threading.Thread(target=spawn)
        spawner.start()
        scheduler.stop(0)
        spawner.join(WAIT_S)
        assert refused == [True]
