"""Tags: what they may be, where they come from, and that tasks are found by them as long as they are there (section 14)."""

from collections.abc import Mapping
from typing import Any

import apsw
import pytest
from staging import WAIT_S, Stage, heard_until, of_task

from millrace import Completed, Context, Domain, Every, InvalidTask, IoBudget, Retention, ScheduleEnded, SubmitKind


def index(stage: Stage) -> list[tuple[str, str, int]]:
    """What tasks are found by, as it is stored."""
    with apsw.Connection(stage.path) as store:
        rows = list(store.execute("SELECT k, v, task_id FROM tag ORDER BY task_id, k"))
    store.close()
    return rows


def test_they_come_from_four_places(stage: Stage) -> None:
    """S-216: the parent's, the domain's, the task's, the submission's; later ones win. The parent's own do not change."""
    domain = Domain("play", tags={"domain": "domain", "task": "domain", "own": "domain", "parent": "domain"})

    @domain.task(tags={"task": "task", "own": "task"})
    def child(ctx: Context) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child.options(tags={"own": "own"}))

    scheduler = stage.started(domain)
    record = scheduler.submit(parent.options(tags={"parent": "parent", "root": "root"})).wait(WAIT_S)
    (found,) = scheduler.children(record.id)
    assert record.tags == {"domain": "domain", "task": "domain", "own": "domain", "parent": "parent", "root": "root"}
    assert found.tags == {"domain": "domain", "task": "task", "own": "own", "parent": "domain", "root": "root"}


def test_grandchildren_and_siblings_inherit(stage: Stage, domain: Domain) -> None:
    """S-192, S-216: a sibling inherits from the common parent and nothing from the spawner; a grandchild from its parent."""

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def child(ctx: Context) -> None:
        ctx.spawn_child(leaf.options(key="below", tags={"leaf": "1"}))
        ctx.spawn_sibling(leaf.options(key="beside"))

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(child.options(tags={"child": "1"}))

    scheduler = stage.started(domain)
    scheduler.submit(parent.options(tags={"parent": "1"})).wait(WAIT_S)
    below, beside = scheduler.find(leaf, "below"), scheduler.find(leaf, "beside")
    assert below is not None
    assert beside is not None
    assert (below.tags, beside.tags) == ({"parent": "1", "child": "1", "leaf": "1"}, {"parent": "1"})


def test_a_flow_has_tags(stage: Stage, domain: Domain) -> None:
    """S-396: its children inherit them; they are checked like a task's."""

    @domain.task()
    def child(ctx: Context) -> None: ...

    scheduler = stage.scheduler(domain)
    flow = scheduler.flow("import", key="k", tags={"batch": "7"})
    assert scheduler.task(flow.id).tags == {"batch": "7"}
    assert scheduler.task(flow.spawn(child).id).tags == {"batch": "7"}
    with pytest.raises(InvalidTask, match="tags"):
        scheduler.flow("import", tags={"": "7"})
    assert index(stage) == [("batch", "7", flow.id), ("batch", "7", flow.id + 1)]


def test_a_callable_gives_tags_from_the_payload(stage: Stage, domain: Domain) -> None:
    """S-216: it is called like the body, without the context; the domain's come under what it gives."""
    tagged = Domain("tagged", tags={"kind": "none", "all": "1"})

    @tagged.task(tags=lambda path, *, size=1: {"kind": path.rpartition(".")[2], "size": str(size)})
    def work(ctx: Context, path: str, *, size: int = 1) -> None: ...

    scheduler = stage.scheduler(tagged)
    records = [scheduler.task(scheduler.submit(work, "a.jpg", size=n).id) for n in (1, 2)]
    assert [record.tags for record in records] == [{"kind": "jpg", "all": "1", "size": str(n)} for n in (1, 2)]


def _raise(n: int) -> Mapping[str, str]:
    raise KeyError(n)


@pytest.mark.parametrize(
    ("tags", "cause"),
    [
        (_raise, KeyError),
        (lambda n: "text", InvalidTask),
        (lambda n: {"n": n}, InvalidTask),
        (lambda other, n: {}, TypeError),
    ],
    ids=["raises", "no mapping", "no text", "takes more"],
)
def test_a_callable_that_fails_is_refused(any_stage: Stage, domain: Domain, tags: Any, cause: type[Exception]) -> None:
    """S-030: InvalidTask naming task and option, with the exception chained; nothing is stored."""

    @domain.task(tags=tags)
    def work(ctx: Context, n: int) -> None: ...

    scheduler = any_stage.scheduler(domain)
    with pytest.raises(InvalidTask, match=r"play::work: tags") as caught:
        scheduler.submit(work, 1)
    assert isinstance(caught.value.__cause__, cause)
    assert scheduler.count() == 0


