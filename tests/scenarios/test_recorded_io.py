"""What runs say they have moved, and how far by bytes they are when they end (S-283, S-297, S-096)."""

import threading
from typing import Any

import pytest
from hand_clock import HandClock
from staging import WAIT_S, Stage

from millrace import Context, Domain, Failed, Retry, TaskInterrupted, TaskStatus
from millrace.model.records import IoBudget


def test_what_is_recorded_adds_up(stage: Stage, domain: Domain) -> None:
    """S-283: over calls and threads, direction by direction, and is kept with the settled task."""

    @domain.task()
    def work(ctx: Context) -> None:
        def move() -> None:
            for _ in range(1000):
                ctx.record_io(disk_read=1, net_tx=3)

        threads = [threading.Thread(target=move) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        ctx.record_io(disk_write=5)
        ctx.record_io(net_rx=7)
        ctx.record_io()

    scheduler = stage.started(domain)
    assert scheduler.submit(work).wait(WAIT_S).actual_io == IoBudget(4000, 5, 7, 12_000)


def test_it_is_that_of_the_last_run(stage: Stage, domain: Domain) -> None:
    """S-283: a run that is repeated counts for itself; one that failed for good is the last one too."""

    @domain.task(retry=Retry.constant(1, 0.0))
    def work(ctx: Context) -> None:
        ctx.record_io(disk_read=10 * ctx.attempt)
        raise ValueError

    scheduler = stage.started(domain)
    record = scheduler.submit(work).wait(WAIT_S)
    assert (record.status, record.actual_io) == (TaskStatus.DEAD_LETTER, IoBudget(disk_read=20))


def test_a_finalizer_that_records_nothing_leaves_what_the_body_has(stage: Stage, domain: Domain) -> None:
    """S-283: it says nothing of IO; one that records some is the last run to have done so."""

    @domain.task()
    def quiet(ctx: Context) -> None:
        ctx.record_io(net_rx=1)

    @quiet.finalize
    def end_quiet(ctx: Context, memo: None) -> None: ...

    @domain.task()
    def loud(ctx: Context) -> None:
        ctx.record_io(net_rx=1)

    @loud.finalize
    def end_loud(ctx: Context, memo: None) -> None:
        ctx.record_io(net_tx=2)

    scheduler = stage.started(domain)
    assert scheduler.submit(quiet).wait(WAIT_S).actual_io == IoBudget(net_rx=1)
    assert scheduler.submit(loud).wait(WAIT_S).actual_io == IoBudget(net_tx=2)


def test_others_see_it_while_the_run_lasts(stage: Stage, domain: Domain) -> None:
    """S-283: what the gate asks is the run itself; a run that records nothing is unknown, not nothing."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, moves: bool) -> None:
        if moves:
            ctx.record_io(disk_write=3)
        gate.hold()

    scheduler = stage.started(domain)
    outcomes = [scheduler.submit(work, True), scheduler.submit(work, False)]
    gate.await_arrivals(2)
    runs = [scheduler._runtime.executors.run_of(outcome.id) for outcome in outcomes]
    assert [None if run is None else run.recorded_io for run in runs] == [(0, 3, 0, 0), None]


@pytest.mark.parametrize("wrong", [-1, 1 << 63, 1.5, True, "1", None])
def test_what_is_no_number_of_bytes_is_refused(stage: Stage, domain: Domain, wrong: Any) -> None:
    """S-297: below 0 is ValueError, no int is TypeError; nothing of the call counts."""

    @domain.task()
    def work(ctx: Context) -> list[str]:
        raised = []
        for call in (
            lambda: ctx.set_bytes_total(wrong),
            lambda: ctx.add_bytes(wrong),
            lambda: ctx.record_io(disk_read=1, net_rx=wrong),
        ):
            try:
                call()
            except (TypeError, ValueError) as error:
                raised.append(type(error).__name__)
        return raised

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    expected = "ValueError" if isinstance(wrong, int) and not isinstance(wrong, bool) else "TypeError"
    assert outcome.result(WAIT_S) == [expected] * 3
    record = outcome.handle.record()
    assert (record.actual_io, record.progress) == (IoBudget(), None)


def test_a_run_that_was_given_up_says_no_more(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-096: progress, bytes and IO raise the interruption; what was said before is kept as the run's last word."""
    gate = stage.gate()
    raised: list[str] = []
    over = threading.Event()

    @domain.task(timeout=100.0, retry=Retry.none())
    def deaf(ctx: Context) -> None:
        ctx.record_io(disk_read=1)
        ctx.progress(0.5)
        gate.hold()
        for call in (
            lambda: ctx.progress(1.0),
            lambda: ctx.set_bytes_total(9),
            lambda: ctx.add_bytes(9),
            lambda: ctx.record_io(disk_read=9),
        ):
            try:
                call()
            except TaskInterrupted as error:
                raised.append(error.reason)
        over.set()

    scheduler = stage.started(domain, cancel_timeout=1.0)
    stuck = scheduler.submit(deaf)
    gate.await_arrivals()
    clock.let_pass(100.0, scheduler)
    clock.let_pass(1.0, scheduler)
    record = stuck.wait(WAIT_S)
    gate.open()
    assert over.wait(WAIT_S)
    assert raised == ["timeout"] * 4
    assert (record.actual_io, record.progress) == (IoBudget(disk_read=1), 0.5)
    assert scheduler.task(record.id) == record


def test_a_run_that_has_ended_says_no_more(stage: Stage, domain: Domain) -> None:
    """S-096: a thread of the body that outlives it gets a RuntimeError that says so."""
    kept: list[Context] = []

    @domain.task()
    def work(ctx: Context) -> None:
        kept.append(ctx)

    stage.started(domain).submit(work).wait(WAIT_S)
    (ctx,) = kept
    for call in (lambda: ctx.set_bytes_total(9), lambda: ctx.add_bytes(9), lambda: ctx.record_io(disk_read=9)):
        with pytest.raises(RuntimeError, match="is over"):
            call()


def test_it_survives_in_the_queue(stage: Stage, domain: Domain) -> None:
    """S-283: of a failed run whose task waits for its retry, also elsewhere."""

    @domain.task(retry=Retry.constant(1, 3600.0))
    def work(ctx: Context) -> None:
        ctx.record_io(net_rx=4)
        raise ValueError

    scheduler = stage.started(domain)
    heard = scheduler.subscribe(kinds=[Failed])
    outcome = scheduler.submit(work)
    heard.get(WAIT_S)
    assert stage.scheduler(domain).task(outcome.id).actual_io == IoBudget(net_rx=4)
