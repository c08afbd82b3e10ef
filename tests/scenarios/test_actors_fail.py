"""The runtime's own actors fail: calls are answered, work goes on, and too many failures end the scheduler (S-374)."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import dying
import pytest
from staging import SLOW_MACHINE_S, WAIT_S, Stage, heard_until, settle

from millrace import Context, Domain, InternalError, MillraceError, Restarts, Retry, SchedulerFailed, TaskStatus
from millrace.actors.dispatcher import Dispatcher
from millrace.actors.guardian import Guardian
from millrace.actors.persistence import Persistence
from millrace.actors.policy.intensity import Intensity
from millrace.actors.supervisor import Supervisor
from millrace.model.events import ActorRestarted

ACTORS = {"persistence": Persistence, "dispatcher": Dispatcher, "supervisor": Supervisor}
MANY = Restarts(limit=1_000_000, window=60.0)


class Crashes:
    """Makes an actor fail at its next batch, or at random ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.count = 0
        self._pending: dict[type, int] = {}
        self._share = 0.0
        self._random = random.Random(0)
        for actor in ACTORS.values():
            self._wrap(actor)

    def _wrap(self, actor: Any) -> None:
        real = actor.receive

        def receive(this: Any, messages: Any) -> None:
            after = self._random.random() < 0.5
            if self._takes(actor):
                if after:
                    real(this, messages)
                raise SystemExit("injected")
            real(this, messages)

        self._monkeypatch.setattr(actor, "receive", receive)

    def _takes(self, actor: type) -> bool:
        if self._pending.get(actor, 0) > 0:
            self._pending[actor] -= 1
            self.count += 1
            return True
        if self._random.random() < self._share:
            self.count += 1
            return True
        return False

    def next_batch(self, name: str, count: int = 1) -> None:
        """So many of the batches to come end the actor."""
        self._pending[ACTORS[name]] = count

    def at_random(self, share: float) -> None:
        """That share of all batches ends its actor, before it is handled or after."""
        self._share = share


@pytest.fixture
def crashes(monkeypatch: pytest.MonkeyPatch) -> Crashes:
    monkeypatch.setattr(Intensity, "backoff_s", lambda _: 0.0)
    return Crashes(monkeypatch)


@pytest.fixture
def tree(domain: Domain) -> Any:
    """A parent with children that run two at a time."""

    @domain.task()
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task(child_concurrency=2)
    def parent(ctx: Context, n: int) -> int:
        ctx.spawn_children([leaf.call(k) for k in range(n)])
        return n

    @parent.finalize
    def end(ctx: Context, memo: int, n: int) -> int:
        return sum(found.memo for found in ctx.child_results(leaf))

    return parent


@pytest.mark.parametrize("name", ["persistence", "dispatcher"])
def test_a_failed_actor_is_replaced(stage: Stage, domain: Domain, tree: Any, crashes: Crashes, name: str) -> None:
    """Subscribers hear of it, and what is submitted afterwards runs."""
    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[ActorRestarted]) as events:
        crashes.next_batch(name)
        with contextlib.suppress(InternalError):
            scheduler.submit(tree, 3)
        told = heard_until(events, lambda event: isinstance(event, ActorRestarted))
        assert getattr(told[-1], "actor", None) == name
        assert "injected" in getattr(told[-1], "error", "")
    assert scheduler.submit(tree, 4).result(WAIT_S) == 6


def test_a_failed_supervisor_is_replaced(stage: Stage, domain: Domain, tree: Any, crashes: Crashes) -> None:
    """Its bounded children go on, though it forgot which of them had ended."""
    scheduler = stage.started(domain)
    with scheduler.subscribe(kinds=[ActorRestarted]) as events:
        crashes.next_batch("supervisor", 2)
        task = scheduler.submit(tree.options(retry=Retry.constant(9)), 30)
        assert task.result(WAIT_S) == sum(range(30))
        heard_until(events, lambda event: isinstance(event, ActorRestarted))


def test_a_running_body_is_not_disturbed(stage: Stage, domain: Domain, tree: Any, crashes: Crashes) -> None:
    """Its outcome is recorded by the successor, its time-out and a cancel still reach it."""
    gate = stage.gate()

    @domain.task()
    def held(ctx: Context) -> str:
        gate.hold()
        return "done"

    @domain.task(timeout=1.0, retry=Retry.none())
    def slow(ctx: Context) -> None:
        ctx.wait_cancelled(WAIT_S)

    @domain.task()
    def patient(ctx: Context) -> None:
        begun.set()
        ctx.wait_cancelled(WAIT_S)

    begun = threading.Event()
    scheduler = stage.started(domain, restarts=MANY)
    tasks = [scheduler.submit(task) for task in (held, slow, patient)]
    gate.await_arrivals()
    assert begun.wait(WAIT_S)
    for name in ("dispatcher", "persistence", "dispatcher"):
        before = crashes.count
        crashes.next_batch(name)
        while crashes.count == before:
            with contextlib.suppress(InternalError):
                scheduler.submit(tree, 0)
    crashes.next_batch("dispatcher")
    scheduler.cancel(tasks[2].id)
    gate.open()
    assert tasks[0].result(WAIT_S) == "done"
    assert "timed out" in (tasks[1].wait(WAIT_S).error or "")
    assert tasks[2].wait(WAIT_S).status is TaskStatus.CANCELLED


