"""Errors: each says what was expected, what came and what to do, writes nothing, and leaves the store usable (S-422..S-444)."""

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from staging import WAIT_S, Stage, at_once, quickest

import millrace
from millrace import (
    Context,
    Domain,
    InternalError,
    InvalidTask,
    MillraceError,
    NoParent,
    ParentClosed,
    PayloadTooLarge,
    Retry,
    RevisionConflict,
    Scheduler,
    SchedulerStopped,
    StoreLocked,
    SubmitKind,
    TaskFailed,
    TaskInterrupted,
    TaskNotFound,
    TaskStatus,
    UnknownTask,
)
from millrace.actors.mailbox import Reply
from millrace.actors.persistence import Persistence
from millrace.actors.requests import EndOfTurn, Submit
from millrace.actors.stored import Stored
from millrace.model.rows import NewRow
from millrace.store.writer import Writer

HUGE = 1 << 70


class Cast:
    """A scheduler with one task, and a stranger's task."""

    def __init__(self, stage: Stage, domain: Domain) -> None:
        stranger = Domain("strange")

        @domain.task()
        def work(ctx: Context, n: int, more: Any = None) -> int:
            return n

        @stranger.task()
        def foreign(ctx: Context) -> None: ...

        self.work, self.foreign = work, foreign
        self.scheduler = stage.scheduler(domain, max_payload=1000)
        self.closed = self.scheduler.flow("closed")
        self.closed.cancel()
        self.open = self.scheduler.flow("open")


