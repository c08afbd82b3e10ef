"""How a run ends, by what was asked of it and what the body did (S-085..S-100)."""

import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hand_clock import HandClock
from staging import WAIT_S, Stage, await_status

from millrace import (
    Context,
    Domain,
    DuplicatePolicy,
    Outcome,
    ParentClosed,
    Retry,
    RetryableError,
    Scheduler,
    TaskFailed,
    TaskInterrupted,
    TaskRecord,
    TaskStatus,
)

COMPLETED, CANCELLED, SUPERSEDED = TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.SUPERSEDED
FAILED, DEAD = TaskStatus.FAILED, TaskStatus.DEAD_LETTER


def returns(ctx: Context) -> str:
    return "memo"


def stops(ctx: Context) -> NoReturn:
    ctx.check_cancelled()
    raise TaskInterrupted("cancelled")


def stops_by_hand(ctx: Context) -> NoReturn:
    raise TaskInterrupted("shutdown")


def stops_wrapped(ctx: Context) -> NoReturn:
    try:
        stops(ctx)
    except TaskInterrupted as error:
        raise RuntimeError("wrapped") from error


def stops_while_clearing_up(ctx: Context) -> None:
    try:
        stops(ctx)
    finally:
        raise LookupError("cleared up badly")


def fails(ctx: Context) -> NoReturn:
    raise ValueError("no good")


STOPS = [stops, stops_by_hand, stops_wrapped, stops_while_clearing_up]
BODIES: dict[str, Callable[[Context], Any]] = {body.__name__: body for body in (returns, *STOPS, fails)}


class Asked:
    """A task that begins, is asked to stop, and then does what it is told to."""

    def __init__(self, stage: Stage, domain: Domain, how: str, **settings: Any) -> None:
        self.begun = stage.gate()

        @domain.task(retry=Retry.none(), **settings)
        def work(ctx: Context) -> Any:
            self.begun.hold()
            return BODIES[how](ctx)

        self.work = work


# The table


@pytest.mark.parametrize("how", BODIES)
def test_nothing_was_asked(any_stage: Stage, domain: Domain, how: str) -> None:
    """S-086, S-091: unasked, a return is success, TaskInterrupted (also as a cause or context) CANCELLED, the rest failure."""
    play = Asked(any_stage, domain, how)
    play.begun.open()
    record = any_stage.started(domain).submit(play.work).wait(WAIT_S)
    if how == "returns":
        assert (record.status, record.memo, record.error) == (COMPLETED, "memo", None)
    elif how == "fails":
        assert (record.status, record.error) == (DEAD, "ValueError: no good")
    else:
        assert (record.status, record.memo) == (CANCELLED, None)
        assert record.cancel_requested_at is not None


@pytest.mark.parametrize("how", BODIES)
def test_asked_by_a_shutdown(stage: Stage, domain: Domain, how: str) -> None:
    """S-088: at a shutdown a return is success, TaskInterrupted puts the task back at no cost, the rest is failure."""
    play = Asked(stage, domain, how)
    scheduler = stage.started(domain)
    outcome = scheduler.submit(play.work)
    play.begun.await_arrivals()
    stopper = threading.Thread(target=scheduler.stop, args=(0.0,))
    stopper.start()
    run = scheduler._runtime.executors.run_of(outcome.id)
    assert run is not None
    assert run.wait_asked(WAIT_S)
    play.begun.open()
    stopper.join(WAIT_S)
    record = stage.scheduler(domain).task(outcome.id)
    if how == "returns":
        assert (record.status, record.memo) == (COMPLETED, "memo")
    elif how == "fails":
        assert (record.status, record.error) == (DEAD, "ValueError: no good")
    else:
        assert (record.status, record.attempt, record.retries, record.error) == (TaskStatus.PENDING, 1, 0, None)


