"""``Scheduler.metrics()``: each run once, each submit once, and at every moment started less finished is running (S-345)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import apsw
import dying
import pytest
from staging import WAIT_S, Gate, Stage, calm_down, settle

from millrace import (
    Context,
    Cron,
    Domain,
    DuplicatePolicy,
    Every,
    InvalidTask,
    MetricsSnapshot,
    PermanentError,
    Retention,
    Retry,
    Scheduler,
    TaskInterrupted,
    TaskStatus,
)
from millrace.model.families import ACTIVE, ENDS, FAMILIES, RUN_RESULTS, SUBMIT_RESULTS
from millrace.store import waiting


def outcomes(scheduler: Scheduler, name: str) -> dict[str, int]:
    """The outcomes of a task's runs that have come to pass."""
    counters = scheduler.metrics().counters
    found = {
        outcome: counters[f'runs_finished_total{{domain="play",task="{name}",outcome="{outcome}"}}']
        for outcome in RUN_RESULTS
    }
    return {outcome: count for outcome, count in found.items() if count}


def running(metrics: MetricsSnapshot) -> tuple[float, float]:
    """What is running by the gauge, and by the counters."""
    return metrics.gauges["running"], metrics.counters["runs_started_total"] - metrics.counters["runs_finished_total"]


@contextmanager
def watched(scheduler: Scheduler) -> Iterator[list[tuple[float, float]]]:
    """Reads the metrics again and again, in a thread of its own, for as long as the block lasts."""
    seen: list[tuple[float, float]] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            seen.append(running(scheduler.metrics()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join(WAIT_S)


# Runs


def test_started_less_finished_is_running_while_work_moves(stage: Stage, domain: Domain) -> None:
    """S-345: at each of thousands of readings beside runs that return, fail, retry, spawn, finalize and are cancelled."""

    @domain.task(retry=Retry.constant(2, delay=0.0))
    def flaky(ctx: Context, n: int) -> int:
        if n % 3 == 0 and ctx.attempt < 2:
            raise ValueError("not yet")
        return n

    @domain.task()
    def family(ctx: Context, n: int) -> int:
        ctx.spawn_children(flaky.call(10_000 + 10 * n + child) for child in range(4))
        return n

    @family.finalize
    def add_up(ctx: Context, memo: int, n: int) -> int:
        return memo + sum(1 for _ in ctx.child_results())

    @domain.task()
    def stops(ctx: Context, n: int) -> None:
        ctx.wait_cancelled(WAIT_S)
        ctx.check_cancelled()

    scheduler = stage.started(domain, max_concurrency=8)
    with watched(scheduler) as seen:
        waiting = scheduler.submit_batch(stops.call(n) for n in range(3))
        made = scheduler.submit_batch(
            [*(flaky.call(n) for n in range(400)), *(family.call(n) for n in range(20))],
        )
        for outcome in waiting:
            scheduler.cancel(outcome.id)
        settle([*made, *waiting])
    assert all(gauge == counted for gauge, counted in seen), [pair for pair in seen if pair[0] != pair[1]][:5]
    assert len(seen) > 10
    assert any(gauge > 0 for gauge, _ in seen)
    metrics = scheduler.metrics()
    assert running(metrics) == (0, 0)
    assert metrics.counters['runs_started_total{domain="play",task="play::family"}'] == 40, (
        "a body and a finalizer each"
    )
    numbers = [*range(400), *(10_000 + 10 * n + child for n in range(20) for child in range(4))]
    failed = sum(n % 3 == 0 for n in numbers)
    assert outcomes(scheduler, "play::flaky") == {"succeeded": 480, "failed": failed}


def test_what_is_running_is_seen_while_it_runs(stage: Stage, domain: Domain) -> None:
    """S-345: of five tasks on two slots two have started, in all, by task and by domain; three are pending."""
    gate = stage.gate()

    @domain.task()
    def held(ctx: Context, n: int) -> None:
        gate.hold()

    idle = Domain("idle")
    idle.task("never")(lambda ctx: None)
    scheduler = stage.started(domain, idle, max_concurrency=2)
    made = scheduler.submit_batch(held.call(n) for n in range(5))
    gate.await_arrivals(2)
    metrics = scheduler.metrics()
    assert running(metrics) == (2, 2)
    assert metrics.gauges['running{scope="play"}'] == 2
    assert metrics.gauges['running{scope="idle"}'] == 0
    assert metrics.gauges["concurrency_limit"] == 2
    assert metrics.gauges["tasks"] == 5
    assert metrics.gauges['workers{executor="thread",state="busy"}'] == 2
    assert metrics.gauges["oldest_run_age_seconds"] > 0
    assert metrics.gauges["owner"] == 1
    gate.open()
    settle(made)
    assert running(scheduler.metrics()) == (0, 0)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("return", {"succeeded": 1}),
        ("raise", {"failed": 1}),
        ("time out", {"timed_out": 1}),
        ("cancel", {"cancelled": 1}),
        ("cancel itself", {"cancelled": 1}),
        ("return although cancelled", {"succeeded": 1}),
    ],
)
def test_each_run_has_one_outcome(stage: Stage, domain: Domain, how: str, expected: dict[str, int]) -> None:
    """S-345: what the function did, and where it was asked to stop what for."""
    gate = stage.gate()

    @domain.task(timeout=0.05 if how == "time out" else None, retry=Retry.none())
    def body(ctx: Context) -> None:
        gate.hold()
        if how == "raise":
            raise PermanentError("so it is")
        if how == "cancel itself":
            raise TaskInterrupted("cancelled")
        if how in ("cancel", "time out", "return although cancelled"):
            ctx.wait_cancelled(WAIT_S)
        if how in ("cancel", "time out"):
            ctx.check_cancelled()

    scheduler = stage.started(domain)
    made = scheduler.submit(body)
    gate.await_arrivals()
    gate.open()
    if "cancel" in how and how != "cancel itself":
        scheduler.cancel(made.id)
    made.wait(WAIT_S)
    assert outcomes(scheduler, "play::body") == expected
    assert running(scheduler.metrics()) == (0, 0)


