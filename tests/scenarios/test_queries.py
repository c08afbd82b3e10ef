"""Looking at tasks by what they are: lists, counts, tags, children, finds, dead letters."""

import itertools

import pytest
from staging import Stage, await_status, calm_down, settle

from millrace import (
    Context,
    Domain,
    Retention,
    Retry,
    RetryableError,
    Scheduler,
    TaskStatus,
    UnknownTask,
)

LATER = 3600.0


def define(domain: Domain) -> None:
    """A task that takes a while longer than any test, when it is delayed, and one that fails."""

    @domain.task()
    def work(ctx: Context, number: int) -> int:
        return number

    @domain.task(retry=Retry.none())
    def fail(ctx: Context, number: int) -> None:
        raise RetryableError(f"no {number}")


@pytest.fixture
def media() -> Domain:
    """A domain with two tasks."""
    made = Domain("media")
    define(made)
    return made


@pytest.fixture
def mail() -> Domain:
    """Another with the same two."""
    made = Domain("mail")
    define(made)
    return made


def named(domain: Domain, name: str):  # noqa: ANN201 - a task of whatever payload
    """A task of a domain by its short name."""
    return domain.tasks[f"{domain.name}::{name}"]


def fill(scheduler: Scheduler, media: Domain, mail: Domain) -> dict[str, int]:
    """Settled and queued tasks of both domains; their ids by what is special of each."""
    done = [scheduler.submit(named(media, "work").options(tags={"env": "prod"}), n) for n in range(3)]
    done.append(scheduler.submit(named(mail, "work").options(group="smtp", tags={"env": "test", "zone": "eu"}), 1))
    done.append(scheduler.submit(named(media, "fail"), 1))
    settle(done)
    later = [
        scheduler.submit(named(media, "work").options(run_after=LATER, key="same", tags={"env": "prod"}), 10),
        scheduler.submit(named(mail, "work").options(run_after=LATER, key="same", group="smtp"), 11),
        scheduler.submit(named(mail, "fail").options(run_after=LATER, tags={"Env": "prod"}), 12),
    ]
    names = ("first", "second", "third", "mailed", "failed", "media later", "mail later", "fail later")
    return dict(zip(names, (outcome.id for outcome in (*done, *later)), strict=True))


def test_every_filter_picks_active_and_settled_tasks(stage: Stage, media: Domain, mail: Domain) -> None:
    """S-341, S-218: by id, newest first, by all that is given."""
    scheduler = stage.started(media, mail)
    ids = fill(scheduler, media, mail)

    def found(**filters: object) -> list[str]:
        by_id = {id: name for name, id in ids.items()}
        records = scheduler.tasks(**filters)
        assert scheduler.count(**filters) == len(records) if "key" not in filters else True
        return [by_id[record.id] for record in records]

    assert found() == list(reversed(ids))
    assert found(domain="media") == ["media later", "failed", "third", "second", "first"]
    assert found(domain="me") == []
    assert found(task=named(mail, "work")) == ["mail later", "mailed"]
    assert found(task="mail::work", status=TaskStatus.COMPLETED) == ["mailed"]
    assert found(group="smtp") == ["mail later", "mailed"]
    assert found(tags={"env": "prod"}) == ["media later", "third", "second", "first"]
    assert found(tags={"env": "test", "zone": "eu"}) == ["mailed"]
    assert found(tags={"env": "prod", "zone": "eu"}) == []
    assert found(tag_prefix="en") == ["media later", "mailed", "third", "second", "first"]
    assert found(tag_prefix="E") == ["fail later"]
    assert found(tag_prefix="e%") == []
    assert found(tags={}, tag_prefix="", group="smtp") == ["mail later", "mailed"]
    assert found(status=TaskStatus.PENDING, domain="mail") == ["fail later", "mail later"]
    assert found(status=[TaskStatus.DEAD_LETTER, TaskStatus.PENDING], domain="media") == ["media later", "failed"]
    assert found(status=[]) == []
    assert found(key="same") == ["mail later", "media later"]
    assert found(key="same", task=named(media, "work")) == ["media later"]


