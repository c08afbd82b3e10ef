"""Submitting: what is bound, encoded, refused and acknowledged, and how an outcome is waited for (S-018..S-025, S-031..S-046)."""

import math
import subprocess
import sys
import threading
import uuid
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict

import msgspec
import pytest
from staging import WAIT_S, Stage, at_once, settle

from millrace import (
    Context,
    Domain,
    DuplicatePolicy,
    InvalidTask,
    NoParent,
    PayloadTooLarge,
    Priority,
    Retry,
    Scheduler,
    SchedulerStopped,
    SubmitKind,
    TaskCancelled,
    TaskFailed,
    TaskInterrupted,
    TaskNotFound,
    TaskStatus,
    UnknownTask,
)

SENTINEL = object()


@dataclass
class Point:
    x: int
    y: float = 0.5


class Named(TypedDict):
    name: str


class Packed(msgspec.Struct):
    size: int


class Colour(Enum):
    RED = "red"


# Durability and ids


def test_a_submitted_task_is_seen_by_another_process(stage: Stage, domain: Domain) -> None:
    """S-018: once submit has returned, a read in any process sees the task."""

    @domain.task()
    def add(ctx: Context, n: int) -> None: ...

    outcome = stage.scheduler(domain).submit(add, 7)
    look = "import sys, apsw; print(apsw.Connection(sys.argv[1]).execute('select id, payload from task').fetchall())"
    seen = subprocess.run([sys.executable, "-c", look, stage.path], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == f"[({outcome.id}, '{{\"n\":7}}')]"


def test_every_way_to_submit_is_durable_when_it_returns(stage: Stage, domain: Domain) -> None:
    """S-018: what submit, submit_batch, spawns and flows return is in the store by then."""
    seen: list[TaskStatus] = []

    @domain.task()
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> None:
        made = [ctx.spawn_child(leaf, 1), *ctx.spawn_children([leaf.call(2)]), ctx.submit(leaf, 3)]
        seen.extend(one.handle.status() for one in made)

    scheduler = stage.started(domain)
    scheduler.submit(parent).wait(WAIT_S)
    made = [*scheduler.submit_batch([leaf.call(4)]), scheduler.flow("f").spawn(leaf, 5)]
    seen.extend(one.handle.status() for one in made)
    assert len(seen) == 5


def test_ids_ascend_and_never_come_back(stage: Stage, domain: Domain) -> None:
    """S-019: ids of tasks and flows are one ascending sequence, used once: not again after a cancel or a restart."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    first = stage.scheduler(domain)
    ids = [first.submit(work, 1).id, first.flow("f").id, first.submit(work, 2).id]
    first.cancel(ids[-1])
    ids.append(first.submit(work, 3).id)
    first.cancel(ids[-1])
    first.stop()
    again = stage.scheduler(domain)
    ids += [again.submit(work, 4).id, again.submit_batch([work.call(5), work.call(6)])[1].id]
    assert ids == [1, 2, 3, 4, 5, 7]


# Arguments and payloads


def test_a_misfit_is_a_type_error(any_stage: Stage, domain: Domain) -> None:
    """S-020, S-422: arguments that do not fit are a TypeError that names the task, from call and submit; nothing is stored."""

    @domain.task()
    def add(ctx: Context, a: int, *, b: int = 1) -> None: ...

    scheduler = any_stage.scheduler(domain)
    wrong: list[Any] = [add.call, lambda: add.call(1, 2), lambda: scheduler.submit(add, 1, c=3)]  # type: ignore[call-arg]  # the misfits are the point
    for call in wrong:
        with pytest.raises(TypeError, match=r"play::add\(\)"):
            call()
    assert scheduler.count() == 0
    assert scheduler.submit(add, 1).kind is SubmitKind.INSERTED


def test_a_misfit_in_a_body_stores_nothing(stage: Stage, domain: Domain) -> None:
    """S-020: spawn_child and spawn_sibling raise TypeError too, before anything is written."""

    @domain.task()
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> list[str]:
        raised = []
        for spawn in (ctx.spawn_child, ctx.submit):
            try:
                spawn(leaf)  # type: ignore[call-arg]  # the misfit is the point
            except TypeError as error:
                raised.append(str(error))
        return raised

    scheduler = stage.started(domain)
    raised = scheduler.submit(parent).result(WAIT_S)
    assert len(raised) == 2
    assert scheduler.count(task=leaf) == 0


def test_one_payload_however_it_is_written(stage: Stage, domain: Domain) -> None:
    """S-021: the payload maps parameters to values with defaults filled in, so f(1) and f(n=1) are one task."""

    @domain.task()
    def spread(ctx: Context, n: int, m: int = 2, *rest: int, **more: str) -> None: ...

    scheduler = stage.scheduler(domain)
    first = scheduler.submit(spread, 1)
    assert scheduler.submit(spread, n=1).id == first.id
    assert scheduler.submit(spread, 1, m=2).kind is SubmitKind.DUPLICATE
    assert scheduler.task(first.id).payload == {"n": 1, "m": 2, "rest": [], "more": {}}
    wide = scheduler.submit(spread, 1, 2, 3, 4, a="b")
    assert scheduler.task(wide.id).payload == {"n": 1, "m": 2, "rest": [3, 4], "more": {"a": "b"}}


def test_values_come_back_by_the_annotations(stage: Stage, domain: Domain) -> None:
    """S-022: what JSON has no type for is decoded back by the annotation; without one it is plain JSON."""
    given: list[tuple[Any, ...]] = []
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    values = (
        Point(1),
        Named(name="n"),
        Packed(3),
        b"\x00\xff",
        moment,
        date(2024, 5, 6),
        Decimal("1.10"),
        Colour.RED,
        uuid.UUID(int=5),
        (1, "a"),
        {3, 4},
        {"plain": [1, None]},
    )

    @domain.task()
    def keep(  # noqa: PLR0917 - one parameter a type
        ctx: Context,
        a: Point,
        b: Named,
        c: Packed,
        d: bytes,
        e: datetime,
        f: date,
        g: Decimal,
        h: Colour,
        i: uuid.UUID,
        j: tuple[int, str],
        k: set[int],
        l,  # type: ignore[no-untyped-def]  # noqa: ANN001, E741 - without an annotation on purpose
    ) -> None:
        given.append((a, b, c, d, e, f, g, h, i, j, k, l))

    stage.started(domain).submit(keep, *values).wait(WAIT_S)
    assert given == [values]
    assert isinstance(given[0][6], Decimal)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        1 << 63,
        -(1 << 63) - 1,
        "\ud800",
        {"a": [math.nan]},
        SENTINEL,
        {1: {2}, "x": SENTINEL},
    ],
    ids=lambda value: repr(value).replace(repr(SENTINEL), "object"),  # the same in every process
)
def test_what_json_cannot_hold_is_refused(any_stage: Stage, domain: Domain, value: object) -> None:
    """S-023, S-024: what JSON has no form for is InvalidTask that names the parameter and what was expected."""

    @domain.task()
    def take(ctx: Context, odd: Any) -> None: ...

    scheduler = any_stage.scheduler(domain)
    with pytest.raises(InvalidTask, match="odd") as refused:
        scheduler.submit(take, value)
    assert "expected" in str(refused.value)
    assert scheduler.count() == 0
    assert scheduler.submit(take, 1).kind is SubmitKind.INSERTED


def test_the_edges_of_what_json_holds_are_accepted(stage: Stage, domain: Domain) -> None:
    """S-024: the longest integers and one hundred levels go in; one level more does not."""

    @domain.task()
    def take(ctx: Context, odd: Any) -> Any:
        return odd

    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return value

    scheduler = stage.started(domain)
    for value in ((1 << 63) - 1, -(1 << 63), nested(100)):
        assert scheduler.submit(take, value).result(WAIT_S) == value
    with pytest.raises(InvalidTask, match="odd"):
        scheduler.submit(take, nested(101))


def test_a_value_that_does_not_decode_is_refused_at_submit(stage: Stage, domain: Domain) -> None:
    """S-023: submit decodes what it encoded: a value of another type than the annotation's is InvalidTask naming all three."""

    @domain.task()
    def take(ctx: Context, size: int, point: Point | None = None) -> None: ...

    scheduler = stage.scheduler(domain)
    with pytest.raises(InvalidTask, match=r"size.*expected int.*str"):
        scheduler.submit(take, "seven")  # type: ignore[arg-type]  # the misfit is the point
    with pytest.raises(InvalidTask, match="point"):
        scheduler.submit(take, 1, [1])  # type: ignore[arg-type]  # the misfit is the point


def test_the_largest_payload(any_stage: Stage, domain: Domain) -> None:
    """S-025: max_payload bytes encoded are accepted, one more is PayloadTooLarge with both numbers; the state of a flow too."""

    @domain.task()
    def take(ctx: Context, s: str) -> None: ...

    scheduler = any_stage.scheduler(domain, max_payload=1000)
    room = 1000 - len('{"s":""}')
    assert scheduler.submit(take, "x" * room).kind is SubmitKind.INSERTED
    with pytest.raises(PayloadTooLarge, match=r"1,000.*1,001") as refused:
        scheduler.submit(take, "x" * (room + 1))
    assert (refused.value.size, refused.value.maximum) == (1001, 1000)
    scheduler.flow("f", state="x" * 998)
    with pytest.raises(PayloadTooLarge):
        scheduler.flow("f", state="x" * 999)
    assert scheduler.count() == 2


# Labels, domains, places


def test_labels(stage: Stage, domain: Domain) -> None:
    """S-031: the label is the option's, the callable's, the explicit key, else the task's name; cut, never empty."""

    @domain.task()
    def plain(ctx: Context, n: int) -> None: ...

    @domain.task(label=lambda n: f"number {n}" if n else "")
    def called(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)

    def label(task: Any, n: int) -> str:
        return scheduler.task(scheduler.submit(task, n).id).label

    assert label(plain, 1) == "play::plain"
    assert label(plain.options(key="k"), 2) == "k"
    assert label(plain.options(label="shown", key="k2"), 3) == "shown"
    assert label(plain.options(label=""), 4) == "play::plain"
    assert label(called, 5) == "number 5"
    assert label(called.options(key="k5"), 6) == "number 6"
    assert label(called, 0) == "play::called"
    assert label(called.options(label="L" * 600), 7) == "L" * 512


def test_a_domain_that_is_not_registered(any_stage: Stage, domain: Domain) -> None:
    """S-032, S-426: a task of another domain object is UnknownTask that names both, in batches and from bodies too."""
    stranger, twin = Domain("strange"), Domain("play")

    @stranger.task()
    def foreign(ctx: Context) -> None: ...

    @twin.task()
    def same_name(ctx: Context) -> None: ...

    @domain.task()
    def body(ctx: Context) -> list[str]:
        raised = []
        for spawn in (ctx.submit, ctx.spawn_child):
            try:
                spawn(foreign)
            except UnknownTask as error:
                raised.append(error.name)
        return raised

    scheduler = any_stage.started(domain)
    for call in (lambda: scheduler.submit(foreign), lambda: scheduler.submit_batch([body.call(), foreign.call()])):
        with pytest.raises(UnknownTask, match=r"strange::foreign.*play"):
            call()
    with pytest.raises(UnknownTask):
        scheduler.submit(same_name)
    assert scheduler.count() == 0
    assert scheduler.submit(body).result(WAIT_S) == ["strange::foreign"] * 2
    assert scheduler.count() == 1


def test_the_parent_option_is_spawn_child(stage: Stage, domain: Domain) -> None:
    """S-033: options(parent=) takes an id or a context and makes a child; options(sibling_of=) makes a sibling."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def middle(ctx: Context) -> int:
        return ctx.scheduler.submit(leaf.options(sibling_of=ctx), 2).id

    @domain.task()
    def top(ctx: Context) -> list[int]:
        ids = [ctx.scheduler.submit(leaf.options(parent=ctx), 1).id, ctx.spawn_child(middle).id]
        gate.hold()
        return ids

    scheduler = stage.started(domain)
    outcome = scheduler.submit(top)
    gate.await_arrivals()
    scheduler.submit(leaf.options(parent=outcome.id), 3).wait(WAIT_S)
    gate.open()
    outcome.wait(WAIT_S)
    children = list(scheduler.children(outcome.id))
    assert [child.payload.get("n") for child in children if child.task_name == leaf.name] in ([1, 2, 3], [1, 3, 2])
    assert all(child.parent_id == outcome.id for child in children)


def test_a_repeated_run_finds_what_it_spawned_by_option(stage: Stage, domain: Domain) -> None:
    """S-033, S-167: a child made by options(parent=ctx) is the run's own: its repetition finds it."""

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(1))
    def parent(ctx: Context) -> str:
        made = ctx.scheduler.submit(leaf.options(parent=ctx))
        made.wait(WAIT_S)
        if ctx.attempt == 1:
            raise ValueError
        return made.kind

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    assert outcome.result(WAIT_S) == SubmitKind.DUPLICATE
    assert len(list(scheduler.children(outcome.id))) == 1