@pytest.mark.leaves_threads("the body ignores its cancel until the test lets it go")
def test_a_run_that_is_given_up_is_over(stage: Stage, domain: Domain) -> None:
    """S-345: it counts as cancelled when it is given up, its thread as abandoned, and its late end as nothing."""
    gate = Gate()

    @domain.task()
    def deaf(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, cancel_timeout=0.05)
    made = scheduler.submit(deaf)
    gate.await_arrivals()
    scheduler.cancel(made.id)
    made.wait(WAIT_S)
    metrics = scheduler.metrics()
    assert outcomes(scheduler, "play::deaf") == {"cancelled": 1}
    assert running(metrics) == (0, 0)
    assert metrics.gauges['workers{executor="thread",state="abandoned"}'] == 1
    gate.open()


def test_limits_of_domains_and_groups_are_shown(stage: Stage) -> None:
    """Those that are configured: what runs of each, how many may, and whether it is paused."""
    gate = stage.gate()
    domain = Domain("play", max_concurrency=3)

    @domain.task(group="a")
    def held(ctx: Context, n: int) -> None:
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=4, group_concurrency={"a": 2, "b": 1})
    made = scheduler.submit_batch(held.call(n) for n in range(4))
    gate.await_arrivals(2)
    scheduler.pause_group("b")
    gauges = scheduler.metrics().gauges
    assert gauges['concurrency_limit{scope="play"}'] == 3
    assert gauges["concurrency_limit"] == 4
    assert [gauges[f'group_running{{group="{group}"}}'] for group in "ab"] == [2, 0]
    assert [gauges[f'group_limit{{group="{group}"}}'] for group in "ab"] == [2, 1]
    assert [gauges[f'group_paused{{group="{group}"}}'] for group in "ab"] == [0, 1]
    gate.open()
    settle(made)


def test_a_stop_interrupts(stage: Stage, domain: Domain) -> None:
    """S-345: a run that a stop put back has the outcome interrupted; nothing is running afterwards."""
    gate = stage.gate()

    @domain.task()
    def stops(ctx: Context) -> None:
        gate.hold()
        ctx.wait_cancelled(WAIT_S)
        ctx.check_cancelled()

    scheduler = stage.started(domain)
    scheduler.submit(stops)
    gate.await_arrivals()
    gate.open()
    scheduler.stop(0)
    assert outcomes(scheduler, "play::stops") == {"interrupted": 1}
    assert running(scheduler.metrics()) == (0, 0)