@pytest.mark.parametrize("how", BODIES)
def test_asked_by_a_time_out(stage: Stage, domain: Domain, how: str) -> None:
    """S-089: after a time-out whatever the body does is a failure "timed out", with its own error where it raised another."""
    play = Asked(stage, domain, how, timeout=0.05)
    scheduler = stage.started(domain)
    outcome = scheduler.submit(play.work)
    play.begun.await_arrivals()
    run = scheduler._runtime.executors.run_of(outcome.id)
    assert run is not None
    assert run.wait_asked(WAIT_S)
    play.begun.open()
    record = outcome.wait(WAIT_S)
    assert (record.status, record.memo) == (DEAD, None)
    assert (record.error or "").startswith("TimeoutError: timed out after 0.05 s")
    assert ("no good" in (record.error or "")) == (how == "fails")


ASKING: dict[str, TaskStatus] = {"cancel": CANCELLED, "supersede": SUPERSEDED, "parent": CANCELLED, "child": FAILED}


@pytest.mark.parametrize("how", ["returns", "stops", "fails"])
@pytest.mark.parametrize("asked", ASKING)
def test_asked_for_good(stage: Stage, domain: Domain, asked: str, how: str) -> None:
    """S-090, S-131, S-202: after an end was decided the body's own end changes nothing: the decided one, without memo."""
    play = Asked(stage, domain, how)
    bad = stage.gate()

    @domain.task(retry=Retry.none())
    def breaks(ctx: Context) -> None:
        bad.hold()
        raise ValueError("broken")

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([play.work.call(), breaks.call()])

    scheduler = stage.started(domain)
    if asked == "parent":
        top = scheduler.submit(parent)
        play.begun.await_arrivals()
        (outcome_id,) = [child.id for child in scheduler.children(top.id) if child.task_name == play.work.name]
    else:
        outcome_id = scheduler.submit(play.work.options(key="k")).id
        play.begun.await_arrivals()
    run = scheduler._runtime.executors.run_of(outcome_id)
    assert run is not None
    if asked == "cancel":
        scheduler.cancel(outcome_id)
    elif asked == "supersede":
        scheduler.submit(play.work.options(key="k", on_duplicate=DuplicatePolicy.SUPERSEDE))
    elif asked == "child":
        scheduler.spawn_child(outcome_id, breaks.call())
    bad.open()
    assert run.wait_asked(WAIT_S)
    reasons = {"cancel": "cancelled", "supersede": "superseded", "parent": "parent_failed", "child": "child_failed"}
    assert run.asked == reasons[asked]
    play.begun.open()
    record = type(scheduler.flow("f").spawn(breaks).handle)(scheduler._core, outcome_id, None).wait(WAIT_S)
    assert (record.status, record.memo, record.retries) == (ASKING[asked], None, 0)
    assert ("broken" in (record.error or "")) == (asked == "child")


def test_the_interruption_of_another_run_is_a_failure(stage: Stage, domain: Domain) -> None:
    """S-091: only the interruption of this very run counts: one carried over from another run is a failure."""
    gate = stage.gate()
    taken: list[TaskInterrupted] = []

    @domain.task()
    def gives(ctx: Context) -> None:
        gate.hold()
        ctx.wait_cancelled(WAIT_S)
        try:
            ctx.check_cancelled()
        except TaskInterrupted as error:
            taken.append(error)
            raise

    @domain.task()
    def takes(ctx: Context) -> None:
        raise taken[0]

    scheduler = stage.started(domain)
    first = scheduler.submit(gives)
    gate.await_arrivals()
    scheduler.cancel(first.id)
    gate.open()
    first.wait(WAIT_S)
    assert scheduler.submit(takes).wait(WAIT_S).status is FAILED


def test_where_reasons_meet_the_weightiest_counts(stage: Stage, domain: Domain) -> None:
    """S-092: a later, weightier reason replaces a lighter one: a cancel after a time-out ends the task CANCELLED."""
    play = Asked(stage, domain, "stops", timeout=0.05)
    scheduler = stage.started(domain)
    outcome = scheduler.submit(play.work)
    play.begun.await_arrivals()
    run = scheduler._runtime.executors.run_of(outcome.id)
    assert run is not None
    assert run.wait_asked(WAIT_S)
    assert run.asked == "timeout"
    scheduler.cancel(outcome.id)
    play.begun.open()
    assert outcome.wait(WAIT_S).status is CANCELLED