def test_a_page_follows_the_last_while_work_moves(stage: Stage, media: Domain) -> None:
    """S-341: `before` pages without gaps or repeats, though tasks settle and come in between."""
    scheduler = stage.started(media)
    work = named(media, "work")
    gate = stage.gate()

    @media.task()
    def wait(ctx: Context, number: int) -> None:
        gate.hold()

    waiting = [scheduler.submit(wait, n) for n in range(6)]
    ids = sorted(outcome.id for outcome in waiting)
    pages = [scheduler.tasks(limit=2)]
    gate.open()
    settle(waiting)
    settle([scheduler.submit(work, 100)])
    while pages[-1]:
        pages.append(scheduler.tasks(limit=2, before=pages[-1][-1].id))
    assert [record.id for record in itertools.chain.from_iterable(pages)] == ids[::-1]


def test_bounds_of_queries(stage: Stage, media: Domain) -> None:
    """S-341, S-423, S-342: a limit below 1 and an unknown status are refused; what is not there is not there, however large."""
    scheduler = stage.started(media)
    scheduler.submit(named(media, "work"), 1).wait(20)
    for limit in (0, -1):
        with pytest.raises(ValueError, match="limit: expected at least 1"):
            scheduler.tasks(limit=limit)
        with pytest.raises(ValueError, match="limit: expected at least 1"):
            scheduler.domain("media").tasks(limit=limit)
        with pytest.raises(ValueError, match="limit: expected at least 1"):
            scheduler.domain("media").dead_letters(limit)
    with pytest.raises(ValueError, match="status"):
        scheduler.tasks(status="gone")  # type: ignore[arg-type]
    for parent in (10**6, 10**30, -1, 0):
        assert list(scheduler.children(parent)) == []
        assert scheduler.tasks(parent=parent) == []
        assert scheduler.count(parent=parent) == 0
    assert scheduler.tasks(before=10**30) == scheduler.tasks()
    assert scheduler.tasks(limit=10**30) == scheduler.tasks()


def test_paused_tasks_are_found_as_what_they_read_as(stage: Stage, media: Domain) -> None:
    """S-110: queued tasks of a paused group are PAUSED in lists and counts, and PENDING in none."""
    scheduler = stage.started(media)
    work = named(media, "work").options(run_after=LATER)
    scheduler.pause_group("slow")
    held = scheduler.submit(work.options(group="slow"), 1)
    free = scheduler.submit(work, 2)
    assert [one.id for one in scheduler.tasks(status=TaskStatus.PAUSED)] == [held.id]
    assert [one.id for one in scheduler.tasks(status=TaskStatus.PENDING)] == [free.id]
    assert scheduler.count(status=TaskStatus.PAUSED) == scheduler.count(status=TaskStatus.PENDING) == 1
    scheduler.resume_group("slow")
    assert scheduler.count(status=TaskStatus.PENDING, group="slow") == 1
    assert scheduler.count(status=TaskStatus.PAUSED) == 0


def test_tags_are_counted_and_listed(stage: Stage, media: Domain, mail: Domain) -> None:
    """S-219: tasks per value, most first, ties by value; keys sorted; a domain narrows them."""
    scheduler = stage.started(media, mail)
    fill(scheduler, media, mail)
    assert list(scheduler.tag_values("env").items()) == [("prod", 4), ("test", 1)]
    assert dict(scheduler.tag_values("env", domain="mail")) == {"test": 1}
    assert dict(scheduler.tag_values("none")) == {}
    assert scheduler.tag_keys() == ["Env", "env", "zone"]
    assert scheduler.tag_keys("e") == ["env"]
    assert scheduler.tag_keys(domain="media") == ["env"]


def test_tags_go_with_their_row(stage: Stage, media: Domain, mail: Domain) -> None:
    """S-349: a pruned task is counted under no tag any more; the tags of others stay."""
    scheduler = stage.started(media, mail)
    fill(scheduler, media, mail)
    assert scheduler.prune(Retention(max_count=0)) == 5
    assert dict(scheduler.tag_values("env")) == {"prod": 1}
    assert scheduler.tag_keys() == ["Env", "env"]
    assert len(scheduler.tasks(tags={"env": "prod"})) == 1