def test_two_places_at_once_are_refused(stage: Stage, domain: Domain) -> None:
    """S-033: parent and sibling_of together, or another parent than the spawn's own, is InvalidTask; nothing is stored."""
    refused: list[str] = []

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def child(ctx: Context, top: int) -> None:
        calls: list[Any] = [
            lambda: leaf.options(parent=top, sibling_of=ctx),
            lambda: ctx.submit(leaf.options(parent=ctx).options(sibling_of=ctx)),
            lambda: ctx.spawn_child(leaf.options(parent=top)),
            lambda: ctx.spawn_child(leaf.options(sibling_of=ctx)),
            lambda: ctx.spawn_sibling(leaf.options(parent=ctx)),
            lambda: ctx.scheduler.submit_batch([leaf.options(parent=ctx).options(sibling_of=ctx).call()]),
            lambda: ctx.scheduler.spawn_child(ctx.id, leaf.options(parent=top).call()),
        ]
        for call in calls:
            try:
                call()
            except InvalidTask as error:
                refused.append(str(error))

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child, ctx.id)

    scheduler = stage.started(domain)
    scheduler.submit(parent).wait(WAIT_S)
    assert len(refused) == 7
    assert scheduler.count(task=leaf) == 0


def test_a_sibling_by_option_needs_a_parent(stage: Stage, domain: Domain) -> None:
    """S-033, S-193: options(sibling_of=) of a task without a parent is NoParent."""

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def root(ctx: Context) -> bool:
        with pytest.raises(NoParent):
            ctx.submit(leaf.options(sibling_of=ctx))
        return True

    assert stage.started(domain).submit(root).result(WAIT_S)