@pytest.mark.crash
def test_a_run_that_a_crash_ended_has_crashed(stage: Stage) -> None:
    """S-345: the start that finds it counts it, as started and as crashed, so that the sum holds from the first reading on."""
    for _ in range(2):
        dying.run("scheduler.start(); scheduler.submit(killer).wait(60)", stage.path)
    scheduler = stage.started(dying.domain)
    dying.settled(scheduler, 1)
    metrics = scheduler.metrics()
    task = 'domain="dying",task="dying::killer"'
    assert metrics.counters[f'runs_finished_total{{{task},outcome="crashed"}}'] == 1
    assert metrics.counters[f'runs_finished_total{{{task},outcome="succeeded"}}'] == 1
    assert metrics.counters[f"runs_started_total{{{task}}}"] == 2
    assert running(metrics) == (0, 0)
    assert metrics.counters['recovered_total{action="requeued"}'] == 1


# Submissions


def test_each_submit_has_one_result(stage: Stage, domain: Domain) -> None:
    """S-345: single, in a batch or as a child, and where it is refused."""
    gate = stage.gate()

    @domain.task(key=lambda n: "one")
    def keyed(ctx: Context, n: int) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(keyed, 1)

    scheduler = stage.scheduler(domain)
    scheduler.submit(keyed, 1)
    scheduler.submit(keyed, 2)
    scheduler.submit(keyed.options(on_duplicate=DuplicatePolicy.REJECT), 3)
    scheduler.submit(keyed.options(on_duplicate=DuplicatePolicy.SUPERSEDE), 4)
    scheduler.submit_batch([keyed.call(5), keyed.call(6)])
    with pytest.raises(InvalidTask):
        scheduler.submit(keyed, object())  # type: ignore[arg-type]  # what this is about
    gate.open()
    scheduler.start()
    family = scheduler.submit(parent)
    family.wait(WAIT_S)
    counters = scheduler.metrics().counters
    found = {
        result: counters[f'submissions_total{{domain="play",task="play::keyed",result="{result}"}}']
        for result in SUBMIT_RESULTS
    }
    assert {result: count for result, count in found.items() if count} == {
        "inserted": 2,
        "duplicate": 3,
        "rejected": 1,
        "superseded": 1,
        "invalid": 1,
    }
    assert counters["submissions_total"] == sum(found.values()) + 1
    assert counters["batches_total"] == 1
    assert counters["batch_size_count"] == 1
    assert scheduler.metrics().gauges["batch_size_sum"] == 2


# Tasks and times


def test_ends_retries_and_children_are_counted(stage: Stage, domain: Domain) -> None:
    """Every end of a task once; retries when they are scheduled; a child's end also as its parent's child."""

    @domain.task(retry=Retry.constant(1, delay=0.0))
    def fails(ctx: Context) -> None:
        raise ValueError("it broke")

    @domain.task(fail_fast=False)
    def parent(ctx: Context) -> None:
        ctx.spawn_child(fails)

    scheduler = stage.started(domain)
    scheduler.submit(parent).wait(WAIT_S)
    counters = scheduler.metrics().counters
    assert counters["tasks_finished_total"] == 2
    assert counters['tasks_finished_total{domain="play",task="play::fails",status="dead_letter"}'] == 1
    assert counters["retries_total"] == 1
    assert counters['children_settled_total{domain="play",status="dead_letter"}'] == 1
    assert counters["children_settled_total"] == 1
    assert counters["end_to_end_seconds_count"] == 2
    assert counters["run_duration_seconds_count"] == 3
    assert counters["commit_duration_seconds_count"] == counters["commit_batch_size_count"] > 0


