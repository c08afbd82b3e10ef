"""Stopping: in peace, in a hurry, from everywhere, and again and again (behaviour.md, section 28)."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dying
import pytest
from staging import SLOW_MACHINE_S, WAIT_S, Stage, heard_until

from millrace import Context, Domain, Retry, Scheduler, SchedulerStopped, StoreLocked, TaskInterrupted, TaskStatus
from millrace.actors.settings import Phases
from millrace.model.events import Interrupted


class Call(threading.Thread):
    """A call in a thread of its own, and what it gave."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._result: object = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> object:
        self.join(WAIT_S)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error
        return self._result


def open_files() -> int:
    """Descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def await_stopping(scheduler: Scheduler) -> None:
    """Wait until a stop in another thread has begun."""
    until = time.monotonic() + WAIT_S
    while scheduler._runtime.state.name == "RUNNING" and time.monotonic() < until:
        time.sleep(0.002)


def test_a_stop_leaves_bodies_alone_within_the_grace(stage: Stage, domain: Domain) -> None:
    """S-375: True where all ended by themselves; nobody was asked to stop, and nothing more started."""
    gate = stage.gate()
    asked: list[bool] = []

    @domain.task()
    def body(ctx: Context, n: int) -> int:
        gate.hold()
        asked.append(ctx.cancelled)
        return n

    scheduler = stage.started(domain, max_concurrency=2)
    tasks = scheduler.submit_batch(body.call(n) for n in range(6))
    gate.await_arrivals(2)
    stopping = Call(lambda: scheduler.stop(WAIT_S))
    await_stopping(scheduler)
    gate.open()
    assert stopping.result() is True
    assert (asked, gate.arrived) == ([False, False], 2)
    with Scheduler(stage.path, domains=[domain]) as again:
        assert [again.task(task.id).status for task in tasks[:2]] == [TaskStatus.COMPLETED] * 2
        assert [dying.settled(again, task.id).memo for task in tasks] == list(range(6))


@pytest.mark.parametrize("end", ["interruption", "return", "error"])
def test_after_the_grace_bodies_are_asked_to_stop(stage: Stage, domain: Domain, end: str) -> None:
    """S-375, S-377, S-088: False; what stops is pending again as it was, what returns has succeeded, what raises failed."""
    begun = threading.Event()
    reasons: list[str] = []

    @domain.task()
    def body(ctx: Context) -> str:
        begun.set()
        assert ctx.wait_cancelled(WAIT_S)
        try:
            ctx.check_cancelled()
        except TaskInterrupted as error:
            reasons.append(error.reason)
        if end == "interruption":
            ctx.check_cancelled()
        if end == "error":
            raise ValueError("it broke")
        return "memo"

    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        task = scheduler.submit(body)
        assert begun.wait(WAIT_S)
        began = time.monotonic()
        assert scheduler.stop(0.2) is False
        assert time.monotonic() - began >= 0.2
        if end == "interruption":
            told = heard_until(events, lambda event: isinstance(event, Interrupted))
            assert getattr(told[-1], "reason", None) == "shutdown"
    assert reasons == ["shutdown"]
    record = stage.scheduler(domain).task(task.id)
    if end == "interruption":
        assert (record.status, record.attempt, record.retries, record.error) == (TaskStatus.PENDING, 1, 0, None)
    elif end == "return":
        assert (record.status, record.memo) == (TaskStatus.COMPLETED, "memo")
    else:
        assert (record.status, record.retries, record.error) == (TaskStatus.PENDING, 1, "ValueError: it broke")


def test_a_stop_without_grace_asks_at_once(stage: Stage, domain: Domain) -> None:
    """S-380: `stop(0)`."""
    begun = threading.Event()

    @domain.task()
    def body(ctx: Context) -> None:
        begun.set()
        ctx.wait_cancelled(WAIT_S)
        ctx.check_cancelled()

    scheduler = stage.started(domain)
    scheduler.submit(body)
    assert begun.wait(WAIT_S)
    began = time.monotonic()
    assert scheduler.stop(0) is False
    assert time.monotonic() - began < 1.0 + SLOW_MACHINE_S


def test_a_second_stop_waits_and_returns_the_same(stage: Stage, domain: Domain) -> None:
    """S-380: from any number of threads, and after the end once more."""
    begun, gate = threading.Event(), stage.gate()

    @domain.task()
    def body(ctx: Context) -> None:
        begun.set()
        ctx.wait_cancelled(WAIT_S)
        gate.hold()

    scheduler = stage.started(domain)
    scheduler.submit(body)
    assert begun.wait(WAIT_S)
    stops = [Call(lambda: scheduler.stop(0.3)) for _ in range(4)]
    await_stopping(scheduler)
    gate.await_arrivals()
    gate.open()
    assert [stop.result() for stop in stops] == [False] * 4
    assert scheduler.stop() is False


def test_an_interrupted_stop_goes_on(stage: Stage, domain: Domain) -> None:
    """A KeyboardInterrupt ends the wait of who stops, and not the stop: the next one waits for it, and all is closed."""
    begun, gate = threading.Event(), threading.Event()

    @domain.task()
    def body(ctx: Context) -> str:
        begun.set()
        return "done" if gate.wait(WAIT_S) else "late"

    scheduler = stage.started(domain)
    outcome = scheduler.submit(body)
    assert begun.wait(WAIT_S)
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def interrupt() -> None:
        while scheduler._runtime.state is Phases.RUNNING:
            os.sched_yield()
        signal.pthread_kill(main_thread, signal.SIGINT)

    call = Call(interrupt)
    with pytest.raises(KeyboardInterrupt):
        scheduler.stop()
    call.result()
    gate.set()
    assert scheduler.stop() is True
    assert stage.started(domain).task(outcome.id).memo == "done"


def test_a_body_cannot_stop_its_own_scheduler(stage: Stage, domain: Domain) -> None:
    """S-380: it would wait for itself; another thread can."""

    @domain.task(retry=Retry.none())
    def body(ctx: Context) -> None:
        ctx.scheduler.stop()

    record = stage.started(domain).submit(body).wait(WAIT_S)
    assert (record.error or "").startswith("RuntimeError: stop() from a body")


def test_bodies_write_until_they_end(stage: Stage, domain: Domain) -> None:
    """S-376: while a stop waits they spawn and submit, and so do other threads; afterwards every call is refused."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def body(ctx: Context) -> list[int]:
        gate.hold()
        spawned = ctx.spawn_child(leaf, 1).id
        return [spawned, ctx.submit(leaf, 2).id, ctx.spawn_children([leaf.call(3)])[0].id]

    scheduler = stage.started(domain)
    task = scheduler.submit(body)
    gate.await_arrivals()
    stopping = Call(lambda: scheduler.stop(WAIT_S))
    await_stopping(scheduler)
    beside = scheduler.submit(leaf, 4)
    gate.open()
    assert stopping.result() is True
    for call in (lambda: scheduler.submit(leaf, 5), lambda: scheduler.task(task.id), lambda: scheduler.cancel(task.id)):
        with pytest.raises(SchedulerStopped):
            call()
    again = stage.started(domain)
    assert dying.settled(again, task.id).status is TaskStatus.COMPLETED
    assert dying.settled(again, beside.id).memo == 4
    assert again.count() == 5


