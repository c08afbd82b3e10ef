"""Payload fields that nobody is to see (S-048)."""

import dataclasses
import logging
from typing import Any, Literal

import apsw
import dying
import pytest
from staging import WAIT_S, Stage, heard_until

from millrace import Completed, Context, Domain, InvalidTask, TaskStatus
from millrace.actors.mailbox import Reply
from millrace.actors.requests import Submit
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Claim, NewRow, RetryFields

SECRET = "correct horse"


def test_body_and_record_have_the_value(stage: Stage, domain: Domain) -> None:
    """S-048: what runs needs it, and the record is the caller's own; no event and no log line shows it."""

    @domain.task(redact=["password"])
    def login(ctx: Context, user: str, password: str) -> bool:
        return password == SECRET == ctx.record.payload["password"]

    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        outcome = scheduler.submit(login, "ann", SECRET)
        told = heard_until(events, lambda event: isinstance(event, Completed))
    assert outcome.result(WAIT_S) is True
    record = outcome.handle.record()
    assert record.payload == {"user": "ann", "password": SECRET}
    assert "'password': '***'" in repr(record)
    assert SECRET not in repr(record)
    assert not any(SECRET in str(dataclasses.asdict(event)) for event in told)


def test_a_submission_shows_its_payload_without_it(domain: Domain) -> None:
    """S-048: "***" in the place of the value; what is not redacted is shown."""

    @domain.task(redact=("password", "more"))
    def login(ctx: Context, user: str, password: str = "", *more: str) -> None: ...

    assert repr(login.call("ann", SECRET, SECRET)) == "<Submission of play::login(user='ann', password=***, more=***)>"
    assert repr(login.call("***")) == "<Submission of play::login(user='***', password=***, more=***)>"


def test_no_row_shows_its_payload() -> None:
    """S-048: what goes through the actors' mailboxes may end up in a log: its repr has no payload at all."""
    task = NewTask("play::login", "k", "l", None, SECRET, 3, "skip")
    row = NewRow(
        id=1,
        name="n",
        key="k",
        label="l",
        status="pending",
        phase=1,
        priority=1,
        payload=SECRET,
        created_at_ms=0,
        lane=0,
    )
    for shown in (task, row, Submit((task,), is_batch=False, reply=Reply())):
        assert SECRET not in repr(shown)
    assert repr(task) == "NewTask(name='play::login', key='k')"
    for kind in (Claim, RetryFields):
        assert "payload" in kind.__struct_fields__
        assert kind.__repr__ is NewTask.__repr__


@pytest.mark.parametrize("kind", [Literal["safe"], int, dict[str, int], list[Literal["safe"]]], ids=str)
def test_messages_leave_it_out(stage: Stage, domain: Domain, kind: Any) -> None:
    """S-023, S-048: an InvalidTask names the parameter and what was expected, and quotes nothing that came."""

    def body(ctx: Context, token: Any) -> None: ...

    body.__annotations__["token"] = kind
    task = domain.task(redact=["token"])(body)
    scheduler = stage.scheduler(domain)
    for value in (SECRET, {SECRET: SECRET}, [SECRET]):
        with pytest.raises(InvalidTask, match=r"parameter 'token': expected .* got \*\*\*") as caught:
            scheduler.submit(task, value)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_the_reason_of_a_parked_task_leaves_it_out(
    stage: Stage, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    """S-048, S-416: record, event and log say which field does not decode, and not what is in it."""

    @domain.task(redact=["token"])
    def work(ctx: Context, token: Literal["a"], n: int = 0) -> None: ...

    scheduler = stage.scheduler(domain)
    task_id = scheduler.submit(work, "a").id
    scheduler.stop()
    with apsw.Connection(stage.path) as store:
        store.execute("UPDATE task SET payload = ?", (f'{{"n":0,"token":"{SECRET}"}}',))
    store.close()
    with caplog.at_level(logging.DEBUG):
        scheduler = stage.started(domain)
        record = dying.reached(scheduler, task_id, lambda record: record.status is TaskStatus.PARKED)
    assert record.error == "its payload or memo does not decode: token: ***"
    assert SECRET not in caplog.text


def test_a_migration_that_fails_leaves_it_out(stage: Stage, domain: Domain) -> None:
    """S-048, S-418: of what a step raises only the type is told."""
    old = Domain("play")
    old.task("work")(lambda ctx, token: None)
    scheduler = stage.scheduler(old)
    task_id = scheduler.submit(old.tasks["play::work"], SECRET).id
    scheduler.stop()

    @domain.task(version=2, redact=["token"])
    def work(ctx: Context, token: str) -> None: ...

    @work.migrate(1)
    def fail(payload: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(payload["token"])

    scheduler = stage.started(domain)
    record = dying.reached(scheduler, task_id, lambda record: record.status is TaskStatus.PARKED)
    assert record.error == "migrate(1) raised ValueError"


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["tokn"], InvalidTask, r"redact: expected parameters \(token, n\), got 'tokn'"),
        (["token", "ctx"], InvalidTask, "got 'ctx'"),
        ("token", TypeError, "redact: expected a sequence"),
        ([1], TypeError, "redact: expected names"),
        (None, TypeError, "redact: expected a sequence"),
    ],
)
def test_only_parameters_can_be_redacted(domain: Domain, names: Any, error: type[Exception], message: str) -> None:
    """S-048: a name that is no parameter is refused where the task is defined, as a misspelt one would hide nothing."""
    with pytest.raises(error, match=message):

        @domain.task(redact=names)
        def work(ctx: Context, token: str, n: int = 0) -> None: ...

    assert domain.tasks == {}
