"""Snapshots: all that a dashboard shows, of the scheduler or of one domain."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from staging import WAIT_S, Gate, Stage, await_status, calm_down

from millrace import (
    Aging,
    Context,
    Cron,
    Domain,
    Every,
    RateLimit,
    SchedulerStopped,
    Snapshot,
    TaskStatus,
)
from millrace.model.limits import ResourceSnapshot
from millrace.store import snapshots

LATER = 3600.0


@pytest.fixture
def gate(stage: Stage) -> Gate:
    """Bodies stop at it."""
    return stage.gate()


@pytest.fixture
def domain(gate: Gate) -> Domain:
    """Tasks that stop at the gate, alone or as a child."""
    made = Domain("play")

    @made.task()
    def work(ctx: Context, number: int) -> None:
        ctx.progress(0.25, "a quarter")
        gate.hold()

    @made.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_children([work.options(group="kids").call(number) for number in range(2)])

    return made


def group(snapshot: Snapshot, name: str) -> tuple[int, int]:
    """Running and pending of a group."""
    return next((info.running, info.pending) for info in snapshot.groups if info.group == name)


def test_an_empty_scheduler_has_all_statuses_at_nought(stage: Stage, domain: Domain) -> None:
    """S-337: every active status, 0 too; nothing else is there."""
    for scheduler in (stage.scheduler(domain, max_concurrency=3), stage.started(domain, path=":memory:")):
        snapshot = scheduler.snapshot()
        assert snapshot.counts == dict.fromkeys([status for status in TaskStatus if not status.is_terminal], 0)
        assert (list(snapshot.running), list(snapshot.progress), list(snapshot.groups)) == ([], [], [])
        assert (snapshot.pressure, dict(snapshot.pressure_by_source), snapshot.resources) == (0.0, {}, None)
        assert (snapshot.paused, snapshot.aging, list(snapshot.rate_limits)) == (False, None, [])
    assert stage.scheduler(domain, max_concurrency=3).snapshot().max_concurrency == 3


def test_a_snapshot_shows_what_runs_and_what_waits(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-337, S-338: `running` whose body executes, `progress` of these and of waiting parents, groups with active tasks."""
    scheduler = stage.started(domain, max_concurrency=2)
    work = domain.tasks["play::work"]
    top = scheduler.submit(domain.tasks["play::parent"])
    gate.await_arrivals(2)
    await_status(top, TaskStatus.WAITING)
    scheduler.submit(work.options(run_after=LATER), 8)
    scheduler.submit(work.options(run_after=LATER, group="kids"), 9)
    snapshot = scheduler.snapshot()
    children = [record.id for record in scheduler.children(top.id)]

    assert [record.id for record in snapshot.running] == children
    assert {record.status for record in snapshot.running} == {TaskStatus.RUNNING}
    assert {record.progress for record in snapshot.running} == {0.25}
    assert [one.task_id for one in snapshot.progress] == [*children, top.id]
    assert snapshot.progress[0].message == "a quarter"
    assert snapshot.progress[0].reported == 0.25
    assert (snapshot.progress[2].children_done, snapshot.progress[2].children_total) == (0, 2)
    counts = {status: count for status, count in snapshot.counts.items() if count}
    assert counts == {TaskStatus.RUNNING: 2, TaskStatus.WAITING: 1, TaskStatus.PENDING: 2}
    assert [info.group for info in snapshot.groups] == ["kids"]
    assert group(snapshot, "kids") == (2, 1)
    assert snapshot.max_concurrency == 2