def test_who_waits_when_it_stops_is_told(stage: Stage, domain: Domain) -> None:
    """S-376, S-440: waits and futures of tasks that did not end raise `SchedulerStopped`."""
    task = stage.scheduler(domain)

    @domain.task()
    def later(ctx: Context) -> None:
        return None

    scheduler = task.start()
    outcome = scheduler.submit(later.options(run_after=3600))
    waiting = Call(lambda: outcome.wait(WAIT_S))
    future = outcome.handle.future() if outcome.handle is not None else None
    assert future is not None
    with pytest.raises(TimeoutError):
        outcome.wait(0.05)
    scheduler.stop()
    with pytest.raises(SchedulerStopped):
        waiting.result()
    with pytest.raises(SchedulerStopped):
        future.result(WAIT_S)


def test_a_finalizer_that_would_continue_is_left_for_the_next_start(stage: Stage, domain: Domain) -> None:
    """S-375, S-377: a body that ends during the stop has its memo kept, and only its finalizer runs later."""
    gate = stage.gate()
    bodies: list[int] = []

    @domain.task()
    def parent(ctx: Context) -> str:
        bodies.append(1)
        gate.hold()
        return "body"

    @parent.finalize
    def end(ctx: Context, memo: str) -> str:
        return f"{memo}, finalized"

    scheduler = stage.started(domain)
    task = scheduler.submit(parent)
    gate.await_arrivals()
    stopping = Call(lambda: scheduler.stop(WAIT_S))
    await_stopping(scheduler)
    gate.open()
    assert stopping.result() is True
    record = stage.scheduler(domain).task(task.id)
    assert (record.status, record.memo) == (TaskStatus.PENDING, "body")
    assert dying.settled(stage.started(domain), task.id).memo == "body, finalized"
    assert bodies == [1]


