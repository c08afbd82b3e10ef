"""Runs that are out of time, and threads that do not stop (behaviour.md, sections 32 and 9)."""

import math
import threading
import time
from typing import Any

import pytest
from hand_clock import HandClock
from staging import WAIT_S, Stage, heard_until, kinds

from millrace import Context, Domain, Retry, SubmitKind, TaskInterrupted, TaskStatus
from millrace.model.events import DeadLettered

SHORT_S = 0.1


def test_a_body_is_asked_to_stop_when_its_time_is_up(stage: Stage, domain: Domain) -> None:
    """The run has failed with the time it had; nothing is retried without a policy that says so."""
    asked: list[Any] = []
    began = time.monotonic()

    @domain.task(timeout=SHORT_S, retry=Retry.none())
    def slow(ctx: Context) -> None:
        ctx.wait_cancelled(WAIT_S)
        asked.append(time.monotonic() - began)
        try:
            ctx.check_cancelled()
        except TaskInterrupted as interruption:
            asked.append(interruption.reason)
            raise

    record = stage.started(domain).submit(slow).wait(WAIT_S)
    assert asked[0] >= SHORT_S
    assert asked[1] == "timeout"
    assert record.status is TaskStatus.DEAD_LETTER
    assert record.error == "TimeoutError: timed out after 0.1 s"


@pytest.mark.parametrize("end", ["return", "interruption", "error", "swallowed"])
def test_a_run_out_of_time_has_failed_whatever_its_body_does(stage: Stage, domain: Domain, end: str) -> None:
    """Returning a memo, raising the interruption or an error of its own: it is a time-out; the error is added to it."""

    @domain.task(timeout=SHORT_S, retry=Retry.none())
    def slow(ctx: Context) -> str | None:
        ctx.wait_cancelled(WAIT_S)
        if end == "interruption":
            ctx.check_cancelled()
        if end == "swallowed":
            try:
                ctx.check_cancelled()
            except TaskInterrupted:
                return "never mind"
        if end == "error":
            raise ValueError("it broke")
        return "a memo"

    record = stage.started(domain).submit(slow).wait(WAIT_S)
    assert record.status is TaskStatus.DEAD_LETTER
    assert record.memo is None
    expected = "TimeoutError: timed out after 0.1 s"
    assert record.error == (f"{expected}; then ValueError: it broke" if end == "error" else expected)


@pytest.mark.parametrize(
    ("retry", "status", "runs"),
    [
        (Retry.constant(1), TaskStatus.DEAD_LETTER, 2),
        (Retry(1, 0.0, retry_on=(TimeoutError,)), TaskStatus.DEAD_LETTER, 2),
        (Retry(1, 0.0, retry_on=(ValueError,)), TaskStatus.FAILED, 1),
        (Retry(1, 0.0, give_up_on=(TimeoutError,)), TaskStatus.FAILED, 1),
    ],
    ids=["any error", "retried", "not among the retried", "given up on"],
)
def test_a_time_out_is_a_timeout_error_to_the_policy(
    stage: Stage, domain: Domain, retry: Retry, status: TaskStatus, runs: int
) -> None:
    """`retry_on` and `give_up_on` decide by `TimeoutError`."""
    begun: list[int] = []

    @domain.task(timeout=0.05, retry=retry)
    def slow(ctx: Context) -> None:
        begun.append(ctx.attempt)
        ctx.wait_cancelled(WAIT_S)

    assert stage.started(domain).submit(slow).wait(WAIT_S).status is status
    assert begun == list(range(1, runs + 1))