def test_what_a_body_moves_is_counted(stage: Stage, domain: Domain) -> None:
    """Bytes that a body reports are counted by direction."""

    @domain.task()
    def moves(ctx: Context) -> None:
        ctx.record_io(disk_read=1000, net_tx=24)

    scheduler = stage.started(domain)
    scheduler.submit(moves).wait(WAIT_S)
    counters = scheduler.metrics().counters
    assert counters["task_bytes_total"] == 1024
    assert counters['task_bytes_total{domain="play",task="play::moves",direction="net_tx"}'] == 24


def test_pruned_rows_are_counted(stage: Stage, domain: Domain) -> None:
    """What retention removes, asked for or by itself, is counted once it is committed."""

    @domain.task()
    def quick(ctx: Context, n: int) -> None:
        pass

    scheduler = stage.started(domain)
    settle(scheduler.submit_batch(quick.call(n) for n in range(20)))
    gone = scheduler.prune(Retention(max_count=5))
    assert gone == 15
    assert scheduler.metrics().counters["pruned_total"] == 15


def test_delayed_tasks_are_not_pending(stage: Stage, domain: Domain) -> None:
    """The gauge of active tasks tells ready from delayed ones, and only the ready ones have an age."""

    @domain.task()
    def later(ctx: Context, n: int) -> None:
        pass

    scheduler = stage.scheduler(domain)
    scheduler.submit(later.options(run_after=3600), 1)
    gauges = scheduler.metrics().gauges
    assert gauges['tasks{domain="play",status="delayed"}'] == 1
    assert gauges['oldest_ready_age_seconds{domain="play"}'] == 0
    scheduler.submit(later, 2)
    gauges = scheduler.metrics().gauges
    assert gauges['tasks{domain="play",status="pending"}'] == 1
    assert gauges["tasks"] == 2
    assert gauges["owner"] == 0, "the store is open, and runs nothing"


@pytest.mark.parametrize(
    "options",
    [
        {"run_at": datetime.now(UTC) + timedelta(days=1)},
        {"schedule": Cron("0 0 1 1 *")},
        {"schedule": Every(3600.0, initial_delay=3600.0)},
    ],
    ids=["run_at", "cron", "every"],
)
def test_whatever_waits_for_its_time_is_delayed(stage: Stage, domain: Domain, options: dict[str, Any]) -> None:
    """By whichever clock it waits: the steady one, the wall's, or that of a series."""

    @domain.task()
    def later(ctx: Context) -> None:
        pass

    scheduler = stage.scheduler(domain)
    scheduler.submit(later.options(**options))
    gauges = scheduler.metrics().gauges
    assert gauges['tasks{domain="play",status="delayed"}'] == 1
    assert gauges['tasks{domain="play",status="pending"}'] == 0


# Series


def test_all_series_of_registered_tasks_are_there_from_the_start(stage: Stage, domain: Domain) -> None:
    """At 0, before anything has happened, so that the first failure is an increase; tasks that are declared later join in."""

    @domain.task()
    def first(ctx: Context) -> None:
        pass

    scheduler = stage.scheduler(domain)
    counters, gauges = scheduler.metrics().counters, scheduler.metrics().gauges
    assert not any(counters.values())
    for end in ENDS:
        assert f'tasks_finished_total{{domain="play",task="play::first",status="{end}"}}' in counters
    for status in ACTIVE:
        assert gauges[f'tasks{{domain="play",status="{status}"}}'] == 0
    assert "run_duration_seconds_count" in counters
    assert not any("::late" in name for name in counters)
    domain.task("late")(lambda ctx: None)
    assert any("::late" in name for name in scheduler.metrics().counters)