def test_a_lighter_reason_changes_nothing(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-092: a time-out after a cancel leaves the cancel, and the body hears of the first that counts."""
    begun = stage.gate()
    reasons: list[str] = []

    @domain.task(retry=Retry.none(), timeout=100.0)
    def work(ctx: Context) -> None:
        begun.hold()
        try:
            ctx.check_cancelled()
        except TaskInterrupted as error:
            reasons.append(error.reason)
            raise

    scheduler = stage.started(domain, cancel_timeout=1000.0)
    outcome = scheduler.submit(work)
    begun.await_arrivals()
    scheduler.cancel(outcome.id)
    clock.let_pass(100.0, scheduler)
    begun.open()
    assert outcome.wait(WAIT_S).status is CANCELLED
    assert reasons == ["cancelled"]


# Exceptions


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Odd(BaseException):
    pass


ERRORS: list[BaseException] = [
    ValueError("plain"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    MemoryError(),
    StopIteration(5),
    Odd("base"),
    Unprintable(),
    ExceptionGroup("many", [ValueError(1)]),
    BaseExceptionGroup("worse", [KeyboardInterrupt()]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_exception_ends_its_run_only(any_stage: Stage, domain: Domain, error: BaseException) -> None:
    """S-093: whatever a body raises ends that run; the slot is free and the next task runs."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise error

    @domain.task()
    def good(ctx: Context) -> int:
        return 1

    scheduler = any_stage.started(domain, max_concurrency=1)
    record = scheduler.submit(bad).wait(WAIT_S)
    assert record.status is (DEAD if isinstance(error, Exception) else FAILED)
    assert type(error).__name__ in (record.error or "")
    assert "in bad" in (record.traceback or "")
    assert scheduler.submit(good).result(WAIT_S) == 1


def test_a_recursion_error_ends_its_run_only(stage: Stage, domain: Domain) -> None:
    """S-093: a body that recurses for ever fails like any other."""

    @domain.task(retry=Retry.none())
    def deep(ctx: Context, n: int) -> int:
        def down(k: int) -> int:
            return down(k + 1) + 1

        return down(n)

    scheduler = stage.started(domain, max_concurrency=1)
    record = scheduler.submit(deep, 0).wait(WAIT_S)
    assert (record.status, (record.error or "").startswith("RecursionError")) == (DEAD, True)
    assert scheduler.submit(deep.options(timeout=5), 1).wait(WAIT_S).status is DEAD


def test_error_and_traceback(stage: Stage, domain: Domain) -> None:
    """S-094: error is type and message, traceback its text from the body on; the runtime's own frames are not in it."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        try:
            int("x")
        except ValueError as error:
            raise KeyError("missing") from error

    record = stage.started(domain).submit(bad).wait(WAIT_S)
    assert record.error == "KeyError: 'missing'"
    text = record.traceback or ""
    assert "in bad" in text
    assert "invalid literal" in text
    assert text.rstrip().endswith("KeyError: 'missing'")
    assert "calls.py" not in text


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("x" * 100_000, "ValueError: " + "x" * (65536 - 12)),
        ("ä" * 100_000, "ValueError: " + "ä" * ((65536 - 12) // 2)),
        ("a\0b", "ValueError: a\\x00b"),
        ("\ud800", "ValueError: \\ud800"),
        ("", "ValueError"),
    ],
    ids=["long", "wide", "nul", "surrogate", "empty"],
)
def test_odd_messages(any_stage: Stage, domain: Domain, message: str, expected: str) -> None:
    """S-094: error and traceback are at most 64 KiB, and what a store cannot hold is spelled out."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError(message)

    record = any_stage.started(domain).submit(bad).wait(WAIT_S)
    assert record.error == expected
    assert len((record.error or "").encode()) <= 65536
    assert len((record.traceback or "").encode()) <= 65536
    assert "in bad" in (record.traceback or "")


def test_an_unprintable_exception(stage: Stage, domain: Domain) -> None:
    """S-094: an exception that cannot be printed is "<unprintable X>"."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise Unprintable

    record = stage.started(domain).submit(bad).wait(WAIT_S)
    assert record.error == "<unprintable Unprintable>"
    assert "in bad" in (record.traceback or "")


# Late outcomes, dead contexts


def test_the_outcome_of_a_given_up_run_is_dropped(stage: Stage, domain: Domain) -> None:
    """S-095, S-096: what a given-up run does later changes no task; its writes raise TaskInterrupted with the reason."""
    gate, ended = stage.gate(), threading.Event()
    raised: list[str] = []

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task(retry=Retry.none(), timeout=0.05)
    def work(ctx: Context) -> str:
        gate.hold()
        calls: list[Callable[[], object]] = [
            lambda: ctx.spawn_child(leaf),
            lambda: ctx.spawn_children([]),
            lambda: ctx.submit(leaf),
            lambda: ctx.progress(0.5),
            lambda: list(ctx.track([1])),
        ]
        for call in calls:
            try:
                call()
            except TaskInterrupted as error:
                raised.append(error.reason)
        ended.set()
        return "late"

    scheduler = stage.started(domain, cancel_timeout=0.05)
    outcome = scheduler.submit(work)
    record = outcome.wait(WAIT_S)
    assert (record.status, "did not stop" in (record.error or "")) == (DEAD, True)
    gate.open()
    assert ended.wait(WAIT_S)
    assert raised == ["timeout"] * 5
    assert scheduler.submit(leaf).wait(WAIT_S).status is COMPLETED
    assert outcome.handle.record() == record
    assert scheduler.count(task=leaf) == 1


def test_the_context_of_a_run_that_is_over(stage: Stage, domain: Domain) -> None:
    """S-096: after the run the context's writes are RuntimeError, which names the alternative."""
    kept: list[Context] = []

    @domain.task()
    def work(ctx: Context) -> None:
        kept.append(ctx)

    scheduler = stage.started(domain)
    scheduler.submit(work).wait(WAIT_S)
    (ctx,) = kept
    calls: list[Callable[[], object]] = [
        lambda: ctx.spawn_child(work),
        lambda: ctx.spawn_children([work.call()]),
        lambda: ctx.submit(work),
        lambda: ctx.progress(0.5),
    ]
    await_end_of_run(scheduler, ctx)
    for call in calls:
        with pytest.raises(RuntimeError, match=r"over.*ctx.scheduler"):
            call()
    assert scheduler.count() == 1


def await_end_of_run(scheduler: Scheduler, ctx: Context) -> None:
    """A run counts as over a moment after its task has settled."""
    assert scheduler._runtime.executors.wait_idle(WAIT_S)
    assert ctx._run.has_ended


# The context


def test_submitting_from_a_body_inherits_nothing(stage: Stage, domain: Domain) -> None:
    """S-098: ctx.submit makes a root task with the defaults of its own domain, nothing of the body's."""
    other = Domain("other", priority=200, retry=Retry.constant(9))

    @other.task()
    def second(ctx: Context) -> None: ...

    @domain.task(priority=3, retry=Retry.none(), timeout=9)
    def first(ctx: Context) -> int:
        return ctx.submit(second).id

    scheduler = stage.started(domain, other)
    record = scheduler.task(scheduler.submit(first.options(key="k")).result(WAIT_S))
    assert (record.parent_id, record.priority, record.max_retries) == (None, 200, 9)


def test_a_repeated_run_submits_again(stage: Stage, domain: Domain) -> None:
    """S-098: what a repeated run submits is a submission like any other, under the rules of duplicates."""
    kinds: list[str] = []

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(1))
    def work(ctx: Context) -> None:
        outcome = ctx.submit(leaf)
        kinds.append(outcome.kind)
        outcome.wait(WAIT_S)
        if ctx.attempt == 1:
            raise ValueError

    stage.started(domain).submit(work).wait(WAIT_S)
    assert kinds == ["inserted", "inserted"]


