"""Limits of groups and domains: S-254 to S-259. What they bound is seen while bodies stand at a gate."""

import threading
from collections import Counter
from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, calm_down, settle

from millrace import Context, Domain, Outcome, Scheduler, Task, TaskStatus


class Crowd:
    """Bodies that stand at a gate, counted by what they say they are."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def stand(self, *names: str) -> None:
        with self._lock:
            self.now.update(names)
            self.most = self.now | self.most
        try:
            self.gate.hold()
        finally:
            with self._lock:
                self.now.subtract(names)

    def standing(self) -> dict[str, int]:
        with self._lock:
            return dict(+self.now)


def crowd_of(stage: Stage, *domains: Domain) -> tuple[Crowd, dict[str, Task[[str, int], None]]]:
    """A task in each domain whose bodies stand in the crowd, under the names of domain and group."""
    crowd = Crowd(stage.gate())

    def body(ctx: Context, group: str, n: int) -> None:
        crowd.stand("all", ctx.record.task_name.partition("::")[0], group)

    return crowd, {each.name: each.task(name="stand")(body) for each in domains}


def submit(scheduler: Scheduler, task: Task[[str, int], None], group: str, count: int) -> list[Outcome[Any]]:
    """So many in a group; "none" is without one."""
    of_group = task.options(group=None if group == "none" else group)
    return scheduler.submit_batch(of_group.call(group, n) for n in range(count))


def test_limits_hold_together(stage: Stage) -> None:
    """S-254: global, domain and group; a group has its own limit, or the default; ungrouped tasks have none."""
    media, mail = Domain("media", max_concurrency=3), Domain("mail")
    crowd, tasks = crowd_of(stage, media, mail)
    scheduler = stage.scheduler(media, mail, max_concurrency=9, group_concurrency={"a": 2}, default_group_concurrency=1)
    outcomes = [
        outcome
        for domain, group in (("media", "a"), ("media", "b"), ("media", "none"), ("mail", "a"), ("mail", "b"))
        for outcome in submit(scheduler, tasks[domain], group, 5)
    ]
    scheduler.start()
    crowd.gate.await_arrivals(3)
    outcomes += submit(scheduler, tasks["mail"], "none", 20)
    crowd.gate.await_arrivals(9)
    calm_down(scheduler)
    standing = crowd.standing()
    assert (standing["all"], standing["media"], standing["a"]) == (9, 3, 2)
    assert standing.get("b", 0) <= 1
    crowd.gate.open()
    settle(outcomes)
    assert (crowd.most["all"], crowd.most["media"], crowd.most["a"], crowd.most["b"]) == (9, 3, 2, 1)


def test_limits_are_changed_while_tasks_run(stage: Stage, domain: Domain) -> None:
    """S-255, S-256: at once, also where nothing was configured; raising starts what waits, lowering stops nothing."""
    crowd, tasks = crowd_of(stage, domain)
    scheduler = stage.started(domain, max_concurrency=20)
    scheduler.set_group_limit("a", 2)
    submit(scheduler, tasks["play"], "a", 12)
    crowd.gate.await_arrivals(2)
    calm_down(scheduler)
    assert crowd.standing()["a"] == 2
    scheduler.set_group_limit("a", 5)
    crowd.gate.await_arrivals(5)
    calm_down(scheduler)
    assert crowd.standing()["a"] == 5
    scheduler.set_group_limit("a", 1)
    calm_down(scheduler)
    assert crowd.standing()["a"] == 5
    crowd.gate.let_pass(4)
    scheduler.submit(tasks["play"].options(group="b"), "b", 0)
    crowd.gate.await_arrivals(6)
    calm_down(scheduler)
    assert crowd.standing()["a"] == 1
    scheduler.set_group_limit("a", None)
    crowd.gate.await_arrivals(13)
    scheduler.domain("play").max_concurrency = 1
    with pytest.raises(ValueError, match="1"):
        scheduler.set_group_limit("a", 0)


def test_what_cannot_start_is_passed_over(stage: Stage, domain: Domain) -> None:
    """S-077, S-258: thousands of urgent tasks behind a full limit delay no other."""
    gate = stage.gate()

    @domain.task()
    def hold(ctx: Context, n: int) -> None:
        gate.hold()

    @domain.task()
    def work(ctx: Context) -> int:
        return ctx.id

    scheduler = stage.started(domain, max_concurrency=4, group_concurrency={"full": 1})
    scheduler.submit_batch(hold.options(group="full", priority=1).call(n) for n in range(3000))
    gate.await_arrivals(1)
    for _ in range(3):
        outcome = scheduler.submit(work.options(group="free", priority=200))
        assert outcome.result(WAIT_S) == outcome.id
    assert gate.arrived == 1


def test_nothing_leaks_however_a_run_ends(stage: Stage, domain: Domain) -> None:
    """S-257: failures, cancels and a restart give their places back."""
    gate = stage.gate()

    @domain.task()
    def fail(ctx: Context, n: int) -> None:
        raise SystemExit(n)

    @domain.task()
    def hold(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(domain, max_concurrency=2, default_group_concurrency=1)
    settle(scheduler.submit_batch(fail.options(group="g").call(n) for n in range(3)))
    held = scheduler.submit(hold.options(group="g"))
    gate.await_arrivals(1)
    held.handle.cancel()
    gate.open()
    held.wait(WAIT_S)
    scheduler.stop(5.0)
    scheduler.start()
    settle(scheduler.submit_batch(work.options(group="g").call(n) for n in range(5)))
    assert scheduler.count(group="g", status=TaskStatus.PENDING) == 0


def test_names_are_compared_exactly(stage: Stage, domain: Domain) -> None:
    """S-259: with case, without wildcards."""
    crowd, tasks = crowd_of(stage, domain)
    scheduler = stage.started(domain, max_concurrency=8, group_concurrency={"Ab": 1, "%": 1})
    for group in ("Ab", "ab", "%"):
        submit(scheduler, tasks["play"], group, 2)
    crowd.gate.await_arrivals(4)
    calm_down(scheduler)
    assert crowd.standing() == {"all": 4, "play": 4, "Ab": 1, "ab": 2, "%": 1}
