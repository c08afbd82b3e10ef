"""Cancelling what meets conditions: in steps, each task as by `cancel`."""

import pytest
from staging import Stage, settle

from millrace import Context, Domain, TaskRecord, TaskStatus, acting

LATER = 3600.0


@pytest.fixture
def domain() -> Domain:
    """A domain with a task."""
    made = Domain("play")

    @made.task()
    def work(ctx: Context, number: int) -> None:
        """Does nothing."""

    return made


def test_every_condition_has_to_be_met(stage: Stage, domain: Domain) -> None:
    """S-158: the active tasks that meet all, in all domains unless one is named; the ids that were accepted come back."""
    other = Domain("other")

    @other.task()
    def work(ctx: Context, number: int) -> None:
        """Does nothing."""

    scheduler = stage.started(domain, other)
    mine = domain.tasks["play::work"].options(run_after=LATER)
    theirs = work.options(run_after=LATER)
    done = settle([scheduler.submit(work.options(tags={"env": "prod"}), 99)])[0]
    first = scheduler.submit(mine.options(tags={"env": "prod"}, group="g"), 1).id
    second = scheduler.submit(mine.options(tags={"env": "test"}, group="g"), 2).id
    third = scheduler.submit(theirs.options(tags={"env": "prod"}), 3).id
    fourth = scheduler.submit(theirs, 4).id

    assert scheduler.cancel_where(tags={"env": "prod"}, domain="none") == []
    assert scheduler.cancel_where(tags={"env": "prod"}) == [first, third]
    assert scheduler.cancel_where(tags={"env": "prod"}) == []
    assert scheduler.task(done.id).status is TaskStatus.COMPLETED
    assert scheduler.cancel_where(group="g", predicate=lambda record: record.payload == {"number": 1}) == []
    assert scheduler.cancel_where(tag_prefix="en", task=mine) == [second]
    assert scheduler.cancel_where(domain="other") == [fourth]
    assert scheduler.count(status=TaskStatus.CANCELLED) == 4


def test_no_condition_is_refused(stage: Stage, domain: Domain) -> None:
    """S-158: everything is not cancelled by leaving out what to cancel; conditions that filter nothing are none."""
    scheduler = stage.started(domain)
    kept = scheduler.submit(domain.tasks["play::work"].options(run_after=LATER), 1)
    for nothing in ({}, {"tags": {}}, {"tag_prefix": ""}):
        with pytest.raises(ValueError, match="at least one condition"):
            scheduler.cancel_where(**nothing)
    assert kept.handle.status() is TaskStatus.PENDING
    assert scheduler.cancel_where(predicate=lambda record: True) == [kept.id]


def test_many_are_cancelled_in_steps(stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-158, S-159: what a predicate has let through before it raises stays cancelled, step by step; the rest is as it was."""
    monkeypatch.setattr(acting, "STEP", 10)
    scheduler = stage.started(domain)
    work = domain.tasks["play::work"].options(run_after=LATER)
    ids = [outcome.id for outcome in scheduler.submit_batch([work.call(number) for number in range(35)])]
    asked: list[int] = []

    def choose(record: TaskRecord) -> bool:
        asked.append(record.id)
        if len(asked) == 25:
            raise LookupError("no more")
        return record.id % 2 == 0

    with pytest.raises(LookupError, match="no more"):
        scheduler.cancel_where(predicate=choose)
    gone = {record.id for record in scheduler.tasks(status=TaskStatus.CANCELLED)}
    assert gone == {id for id in ids[:20] if id % 2 == 0}
    assert scheduler.cancel_where(domain="play") == [id for id in ids if id not in gone]


def test_descendants_that_do_not_match_are_cancelled_and_not_listed(stage: Stage, domain: Domain) -> None:
    """S-158: a tree goes with its root; only what meets the conditions is named, also where the parent's cancel was first."""
    gate = stage.gate()

    @domain.task()
    def child(ctx: Context, number: int) -> None:
        gate.hold()
        ctx.check_cancelled()

    @domain.task(tags={"part": "top"})
    def parent(ctx: Context) -> None:
        ctx.spawn_children([child.options(run_after=LATER).call(n) for n in range(3)])
        ctx.spawn_child(child, 9)

    scheduler = stage.started(domain)
    top = scheduler.submit(parent)
    gate.await_arrivals(1)
    accepted = scheduler.cancel_where(task=parent)
    assert accepted == [top.id]
    gate.let_pass()
    assert top.wait(20).status is TaskStatus.CANCELLED
    assert {record.status for record in scheduler.children(top.id)} == {TaskStatus.CANCELLED}

    second = scheduler.submit(parent.options(key="second"))
    gate.await_arrivals(2)
    family = [second.id, *(record.id for record in scheduler.children(second.id))]
    assert scheduler.cancel_where(domain="play") == sorted(family)


def test_a_body_can_cancel_others(stage: Stage, domain: Domain) -> None:
    """A predicate runs in the caller's thread, which may be a body's."""
    work = domain.tasks["play::work"].options(run_after=LATER)

    @domain.task()
    def sweep(ctx: Context) -> list[int]:
        return ctx.scheduler.cancel_where(predicate=lambda record: record.id != ctx.id)

    scheduler = stage.started(domain)
    ids = [scheduler.submit(work, number).id for number in range(3)]
    assert scheduler.submit(sweep).result(20) == ids