# Options

NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - naive on purpose
SOON = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "options",
    [
        {"key": 1},
        {"label": 1},
        {"priority": "high"},
        {"priority": True},
        {"priority": 1.5},
        {"priority": -1},
        {"priority": 256},
        {"retry": 3},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": math.nan},
        {"timeout": "1"},
        {"run_after": -0.1},
        {"run_after": math.nan},
        {"run_after": math.inf},
        {"run_after": 1e300},
        {"run_after": timedelta(seconds=-1)},
        {"run_at": NAIVE},
        {"run_at": 5},
        {"run_at": SOON, "run_after": 1},
        {"on_duplicate": "maybe"},
        {"fail_fast": 1},
        {"max_failures": -1},
        {"max_failures": 1.1},
        {"max_failures": -0.1},
        {"max_failures": math.nan},
        {"max_failures": True},
        {"max_failures": "1"},
        {"child_concurrency": 0},
        {"child_concurrency": 1.0},
        {"child_concurrency": True},
        {"parent": "1"},
        {"parent": True},
        {"sibling_of": 1},
    ],
    ids=str,
)
def test_wrong_options_are_refused(any_stage: Stage, domain: Domain, options: dict[str, Any]) -> None:
    """S-034: options of wrong types or out of range are ValueError or TypeError that name them; nothing is stored."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = any_stage.scheduler(domain)
    with pytest.raises((ValueError, TypeError)) as refused:
        scheduler.submit(work.options(**options))
    assert any(name in str(refused.value) for name in options)
    assert scheduler.count() == 0
    assert scheduler.submit(work).kind is SubmitKind.INSERTED


@pytest.mark.parametrize("options", [{"run_after": timedelta(days=8_000 * 365)}, {"run_after": 2.53e11}], ids=str)
def test_a_delay_beyond_the_calendar_is_refused(any_stage: Stage, domain: Domain, options: dict[str, Any]) -> None:
    """S-034: a delay that ends at a time no datetime can hold is ValueError, and the store stays readable."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = any_stage.scheduler(domain)
    with pytest.raises(ValueError, match="run_after"):
        scheduler.submit(work.options(**options))
    assert scheduler.tasks() == []