def test_a_wait_for_another_programs_lock_is_counted(
    stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has ended well, however often the lock was looked at; what was submitted meanwhile is stored."""
    work = domain.task("work")(lambda ctx: None)
    scheduler = stage.started(domain)
    assert scheduler.metrics().counters["store_busy_total"] == 0
    other = apsw.Connection(stage.path)
    other.set_busy_timeout(round(WAIT_S * 1000))  # the start may be writing still
    looks: list[float] = []

    def let_go(pause_s: float) -> None:
        looks.append(pause_s)
        if len(looks) == 3:
            other.execute("rollback")

    monkeypatch.setattr(waiting, "sleep", let_go)
    other.execute("begin immediate")
    scheduler.submit(work).wait(WAIT_S)
    assert looks == [0.001, 0.002, 0.005]
    assert scheduler.metrics().counters["store_busy_total"] == 1
    other.close()


def test_names_are_those_of_the_table(stage: Stage, domain: Domain) -> None:
    """Every name is a family's, by itself or with that family's labels."""
    metrics = stage.started(domain).metrics()
    for name in [*metrics.counters, *metrics.gauges]:
        bare = name.partition("{")[0]
        assert bare in FAMILIES or bare.rpartition("_")[0] in FAMILIES, name


def test_tasks_beyond_two_hundred_share_a_name(stage: Stage, domain: Domain) -> None:
    """The first 200 registered tasks have series of their own; the others are counted together."""
    tasks = [domain.task(f"t{n:03}")(lambda ctx: None) for n in range(203)]
    scheduler = stage.started(domain)
    settle(scheduler.submit(task) for task in tasks)
    counters = scheduler.metrics().counters
    assert counters['runs_started_total{domain="play",task="__other__"}'] == 3
    assert counters["runs_started_total"] == 203
    assert sum(name.startswith("runs_started_total{") for name in counters) == 201


def test_unknown_names_get_no_series(stage: Stage, domain: Domain) -> None:
    """What another program left in the store, and flows, whose names may grow, are counted together."""
    gone = Domain("gone")
    left = gone.task("left")(lambda ctx: None)
    before = stage.scheduler(gone)
    before.submit(left)
    before.stop()
    scheduler = stage.started(domain)
    scheduler.flow("import-2026-01-01").finish()
    metrics = scheduler.metrics()
    assert metrics.gauges['tasks{domain="__other__",status="parked"}'] == 1
    assert metrics.counters['tasks_finished_total{domain="flow",task="__other__",status="completed"}'] == 1
    assert not any("import-2026" in name or "gone" in name for name in [*metrics.counters, *metrics.gauges])


def test_metrics_open_nothing_and_outlive_a_stop(stage: Stage, domain: Domain) -> None:
    """Before the start the store is not opened for it; after the stop the counters stand, and no gauge of the store is made up."""

    @domain.task()
    def quick(ctx: Context) -> None:
        pass

    scheduler = stage.scheduler(domain)
    assert "store_size_bytes" not in scheduler.metrics().gauges
    with scheduler:
        assert scheduler.submit(quick).wait(WAIT_S).status is TaskStatus.COMPLETED
        assert scheduler.metrics().gauges["store_size_bytes"] > 0
    metrics = scheduler.metrics()
    assert metrics.counters["tasks_finished_total"] == 1
    assert "store_size_bytes" not in metrics.gauges
    assert metrics.gauges["owner"] == 0


def test_the_heartbeat_is_the_loops_own(stage: Stage, domain: Domain) -> None:
    """Each reading asks the dispatcher's loop for a sign of life, which the next one shows: a loop that is stuck gives none."""
    scheduler = stage.started(domain)
    first = scheduler.metrics().gauges["dispatcher_heartbeat_timestamp_seconds"]
    calm_down(scheduler)  # the dispatcher has answered behind it
    answered = scheduler._runtime.dispatcher.beat_at
    calm_down(scheduler)
    assert scheduler._runtime.dispatcher.beat_at == answered, "no other mail counts as an answer"
    assert scheduler.metrics().gauges["dispatcher_heartbeat_timestamp_seconds"] == answered > first


def test_gauges_of_others_are_asked_and_cannot_break_a_reading(stage: Stage, domain: Domain) -> None:
    """Who measures something gives it to the runtime; where it raises, that is counted, and the rest is read."""
    scheduler = stage.started(domain)

    def broken() -> list[tuple[str, tuple[str, ...], float]]:
        raise RuntimeError("no")

    scheduler._runtime.gauges += [broken, lambda: [("pressure_ratio", ("cpu",), 0.5)]]
    metrics = scheduler.metrics()
    assert metrics.gauges['pressure_ratio{source="cpu"}'] == 0.5
    assert metrics.gauges["pressure_ratio"] == 0.5
    assert scheduler.metrics().counters["collector_errors_total"] == 2