Refused = Callable[[Cast], object]
REFUSALS: dict[str, tuple[type[Exception], Refused, tuple[str, ...]]] = {
    # S-422
    "misfit": (TypeError, lambda c: c.scheduler.submit(c.work), ("play::work", "n")),  # type: ignore[call-arg]  # the point
    # S-423
    "tasks limit": (ValueError, lambda c: c.scheduler.tasks(limit=0), ("limit", "1", "0")),
    "slots": (ValueError, lambda c: setattr(c.scheduler, "max_concurrency", 0), ("max_concurrency", "1", "0")),
    "maxsize": (ValueError, lambda c: c.scheduler.subscribe(maxsize=0), ("maxsize", "1", "0")),
    "grace": (ValueError, lambda c: c.scheduler.stop(-1), ("grace", "-1")),
    "wait": (ValueError, lambda c: c.open.wait(-1), ("timeout", "-1")),
    # S-424
    "payload": (InvalidTask, lambda c: c.scheduler.submit(c.work, 1, object()), ("more", "expected", "object")),
    "key": (InvalidTask, lambda c: c.work.options(key=""), ("key", "1 to 512", "0")),
    "status": (InvalidTask, lambda c: c.scheduler.tasks(status="odd"), ("status", "expected", "odd")),  # type: ignore[arg-type]  # the point
    "flow name": (InvalidTask, lambda c: c.scheduler.flow("a::b"), ("flow", "expected", "a::b")),
    "flow state": (InvalidTask, lambda c: c.open.update({1, object()}), ("state", "expected")),
    "retry": (InvalidTask, lambda c: c.scheduler.retry(c.open.id), (str(3 - 1), "expected", "waiting")),
    # S-425
    "large": (PayloadTooLarge, lambda c: c.scheduler.submit(c.work, 1, "x" * 1000), ("1,000", "max_payload")),
    "large state": (PayloadTooLarge, lambda c: c.open.update("x" * 1000), ("1,000", "1,002")),
    # S-426
    "domain": (UnknownTask, lambda c: c.scheduler.submit(c.foreign), ("strange", "play", "domains=")),
    # S-427
    "task": (TaskNotFound, lambda c: c.scheduler.task(99), ("99", "ever")),
    "task huge": (TaskNotFound, lambda c: c.scheduler.task(HUGE), (str(HUGE), "ever")),
    "task negative": (TaskNotFound, lambda c: c.scheduler.task(-1), ("-1",)),
    "flow id": (TaskNotFound, lambda c: c.scheduler.open_flow(99), ("99",)),
    "flow huge": (TaskNotFound, lambda c: c.scheduler.open_flow(HUGE), (str(HUGE),)),
    "flow key": (TaskNotFound, lambda c: c.scheduler.open_flow("nobody"), ("nobody",)),
    "flow odd key": (TaskNotFound, lambda c: c.scheduler.open_flow("\ud800"), ("\\ud800",)),
    "retry unknown": (TaskNotFound, lambda c: c.scheduler.retry_dead_letter(99), ("99",)),
    "parent": (TaskNotFound, lambda c: c.scheduler.spawn_child(99, c.work.call(1)), ("99", "ever")),
    "parent huge": (TaskNotFound, lambda c: c.scheduler.spawn_child(HUGE, c.work.call(1)), (str(HUGE),)),
    "parent zero": (TaskNotFound, lambda c: c.scheduler.submit(c.work.options(parent=0), 1), ("0",)),
    # S-429
    "closed": (ParentClosed, lambda c: c.closed.spawn(c.work, 1), ("1", "cancelled", "root task")),
    "closed update": (ParentClosed, lambda c: c.closed.update(1), ("1", "cancelled")),
    # S-432
    "revision": (RevisionConflict, lambda c: c.open.update(1, expected_revision=7), ("7", "1", "again")),
    # S-434
    "time": (TimeoutError, lambda c: c.open.wait(0.01), ("2", "waiting")),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_clear_and_harmless(any_stage: Stage, domain: Domain, name: str) -> None:
    """S-037, S-422..S-434, S-443: the error has its type and facts in its message; nothing is written; the store goes on."""
    cast = Cast(any_stage, domain)
    before = cast.scheduler.tasks(), cast.open.revision
    error, refused, facts = REFUSALS[name]
    with pytest.raises(error) as caught:
        refused(cast)
    assert type(caught.value) is error
    message = str(caught.value)
    assert [fact for fact in facts if fact not in message] == []
    assert len(message) < 500
    assert "apsw" not in type(caught.value).__module__
    if name != "grace":
        assert (cast.scheduler.tasks(), cast.open.revision) == before
    assert cast.scheduler.submit(cast.work, 1).kind is SubmitKind.INSERTED
    cast.scheduler.start()
    assert cast.scheduler.submit(cast.work, 2).result(WAIT_S) == 2


ODD_READS: dict[str, tuple[Callable[[Scheduler], object], object]] = {
    "parent": (lambda s: s.tasks(parent=HUGE), []),
    "before": (lambda s: len(s.tasks(before=HUGE)), 2),
    "before negative": (lambda s: s.tasks(before=-HUGE), []),
    "limit": (lambda s: len(s.tasks(limit=HUGE)), 2),
    "count": (lambda s: s.count(parent=HUGE), 0),
    "children": (lambda s: list(s.children(HUGE)), []),
    "find": (lambda s: s.find("play::work", "\ud800"), None),
    "find nul": (lambda s: s.find("play::work", "a\0b"), None),
    "find name": (lambda s: s.find("\ud800", "k"), None),
    "key": (lambda s: s.tasks(key="\ud800"), []),
    "task": (lambda s: s.tasks(task="\udfff"), []),
    "count task": (lambda s: s.count(task="\udfff"), 0),
    "cancel": (lambda s: s.cancel(HUGE).found, False),
    "cancel negative": (lambda s: s.cancel(-1).found, False),
    "no status": (lambda s: s.tasks(status=[]), []),
}


@pytest.mark.parametrize("name", ODD_READS)
def test_odd_questions_have_plain_answers(any_stage: Stage, domain: Domain, name: str) -> None:
    """S-443: what can be in no store is not found; no error of SQLite or a library comes out of a question."""
    cast = Cast(any_stage, domain)
    ask, expected = ODD_READS[name]
    assert ask(cast.scheduler) == expected


def test_no_parent_names_the_task(any_stage: Stage, domain: Domain) -> None:
    """S-193, S-428: NoParent has id and task, in its attributes and its message; also for an empty list."""
    caught: list[NoParent] = []

    @domain.task()
    def leaf(ctx: Context) -> None:
        calls: list[Callable[[], object]] = [lambda: ctx.spawn_sibling(leaf), lambda: ctx.spawn_siblings([])]
        for call in calls:
            try:
                call()
            except NoParent as error:
                caught.append(error)

    scheduler = any_stage.started(domain)
    outcome = scheduler.submit(leaf)
    outcome.wait(WAIT_S)
    assert [(error.id, error.task_name) for error in caught] == [(outcome.id, "play::leaf")] * 2
    assert all(f"{outcome.id} (play::leaf)" in str(error) for error in caught)
    assert scheduler.count() == 1


def test_task_failed_says_which_and_how(stage: Stage, domain: Domain) -> None:
    """S-433: the message has task, id, status and error."""

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError("no good")

    with pytest.raises(TaskFailed) as caught:
        stage.started(domain).submit(bad).result(WAIT_S)
    for fact in ("play::bad", "task 1", "dead_letter", "ValueError: no good"):
        assert fact in str(caught.value)


def test_interruptions_say_why(stage: Stage, domain: Domain) -> None:
    """S-435: check_cancelled and track raise TaskInterrupted with the reason."""
    gate = stage.gate()
    reasons: list[str] = []

    @domain.task()
    def work(ctx: Context) -> None:
        gate.hold()
        ctx.wait_cancelled(WAIT_S)
        for stop in (ctx.check_cancelled, lambda: list(ctx.track([1]))):
            try:
                stop()
            except TaskInterrupted as error:
                reasons.append(f"{error.reason}: {error.reason in str(error)}")

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    scheduler.cancel(outcome.id)
    gate.open()
    outcome.wait(WAIT_S)
    assert reasons == ["cancelled: True"] * 2


def test_stop_from_a_body(stage: Stage, domain: Domain) -> None:
    """S-380, S-436: stop from a body is RuntimeError that names the alternative, and the scheduler goes on."""

    @domain.task()
    def work(ctx: Context, n: int) -> str:
        try:
            ctx.scheduler.stop()
        except RuntimeError as error:
            return str(error)
        return ""

    scheduler = stage.started(domain)
    assert "another thread" in scheduler.submit(work, 1).result(WAIT_S)
    assert scheduler.submit(work, 2).wait(WAIT_S).status is TaskStatus.COMPLETED


OWNER = """
import sys
from millrace import Scheduler
with Scheduler(sys.argv[1], durability="process"):
    print("owned", flush=True)
    sys.stdin.read()
"""


def test_an_owned_store(stage: Stage) -> None:
    """S-366, S-438: start on an owned store is StoreLocked with pid, host and since, within 100 ms, here and elsewhere."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, stage.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        scheduler = stage.scheduler()

        def be_refused() -> None:
            with pytest.raises(StoreLocked) as caught:
                scheduler.start()
            assert (caught.value.pid, caught.value.host) == (owner.pid, os.uname().nodename)
            assert caught.value.since is not None
            assert str(owner.pid) in str(caught.value)

        assert quickest(be_refused) < 0.1
        owner.communicate()
    scheduler.start()
    with pytest.raises(StoreLocked, match=str(os.getpid())):
        stage.scheduler().start()


def test_after_the_stop(any_stage: Stage, domain: Domain) -> None:
    """S-440: every call on a stopped scheduler is SchedulerStopped, and start() begins anew."""
    cast = Cast(any_stage, domain)
    scheduler, outcome = cast.scheduler, cast.scheduler.submit(cast.work, 1)
    scheduler.start().stop()
    calls: list[Callable[[], object]] = [
        lambda: scheduler.submit(cast.work, 2),
        lambda: scheduler.submit_batch([cast.work.call(2)]),
        lambda: scheduler.task(1),
        scheduler.tasks,
        scheduler.count,
        lambda: scheduler.find(cast.work, "k"),
        lambda: list(scheduler.children(1)),
        lambda: scheduler.cancel(1),
        lambda: scheduler.retry(1),
        lambda: scheduler.flow("f"),
        lambda: scheduler.open_flow(1),
        lambda: scheduler.spawn_child(1, cast.work.call(2)),
        scheduler.subscribe,
        scheduler.domain("play").subscribe,
        lambda: outcome.wait(1),
        lambda: outcome.wait(0),
        lambda: outcome.result(1),
        outcome.handle.record,
        lambda: outcome.handle.future().result(1),
        lambda: cast.open.state,
        lambda: cast.open.spawn(cast.work, 1),
    ]
    for call in calls:
        with pytest.raises(SchedulerStopped, match="stopped"):
            call()
    assert scheduler.stop() is True
    scheduler.start()
    assert scheduler.submit(cast.work, 3).result(WAIT_S) == 3


def test_all_errors_are_one_family() -> None:
    """S-443: every error that the library names is a MillraceError or a built-in one, and survives pickling with its facts."""
    kinds = [value for value in vars(millrace).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(kinds) > 20
    assert all(issubclass(kind, MillraceError) for kind in kinds)
    error = ParentClosed(5, TaskStatus.CANCELLING)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.parent_id, copy.status) == (str(error), 5, TaskStatus.CANCELLING)


def test_refusals_are_not_logged(stage: Stage, domain: Domain, caplog: pytest.LogCaptureFixture) -> None:
    """S-444: an error that a caller hears of is the caller's to log."""
    caplog.set_level(logging.DEBUG)
    cast = Cast(stage, domain)
    for name, (error, refused, _) in REFUSALS.items():
        if name != "grace":
            with pytest.raises(error):
                refused(cast)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_refusals_amid_a_crowd(any_stage: Stage, domain: Domain) -> None:
    """S-037: many threads that are refused, and many that are not, at one moment: each gets its own answer."""
    cast = Cast(any_stage, domain)
    cast.scheduler.start()
    chosen = [name for name in REFUSALS if name not in ("grace", "slots", "time")]

    def refuse(name: str) -> str:
        error, refused, _ = REFUSALS[name]
        with pytest.raises(error):
            refused(cast)
        return name

    def work(n: int) -> int:
        return cast.scheduler.submit(cast.work, 1000 + n).result(WAIT_S)

    calls: list[Callable[[], Any]] = [lambda name=name: refuse(name) for name in chosen]  # type: ignore[misc]  # each its own
    calls += [lambda n=n: work(n) for n in range(10)]  # type: ignore[misc]  # each its own
    assert at_once(calls) == [*chosen, *range(1000, 1010)]
    assert cast.scheduler.count(task=cast.work) == 10


def test_what_the_schema_refuses_harms_nothing_beside_it(
    stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that breaks a rule of the schema is a fault of ours, and none of the disk: its caller hears so, and no other does."""

    @domain.task()
    def work(ctx: Context, n: int) -> int:
        return n

    real_insert, real_receive = Writer.insert_tasks, Persistence.receive
    is_held, go_on = threading.Event(), threading.Event()

    def insert(writer: Writer, rows: Sequence[NewRow], *more: Any) -> None:
        for row in rows:
            if row.label == "bad":
                row.status = "nonsense"
        real_insert(writer, rows, *more)

    def receive(actor: Persistence, messages: Sequence[Any]) -> None:
        if not is_held.is_set():
            is_held.set()
            assert go_on.wait(WAIT_S)
        real_receive(actor, messages)

    scheduler = stage.started(domain)
    monkeypatch.setattr(Writer, "insert_tasks", insert)
    monkeypatch.setattr(Persistence, "receive", receive)
    core = scheduler._core
    submits = [
        Submit((core.prepare(work.options(label=label).call(n)),), is_batch=False, reply=Reply[list[Stored]]())
        for n, label in enumerate(["good", "bad", "also good"])
    ]
    core.runtime.persistence.tell(EndOfTurn(Reply()))
    assert is_held.wait(WAIT_S)
    for submit in submits:  # so that they come in one group
        core.runtime.persistence.tell(submit)
    go_on.set()
    answers = [submit.reply for submit in submits]
    assert all(answer.wait(WAIT_S) for answer in answers)
    with pytest.raises(InternalError, match="rules of the store"):
        answers[1].result()
    stored = [scheduler.task(answers[at].result()[0].id) for at in (0, 2)]
    assert [record.label for record in stored] == ["good", "also good"]
    assert scheduler.count() == 2


def test_a_decorator_without_parentheses_is_refused(domain: Domain) -> None:
    """A function where the task's name belongs says that the parentheses are missing, and defines nothing."""
    with pytest.raises(TypeError, match="parentheses"):
        domain.task(lambda ctx: None)  # type: ignore[arg-type, misc]  # what `@domain.task` alone amounts to
    assert domain.tasks == {}
