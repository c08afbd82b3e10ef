"""Options and where they come from: submission, task, domain, scheduler, parent (sections 1, 10 and 30)."""

import math
from datetime import UTC, datetime
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from staging import WAIT_S, Stage, settle

from millrace import Context, Domain, InvalidTask, IoBudget, Priority, Retry, SubmitKind, TaskRecord, TaskStatus
from millrace.options import NO_OPTIONS

TASK_LEVEL = {"priority": 70, "group": "task", "io": IoBudget(1, 2, 3, 4), "retry": Retry.constant(7), "timeout": 90.0}
DOMAIN_LEVEL = {"priority": 80, "group": "domain", "retry": Retry.constant(8), "timeout": 91.0}
OWN_LEVEL = {"priority": 60, "group": "own", "io": IoBudget.disk(write=9), "retry": Retry.constant(6)}


def shown(record: TaskRecord) -> tuple[object, ...]:
    return (record.priority, record.group, record.expected_io, record.max_retries)


@pytest.mark.parametrize(
    ("of_domain", "of_task", "own", "expected"),
    [
        ({}, {}, {}, (128, None, IoBudget(), 3)),
        (DOMAIN_LEVEL, {}, {}, (80, "domain", IoBudget(), 8)),
        (DOMAIN_LEVEL, TASK_LEVEL, {}, (70, "task", IoBudget(1, 2, 3, 4), 7)),
        (DOMAIN_LEVEL, TASK_LEVEL, OWN_LEVEL, (60, "own", IoBudget(disk_write=9), 6)),
        ({}, TASK_LEVEL, {"group": "own"}, (70, "own", IoBudget(1, 2, 3, 4), 7)),
        (DOMAIN_LEVEL, {}, OWN_LEVEL, (60, "own", IoBudget(disk_write=9), 6)),
    ],
)
def test_precedence(
    stage: Stage, of_domain: dict[str, Any], of_task: dict[str, Any], own: dict[str, Any], expected: tuple[object, ...]
) -> None:
    """S-390: the submission's, else the task's, else the domain's, else the scheduler's or the default."""
    domain = Domain("play", **of_domain)

    @domain.task(**of_task)
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    assert shown(scheduler.task(scheduler.submit(work.options(**own)).id)) == expected


def test_a_value_that_equals_a_default_is_given(stage: Stage) -> None:
    """S-390: NORMAL, no retry and no IO, where they are said, stand over what is below."""
    domain = Domain("play", priority=9, retry=Retry.constant(5))

    @domain.task(io=IoBudget.disk(read=5))
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain, retry=Retry.constant(4))
    given = work.options(priority=Priority.NORMAL, retry=Retry(), io=IoBudget())
    assert shown(scheduler.task(scheduler.submit(given).id)) == (128, None, IoBudget(), 3)


