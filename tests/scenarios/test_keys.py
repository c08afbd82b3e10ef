"""Keys: what they are, where they are unique, how tasks are found by them (S-026..S-030, S-047)."""

import hashlib
from typing import Any

import pytest
from staging import WAIT_S, Stage

from millrace import Context, Domain, DuplicatePolicy, InvalidTask, SubmitKind, TaskStatus


def test_where_a_key_comes_from(stage: Stage, domain: Domain) -> None:
    """S-026: the key is the option's, else the callable's, else the SHA-256 of the payload's canonical JSON; shown as it is."""

    @domain.task()
    def plain(ctx: Context, b: int, a: str = "ä") -> None: ...

    @domain.task(key=lambda b: f"own {b}")
    def called(ctx: Context, b: int) -> None: ...

    scheduler = stage.scheduler(domain)

    def key(task: Any, b: int) -> str:
        return scheduler.task(scheduler.submit(task, b).id).key

    assert key(plain, 1) == hashlib.sha256('{"a":"ä","b":1}'.encode()).hexdigest()
    assert key(called, 1) == "own 1"
    assert key(called.options(key="mine"), 2) == "mine"


@pytest.mark.parametrize("key", ["", "x" * 513, "ä" * 257, "a\0b", "\ud800", 5, b"k"], ids=ascii)
def test_wrong_keys_are_refused(any_stage: Stage, domain: Domain, key: Any) -> None:
    """S-027: a key of other than 1 to 512 bytes of UTF-8 without NUL is InvalidTask, by option and by callable."""

    @domain.task()
    def plain(ctx: Context) -> None: ...

    @domain.task(key=lambda: key)
    def called(ctx: Context) -> None: ...

    scheduler = any_stage.scheduler(domain)
    for call in (lambda: scheduler.submit(plain.options(key=key)), lambda: scheduler.submit(called)):
        with pytest.raises(InvalidTask, match="key"):
            call()
    assert scheduler.count() == 0


def test_keys_are_their_bytes(stage: Stage, domain: Domain) -> None:
    """S-027: keys are compared byte for byte: case, composition and trailing spaces make a difference."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    keys = ["a", "A", "a ", "\u00e9", "e\u0301", "x" * 512, "1", "01"]
    outcomes = [scheduler.submit(work.options(key=key)) for key in keys]
    assert {outcome.kind for outcome in outcomes} == {SubmitKind.INSERTED}
    assert [scheduler.task(outcome.id).key for outcome in outcomes] == keys


def test_the_scope_of_a_key(stage: Stage, domain: Domain) -> None:
    """S-028: a key is unique per task name and parent: other tasks, other parents and the roots do not share it."""
    other = Domain("other")

    @domain.task()
    def work(ctx: Context) -> None: ...

    @domain.task()
    def second(ctx: Context) -> None: ...

    @other.task("work")
    def elsewhere(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain, other)
    flows = [scheduler.flow("f"), scheduler.flow("f")]
    key: dict[str, Any] = {"key": "k"}
    stored = [scheduler.submit(task.options(**key)) for task in (work, second, elsewhere)]
    stored += [flow.spawn(work.options(**key)) for flow in flows]
    assert {outcome.kind for outcome in stored} == {SubmitKind.INSERTED}
    again = [scheduler.submit(work.options(**key)), flows[1].spawn(work.options(**key))]
    assert [(outcome.kind, outcome.id) for outcome in again] == [
        (SubmitKind.DUPLICATE, stored[0].id),
        (SubmitKind.DUPLICATE, stored[4].id),
    ]


def test_a_cancelling_task_has_lost_its_key(stage: Stage, domain: Domain) -> None:
    """S-029, S-051: a CANCELLING task no longer holds its key: the next submission is INSERTED, and held until it has ended."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    first = scheduler.submit(work)
    gate.await_arrivals()
    scheduler.cancel(first.id)
    assert first.handle.status() is TaskStatus.CANCELLING
    second = scheduler.submit(work)
    third = scheduler.submit(work)
    assert (second.kind, third.kind, third.id) == (SubmitKind.INSERTED, SubmitKind.DUPLICATE, second.id)
    assert second.handle.status() is TaskStatus.PENDING
    gate.let_pass()
    first.wait(WAIT_S)
    gate.await_arrivals(2)
    gate.open()
    assert second.wait(WAIT_S).status is TaskStatus.COMPLETED


@pytest.mark.parametrize("field", ["key", "label"])
def test_a_callable_that_raises(any_stage: Stage, domain: Domain, field: str) -> None:
    """S-030: a key or label callable that raises, or gives another type, is InvalidTask, with the exception chained."""

    def divide(n: int) -> str:
        return str(1 // n) if n != 5 else n  # type: ignore[return-value]  # the wrong type is the point

    options: dict[str, Any] = {field: divide}

    @domain.task(**options)
    def work(ctx: Context, n: int) -> None: ...

    scheduler = any_stage.scheduler(domain)
    with pytest.raises(InvalidTask, match=field) as refused:
        scheduler.submit(work, 0)
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
    with pytest.raises(InvalidTask, match=rf"{field}.*int"):
        scheduler.submit(work, 5)
    assert scheduler.count() == 0
    assert scheduler.submit(work, 1).kind is SubmitKind.INSERTED


def test_find_prefers_roots_then_children_then_history(stage: Stage, domain: Domain) -> None:
    """S-047: find gives the active root, else the newest active child, else the newest settled task, else None."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    task = work.options(key="k")
    assert scheduler.find(work, "k") is None

    def found() -> int | None:
        record = scheduler.find("play::work", "k")
        return None if record is None else record.id

    flows = [scheduler.flow("f"), scheduler.flow("f")]
    root = scheduler.submit(task)
    children = [flow.spawn(task) for flow in flows]
    for expected in (root, children[1], children[0]):
        assert found() == expected.id
        assert scheduler.cancel(expected.id).settled
    assert found() == children[1].id
    assert scheduler.find(work, "another") is None


def test_find_lists_tasks_that_hold_no_key(stage: Stage, domain: Domain) -> None:
    """S-449: find and queries by key see tasks of the policy ALLOW too."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    made = [scheduler.submit(work.options(key="k", on_duplicate=DuplicatePolicy.ALLOW)).id for _ in range(2)]
    record = scheduler.find(work, "k")
    assert record is not None
    assert record.id == made[1]
    assert [each.id for each in scheduler.tasks(key="k", task=work)] == made[::-1]