@pytest.mark.parametrize(
    "settings",
    [
        {"max_concurrency": 0},
        {"max_concurrency": True},
        {"max_payload": 0},
        {"max_crashes": 0},
        {"cancel_timeout": -1},
        {"cancel_timeout": math.nan},
        {"durability": "none"},
        {"retry": 3},
    ],
    ids=str,
)
def test_wrong_settings_are_refused(stage: Stage, settings: dict[str, Any]) -> None:
    """S-423: settings of a scheduler out of range are ValueError or TypeError with their name."""
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        stage.scheduler(**settings)


def test_none_is_not_given_and_infinity_is_none(stage: Stage) -> None:
    """S-035: None leaves the task's or domain's time-out; math.inf takes it away."""
    slow = Domain("slow", timeout=0.05)

    @slow.task()
    def wait(ctx: Context, n: int) -> bool:
        return ctx.wait_cancelled(0.5)

    scheduler = stage.started(slow, cancel_timeout=5, retry=Retry.none())
    limited, free = settle(
        [scheduler.submit(wait.options(timeout=limit), n) for n, limit in enumerate((None, math.inf))]
    )
    assert limited.status is TaskStatus.DEAD_LETTER
    assert "timed out after 0.05 s" in (limited.error or "")
    assert (free.status, free.memo) == (TaskStatus.COMPLETED, False)