def test_the_record_of_a_context_is_that_of_the_start(stage: Stage, domain: Domain) -> None:
    """S-099: ctx.record is the record at the start of this run, whatever happens meanwhile."""
    gate = stage.gate()
    seen: list[TaskRecord] = []

    @domain.task(retry=Retry.constant(1))
    def work(ctx: Context, n: int) -> None:
        gate.hold()
        seen.append(ctx.record)
        if ctx.attempt == 1:
            raise RetryableError("again")

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work.options(key="k", label="shown", priority=9), 5)
    gate.await_arrivals()
    stored = outcome.handle.record()
    gate.open()
    end = outcome.wait(WAIT_S)
    first, second = seen
    assert first == stored
    assert (first.id, first.key, first.label, first.priority, first.payload) == (outcome.id, "k", "shown", 9, {"n": 5})
    assert (first.status, first.attempt, first.retries, first.error) == (TaskStatus.RUNNING, 1, 0, None)
    assert (second.attempt, second.retries, second.error) == (2, 1, "RetryableError: again")
    assert (first.created_at, first.max_retries) == (end.created_at, 1)


def test_waiting_for_a_cancel(stage: Stage, domain: Domain) -> None:
    """S-099: wait_cancelled is False after its time, True as soon as the run is asked to stop, and True from then on."""
    gate = stage.gate()
    seen: list[bool] = []

    @domain.task()
    def work(ctx: Context) -> None:
        seen.extend([ctx.wait_cancelled(0), ctx.wait_cancelled(0.01), ctx.cancelled])
        gate.hold()
        seen.extend([ctx.wait_cancelled(WAIT_S), ctx.wait_cancelled(0), ctx.cancelled])

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    gate.open()
    scheduler.cancel(outcome.id)
    outcome.wait(WAIT_S)
    assert seen == [False, False, False, True, True, True]