@pytest.mark.parametrize("name", ["persistence", "dispatcher", "supervisor"])
def test_more_failures_than_allowed_stop_the_scheduler(
    stage: Stage, domain: Domain, tree: Any, crashes: Crashes, name: str
) -> None:
    """Bodies are asked to stop ("shutdown"), calls and waits raise the cause, and the store is free for another."""
    begun = threading.Event()
    reasons: list[str] = []

    @domain.task()
    def patient(ctx: Context) -> None:
        begun.set()
        ctx.wait_cancelled(WAIT_S)
        try:
            ctx.check_cancelled()
        except BaseException as error:
            reasons.append(getattr(error, "reason", ""))
            raise

    scheduler = stage.started(domain, restarts=Restarts(limit=3, window=60.0))
    waited = scheduler.submit(patient)
    assert begun.wait(WAIT_S)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            waited.wait(WAIT_S)
        except BaseException as error:
            raised.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    crashes.next_batch(name, 4)
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        try:
            scheduler.submit(tree, 3)
        except SchedulerFailed as error:
            cause = error.__cause__
            break
        except InternalError:
            continue
    else:
        pytest.fail("the scheduler goes on")
    assert isinstance(cause, SystemExit)
    waiter.join(WAIT_S)
    assert [type(error) for error in raised] == [SchedulerFailed]
    for call in (scheduler.count, lambda: scheduler.cancel(1), scheduler.start):
        with pytest.raises(SchedulerFailed):
            call()
    assert scheduler.stop() is False
    assert reasons == ["shutdown"]
    other = stage.scheduler(dying.domain).start()
    assert other.task(waited.id).retries == 0


def test_the_guardian_itself_fails(stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing watches the runtime any more: the scheduler stops."""
    scheduler = stage.started(domain)

    def fail(this: Any, messages: Any) -> None:
        raise SystemExit("injected")

    monkeypatch.setattr(Guardian, "receive", fail)
    scheduler._runtime.addresses.guardian.tell(None)
    scheduler._runtime.wait_stopped(WAIT_S)
    with pytest.raises(SchedulerFailed):
        scheduler.count()
    assert scheduler.stop() is False


def storm(stage: Stage, domain: Domain, tree: Any, crashes: Crashes, wanted: int) -> None:
    """Several callers, while actors fail at random; each call is answered, and all that was acknowledged ends well."""
    scheduler = stage.started(domain, restarts=MANY, max_crashes=1_000_000)
    acknowledged: list[Any] = []
    hung: list[str] = []
    is_over = threading.Event()

    def play(call: Callable[[], Any]) -> None:
        while not is_over.is_set():
            began = time.monotonic()
            try:
                result = call()
            except (InternalError, TimeoutError):
                result = None
            if time.monotonic() - began > WAIT_S:
                hung.append(repr(call))
            if result is not None:
                acknowledged.append(result)

    calls: list[Callable[[], Any]] = [
        lambda: scheduler.submit(tree.options(retry=Retry.constant(1_000)), 3),
        lambda: scheduler.submit(tree.options(retry=Retry.constant(1_000)), 0),
        lambda: scheduler.cancel(10_000_000) and None,
    ]
    players = [threading.Thread(target=play, args=(call,), daemon=True) for call in calls]
    crashes.at_random(0.05)
    for player in players:
        player.start()
    until = time.monotonic() + 200.0
    while crashes.count < wanted and time.monotonic() < until:
        time.sleep(0.01)
    is_over.set()
    for player in players:
        player.join(WAIT_S)
    crashes.at_random(0.0)
    assert not any(player.is_alive() for player in players)
    assert hung == []
    assert crashes.count >= wanted
    assert {record.status for record in settle(acknowledged)} == {TaskStatus.COMPLETED}
    scheduler.stop()


def test_failures_at_random_leave_no_caller_hanging(stage: Stage, domain: Domain, tree: Any, crashes: Crashes) -> None:
    """Reliability B4: every call is answered, every acknowledged task ends. The long environment has the storm at its size."""
    storm(stage, domain, tree, crashes, 100)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_failures_leave_no_caller_hanging(
    stage: Stage, domain: Domain, tree: Any, crashes: Crashes
) -> None:
    """Reliability B4, at its full size."""
    for _ in range(20):
        storm(stage, domain, tree, crashes, crashes.count + 500)


def test_no_thread_to_be_had_delays_a_run(
    stage: Stage, domain: Domain, tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reliability B4: where the system gives no thread for it, a run starts within a second of there being one again."""
    real = threading.Thread.start
    refused = threading.Event()

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("millrace-run"):
            refused.set()
            raise RuntimeError("can't start new thread")
        real(thread)

    scheduler = stage.started(domain)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        task = scheduler.submit(tree, 0)
        assert refused.wait(WAIT_S)
    began = time.monotonic()
    assert task.result(WAIT_S) == 0
    assert time.monotonic() - began < 1.0 + SLOW_MACHINE_S


def test_every_error_of_a_caller_is_one_of_millrace(stage: Stage, domain: Domain, tree: Any, crashes: Crashes) -> None:
    """S-443: the actor's own error is chained."""
    scheduler = stage.started(domain, restarts=MANY)
    for _ in range(100):
        crashes.next_batch("persistence")
        try:
            scheduler.submit(tree, 1)
        except MillraceError as error:
            cause = error.__cause__
            break
    else:
        pytest.fail("no submit met the failing actor")
    assert isinstance(cause, SystemExit)