def test_options_add_up(stage: Stage, domain: Domain) -> None:
    """S-036: options leave the task as it is, options of options add up, later ones win; a submission works many times."""

    @domain.task(priority=Priority.IDLE)
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    many = work.options(key="k", priority=5, label="a").options(label="b", on_duplicate=DuplicatePolicy.ALLOW)
    submission = many.call()
    ids = [outcome.id for outcome in scheduler.submit_batch([submission, submission])]
    ids.append(scheduler.submit(many).id)
    records = [scheduler.task(task_id) for task_id in ids]
    assert {(record.key, record.priority, record.label) for record in records} == {("k", 5, "b")}
    plain = scheduler.task(scheduler.submit(work).id)
    assert (plain.priority, plain.label) == (Priority.IDLE, work.name)


def test_a_later_delay_replaces_an_earlier_time(stage: Stage, domain: Domain) -> None:
    """S-036: of run_at and run_after in options of options the later one counts."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    outcome = scheduler.submit(work.options(run_after=5).options(run_at=SOON))
    assert scheduler.task(outcome.id).run_at == SOON


# Refusal and availability


def test_a_refused_submit_disturbs_nobody(any_stage: Stage, domain: Domain) -> None:
    """S-037: of many submits at one moment those that are refused leave no row, and the others are stored."""
    gate = any_stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    @domain.task()
    def hold(ctx: Context) -> None:
        gate.hold()

    scheduler = any_stage.started(domain, max_concurrency=1)
    parent = scheduler.submit(hold)
    gate.await_arrivals()
    scheduler.cancel(parent.id)

    def try_child(n: int) -> str:
        try:
            scheduler.submit(work.options(parent=parent.id), n)
        except Exception as error:
            return type(error).__name__
        return "stored"

    calls: list[Any] = []
    for n in range(20):
        calls += [lambda n=n: try_child(n), lambda n=n: scheduler.submit(work, n).kind.value]
    results = at_once(calls)
    assert results == ["ParentClosed", "inserted"] * 20
    assert scheduler.count(task=work) == 20
    assert list(scheduler.children(parent.id)) == []
    assert scheduler.submit(work, 99).kind is SubmitKind.INSERTED


def test_submitting_works_from_anywhere_at_any_time(stage: Stage, domain: Domain) -> None:
    """S-038: submits work before start, from threads and bodies, and while the scheduler is stopping."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    @domain.task()
    def body(ctx: Context) -> int:
        gate.hold()
        ctx.submit(work, 4)
        return ctx.scheduler.submit(work, 3).id

    scheduler = stage.scheduler(domain)
    scheduler.submit(work, 1)
    scheduler.start()
    at_once([lambda: scheduler.submit(work, 2)])
    outcome = scheduler.submit(body)
    gate.await_arrivals()
    stopper = threading.Thread(target=scheduler.stop, args=(10.0,))
    stopper.start()
    while scheduler._runtime.state.name != "STOPPING":
        assert stopper.is_alive()
    kind = scheduler.submit(work, 5).kind
    gate.open()
    stopper.join(WAIT_S)
    assert kind is SubmitKind.INSERTED
    with pytest.raises(SchedulerStopped):
        scheduler.submit(work, 6)
    again = stage.scheduler(domain)
    assert again.task(outcome.id).status is TaskStatus.COMPLETED
    assert sorted(record.payload["n"] for record in again.tasks(task=work)) == [1, 2, 3, 4, 5]