def test_a_body_that_is_cancelled_executes_until_it_ends(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-337: it is CANCELLING and still among those that run."""
    scheduler = stage.started(domain)
    task = scheduler.submit(domain.tasks["play::work"].options(group="g"), 1)
    gate.await_arrivals()
    scheduler.cancel(task.id)
    snapshot = scheduler.snapshot()
    assert [(record.id, record.status) for record in snapshot.running] == [(task.id, TaskStatus.CANCELLING)]
    assert snapshot.counts[TaskStatus.CANCELLING] == 1
    assert group(snapshot, "g") == (1, 0)


def test_groups_that_are_configured_or_paused_are_there(stage: Stage, domain: Domain) -> None:
    """S-338: with their limits and shares, and until when they are paused."""
    scheduler = stage.started(
        domain,
        group_concurrency={"a": 3},
        default_group_concurrency=5,
        group_weights={"b": 2},
        group_min_slots={"c": 1},
    )
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    scheduler.pause_group("d", until=until)
    scheduler.submit(domain.tasks["play::work"].options(group="d"), 1)
    groups = {info.group: info for info in scheduler.snapshot().groups}
    assert list(groups) == ["a", "b", "c", "d"]
    assert [info.limit for info in groups.values()] == [3, 5, 5, 5]
    assert [info.weight for info in groups.values()] == [1, 2, 1, 1]
    assert [info.min_slots for info in groups.values()] == [None, None, 1, None]
    assert (groups["d"].paused, groups["d"].paused_until, groups["d"].pending) == (True, until, 1)
    assert (groups["a"].paused, groups["a"].paused_until) == (False, None)
    scheduler.resume_group("d")
    scheduler.set_group_limit("a", 7)
    groups = {info.group: info for info in scheduler.snapshot().groups}
    assert (groups["a"].limit, groups["d"].paused) == (7, False)


def test_what_the_dispatcher_knows_is_in_it(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-276, S-338: buckets in force with the tokens left; shares in whole slots; pressure is the largest."""
    aging = Aging(grace=1.0)

    @domain.task()
    def held(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(
        domain,
        max_concurrency=2,
        aging=aging,
        rate_limits={"play::held": RateLimit(1e-6, 4)},
        group_rate_limits={"g": RateLimit(1e-6, 3)},
        group_weights={"g": 2},
        pressure={"one": lambda: 0.25, "two": lambda: 0.45},
        resources=Still(),
    )
    scheduler.submit(held.options(group="g"))
    gate.await_arrivals(1)
    snapshot = scheduler.snapshot()
    shown = [(rate.scope, rate.kind, rate.rate, rate.burst, round(rate.available)) for rate in snapshot.rate_limits]
    assert shown == [("play::held", "task", 1e-6, 4, 3), ("g", "group", 1e-6, 3, 2)]
    assert (snapshot.pressure, snapshot.pressure_by_source) == (0.45, {"one": 0.25, "two": 0.45})
    assert snapshot.aging == aging
    assert snapshot.resources == Still().sample()
    assert [(info.group, info.slots) for info in snapshot.groups] == [("g", 1)]
    assert [rate.scope for rate in scheduler.domain("play").snapshot().rate_limits] == ["play::held", "g"]


class Still:
    """A machine on which nothing changes."""

    def sample(self) -> ResourceSnapshot:
        """The same each time."""
        return ResourceSnapshot(0.5, 100.0, 200.0, 300.0, 400.0)


def test_a_domain_has_a_snapshot_of_its_own(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-340: its tasks and groups alone, and its own flag as `paused`."""
    other = Domain("other")

    @other.task()
    def work(ctx: Context, number: int) -> None:
        gate.hold()

    scheduler = stage.started(domain, other, group_weights={"idle": 2})
    mine = domain.tasks["play::work"]
    running = scheduler.submit(mine.options(group="g"), 1)
    scheduler.submit(work.options(group="g"), 1)
    gate.await_arrivals(2)
    scheduler.submit(mine.options(run_after=LATER, group="g"), 2)
    scheduler.submit(work.options(run_after=LATER, group="h"), 3)
    calm_down(scheduler)
    snapshot = scheduler.domain("play").snapshot()
    assert [record.id for record in snapshot.running] == [running.id]
    assert [one.task_id for one in snapshot.progress] == [running.id]
    assert sum(snapshot.counts.values()) == 2
    assert [info.group for info in snapshot.groups] == ["g"]
    assert group(snapshot, "g") == (1, 1)
    assert group(scheduler.snapshot(), "g") == (2, 1)

    scheduler.domain("other").pause()
    assert scheduler.domain("other").snapshot().paused
    assert not scheduler.domain("play").snapshot().paused
    assert not scheduler.snapshot().paused
    assert scheduler.domain("other").snapshot().counts[TaskStatus.PAUSED] == 1
    scheduler.pause()
    assert scheduler.snapshot().paused
    assert not scheduler.domain("play").snapshot().paused


def test_the_newest_waiting_parents_have_their_progress_shown(
    stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-337: the newest 200 (here 2) of them."""
    monkeypatch.setattr(snapshots, "PARENTS", 2)
    scheduler = stage.started(domain)
    flows = [scheduler.flow("batch", key=str(number)).id for number in range(4)]
    snapshot = scheduler.snapshot()
    assert [one.task_id for one in snapshot.progress] == flows[:1:-1]
    assert snapshot.counts[TaskStatus.WAITING] == 4


def test_series_are_in_it(stage: Stage, domain: Domain) -> None:
    """S-340, S-339: schedules of all domains, or of one; they are JSON too."""
    other = Domain("other")

    @other.task(schedule=Every(LATER, initial_delay=LATER))
    def sweep(ctx: Context) -> None:
        """Does nothing."""

    scheduler = stage.started(domain, other)
    daily = scheduler.submit(domain.tasks["play::work"].options(schedule=Cron("0 3 * * *")), 1)
    snapshot = scheduler.snapshot()
    assert list(snapshot.schedules) == scheduler.schedules()
    assert {schedule.task_name for schedule in snapshot.schedules} == {"play::work", "other::sweep"}
    assert [schedule.id for schedule in scheduler.domain("play").snapshot().schedules] == [daily.id]
    shown = json.loads(json.dumps(asdict(snapshot), default=str))["schedules"]
    assert {entry["task_name"] for entry in shown} == {"play::work", "other::sweep"}


def test_a_snapshot_is_json(stage: Stage, domain: Domain, gate: Gate) -> None:
    """S-339: statuses are strings, mappings dicts, durations floats."""
    scheduler = stage.started(domain, aging=Aging(), rate_limits={"play::work": RateLimit.per_minute(600)})
    scheduler.submit(domain.tasks["play::work"].options(tags={"env": "prod"}, group="g"), 1)
    scheduler.submit(domain.tasks["play::work"], 2)
    gate.await_arrivals(1)
    for snapshot in (scheduler.snapshot(), scheduler.domain("play").snapshot()):
        shown = json.loads(json.dumps(asdict(snapshot), default=str))
        assert shown["counts"]["running"] == snapshot.counts[TaskStatus.RUNNING]
        assert shown["running"][0]["status"] == "running"
        assert shown["running"][0]["tags"] == {"env": "prod"}
        assert shown["aging"]["grace"] == 300.0
        assert shown["groups"][0]["group"] == "g"


def test_a_snapshot_of_a_stopped_scheduler_is_an_error(stage: Stage, domain: Domain) -> None:
    """S-336: a failed read is no empty queue."""
    scheduler = stage.started(domain)
    scheduler.stop()
    with pytest.raises(SchedulerStopped):
        scheduler.snapshot()
    with pytest.raises(SchedulerStopped):
        scheduler.tasks()


def test_snapshots_are_of_one_moment_while_work_moves(stage: Stage) -> None:
    """S-336: nothing is missing or double: what is active is counted once, whatever it is just becoming."""
    chain = Domain("chain")

    @chain.task()
    def step(ctx: Context, number: int) -> None:
        """Does nothing."""

    scheduler = stage.started(chain, max_concurrency=4)
    pinned = scheduler.submit_batch([step.options(run_after=LATER, key=f"pin{n}").call(n) for n in range(5)])
    outcomes = scheduler.submit_batch([step.options(key=str(n)).call(n) for n in range(300)])
    sizes: list[int] = []
    for outcome in outcomes[::10]:
        snapshot = scheduler.snapshot()
        sizes.append(sum(snapshot.counts.values()))
        assert len(snapshot.running) == snapshot.counts[TaskStatus.RUNNING]
        outcome.wait(WAIT_S)
    for outcome in outcomes:
        outcome.wait(WAIT_S)
    assert sizes == sorted(sizes, reverse=True)
    assert sum(scheduler.snapshot().counts.values()) == len(pinned)