def test_the_scheduler_comes_last(stage: Stage, domain: Domain) -> None:
    """S-390: what nobody else says, the scheduler says."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain, retry=Retry.constant(11))
    assert scheduler.task(scheduler.submit(work).id).max_retries == 11


def test_options_leave_the_task_and_add_up(stage: Stage, domain: Domain) -> None:
    """S-036: options of options add up, later ones win; None is not given (S-035); a submission is used many times."""

    @domain.task(group="task", tags={"a": "task", "b": "task"})
    def work(ctx: Context, n: int) -> None: ...

    first = work.options(group="first", tags={"b": "first", "c": "first"}, priority=5)
    second = first.options(group="second", tags={"c": "second"}, priority=None)
    scheduler = stage.scheduler(domain)
    records = [scheduler.task(scheduler.submit(task, n).id) for n, task in enumerate((work, first, second))]
    assert [record.group for record in records] == ["task", "first", "second"]
    assert [record.priority for record in records] == [128, 5, 5]
    assert [record.tags for record in records] == [
        {"a": "task", "b": "task"},
        {"a": "task", "b": "first", "c": "first"},
        {"a": "task", "b": "first", "c": "second"},
    ]
    once = second.call(9)
    kinds = [outcome.kind for batch in range(2) for outcome in scheduler.submit_batch([once])]
    assert kinds == [SubmitKind.INSERTED, SubmitKind.DUPLICATE]


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"group": ""}, InvalidTask, "group: expected 1 to 256"),
    ({"group": "g" * 257}, InvalidTask, "group: expected 1 to 256"),
    ({"group": 3}, InvalidTask, "group: expected text"),
    ({"group": "a\0"}, InvalidTask, "group: expected text without NUL"),
    ({"group": "\ud800"}, InvalidTask, "lone surrogate"),
    ({"tags": ["a"]}, InvalidTask, "tags: expected a mapping"),
    ({"tags": {"a": 1}}, InvalidTask, "tags: value of 'a': expected text"),
    ({"tags": {1: "a"}}, InvalidTask, "tags: key: expected text"),
    ({"tags": {"": "a"}}, InvalidTask, "tags: key: expected 1 to 64"),
    ({"tags": {"k" * 65: "a"}}, InvalidTask, "tags: key: expected 1 to 64"),
    ({"tags": {"a": "v" * 257}}, InvalidTask, "expected 0 to 256"),
    ({"tags": {str(n): "" for n in range(33)}}, InvalidTask, "at most 32"),
    ({"io": 5}, TypeError, "io: expected an IoBudget"),
    ({"io": IoBudget(disk_read=-1)}, ValueError, "io: disk_read"),
    ({"io": IoBudget(net_tx=1 << 63)}, ValueError, "io: net_tx"),
    ({"io": IoBudget(net_rx=1.5)}, TypeError, "io: net_rx"),  # type: ignore[arg-type]
    ({"executor": 1}, InvalidTask, "executor: expected text"),
    ({"executor": ""}, InvalidTask, "executor: expected 1"),
    ({"priority": 256}, ValueError, "255"),
    ({"priority": True}, TypeError, "priority"),
    ({"retry": 3}, TypeError, "retry"),
    ({"timeout": 0}, ValueError, "timeout"),
    ({"timeout": math.nan}, ValueError, "timeout"),
    ({"fail_fast": 1}, TypeError, "fail_fast"),
    ({"max_failures": -1}, InvalidTask, "max_failures"),
    ({"max_failures": 1.5}, InvalidTask, "max_failures"),
    ({"child_concurrency": 0}, InvalidTask, "child_concurrency"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG, ids=lambda value: ascii(value)[:40])
def test_wrong_options_are_refused(domain: Domain, wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    """S-034, S-215, S-259: in options and in definitions, naming the option; nothing is defined."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    with pytest.raises(error, match=message):
        work.options(**wrong)
    with pytest.raises(error, match=message):
        domain.task("other", **wrong)(lambda ctx: None)
    assert list(domain.tasks) == ["play::work"]
    if wrong.keys() <= {"group", "tags", "priority", "retry", "timeout"}:
        with pytest.raises(error, match=message):
            Domain("other", **wrong)


@pytest.mark.parametrize(("bound", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), ("4", TypeError)])
def test_a_domain_checks_its_bound(bound: Any, error: type[Exception]) -> None:
    """S-423: `max_concurrency` of a domain is at least 1."""
    with pytest.raises(error, match="max_concurrency"):
        Domain("play", max_concurrency=bound)
    assert Domain("play", max_concurrency=3).max_concurrency == 3


@pytest.mark.parametrize("at_definition", [True, False])
def test_an_unknown_executor_is_refused_at_submit(any_stage: Stage, domain: Domain, at_definition: bool) -> None:
    """S-034: by name, with those that there are; nothing is stored, and the next submit works."""
    given = {"executor": "cloud"} if at_definition else {}

    @domain.task(**given)  # type: ignore[arg-type]
    def work(ctx: Context) -> None: ...

    scheduler = any_stage.scheduler(domain)
    with pytest.raises(InvalidTask, match=r"executor: expected one of 'thread', got 'cloud'"):
        scheduler.submit(work if at_definition else work.options(executor="cloud"))
    assert scheduler.count() == 0
    assert scheduler.submit(work.options(executor="thread")).kind is SubmitKind.INSERTED