@pytest.mark.leaves_threads("a body that does not stop")
def test_a_thread_that_does_not_stop_is_given_up(stage: Stage, domain: Domain) -> None:
    """S-378, S-379: its task is pending, it keeps the store for this process, and nobody runs the task beside it."""
    gate = stage.gate()
    refused: list[BaseException] = []
    over = threading.Event()

    @domain.task()
    def deaf(ctx: Context) -> int:
        gate.hold()
        if gate.arrived == 1:
            try:
                ctx.submit(quick)
            except BaseException as error:
                refused.append(error)
            over.set()
        return gate.arrived

    @domain.task()
    def quick(ctx: Context) -> int:
        return 1

    scheduler = stage.started(domain, cancel_timeout=0.1)
    stuck = scheduler.submit(deaf)
    gate.await_arrivals()
    assert scheduler.stop(0) is False
    with pytest.raises(StoreLocked):
        stage.scheduler(domain).start()
    scheduler.start()
    assert scheduler.submit(quick).result(WAIT_S) == 1
    assert scheduler.task(stuck.id).status is TaskStatus.PENDING
    assert gate.arrived == 1
    gate.let_pass()
    assert over.wait(WAIT_S)
    gate.await_arrivals(2)
    gate.let_pass()
    assert stuck.result(WAIT_S) == 2
    assert [isinstance(error, TaskInterrupted) for error in refused] == [True]
    scheduler.stop()
    stage.started(domain)


def test_the_store_is_free_once_a_given_up_thread_has_ended(stage: Stage, domain: Domain) -> None:
    """S-379: without another start, its end frees the store."""
    gate = stage.gate()

    @domain.task()
    def deaf(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, cancel_timeout=0.05)
    scheduler.submit(deaf)
    gate.await_arrivals()
    scheduler.stop(0)
    gate.open()
    other = stage.scheduler(domain)
    until = time.monotonic() + WAIT_S
    while True:
        try:
            other.start()
            break
        except StoreLocked:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_hook_that_a_stop_gives_up_runs_again(stage: Stage, domain: Domain) -> None:
    """S-375, S-151: hooks have the grace too; one that was not over is due again, and not beside its old thread."""
    running, hooking = stage.gate(), stage.gate()
    called: list[int] = []

    @domain.task()
    def body(ctx: Context) -> None:
        running.hold()

    @body.on_cancel
    def clear(ctx: Context) -> None:
        called.append(ctx.id)
        hooking.hold()

    # The hook's own time is longer than the 5 s of a stop.
    scheduler = stage.started(domain, cancel_timeout=30.0)
    task = scheduler.submit(body)
    running.await_arrivals()
    scheduler.cancel(task.id)
    running.open()
    hooking.await_arrivals()
    assert scheduler.stop(0) is False
    hooking.open()
    assert dying.settled(scheduler.start(), task.id).status is TaskStatus.CANCELLED
    assert len(called) == 2


# Starting and stopping again


def test_start_is_idempotent_and_possible_after_a_stop(any_stage: Stage) -> None:
    """S-381: `start()` returns the scheduler, started or not."""
    scheduler = any_stage.scheduler(dying.domain)
    for _ in range(3):
        assert scheduler.start() is scheduler
        assert scheduler.start() is scheduler
        assert scheduler.submit(dying.quick, 2).result(WAIT_S) == 2
        assert scheduler.stop() is True
        assert scheduler.stop() is True


def test_with_stops_also_on_an_exception(stage: Stage) -> None:
    """S-381: and the exception comes through."""
    scheduler = stage.scheduler(dying.domain)
    with pytest.raises(KeyError), scheduler:
        raise KeyError
    with pytest.raises(SchedulerStopped):
        scheduler.count()


def test_a_stop_before_any_start_is_nothing(stage: Stage) -> None:
    """S-380: True; a scheduler that was only submitted to is closed by it."""
    assert stage.scheduler(dying.domain).stop() is True
    scheduler = stage.scheduler(dying.domain)
    scheduler.submit(dying.quick, 1)
    assert scheduler.stop() is True
    with pytest.raises(SchedulerStopped):
        scheduler.submit(dying.quick, 2)
    assert dying.settled(scheduler.start(), 1).memo == 1