def test_each_run_has_the_whole_time(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """A retry and a finalizer begin with the clock at zero: together they may take longer than one time-out."""
    gate = stage.gate()

    @domain.task(timeout=100.0, retry=Retry.constant(1))
    def twice(ctx: Context) -> int:
        gate.hold()
        ctx.check_cancelled()
        if ctx.attempt == 1:
            raise ValueError("again")
        return ctx.attempt

    @twice.finalize
    def then(ctx: Context, memo: int) -> int:
        gate.hold()
        ctx.check_cancelled()
        return memo

    scheduler = stage.started(domain)
    task = scheduler.submit(twice)
    for run in range(3):
        gate.await_arrivals(run + 1)
        clock.let_pass(75.0, scheduler)
        gate.let_pass()
    assert task.result(WAIT_S) == 2


def test_a_finalizer_is_bounded_too(stage: Stage, domain: Domain) -> None:
    """A finalizer that is out of time fails as the finalizer: the body is not repeated."""
    bodies: list[int] = []

    @domain.task(timeout=SHORT_S, retry=Retry.none())
    def parent(ctx: Context) -> None:
        bodies.append(ctx.id)

    @parent.finalize
    def end(ctx: Context, memo: None) -> None:
        ctx.wait_cancelled(WAIT_S)

    record = stage.started(domain).submit(parent).wait(WAIT_S)
    assert (record.status, len(bodies)) == (TaskStatus.DEAD_LETTER, 1)
    assert "timed out after 0.1 s" in (record.error or "")


def test_infinity_is_no_time_out_whatever_the_domain_says(stage: Stage) -> None:
    """The task's `timeout=inf` stands above the domain's, and a submission's above the task's."""
    domain = Domain("play", timeout=0.05, retry=Retry.none())

    @domain.task(timeout=math.inf)
    def free(ctx: Context) -> bool:
        return ctx.wait_cancelled(0.2)

    @domain.task()
    def bound(ctx: Context) -> bool:
        return ctx.wait_cancelled(0.2)

    scheduler = stage.started(domain)
    assert scheduler.submit(free).result(WAIT_S) is False
    assert scheduler.submit(bound.options(timeout=math.inf)).result(WAIT_S) is False
    assert scheduler.submit(bound).wait(WAIT_S).error == "TimeoutError: timed out after 0.05 s"


def test_a_run_that_ends_in_time_is_not_touched_by_its_timer(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """The timer of a first run, which rings during the second run of the task, does not stop that."""
    gate = stage.gate()

    @domain.task(timeout=100.0, retry=Retry.constant(1))
    def again(ctx: Context) -> bool:
        gate.hold()
        if ctx.attempt == 1:
            raise ValueError("in time")
        return ctx.cancelled

    scheduler = stage.started(domain)
    task = scheduler.submit(again)
    for run in range(2):
        gate.await_arrivals(run + 1)
        clock.let_pass(75.0, scheduler)
        gate.let_pass()
    assert task.result(WAIT_S) is False


# Threads that do not stop


def test_a_thread_that_ignores_its_time_out_is_given_up(stage: Stage, domain: Domain) -> None:
    """The outcome is recorded, the slot is free, and what the thread still returns is dropped."""
    gate = stage.gate()

    @domain.task(timeout=SHORT_S, retry=Retry.none())
    def deaf(ctx: Context) -> str:
        gate.hold()
        return "too late"

    @domain.task()
    def quick(ctx: Context) -> int:
        return 1

    scheduler = stage.started(domain, max_concurrency=1, cancel_timeout=0.1)
    stuck = scheduler.submit(deaf)
    record = stuck.wait(WAIT_S)
    assert record.status is TaskStatus.DEAD_LETTER
    assert record.error == "TimeoutError: timed out after 0.1 s; its thread did not stop"
    assert scheduler.submit(quick).result(WAIT_S) == 1
    gate.open()
    assert scheduler.submit(quick).result(WAIT_S) == 1
    assert scheduler.task(stuck.id) == record


def test_a_thread_that_ignores_a_cancel_is_given_up(stage: Stage, domain: Domain) -> None:
    """The hook runs, the task settles, and its error says that the thread did not stop."""
    gate = stage.gate()
    hooked: list[int] = []

    @domain.task()
    def deaf(ctx: Context) -> None:
        gate.hold()

    @deaf.on_cancel
    def clear(ctx: Context) -> None:
        hooked.append(ctx.id)

    scheduler = stage.started(domain, max_concurrency=1, cancel_timeout=0.1)
    stuck = scheduler.submit(deaf)
    gate.await_arrivals()
    assert not scheduler.cancel(stuck.id).settled
    record = stuck.wait(WAIT_S)
    assert (record.status, hooked) == (TaskStatus.CANCELLED, [stuck.id])
    assert "did not stop" in (record.error or "")


def test_what_a_given_up_run_still_calls_is_refused(stage: Stage, domain: Domain) -> None:
    """Submits and spawns of a thread that was given up raise the interruption, and write nothing."""
    gate = stage.gate()
    raised: list[str] = []
    over = threading.Event()

    @domain.task(timeout=0.05, retry=Retry.none())
    def deaf(ctx: Context) -> None:
        gate.hold()
        for call in (ctx.submit, ctx.spawn_child):
            try:
                call(quick)
            except TaskInterrupted as error:
                raised.append(error.reason)
        over.set()

    @domain.task()
    def quick(ctx: Context) -> None:
        return None

    scheduler = stage.started(domain, cancel_timeout=0.05)
    scheduler.submit(deaf).wait(WAIT_S)
    gate.open()
    assert over.wait(WAIT_S)
    assert raised == ["timeout", "timeout"]
    assert scheduler.count(task=quick) == 0


def test_no_more_threads_are_given_up_than_there_are_slots(stage: Stage, domain: Domain) -> None:
    """The next one keeps its slot until another's thread has ended."""
    first, second = stage.gate(), stage.gate()

    @domain.task(timeout=0.05, retry=Retry.none())
    def deaf(ctx: Context, n: int) -> int:
        (first if n == 0 else second).hold()
        return n

    scheduler = stage.started(domain, max_concurrency=1, cancel_timeout=0.05)
    given_up = scheduler.submit(deaf, 0)
    given_up.wait(WAIT_S)
    kept = scheduler.submit(deaf, 1)
    second.await_arrivals()
    with pytest.raises(TimeoutError):
        kept.wait(0.5)
    first.open()
    assert "did not stop" in (kept.wait(WAIT_S).error or "")


def test_a_retry_waits_for_the_thread_of_the_run_before(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """Two runs of a task never overlap: the retry starts when the thread that was given up has ended."""
    gate = stage.gate()
    active: list[int] = []
    most: list[int] = []

    @domain.task(timeout=100.0, retry=Retry.constant(1))
    def deaf(ctx: Context) -> int:
        active.append(ctx.attempt)
        most.append(len(active))
        if ctx.attempt == 1:
            gate.hold()
        active.remove(ctx.attempt)
        return ctx.attempt

    scheduler = stage.started(domain, cancel_timeout=1.0)
    stuck = scheduler.submit(deaf)
    gate.await_arrivals()
    clock.let_pass(100.0, scheduler)
    clock.let_pass(1.0, scheduler)
    assert scheduler.task(stuck.id).status is TaskStatus.PENDING
    gate.open()
    assert stuck.result(WAIT_S) == 2
    assert most == [1, 1]


def test_a_retry_does_not_wait_for_ever(stage: Stage, domain: Domain) -> None:
    """After its time-out once more the task is a dead letter, and its error says that a thread did not stop."""
    gate = stage.gate()

    @domain.task(timeout=0.2, retry=Retry.constant(3))
    def deaf(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, cancel_timeout=0.05)
    with scheduler.subscribe() as events:
        stuck = scheduler.submit(deaf)
        record = stuck.wait(WAIT_S)
        told = kinds(heard_until(events, lambda event: isinstance(event, DeadLettered)))
    assert record.status is TaskStatus.DEAD_LETTER
    assert record.retries == 1
    assert "did not stop" in (record.error or "")
    assert told == ["Submitted", "Dispatched", "Failed", "DeadLettered"]
    assert gate.arrived == 1


def test_a_rerun_waits_for_the_thread_of_the_run_before(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-056: what was submitted meanwhile is no retry: it waits for the thread as long as that takes, and runs then."""
    gate = stage.gate()
    said: list[str] = []

    @domain.task(timeout=100.0, retry=Retry.none())
    def deaf(ctx: Context, what: str) -> str:
        if what == "first":
            gate.hold()
        said.append(what)
        return what

    scheduler = stage.started(domain, cancel_timeout=1.0)
    stuck = scheduler.submit(deaf.options(key="same"), "first")
    gate.await_arrivals()
    assert scheduler.submit(deaf.options(key="same"), "second").kind is SubmitKind.REQUEUED
    clock.let_pass(100.0, scheduler)
    clock.let_pass(1.0, scheduler)
    assert scheduler.task(stuck.id).status is TaskStatus.PENDING
    clock.let_pass(200.0, scheduler)  # a retry would have waited for too long by now
    gate.open()
    assert stuck.result(WAIT_S) == "second"
    assert said == ["first", "second"]


# Hooks


def test_a_hook_that_hangs_is_given_up(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """`cancel_timeout` after its start the task settles without it; the error names the hook. Other hooks go on."""
    running, hooks = stage.gate(), stage.gate()

    @domain.task()
    def held(ctx: Context, n: int) -> None:
        running.hold()

    @held.on_cancel
    def clear(ctx: Context, n: int) -> None:
        if n == 0:
            hooks.hold()

    scheduler = stage.started(domain, max_concurrency=1, cancel_timeout=100.0)
    hanging = scheduler.submit(held, 0)
    running.await_arrivals()
    scheduler.cancel(hanging.id)
    running.let_pass()
    hooks.await_arrivals()
    clock.let_pass(100.0, scheduler)
    record = hanging.wait(WAIT_S)
    assert record.status is TaskStatus.CANCELLED
    assert record.error == "on_cancel: it did not end within 100 s"
    other = scheduler.submit(held, 1)
    running.await_arrivals(2)
    scheduler.cancel(other.id)
    running.let_pass()
    assert other.wait(WAIT_S).error is None
    hooks.open()


def test_a_hook_is_not_asked_to_stop_by_the_cancel(stage: Stage, domain: Domain) -> None:
    """Its context is not cancelled."""
    gate = stage.gate()
    seen: list[bool] = []

    @domain.task()
    def held(ctx: Context) -> None:
        gate.hold()

    @held.on_cancel
    def clear(ctx: Context) -> None:
        seen.append(ctx.cancelled)
        ctx.check_cancelled()

    scheduler = stage.started(domain)
    task = scheduler.submit(held)
    gate.await_arrivals()
    scheduler.cancel(task.id)
    gate.open()
    assert task.wait(WAIT_S).error is None
    assert seen == [False]


# The executor


def test_bodies_run_on_daemon_threads(stage: Stage, domain: Domain) -> None:
    """So a hanging body does not keep the interpreter from its end."""

    @domain.task()
    def where(ctx: Context) -> list[Any]:
        thread = threading.current_thread()
        return [thread.daemon, thread is threading.main_thread()]

    @where.finalize
    def where_too(ctx: Context, memo: list[Any]) -> list[Any]:
        return [*memo, threading.current_thread().daemon]

    assert stage.started(domain).submit(where).result(WAIT_S) == [True, False, True]


def test_nothing_is_thrown_into_a_thread(stage: Stage, domain: Domain) -> None:
    """A body that never looks goes on undisturbed after a cancel, to its own end."""
    gate = stage.gate()
    ended: list[bool] = []

    @domain.task()
    def deaf(ctx: Context) -> None:
        gate.hold()
        ended.append(ctx.wait_cancelled(WAIT_S))

    scheduler = stage.started(domain)
    task = scheduler.submit(deaf)
    gate.await_arrivals()
    scheduler.cancel(task.id)
    gate.open()
    assert task.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert ended == [True]


def test_two_stuck_threads_do_not_slow_the_others_down(stage: Stage, domain: Domain) -> None:
    """With both slots' threads given up, as many bodies as there are slots still run at once."""
    gate = stage.gate()
    pair = threading.Barrier(2)

    @domain.task(timeout=0.05, retry=Retry.none())
    def deaf(ctx: Context, n: int) -> None:
        gate.hold()

    @domain.task()
    def meets(ctx: Context, n: int) -> int:
        pair.wait(WAIT_S)
        return n

    scheduler = stage.started(domain, max_concurrency=2, cancel_timeout=0.05)
    for stuck in scheduler.submit_batch(deaf.call(n) for n in range(2)):
        stuck.wait(WAIT_S)
    meeting = scheduler.submit_batch(meets.call(n) for n in range(8))
    assert [one.result(WAIT_S) for one in meeting] == list(range(8))