def test_what_a_child_has_from_its_parent(stage: Stage, domain: Domain) -> None:
    """S-166: priority and tags, and neither group nor retries; a child's own definition and domain come first."""
    other = Domain("other", priority=200, group="others", retry=Retry.constant(2))

    @domain.task()
    def child(ctx: Context) -> None: ...

    @other.task()
    def stranger(ctx: Context) -> None: ...

    @domain.task(retry=Retry.constant(9), group="parents", fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child)
        ctx.spawn_child(child.options(key="own", priority=3, group="mine"))
        ctx.spawn_child(stranger)

    scheduler = stage.started(domain, other)
    record = scheduler.submit(parent.options(priority=20)).wait(WAIT_S)
    plain, own, strange = scheduler.children(record.id)
    assert (plain.priority, plain.group, plain.max_retries) == (20, None, 3)
    assert (own.priority, own.group) == (3, "mine")
    assert (strange.priority, strange.group, strange.max_retries) == (200, "others", 2)


NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.none() | st.sampled_from([0, 128]),
        "group": st.none() | st.sampled_from(["g", "h"]),
        "timeout": st.none() | st.sampled_from([1, math.inf]),
        "fail_fast": st.none() | st.booleans(),
        "depends_on": st.sampled_from([(), (1,), (2, 1, 2)]),
        "tags": st.none() | st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy")),
    },
)
START = st.sampled_from([{}, {"run_after": 0}, {"run_after": 5.0}, {"run_at": NOW}])