def test_bounds_are_kept_and_nothing_is_cut_off(stage: Stage, domain: Domain) -> None:
    """S-215: 32 tags of 64 and 256 characters are stored as they are, empty values and odd texts too."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    odd = {"": "x"}
    tags = {f"{n:02}" + "k" * 62: "v" * 256 for n in range(29)} | {'"quoted"': "ü", "a.b": "", "1": "1.0"}
    scheduler = stage.scheduler(domain)
    assert scheduler.task(scheduler.submit(work.options(tags=tags)).id).tags == tags
    assert sorted(index(stage)) == sorted((k, v, 1) for k, v in tags.items())
    with pytest.raises(InvalidTask, match="expected 1 to 64"):
        scheduler.submit(work.options(tags=odd))


@pytest.mark.parametrize("is_batch", [False, True])
def test_too_many_with_the_inherited_ones(any_stage: Stage, domain: Domain, is_batch: bool) -> None:
    """S-037, S-215: more than 32 together is InvalidTask; a refused one stores nothing, also of its batch."""

    @domain.task()
    def work(ctx: Context, n: int = 0) -> None: ...

    scheduler = any_stage.scheduler(domain)
    flow = scheduler.flow("f", tags={f"f{n}": "1" for n in range(20)})
    many = work.options(parent=flow.id, tags={f"t{n}": "1" for n in range(13)})

    def submit() -> Any:
        return scheduler.submit_batch([work.call(1), many.call(2)]) if is_batch else scheduler.submit(many)

    with pytest.raises(InvalidTask, match=r"at most 32 .* got 33"):
        submit()
    assert scheduler.count() == 1
    enough = {f"f{n}": "2" for n in range(20)} | {f"t{n}": "" for n in range(12)}
    assert scheduler.submit(work.options(parent=flow.id, tags=enough), 3).kind is SubmitKind.INSERTED
    with pytest.raises(InvalidTask, match=r"at most 32 .* got 33"):
        work.options(tags=enough).options(tags={"one": "more"})


def test_they_are_on_every_event_and_in_the_history(stage: Stage, domain: Domain) -> None:
    """S-217: from Submitted to the end, with the group; and on the record in the body."""

    @domain.task(group="g", tags={"a": "1"})
    def work(ctx: Context) -> dict[str, str]:
        return dict(ctx.record.tags)

    scheduler = stage.started(domain)
    with scheduler.subscribe() as events:
        outcome = scheduler.submit(work)
        told = of_task(heard_until(events, lambda event: isinstance(event, Completed)), outcome.id)
    assert len(told) == 3
    assert {(event.group, tuple(event.tags.items())) for event in told} == {("g", (("a", "1"),))}
    assert outcome.wait(WAIT_S).memo == {"a": "1"}
    assert index(stage) == [("a", "1", outcome.id)]


def test_a_rerun_is_found_by_its_own_tags(stage: Stage, domain: Domain) -> None:
    """S-054: what the round before was found by is gone; a rerun without tags is found by none."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    task = scheduler.submit(work.options(key="k", tags={"a": "1", "b": "1"}), 1)
    gate.await_arrivals()
    scheduler.submit(work.options(key="k", tags={"a": "2"}), 2)
    gate.let_pass()
    gate.await_arrivals(2)
    assert index(stage) == [("a", "2", task.id)]
    scheduler.submit(work.options(key="k"), 3)
    gate.open()
    assert task.wait(WAIT_S).tags == {}
    assert index(stage) == []


def test_they_go_with_the_row(stage: Stage, domain: Domain) -> None:
    """S-323: a pruned task leaves nothing that it was found by; those of others stay."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(domain)
    done = [scheduler.submit(work.options(tags={"n": str(n % 2), "all": ""}), n) for n in range(10)]
    for outcome in done:
        outcome.wait(WAIT_S)
    waits = scheduler.submit(work.options(tags={"n": "0"}, run_after=3600), 10)
    assert len(index(stage)) == 21
    assert scheduler.prune(Retention(max_count=2)) == 8
    kept = {task_id for _, _, task_id in index(stage)}
    assert kept == {record.id for record in scheduler.tasks()}
    assert len(kept) == 3
    assert scheduler.prune(Retention(max_count=0)) == 2
    assert index(stage) == [("n", "0", waits.id)]


def test_each_run_of_a_series_has_them(stage: Stage, domain: Domain) -> None:
    """S-217, S-391: with the group and the IO; the submit that began the series fixed them for all of its runs."""

    @domain.task()
    def work(ctx: Context) -> None: ...

    scheduler = stage.started(domain)
    given = {"tags": {"a": "1"}, "group": "g", "io": IoBudget.disk(read=7)}
    with scheduler.subscribe(kinds=[ScheduleEnded]) as events:
        scheduler.submit(work.options(schedule=Every(0.001, max_runs=3), **given))  # type: ignore[arg-type]
        events.get(WAIT_S)
    runs = scheduler.tasks(tags={"a": "1"})
    assert len(runs) == 3
    assert {(run.group, run.expected_io) for run in runs} == {("g", IoBudget.disk(read=7))}