def test_a_submit_starts_its_task(stage: Stage, domain: Domain) -> None:
    """S-039, S-082: tasks start by their submit, one after the other in less time than any polling would take."""

    @domain.task()
    def work(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.started(domain)
    durations = []
    for n in range(20):
        record = scheduler.submit(work, n).wait(WAIT_S)
        assert record.started_at is not None
        durations.append((record.started_at - record.created_at).total_seconds())
    assert min(durations[1:]) < 0.05


# Outcomes


def test_the_outcome_leads_to_the_result(stage: Stage, domain: Domain) -> None:
    """S-040, S-041: wait gives the terminal record, result the memo decoded by the return annotation."""

    @domain.task()
    def point(ctx: Context, x: int) -> Point:
        return Point(x)

    outcome = stage.started(domain).submit(point, 3)
    assert (outcome.kind, outcome.replaced, outcome.group_paused) == (SubmitKind.INSERTED, None, False)
    record = outcome.wait(WAIT_S)
    assert (record.id, record.status, record.memo) == (outcome.id, TaskStatus.COMPLETED, {"x": 3, "y": 0.5})
    assert outcome.result() == Point(3)


def test_result_raises_by_the_end(stage: Stage, domain: Domain) -> None:
    """S-041, S-433: CANCELLED and SUPERSEDED are TaskCancelled, failed ends TaskFailed, with task, id, status and error."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def bad(ctx: Context) -> None:
        raise ValueError("no good")

    @domain.task()
    def hold(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    failed = scheduler.submit(bad)
    with pytest.raises(TaskFailed, match=r"play::bad \(task 1\).*dead_letter: ValueError: no good") as ended:
        failed.result(WAIT_S)
    assert ended.value.record.status is TaskStatus.DEAD_LETTER
    scheduler.submit(hold)
    gate.await_arrivals()
    waiting = [scheduler.submit(bad.options(key=key)) for key in "ab"]
    scheduler.cancel(waiting[0].id)
    scheduler.submit(bad.options(key="b", on_duplicate=DuplicatePolicy.SUPERSEDE))
    for outcome in waiting:
        with pytest.raises(TaskCancelled):
            outcome.result(WAIT_S)


def test_waiting_has_an_end(any_stage: Stage, domain: Domain) -> None:
    """S-042, S-434: wait and result raise the built-in TimeoutError with id and status; timeout=0 looks once."""

    @domain.task()
    def work(ctx: Context) -> int:
        return 1

    scheduler = any_stage.scheduler(domain)
    outcome = scheduler.submit(work)
    for timeout in (0, 0.01, timedelta(milliseconds=10)):
        for call in (outcome.wait, outcome.result):
            with pytest.raises(TimeoutError, match=rf"task {outcome.id}.*pending"):
                call(timeout)
    scheduler.start()
    assert outcome.result(WAIT_S) == 1
    assert outcome.wait(0).status is TaskStatus.COMPLETED


def test_waiting_for_what_is_not_there(stage: Stage, domain: Domain) -> None:
    """S-427: a handle of a task that never was raises TaskNotFound, also where it is waited for."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    handle = type(scheduler.submit(work).handle)(scheduler._core, 999, None)
    for call in (handle.wait, handle.result, handle.record, handle.status, lambda: handle.wait(0)):
        with pytest.raises(TaskNotFound, match="999"):
            call()


def test_a_body_that_waits_lends_its_slot(stage: Stage, domain: Domain) -> None:
    """S-043: with one slot, bodies can wait for what they submit, and what that submits, and so on."""

    @domain.task()
    def deep(ctx: Context, n: int) -> int:
        return 0 if n == 0 else ctx.submit(deep, n - 1).result(WAIT_S) + 1

    assert stage.started(domain, max_concurrency=1).submit(deep, 12).result(WAIT_S) == 12


def test_a_wait_ends_when_its_body_is_asked_to_stop(stage: Stage, domain: Domain) -> None:
    """S-043: the wait of a body raises TaskInterrupted when its own run is asked to stop."""
    gate = stage.gate()
    raised: list[str] = []

    @domain.task()
    def hold(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def waits(ctx: Context) -> None:
        try:
            ctx.submit(hold).wait(WAIT_S)
        except TaskInterrupted as error:
            raised.append(error.reason)
            raise

    scheduler = stage.started(domain)
    outcome = scheduler.submit(waits)
    gate.await_arrivals()
    assert scheduler.cancel(outcome.id).accepted
    assert outcome.wait(WAIT_S).status is TaskStatus.CANCELLED
    assert raised == ["cancelled"]


def test_waiting_for_oneself_is_an_error(stage: Stage, domain: Domain) -> None:
    """S-044, S-436: a body that waits for its own task or an ancestor gets RuntimeError at once, which names the alternative."""

    @domain.task()
    def child(ctx: Context, above: list[int]) -> list[str]:
        return [refusal(ctx, task_id) for task_id in [*above, ctx.id]]

    @domain.task()
    def parent(ctx: Context, above: list[int]) -> None:
        ctx.spawn_child(child if above else parent, [*above, ctx.id])

    def refusal(ctx: Context, task_id: int) -> str:
        handle = type(ctx.scheduler.submit(noop).handle)(ctx.scheduler._core, task_id, None)
        try:
            handle.wait(WAIT_S)
        except RuntimeError as error:
            return str(error)
        return ""

    @domain.task()
    def noop(ctx: Context) -> None: ...

    scheduler = stage.started(domain)
    scheduler.submit(parent, []).wait(WAIT_S)
    (record,) = scheduler.tasks(task=child)
    assert len(record.memo) == 3
    assert all("finalizer" in text for text in record.memo)


def test_stopping_ends_waits(stage: Stage, domain: Domain) -> None:
    """S-045: waits that are pending when the scheduler stops raise SchedulerStopped, futures too."""

    @domain.task()
    def later(ctx: Context) -> None: ...

    scheduler = stage.started(domain)
    outcome = scheduler.submit(later.options(run_after=3600))
    future = outcome.handle.future()
    raised: list[type[BaseException]] = []

    def wait() -> None:
        try:
            outcome.wait(WAIT_S)
        except SchedulerStopped as error:
            raised.append(type(error))

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not scheduler._runtime.delivery._watchers.get(outcome.id, [])[1:]:
        assert waiter.is_alive()
    scheduler.stop()
    waiter.join(WAIT_S)
    assert raised == [SchedulerStopped]
    with pytest.raises(SchedulerStopped):
        future.result(WAIT_S)


def test_futures(stage: Stage, domain: Domain) -> None:
    """S-046: a future has the same value or exception; cancelling it gives up the waiting, not the task."""
    gate = stage.gate()

    @domain.task(retry=Retry.none())
    def work(ctx: Context, n: int) -> Point:
        gate.hold()
        if n == 2:
            raise ValueError("two")
        return Point(n)

    scheduler = stage.started(domain)
    outcomes = [scheduler.submit(work, n) for n in (1, 2, 3)]
    good, bad, left = [outcome.handle.future() for outcome in outcomes]
    assert left.cancel()
    gate.open()
    assert good.result(WAIT_S) == Point(1)
    with pytest.raises(TaskFailed, match="two"):
        bad.result(WAIT_S)
    with pytest.raises(CancelledError):
        left.result(0)
    assert outcomes[2].wait(WAIT_S).status is TaskStatus.COMPLETED
    assert outcomes[0].handle.future().result(WAIT_S) == Point(1)


def test_a_relative_path_is_that_of_where_the_scheduler_was_made(
    domain: Domain, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that changes its directory before it starts finds its tasks where it left them."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    scheduler = Scheduler("here.db", domains=[domain])
    monkeypatch.chdir(elsewhere)
    with scheduler:
        assert (tmp_path / "here.db").exists()
    assert list(elsewhere.iterdir()) == []
