"""Tasks that had another name before (S-028, S-388, S-389, S-420)."""

from typing import Any

import apsw
import dying
import pytest
from staging import WAIT_S, Stage

from millrace import Context, Domain, DuplicatePolicy, Every, InvalidTask, RateLimit, Retry, SubmitKind, TaskStatus
from millrace.model.lanes import lane_of


def before() -> Domain:
    """Yesterday's program: the task is called "shrink"."""
    domain = Domain("play")

    @domain.task(retry=Retry.none())
    def shrink(ctx: Context, n: int) -> str:
        if n < 0:
            raise ValueError(n)
        return f"shrink {n}"

    return domain


def today(*aliases: str) -> Domain:
    """Today's: it is called "resize", and another task is there."""
    domain = Domain("play")

    @domain.task(aliases=aliases or ["shrink"])
    def resize(ctx: Context, n: int) -> str:
        return f"resize {n}"

    @domain.task()
    def other(ctx: Context, n: int) -> str:
        return f"other {n}"

    return domain


def queued(stage: Stage, *payloads: int, **options: Any) -> list[int]:
    """Submit as yesterday's program, which runs nothing."""
    domain = before()
    scheduler = stage.scheduler(domain)
    ids = [scheduler.submit(domain.tasks["play::shrink"].options(**options), n).id for n in payloads]
    scheduler.stop()
    return ids


def test_rows_run_and_show_the_present_name(stage: Stage) -> None:
    """S-420: from start() on, active and settled ones; they count and are found as the task's, by either name."""
    done, failed = queued(stage, 1, -2)
    first = stage.started(before())
    for task_id in (done, failed):
        dying.settled(first, task_id)
    first.stop()
    (waits,) = queued(stage, 3, run_after=3600, key="k")
    (runs,) = queued(stage, 4)
    domain = today()
    resize = domain.tasks["play::resize"]
    with stage.scheduler(domain) as scheduler:
        assert dying.settled(scheduler, runs).memo == "resize 4"
        assert {record.task_name for record in scheduler.tasks()} == {"play::resize"}
        assert scheduler.count(task=resize) == scheduler.count(task="play::shrink") == 4
        for name in (resize, "play::shrink", "play::resize"):
            found = scheduler.find(name, "k")
            assert found is not None
            assert found.id == waits
        assert scheduler.task(waits).status is TaskStatus.PENDING
        settled = scheduler.find(resize, scheduler.task(done).key)
        assert settled is not None
        assert settled.id == done
        again = scheduler.retry_dead_letter(failed).wait(WAIT_S)
    assert (again.task_name, again.memo) == ("play::resize", "resize -2")


def test_what_no_start_has_renamed_is_found_as_it_is(stage: Stage) -> None:
    """S-420: before start() rows show the name that they have, and are found and counted as the task's all the same."""
    ids = queued(stage, 1, 2)
    domain = today()
    scheduler = stage.scheduler(domain)
    resize = domain.tasks["play::resize"]
    ids.append(scheduler.submit(resize, 3).id)
    found = scheduler.tasks(task=resize)
    assert sorted((record.id, record.task_name) for record in found) == [
        (ids[0], "play::shrink"),
        (ids[1], "play::shrink"),
        (ids[2], "play::resize"),
    ]
    assert scheduler.count(task="play::shrink") == 3


def test_an_alias_may_name_another_domain(stage: Stage) -> None:
    """S-389: without "::" it is of the same domain, with it of the one that it names; that one may be gone."""
    (task_id,) = queued(stage, 1)
    domain = Domain("images")

    @domain.task(aliases=["play::shrink", "older"])
    def resize(ctx: Context, n: int) -> str:
        return f"images {n}"

    assert sorted(domain.aliases) == ["images::older", "play::shrink"]
    scheduler = stage.started(domain)
    assert dying.settled(scheduler, task_id).memo == "images 1"
    assert scheduler.task(task_id).task_name == "images::resize"


def test_two_thousand_rows_are_renamed_in_steps(stage: Stage) -> None:
    """S-362, S-420: all of them, whatever a transaction takes; several aliases lead to one name."""
    domain = before()
    domain.task("thin")(lambda ctx, n: f"thin {n}")
    scheduler = stage.scheduler(domain)
    for name in ("shrink", "thin"):
        task = domain.tasks[f"play::{name}"]
        scheduler.submit_batch([task.options(key=f"{name} {n}", run_after=3600).call(n) for n in range(1100)])
    scheduler.stop()
    later = today("shrink", "thin")
    with stage.scheduler(later) as scheduler:
        assert scheduler.count(task=later.tasks["play::resize"], status=TaskStatus.PENDING) == 2200


@pytest.mark.parametrize("is_started", [False, True])
@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (DuplicatePolicy.SKIP, SubmitKind.DUPLICATE),
        (DuplicatePolicy.REJECT, SubmitKind.REJECTED),
        (DuplicatePolicy.SUPERSEDE, SubmitKind.SUPERSEDED),
        (DuplicatePolicy.ALLOW, SubmitKind.INSERTED),
    ],
)
def test_a_key_is_unique_over_all_names(
    stage: Stage, is_started: bool, policy: DuplicatePolicy, kind: SubmitKind
) -> None:
    """S-028: a row under a former name holds its key, before the start that renames it and after."""
    (holder,) = queued(stage, 1, key="k", run_after=3600)
    domain = today()
    scheduler = stage.scheduler(domain)
    if is_started:
        scheduler.start()
    task = domain.tasks["play::resize"].options(key="k", on_duplicate=policy, run_after=3600)
    outcome = scheduler.submit(task, 2)
    assert outcome.kind is kind
    assert (outcome.id == holder) is (kind in (SubmitKind.DUPLICATE, SubmitKind.REJECTED))
    assert scheduler.submit(domain.tasks["play::other"].options(key="k", run_after=3600), 3).kind is SubmitKind.INSERTED
    if kind is SubmitKind.SUPERSEDED:
        assert outcome.replaced == holder
        assert scheduler.task(holder).status is TaskStatus.SUPERSEDED


