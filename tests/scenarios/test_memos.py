"""Memos and the results of children (S-199..S-207)."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
from staging import WAIT_S, Stage, await_status, settle

from millrace import Context, Domain, PermanentError, Retry, TaskStatus


@dataclass
class Size:
    files: int
    name: str = "n"


def test_a_memo_is_what_the_body_returns(any_stage: Stage, domain: Domain) -> None:
    """S-199: the memo is JSON under the rules of the payload, kept on the record of leaves and parents."""

    @domain.task()
    def leaf(ctx: Context, n: int) -> Size:
        return Size(n)

    @domain.task()
    def parent(ctx: Context) -> tuple[int, bytes]:
        ctx.spawn_child(leaf, 1)
        return 1, b"\xff"

    @domain.task()
    def nothing(ctx: Context) -> None: ...

    scheduler = any_stage.started(domain)
    outcome = scheduler.submit(parent)
    assert outcome.result(WAIT_S) == (1, b"\xff")
    assert outcome.wait(WAIT_S).memo == [1, "/w=="]
    assert [child.memo for child in scheduler.children(outcome.id)] == [{"files": 1, "name": "n"}]
    assert scheduler.submit(leaf, 2).result(WAIT_S) == Size(2)
    assert scheduler.submit(nothing).result(WAIT_S) is None


@pytest.mark.parametrize("value", [math.nan, object(), 1 << 64, "\ud800", "x" * 200], ids=lambda v: repr(v)[:10])
@pytest.mark.parametrize("by", ["body", "finalizer"])
def test_a_memo_that_cannot_be_kept(any_stage: Stage, domain: Domain, by: str, value: Any) -> None:
    """S-200: a memo that cannot be encoded or is too large is a permanent failure that says "memo" and why."""
    runs: list[int] = []

    @domain.task(retry=Retry.constant(3))
    def work(ctx: Context) -> Any:
        runs.append(1)
        return value if by == "body" else 1

    if by == "finalizer":

        @work.finalize
        def end(ctx: Context, memo: Any) -> Any:
            runs.append(2)
            return value

    record = any_stage.started(domain, max_payload=100).submit(work).wait(WAIT_S)
    assert (record.status, record.memo) == (TaskStatus.FAILED, None)
    assert "memo" in (record.error or "")
    assert "expected" in (record.error or "")
    assert runs == ([1] if by == "body" else [1, 2])


def test_a_memo_of_another_type_is_a_failure(stage: Stage, domain: Domain) -> None:
    """S-199, S-200: a memo that does not decode by the body's return annotation is refused like a payload."""

    @domain.task()
    def work(ctx: Context) -> int:
        return "seven"  # type: ignore[return-value]  # the misfit is the point

    record = stage.started(domain).submit(work).wait(WAIT_S)
    assert record.status is TaskStatus.FAILED
    assert "memo" in (record.error or "")


def test_a_waiting_parents_memo_survives_a_restart(stage: Stage, domain: Domain) -> None:
    """S-201, S-175: the memo that a waiting parent returned is given to its finalizer, also by a later process."""
    seen: list[Any] = []

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def parent(ctx: Context, n: int) -> Size:
        ctx.spawn_child(leaf.options(group="held"))
        return Size(n)

    @parent.finalize
    def end(ctx: Context, memo: Size, n: int) -> None:
        seen.append((memo, n))

    first = stage.started(domain)
    first.pause_group("held")
    outcome = first.submit(parent, 4)
    await_status(outcome, TaskStatus.WAITING)
    first.stop()
    again = stage.started(domain)
    again.resume_group("held")
    record = type(outcome.handle)(again._core, outcome.id, None).wait(WAIT_S)
    assert seen == [(Size(4), 4)]
    assert record.memo == {"files": 4, "name": "n"}