def test_children_of_a_parent_are_found_whatever_they_are(stage: Stage, domain: Domain) -> None:
    """S-343, S-341: children ascend in `children`, descend in `tasks`, and are counted by status."""
    gate = stage.gate()

    @domain.task()
    def child(ctx: Context, number: int) -> None:
        if number >= 3:
            gate.hold()

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.call(n) for n in range(5)])

    scheduler = stage.started(domain, max_concurrency=2)
    top = scheduler.submit(parent)
    gate.await_arrivals(2)
    await_status(top, TaskStatus.WAITING)
    calm_down(scheduler)  # what two bodies stand at the gate for has ended; its commit may be yet to come
    ids = [record.id for record in scheduler.children(top.id)]
    assert ids == sorted(ids)
    assert len(ids) == 5
    assert [record.id for record in scheduler.tasks(parent=top.id)] == ids[::-1]
    assert [record.id for record in scheduler.tasks(parent=top.id, before=ids[3], limit=2)] == [ids[2], ids[1]]
    assert scheduler.count(parent=top.id, status=TaskStatus.COMPLETED) == 3
    assert scheduler.count(parent=top.id, status=TaskStatus.RUNNING) == 2
    assert scheduler.find(child, scheduler.task(ids[4]).key).id == ids[4]  # type: ignore[union-attr]
    gate.open()
    top.wait(20)


def test_one_domain_by_itself(stage: Stage, media: Domain, mail: Domain) -> None:
    """S-392, S-160: a handle sees and cancels the tasks of its domain alone; an unknown name is UnknownTask."""
    scheduler = stage.started(media, mail)
    ids = fill(scheduler, media, mail)
    handle = scheduler.domain("mail")
    assert handle.name == "mail"
    assert [record.id for record in handle.tasks()] == [ids["fail later"], ids["mail later"], ids["mailed"]]
    assert [record.id for record in handle.tasks(limit=1)] == [ids["fail later"]]
    assert [record.id for record in handle.tasks(status=TaskStatus.COMPLETED)] == [ids["mailed"]]
    assert handle.dead_letters() == []
    assert [record.id for record in scheduler.domain("media").dead_letters()] == [ids["failed"]]
    with handle.subscribe() as heard:
        settle([scheduler.submit(named(media, "work"), 50), mailed := scheduler.submit(named(mail, "work"), 51)])
        assert heard.get(20).task_id == mailed.id  # type: ignore[attr-defined]
    assert handle.cancel_all() == [ids["mail later"], ids["fail later"]]
    assert scheduler.count(domain="mail", status=TaskStatus.CANCELLED) == 2
    assert scheduler.task(ids["media later"]).status is TaskStatus.PENDING
    with pytest.raises(UnknownTask, match="media"):
        scheduler.domain("none")


def test_a_dead_letter_that_is_retried_is_out(stage: Stage, media: Domain) -> None:
    """S-135: the old row stays as it is, and out of `dead_letters()`, newest first."""
    scheduler = stage.started(media)
    letters = [scheduler.submit(named(media, "fail"), n) for n in range(3)]
    settle(letters)
    handle = scheduler.domain("media")
    assert {record.id for record in handle.dead_letters()} == {outcome.id for outcome in letters}
    newest = [record.id for record in handle.dead_letters()]
    assert [record.id for record in handle.dead_letters(2)] == newest[:2]
    again = scheduler.retry_dead_letter(newest[1])
    again.wait(20)
    assert [record.id for record in handle.dead_letters()] == [again.id, newest[0], newest[2]]
    assert scheduler.task(newest[1]).status is TaskStatus.DEAD_LETTER


def test_a_task_is_found_under_the_names_it_had(stage: Stage) -> None:
    """S-351, S-219: lists, counts, finds and statistics of a renamed task have its old rows too."""
    before = Domain("media")
    define(before)
    first = stage.started(before)
    done = first.submit(named(before, "work").options(key="k"), 1)
    done.wait(20)
    first.stop()

    after = Domain("media")

    @after.task(aliases=["work"])
    def convert(ctx: Context, number: int) -> int:
        return number

    second = stage.started(after)
    again = second.submit(convert.options(key="other"), 2)
    again.wait(20)
    assert [record.id for record in second.tasks(task=convert)] == [again.id, done.id]
    assert [record.id for record in second.tasks(task="media::work")] == [again.id, done.id]
    assert second.count(task=convert, status=TaskStatus.COMPLETED) == 2
    assert second.find(convert, "k").id == done.id  # type: ignore[union-attr]
    assert second.stats(convert).runs == 2