def test_what_waits_for_a_cancelled_one_of_a_former_name_starts_after_it(stage: Stage) -> None:
    """S-061: a new task whose predecessor, under the old name, has children to wind down is released with its end."""
    domain = Domain("play")
    gate = stage.gate()

    @domain.task()
    def slow(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def old(ctx: Context) -> None:
        ctx.spawn_child(slow)

    scheduler = stage.started(domain)
    first = scheduler.submit(old.options(key="k"))
    gate.await_arrivals()
    # As for a program that has just been given a store which no start has renamed yet.
    del domain.tasks["play::old"]
    new = domain.task("new", aliases=["old"])(lambda ctx: "new")
    second = scheduler.submit(new.options(key="k", on_duplicate=DuplicatePolicy.SUPERSEDE))
    assert (second.kind, second.replaced) == (SubmitKind.SUPERSEDED, first.id)
    gate.open()
    assert second.result(WAIT_S) == "new"
    assert first.wait(WAIT_S).status is TaskStatus.SUPERSEDED


def test_where_both_names_hold_one_key_both_run(stage: Stage) -> None:
    """S-420: two tasks that become one may have a key each: the one of the present name keeps it, none is lost."""
    domain = before()
    domain.task("resize")(lambda ctx, n: f"resize {n}")
    scheduler = stage.scheduler(domain)
    ids = [scheduler.submit(domain.tasks[f"play::{name}"].options(key="k"), 1).id for name in ("shrink", "resize")]
    scheduler.stop()
    later = today()
    scheduler = stage.started(later, max_concurrency=1)
    assert [dying.settled(scheduler, task_id).memo for task_id in ids] == ["resize 1", "resize 1"]
    assert [scheduler.task(task_id).task_name for task_id in ids] == ["play::resize"] * 2


def test_lanes_follow_the_name(stage: Stage) -> None:
    """S-420: renamed rows wait in the lane of their present name, with group, parent and priority as they were."""
    queued(stage, 1, group="g", priority=7, run_after=3600)
    stage.started(today()).stop()
    with apsw.Connection(stage.path) as store:
        assert store.execute("SELECT name, lane FROM task").get == (
            "play::resize",
            lane_of("play::resize", "g", None, 7),
        )
    store.close()


@pytest.mark.parametrize("alias", ["", "a" * 129, "a::b::c", "::a", "a::", "tab\t", "other", "resize", "once"])
def test_wrong_aliases_are_refused(alias: str) -> None:
    """S-387, S-388: no name, another task's name or alias, or its own; nothing is defined."""
    domain = today("once")
    tasks = dict(domain.tasks)
    with pytest.raises(InvalidTask, match="alias"):
        domain.task("new", aliases=[alias])(lambda ctx: None)
    assert domain.tasks == tasks


def test_a_task_may_not_take_an_alias(domain: Domain) -> None:
    """S-387, S-388: a former name stays that task's."""
    domain.task("new", aliases=["old"])(lambda ctx: None)
    with pytest.raises(InvalidTask, match="'play::old' is an alias of 'play::new'"):
        domain.task("old")(lambda ctx: None)
    with pytest.raises(InvalidTask, match="'play::self' is one of 'play::self'"):
        domain.task("self", aliases=["self"])(lambda ctx: None)
    with pytest.raises(TypeError, match="aliases: expected a sequence"):
        domain.task("text", aliases="old")(lambda ctx: None)


def test_aliases_of_two_domains_may_not_meet(stage: Stage) -> None:
    """S-388: an alias that another domain's task has as its name, or its alias, is a ValueError of the scheduler."""
    play, other, third = Domain("play"), Domain("other"), Domain("third")
    play.task("work")(lambda ctx: None)
    other.task("work", aliases=["play::work"])(lambda ctx: None)
    third.task("work", aliases=["play::work"])(lambda ctx: None)
    for domains in ((play, other), (other, play), (other, third)):
        with pytest.raises(ValueError, match="'play::work' of"):
            stage.scheduler(*domains)
    stage.scheduler(other)


def test_a_rate_that_was_set_follows_the_name(stage: Stage) -> None:
    """S-389, S-420: what was set for a task at run time holds for it under its present name."""
    scheduler = stage.started(before())
    scheduler.set_rate_limit("play::shrink", RateLimit(5.0, 2))
    scheduler.stop()
    scheduler = stage.started(today())
    assert scheduler._runtime.limits.task_rates == {"play::resize": RateLimit(5.0, 2)}


def test_a_series_follows_the_name(stage: Stage) -> None:
    """S-420: the series and its next run are the task's, and its runs are stored under the present name."""
    domain = before()
    scheduler = stage.scheduler(domain)
    hourly = domain.tasks["play::shrink"].options(schedule=Every(3600, initial_delay=3600))
    first = scheduler.submit(hourly, 1).id
    scheduler.stop()
    scheduler = stage.started(today())
    assert [series.task_name for series in scheduler.schedules()] == ["play::resize"]
    assert scheduler.run_now(first)
    assert dying.settled(scheduler, first).memo == "resize 1"
    (following,) = scheduler.tasks(status=TaskStatus.PENDING)
    assert (following.task_name, following.schedule_id) == ("play::resize", first)