def test_a_memo_that_no_longer_decodes_parks_the_task(stage: Stage) -> None:
    """S-201, S-416: a memo that the finalizer's program cannot decode parks the task, with the reason, until one that can."""

    def make(kind: Any) -> Domain:
        domain = Domain("play")

        @domain.task()
        def leaf(ctx: Context) -> None: ...

        def body(ctx: Context) -> Any:
            ctx.spawn_child(leaf.options(group="held"))
            return "text"

        body.__annotations__["return"] = kind
        parent = domain.task("parent")(body)
        parent.finalize(lambda ctx, memo: None)
        return domain

    domain = make(str)
    first = stage.started(domain)
    first.pause_group("held")
    outcome = first.submit(domain.tasks["play::parent"])
    await_status(outcome, TaskStatus.WAITING)
    first.stop()
    broken = stage.started(make(int))
    broken.resume_group("held")
    parked = await_status(type(outcome)(outcome.kind, outcome.id, _core=broken._core), TaskStatus.PARKED)
    assert "decode" in (parked.error or "")
    broken.stop()
    last = stage.started(make(str))
    assert type(outcome.handle)(last._core, outcome.id, None).wait(WAIT_S).memo == "text"


def test_failed_runs_leave_no_memo(stage: Stage, domain: Domain) -> None:
    """S-202, S-206: memo is None unless COMPLETED, and error is None if COMPLETED: also where a body had returned."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        gate.hold()
        raise ValueError("child")

    @domain.task()
    def parent(ctx: Context) -> int:
        ctx.spawn_child(bad)
        return 5

    @domain.task()
    def cancelled(ctx: Context) -> int:
        ctx.spawn_child(bad.options(run_after=3600))
        return 6

    scheduler = stage.started(domain)
    failed, other = scheduler.submit(parent), scheduler.submit(cancelled)
    for outcome in (failed, other):
        await_status(outcome, TaskStatus.WAITING)
    gate.open()
    scheduler.cancel(other.id)
    ends = settle([failed, other])
    assert [(end.status.value, end.memo) for end in ends] == [("failed", None), ("cancelled", None)]
    assert "child" in (ends[0].error or "")


# Results of children


def test_child_results_come_in_the_order_of_their_ends(stage: Stage, domain: Domain) -> None:
    """S-203, S-206: child_results yields settled children in the order of their commits, with memo or error."""
    gates = {n: stage.gate() for n in range(4)}

    @domain.task(retry=Retry.none())
    def leaf(ctx: Context, n: int) -> int:
        gates[n].hold()
        if n == 2:
            raise ValueError("two")
        return n * 10

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        made = {n: ctx.spawn_child(leaf.options(key=str(n), label=f"leaf {n}"), n) for n in range(4)}
        for n in (3, 1, 2, 0):
            gates[n].open()
            made[n].wait(WAIT_S)

    @parent.finalize
    def end(ctx: Context, memo: None) -> list[Any]:
        return [[c.key, c.label, c.status, c.memo, c.error, c.task_name] for c in ctx.child_results()]

    results: Any = stage.started(domain, max_concurrency=6).submit(parent).result(WAIT_S)
    assert [result[0] for result in results] == ["3", "1", "2", "0"]
    assert results[0] == ["3", "leaf 3", "completed", 30, None, "play::leaf"]
    assert results[2][2:5] == ["dead_letter", None, "ValueError: two"]


def test_child_results_of_many(stage: Stage, domain: Domain) -> None:
    """S-203, S-204: over many pages no child comes twice and none is left out, while more settle, and again."""

    @domain.task()
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def parent(ctx: Context) -> list[int]:
        ctx.spawn_children(leaf.call(n) for n in range(1000))
        seen = [child.id for child in ctx.child_results()]
        while len(again := [child.id for child in ctx.child_results()]) < 1000:
            assert len(again) == len(set(again))
        assert again[: len(seen)] == seen
        return [len(seen), len(set(again))]

    @parent.finalize
    def end(ctx: Context, memo: list[int]) -> int:
        assert sum(1 for _ in ctx.child_results()) == 1000
        return sum(child.memo for child in ctx.child_results(leaf) if child.memo is not None)

    assert stage.started(domain).submit(parent).result(WAIT_S) == 499_500  # type: ignore[comparison-overlap]  # the finalizer's


def test_child_results_by_task_and_status(stage: Stage, domain: Domain) -> None:
    """S-205: task keeps one type and decodes by its return annotation, else memos are plain; status keeps one status."""

    @domain.task()
    def sized(ctx: Context, n: int) -> Size:
        return Size(n)

    @domain.task()
    def plain(ctx: Context, n: int) -> int:
        return n

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError("bad")

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([sized.call(1), plain.call(2), bad.call()])

    seen: dict[str, Any] = {}

    @parent.finalize
    def end(ctx: Context, memo: None) -> None:
        seen["typed"] = [child.memo for child in ctx.child_results(sized)]
        seen["plain"] = sorted(map(str, (child.memo for child in ctx.child_results(status=TaskStatus.COMPLETED))))
        seen["bad"] = [child.error for child in ctx.child_results(status=TaskStatus.DEAD_LETTER)]
        seen["none"] = list(ctx.child_results(plain, status=TaskStatus.CANCELLED))

    stage.started(domain).submit(parent).wait(WAIT_S)
    assert seen == {
        "typed": [Size(1)],
        "plain": ["2", "{'files': 1, 'name': 'n'}"],
        "bad": ["ValueError: bad"],
        "none": [],
    }


def test_a_childs_memo_that_does_not_decode(stage: Stage) -> None:
    """S-205: a memo that does not fit the child's return annotation is PermanentError with the child's id."""

    def make(kind: Any) -> Domain:
        domain = Domain("play")

        def leaf(ctx: Context) -> Any:
            return "text"

        leaf.__annotations__["return"] = kind
        task = domain.task()(leaf)

        @domain.task(group="held")
        def late(ctx: Context) -> None: ...

        @domain.task()
        def parent(ctx: Context) -> None:
            ctx.spawn_child(task)
            ctx.spawn_child(late)

        @parent.finalize
        def end(ctx: Context, memo: None) -> str:
            try:
                list(ctx.child_results(task))
            except PermanentError as error:
                return str(error)
            return ""

        return domain

    domain = make(str)
    first = stage.started(domain)
    first.pause_group("held")
    outcome = first.submit(domain.tasks["play::parent"])
    await_status(outcome, TaskStatus.WAITING)
    (child,) = first.tasks(task=domain.tasks["play::leaf"])
    type(outcome.handle)(first._core, child.id, None).wait(WAIT_S)
    first.stop()
    second = stage.started(make(int))
    second.resume_group("held")
    record = type(outcome.handle)(second._core, outcome.id, None).wait(WAIT_S)
    assert f"child {child.id}" in (record.memo or "")


def test_the_summary_of_children(stage: Stage, domain: Domain) -> None:
    """S-207: child_summary is one consistent count; errors are grouped by first line, most frequent first, ties by text."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def leaf(ctx: Context, n: int) -> None:
        if n < 3:
            raise ValueError("often\nwith more")
        if n < 5:
            raise KeyError("b" if n == 3 else "a")
        if n == 6:
            gate.hold()

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> dict[str, Any]:
        made = [ctx.spawn_child(leaf, n) for n in range(7)]
        for outcome in made[:6]:
            outcome.wait(WAIT_S)
        summary = ctx.child_summary()
        gate.open()
        return {
            "total": summary.total,
            "active": summary.active,
            "by_status": {status.value: n for status, n in summary.by_status.items()},
            "errors": [list(entry) for entry in summary.errors],
        }

    assert stage.started(domain).submit(parent).result(WAIT_S) == {
        "total": 7,
        "active": 1,
        "by_status": {"dead_letter": 5, "completed": 1},
        "errors": [["ValueError: often", 3], ["KeyError: 'a'", 1], ["KeyError: 'b'", 1]],
    }


def test_the_summary_names_twenty_errors(stage: Stage, domain: Domain) -> None:
    """S-207: at most twenty errors are named; the counts are of all children."""

    @domain.task(retry=Retry.none())
    def leaf(ctx: Context, n: int) -> None:
        raise ValueError(f"{n:03}")

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_children(leaf.call(n) for n in range(30))

    @parent.finalize
    def end(ctx: Context, memo: None) -> list[Any]:
        summary = ctx.child_summary()
        return [summary.total, [text for text, _ in summary.errors]]

    total, texts = stage.started(domain).submit(parent).result(WAIT_S)  # type: ignore[misc]  # the finalizer's
    assert (total, texts) == (30, [f"ValueError: {n:03}" for n in range(20)])