def test_storms_of_starts_and_stops_leave_nothing(stage: Stage, domain: Domain) -> None:
    """Reliability B3: ten threads start and stop one scheduler fifty times each; no thread or descriptor is left, no call hangs."""

    @domain.task()
    def quick(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.scheduler(domain)
    with scheduler:
        scheduler.submit(quick, 1).result(WAIT_S)
    threads_before, files_before = threading.active_count(), open_files()
    calls = [0]

    def storm(seed: int) -> None:
        for turn in range(50):
            if (turn + seed) % 2:
                scheduler.start()
            else:
                scheduler.stop(1.0)
            with contextlib.suppress(SchedulerStopped):
                scheduler.submit(quick, turn)
            calls[0] += 1

    storms = [Call(lambda seed=seed: storm(seed)) for seed in range(10)]  # type: ignore[misc]  # a default binds the seed
    for one in storms:
        one.result()
    scheduler.stop()
    assert calls[0] == 500
    until = time.monotonic() + 5.0
    while threading.active_count() > threads_before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= threads_before
    assert open_files() <= files_before
    with scheduler:
        assert scheduler.submit(quick, 99).result(WAIT_S) == 99


# Programs

PROGRAM = """
import signal, sys, threading, time
sys.path.insert(0, {folder!r})
from dying import *
from millrace import *
scheduler = Scheduler({path!r}, domains=[domain])
import dying
dying.is_deadly, dying.patience_s = True, 30
before = signal.getsignal(signal.SIGTERM)

def await_run():
    begun.wait()  # a body, and run() handles signals
    while signal.getsignal(signal.SIGTERM) is before:
        time.sleep(0.001)

def say_how_it_goes():
    await_run()
    print("up", flush=True)
    while scheduler._runtime.state.name == "RUNNING":
        time.sleep(0.001)
    print("stopping", flush=True)
"""


def program(stage: Stage, script: str) -> "subprocess.Popen[str]":
    """A program on the store of the stage, under way."""
    text = PROGRAM.format(folder=str(Path(__file__).parent), path=stage.path) + script
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_on_a_signal(stage: Stage, number: signal.Signals) -> None:
    """S-382: it drains, puts back what it interrupted, and returns; the old handlers are back."""
    running = program(
        stage,
        "scheduler.submit(waits, 7)\nsays = threading.Thread(target=say_how_it_goes)\nsays.start()\n"
        "scheduler.run(grace=0.1)\nsays.join()\n"
        "print(signal.getsignal(signal.SIGTERM) is before, scheduler.stop())",
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.send_signal(number)
    out, errors = running.communicate(timeout=WAIT_S)
    assert (running.returncode, out) == (0, "stopping\nTrue False\n"), errors
    assert stage.scheduler(dying.domain).task(1).status in (TaskStatus.PENDING, TaskStatus.COMPLETED)


def test_a_second_signal_stops_at_once(stage: Stage) -> None:
    """S-382: whatever grace is left."""
    running = program(
        stage,
        "scheduler.submit(waits, 7)\nthreading.Thread(target=say_how_it_goes).start()\nscheduler.run(grace=60)",
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.send_signal(signal.SIGTERM)
    assert running.stdout.readline() == "stopping\n"
    began = time.monotonic()
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=WAIT_S)
    assert running.returncode == 0, errors
    assert time.monotonic() - began < 2.0 + SLOW_MACHINE_S


def test_a_signal_that_another_thread_is_given_is_not_lost(stage: Stage) -> None:
    """The system may give it to any thread, as it does with a second one while the first is on its way to the main thread."""
    running = program(
        stage,
        "def both():\n    await_run()\n    for number in (signal.SIGTERM, signal.SIGINT):\n"
        "        signal.pthread_kill(threading.get_ident(), number)\n"
        "scheduler.submit(waits, 7)\nthreading.Thread(target=both).start()\nscheduler.run(grace=60)",
    )
    _, errors = running.communicate(timeout=WAIT_S)
    assert running.returncode == 0, errors


def test_run_ends_with_a_stop_from_another_thread(stage: Stage) -> None:
    """S-382: in any thread, where it sets no handler."""
    scheduler = stage.scheduler(dying.domain)
    running = Call(scheduler.run)
    until = time.monotonic() + WAIT_S
    while scheduler._runtime.state.name != "RUNNING" and time.monotonic() < until:
        time.sleep(0.005)
    scheduler.stop()
    running.result()


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise ValueError('it broke')"])
def test_a_program_that_ends_without_a_stop_ends_soon(stage: Stage, end: str) -> None:
    """S-383: within a second, as after `stop(0)`: also with a body that does not look, and its task is pending."""
    running = program(
        stage,
        "task = scheduler.submit(waits, 7)\nscheduler.start()\n"
        "while scheduler.task(task.id).status != 'running': time.sleep(0.01)\n"
        f"print('end', flush=True)\n{end}",
    )
    assert running.stdout is not None
    running.stdout.readline()
    began = time.monotonic()
    running.communicate(timeout=WAIT_S)
    assert time.monotonic() - began < 1.5 + SLOW_MACHINE_S
    assert running.returncode == {"": 0, "raise SystemExit(3)": 3}.get(end, 1)
    assert stage.scheduler(dying.domain).task(1).status in (TaskStatus.PENDING, TaskStatus.COMPLETED)