def test_a_context_works_in_any_thread(stage: Stage, domain: Domain) -> None:
    """S-100: threads of a body may use its context while the run lasts."""

    @domain.task()
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def work(ctx: Context) -> list[int]:
        made: list[Outcome[None]] = []
        threads = [
            threading.Thread(target=lambda n=n: made.append(ctx.spawn_child(leaf, n)))
            for n in range(8)  # type: ignore[misc]  # each its own n
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        ctx.progress(0.5)
        return sorted(outcome.id for outcome in made)

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    made = outcome.result(WAIT_S)
    assert [child.id for child in scheduler.children(outcome.id)] == made


def test_a_failed_result_names_the_task(stage: Stage, domain: Domain) -> None:
    """S-433: TaskFailed carries the record and the error."""
    play = Asked(stage, domain, "fails")
    play.begun.open()
    with pytest.raises(TaskFailed) as ended:
        stage.started(domain).submit(play.work).result(WAIT_S)
    assert (ended.value.error, ended.value.record.task_name) == ("ValueError: no good", "play::work")


def test_a_closed_parent_is_told_of_at_once(stage: Stage, domain: Domain) -> None:
    """S-164, S-197: a body whose task was cancelled cannot spawn: ParentClosed with CANCELLING."""
    gate = stage.gate()
    refused: list[TaskStatus] = []

    @domain.task()
    def work(ctx: Context) -> None:
        gate.hold()
        try:
            ctx.spawn_child(work)
        except ParentClosed as error:
            refused.append(error.status)

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    scheduler.cancel(outcome.id)
    assert await_status(outcome, TaskStatus.CANCELLING).cancel_requested_at is not None
    gate.open()
    outcome.wait(WAIT_S)
    assert refused == [TaskStatus.CANCELLING]
