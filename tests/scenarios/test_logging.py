"""Logging from inside a task: what is bound, what is captured, and that the application's own logging stays as it is."""

import contextvars
import io
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from staging import WAIT_S, Stage

from millrace import Context, Domain, Failed, Retry, Scheduler, StoreLocked, TaskNotFound

OTHER = "play_library.db"


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """INFO passes, as an application would have it that wants to see its tasks."""
    loggers = [logging.getLogger("millrace.task"), logging.getLogger("play_library")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
        assert logger.handlers == []


def messages(text: str | None) -> list[str]:
    """The lines without their times."""
    assert text is not None
    return [line.partition("Z ")[2] or line for line in text.split("\n")]


def test_lines_are_kept_with_their_run(stage: Stage, domain: Domain) -> None:
    """Level and message, arguments filled in, with a time in UTC; of the task that logged them and no other."""

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        ctx.log.info("begun %d", n)
        ctx.log.debug("not wanted")
        ctx.log.warning("done")

    scheduler = stage.started(domain)
    ended = [scheduler.submit(work, n).wait(WAIT_S) for n in (1, 2)]
    assert [messages(scheduler.log(record.id)) for record in ended] == [
        [f"INFO begun {n}", "WARNING done"] for n in (1, 2)
    ]
    text = scheduler.log(ended[0].id)
    assert text is not None
    assert ended[0].started_at is not None
    assert text.startswith(ended[0].started_at.strftime("%Y-%m-%dT"))


def test_the_task_is_bound(stage: Stage, domain: Domain, caplog: pytest.LogCaptureFixture) -> None:
    """Records have task_id, task_name and run, for whatever handler the application has; extra is added to them."""

    @domain.task(retry=Retry.constant(1, 0.0))
    def work(ctx: Context) -> None:
        ctx.log.warning("here", extra={"part": 7})
        if ctx.attempt == 1:
            raise ValueError

    outcome = stage.started(domain).submit(work)
    outcome.wait(WAIT_S)
    records: list[Any] = [record for record in caplog.records if record.name == "millrace.task.play.work"]
    assert [(r.task_id, r.task_name, r.run, r.part) for r in records] == [
        (outcome.id, "play::work", run, 7) for run in (1, 2)
    ]


def test_errors_come_with_their_traceback(stage: Stage, domain: Domain) -> None:
    """As a formatter of the standard library writes it."""

    @domain.task()
    def work(ctx: Context) -> None:
        try:
            int("no")
        except ValueError:
            ctx.log.exception("caught")

    scheduler = stage.started(domain)
    lines = messages(scheduler.log(scheduler.submit(work).wait(WAIT_S).id))
    assert lines[:2] == ["ERROR caught", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: invalid literal for int() with base 10: 'no'"


def test_the_log_is_of_the_last_run(stage: Stage, domain: Domain) -> None:
    """A failed run's while its retry waits; a retry that says nothing has nothing; a finalizer that says nothing leaves it."""
    gate = stage.gate()

    @domain.task(retry=Retry.constant(2, 0.0))
    def work(ctx: Context) -> str:
        if ctx.attempt == 2:
            gate.hold()
        ctx.log.info("attempt %d", ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError
        return "memo"

    @work.finalize
    def end(ctx: Context, memo: str) -> None: ...

    @domain.task(retry=Retry.constant(1, 0.0))
    def quiet(ctx: Context) -> None:
        if ctx.attempt == 1:
            ctx.log.info("once")
            raise ValueError

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    assert messages(scheduler.log(outcome.id)) == ["INFO attempt 1"]
    gate.open()
    outcome.wait(WAIT_S)
    assert messages(scheduler.log(outcome.id)) == ["INFO attempt 3"]
    assert scheduler.log(scheduler.submit(quiet).wait(WAIT_S).id) is None


def test_a_run_under_way_shows_its_lines_at_once(stage: Stage, domain: Domain) -> None:
    """In the owner's process; elsewhere when it has ended, or failed."""
    gate = stage.gate()

    @domain.task(retry=Retry.constant(1, 3600.0))
    def work(ctx: Context) -> None:
        ctx.log.info("one")
        gate.hold()
        raise ValueError

    scheduler = stage.started(domain)
    heard = scheduler.subscribe(kinds=[Failed])
    outcome = scheduler.submit(work)
    elsewhere = stage.scheduler(domain)
    gate.await_arrivals()
    assert messages(scheduler.log(outcome.id)) == ["INFO one"]
    assert elsewhere.log(outcome.id) is None
    gate.open()
    heard.get(WAIT_S)
    assert messages(elsewhere.log(outcome.id)) == ["INFO one"]


def test_only_the_runs_own_context_is_captured(stage: Stage, domain: Domain) -> None:
    """Another thread's lines are nobody's, unless it runs in a copy of the body's context."""

    def say(logger: Any, text: str) -> None:
        logger.info(text)

    @domain.task()
    def work(ctx: Context) -> None:
        strange = threading.Thread(target=say, args=(ctx.log, "strange"))
        own = threading.Thread(target=contextvars.copy_context().run, args=(say, ctx.log, "own"))
        for thread in (strange, own):
            thread.start()
            thread.join(WAIT_S)

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    outcome.wait(WAIT_S)
    logging.getLogger("millrace.task.play").info("outside")
    assert messages(scheduler.log(outcome.id)) == ["INFO own"]


def test_loggers_are_named_by_the_application(stage: Stage, domain: Domain) -> None:
    """Those that are named, with all below them, each line once and with the logger's name; nothing else."""

    @domain.task()
    def work(ctx: Context) -> None:
        logging.getLogger(OTHER).info("read")
        logging.getLogger("elsewhere").warning("lost")
        ctx.log.info("mine")

    scheduler = stage.started(domain, capture_logs=["play_library", OTHER])
    record = scheduler.submit(work).wait(WAIT_S)
    assert messages(scheduler.log(record.id)) == [f"INFO {OTHER}: read"]


def test_two_schedulers_do_not_take_each_others_lines(stage: Stage, domain: Domain, tmp_path: Any) -> None:
    """Each keeps those of its own runs."""

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        ctx.log.info("%d", n)

    one = stage.started(domain)
    two = stage.started(domain, path=str(tmp_path / "two.db"))
    for n, scheduler in enumerate((one, two)):
        assert messages(scheduler.log(scheduler.submit(work, n).wait(WAIT_S).id)) == [f"INFO {n}"]


def test_capturing_can_be_left_out(stage: Stage, domain: Domain, caplog: pytest.LogCaptureFixture) -> None:
    """Then nothing is kept, no handler is added, and the application's handlers get all the same."""

    @domain.task()
    def work(ctx: Context) -> None:
        ctx.log.info("said")

    scheduler = stage.started(domain, capture_logs=())
    assert logging.getLogger("millrace.task").handlers == []
    assert scheduler.log(scheduler.submit(work).wait(WAIT_S).id) is None
    assert [record.message for record in caplog.records if record.name == "millrace.task.play.work"] == ["said"]


def test_the_handler_goes_with_the_scheduler(stage: Stage, domain: Domain) -> None:
    """It is there once from start to stop, and again after another start."""
    logger = logging.getLogger("millrace.task")
    root = list(logging.getLogger().handlers)
    scheduler = stage.scheduler(domain)
    for _ in range(2):
        assert logger.handlers == []
        scheduler.start()
        scheduler.start()
        assert len(logger.handlers) == 1
        scheduler.stop()
        assert logging.getLogger().handlers == root


def test_a_scheduler_that_cannot_start_leaves_no_handler(stage: Stage, domain: Domain) -> None:
    """Another runs the store: nothing of this one stays behind."""
    stage.started(domain)
    with pytest.raises(StoreLocked):
        stage.scheduler(domain).start()
    assert len(logging.getLogger("millrace.task").handlers) == 1


@pytest.mark.parametrize(
    ("names", "error"),
    [("millrace.task", TypeError), ([7], TypeError), ([""], ValueError), (["app", "root"], ValueError)],
)
def test_names_that_cannot_be_are_refused(names: Any, error: type[Exception]) -> None:
    """A text in place of a list, and the root logger, whose handlers are the application's alone."""
    with pytest.raises(error, match="capture_logs"):
        Scheduler(capture_logs=names)


def test_an_unknown_task_has_no_log(stage: Stage, domain: Domain) -> None:
    """TaskNotFound, as everywhere."""
    with pytest.raises(TaskNotFound):
        stage.started(domain).log(12345)


def test_a_message_that_does_not_format_is_no_failure(
    stage: Stage, domain: Domain, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported as logging reports it, and the body goes on."""

    @domain.task()
    def work(ctx: Context) -> int:
        ctx.log.info("%d", "no number")
        ctx.log.info("after")
        return 1

    scheduler = stage.started(domain)
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        outcome = scheduler.submit(work)
        assert outcome.result(WAIT_S) == 1
    finally:
        logging.raiseExceptions = before
    assert messages(scheduler.log(outcome.id)) == ["INFO after"]


PROGRAM = """
import sys
from millrace import Context, Domain, Scheduler
play = Domain("play")

@play.task()
def work(ctx: Context) -> None:
    ctx.log.info("quiet")
    ctx.log.warning("loud")

with Scheduler(":memory:", domains=[play]) as scheduler, Scheduler(":memory:", domains=[play]) as other:
    print(scheduler.log(scheduler.submit(work).wait(20).id))
"""


def test_a_program_without_logging_still_shows_warnings() -> None:
    """Where nothing is configured the standard library prints warnings: once, and neither more nor less for being captured."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "loud\n"
    assert ended.stdout.partition("Z ")[2] == "WARNING loud\n"


def test_a_stream_of_the_application_is_not_changed(stage: Stage, domain: Domain) -> None:
    """Its handler on the task's logger gets the records as it formats them."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(task_id)d %(task_name)s %(run)d %(message)s"))
    logger = logging.getLogger("millrace.task.play.work")
    logger.addHandler(handler)

    @domain.task()
    def work(ctx: Context) -> None:
        ctx.log.info("said")

    try:
        record = stage.started(domain).submit(work).wait(WAIT_S)
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue() == f"{record.id} play::work 1 said\n"