@given(st.lists(st.tuples(GIVEN, START), max_size=6))
def test_options_of_options(steps: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """S-035, S-036: what is given later wins, what is not given stands, tags merge, a time and a delay replace one another."""
    options = NO_OPTIONS
    expected: dict[str, Any] = {}
    for given_now, start in steps:
        options = options.extended(**given_now, **start)
        for name, value in given_now.items():
            if name == "tags" and value is not None:
                expected["tags"] = {**expected.get("tags", {}), **value}
            elif name == "depends_on" and value:
                expected[name] = tuple(dict.fromkeys(value))
            elif name != "depends_on" and value is not None:
                expected[name] = value
        if start:
            expected |= {"run_after": start.get("run_after"), "run_at_ms": 1767225600000 if "run_at" in start else None}
    assert options == msgspec.structs.replace(NO_OPTIONS, **expected)


@pytest.mark.parametrize("names", [("run_at", "run_after"), ("parent", "sibling_of")])
def test_options_at_odds_are_refused(stage: Stage, domain: Domain, names: tuple[str, str]) -> None:
    """S-033, S-034: a time with a delay, a parent with a sibling; the message names both."""
    seen: list[str] = []

    @domain.task()
    def work(ctx: Context) -> None:
        values = {"run_at": NOW, "run_after": 1, "parent": 1, "sibling_of": ctx}
        with pytest.raises(InvalidTask, match=f"expected {' or '.join(names)}") as caught:
            work.options(**{name: values[name] for name in names})
        seen.append(str(caught.value))

    stage.started(domain).submit(work).result(WAIT_S)
    assert len(seen) == 1


def test_a_child_has_the_priority_by_which_its_parent_started(stage: Stage, domain: Domain) -> None:
    """S-166: that of the last start, where waiting had raised it, and not the stored one."""
    gate = stage.gate()

    @domain.task()
    def child(ctx: Context) -> None: ...

    @domain.task(child_concurrency=1)
    def parent(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent.options(priority=200))
    gate.await_arrivals()
    with apsw.Connection(stage.path) as store:
        store.execute("UPDATE task SET effective = 150")
    store.close()
    added = scheduler.spawn_child(outcome.id, child.options(run_after=3600).call())
    assert scheduler.task(added.id).priority == 150
    assert scheduler.task(outcome.id).priority == 200


def test_schedulers_of_one_domain_have_their_own_defaults(stage: Stage, domain: Domain, tmp_path: Any) -> None:
    """S-390, S-393: a task that is submitted to two in turn has each time what that one says."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    one = stage.scheduler(domain, retry=Retry.constant(1))
    two = stage.scheduler(domain, retry=Retry.constant(2), path=str(tmp_path / "other.db"))
    found = [scheduler.task(scheduler.submit(work, n).id) for n in range(3) for scheduler in (one, two)]
    assert [record.max_retries for record in found] == [1, 2, 1, 2, 1, 2]


def test_children_of_a_flow_are_normal(stage: Stage, domain: Domain) -> None:
    """S-166: a flow never starts, so its children have NORMAL."""

    @domain.task()
    def child(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    assert scheduler.task(scheduler.flow("f").spawn(child).id).priority == Priority.NORMAL


def test_a_retry_by_hand_takes_the_options_over(stage: Stage, domain: Domain) -> None:
    """S-134: group, tags, IO, priority and limits are those of the old submission."""

    @domain.task(retry=Retry.none())
    def fails(ctx: Context) -> None:
        raise ValueError

    scheduler = stage.started(domain)
    given = fails.options(group="g", tags={"a": "1"}, io=IoBudget(1, 2, 3, 4), priority=7, child_concurrency=2)
    old = scheduler.submit(given).wait(WAIT_S)
    new = scheduler.retry_dead_letter(old.id).wait(WAIT_S)
    assert (new.retry_of, new.group, new.tags) == (old.id, "g", {"a": "1"})
    assert (new.expected_io, new.priority) == (IoBudget(1, 2, 3, 4), 7)


def test_a_superseding_task_has_its_own_options(stage: Stage, domain: Domain) -> None:
    """S-053, S-060: the new row has the new submission's group, tags and IO; SKIP changes none of them."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    old = scheduler.submit(work.options(group="old", tags={"a": "old"}, priority=9))
    scheduler.submit(work.options(group="skipped", tags={"a": "skipped"}, priority=8))
    kept = scheduler.task(old.id)
    assert (kept.group, kept.tags, kept.priority) == ("old", {"a": "old"}, 8)
    new = scheduler.submit(
        work.options(group="new", tags={"b": "new"}, io=IoBudget.net(rx=4), on_duplicate="supersede")
    )  # type: ignore[arg-type]
    record = scheduler.task(new.id)
    assert (record.group, record.tags, record.expected_io) == ("new", {"b": "new"}, IoBudget.net(rx=4))


def test_a_rerun_is_the_newest_submission_whole(stage: Stage, domain: Domain) -> None:
    """S-054: group, tags and IO too; the record and the queries show the new ones from the next round on."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> tuple[str | None, dict[str, str]]:
        gate.hold()
        return ctx.record.group, dict(ctx.record.tags)

    scheduler = stage.started(domain)
    task = work.options(key="k", group="old", tags={"a": "old", "b": "old"})
    first = scheduler.submit(task, 1)
    gate.await_arrivals()
    again = scheduler.submit(work.options(key="k", group="new", tags={"a": "new"}, io=IoBudget(5)), 2)
    assert (again.kind, scheduler.task(first.id).group) == (SubmitKind.REQUEUED, "old")
    gate.open()
    record = first.wait(WAIT_S)
    assert (record.memo, record.group, record.tags) == (["new", {"a": "new"}], "new", {"a": "new"})
    assert record.expected_io == IoBudget(5)


def test_no_two_domains_of_one_name(stage: Stage) -> None:
    """S-388: ValueError; no domain at all is allowed."""
    with pytest.raises(ValueError, match="'play' came twice"):
        stage.scheduler(Domain("play"), Domain("play"))
    with stage.scheduler() as scheduler:
        assert scheduler.count() == 0


def test_a_task_is_added_while_the_scheduler_runs(stage: Stage, domain: Domain) -> None:
    """S-392: it can be submitted at once, and runs."""
    scheduler = stage.started(domain)

    @domain.task()
    def late(ctx: Context) -> str:
        return "came late"

    assert scheduler.submit(late).result(WAIT_S) == "came late"


def test_one_domain_serves_several_schedulers(stage: Stage, tmp_path: Any) -> None:
    """S-393: each runs its own tasks of it; also one that was added after both had started."""
    domain = Domain("play", group="g", tags={"a": "1"})

    @domain.task()
    def work(ctx: Context, n: int) -> int:
        return n

    schedulers = [stage.started(domain), stage.started(domain, path=str(tmp_path / "other.db"))]

    @domain.task()
    def late(ctx: Context, n: int) -> int:
        return -n

    for task in (work, late):
        records = settle([scheduler.submit(task, n) for n, scheduler in enumerate(schedulers, 1)])
        assert {record.status for record in records} == {TaskStatus.COMPLETED}
        assert [abs(record.memo) for record in records] == [1, 2]
        assert [(record.group, record.tags) for record in records] == [("g", {"a": "1"})] * 2
