"""Rate limits: S-261 to S-267. Times are this machine's: a start may come late, never early."""

import threading
import time

import pytest
from staging import WAIT_S, Stage, calm_down, settle

from millrace import Context, Domain, RateLimit, Retry, RetryableError, Scheduler, Task, TaskStatus


class Starts:
    """When bodies began."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.times: list[float] = []

    def note(self) -> None:
        with self._changed:
            self.times.append(time.monotonic())
            self._changed.notify_all()

    def since(self, begin: float, count: int) -> list[float]:
        """Seconds from a time on at which so many began, once they have."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.times) >= count, WAIT_S)
            return sorted(at - begin for at in self.times)

    def wait(self, count: int) -> None:
        """Until so many have begun."""
        self.since(0.0, count)


def rated(domain: Domain, starts: Starts, limit: RateLimit | None, name: str = "rated") -> Task[[int], None]:
    """A task whose bodies note when they begin."""

    @domain.task(name=name, rate_limit=limit)
    def body(ctx: Context, n: int) -> None:
        starts.note()

    return body


def is_early(times: list[float], due: list[float]) -> bool:
    """Whether one began before its token had come, though all buckets were full at the beginning."""
    return any(at < token for at, token in zip(times, due, strict=True))


def test_the_burst_starts_at_once_and_the_rest_at_the_rate(stage: Stage, domain: Domain) -> None:
    """S-261, S-264: 20/s with burst 3; nothing of the tasks that wait changes."""
    starts = Starts()
    task = rated(domain, starts, RateLimit(20, burst=3))
    scheduler = stage.started(domain, max_concurrency=10)
    begin = time.monotonic()
    outcomes = scheduler.submit_batch(task.call(n) for n in range(8))
    assert not is_early(starts.since(begin, 8), [0, 0, 0, 0.05, 0.10, 0.15, 0.20, 0.25])
    for record in settle(outcomes):
        assert (record.attempt, record.retries, record.run_at) == (1, 0, None)


def test_a_task_and_its_group_give_a_token_each_or_neither(stage: Stage, domain: Domain) -> None:
    """S-263: what its group keeps from starting costs no token of the task."""
    starts, others = Starts(), Starts()
    task = rated(domain, starts, RateLimit.per_hour(2))
    other = rated(domain, others, None, "other")
    scheduler = stage.started(domain, group_rate_limits={"g": RateLimit.per_hour(1)})
    settle([scheduler.submit(other.options(group="g"), 0)])
    waiting = scheduler.submit(task.options(group="g"), 1)
    settle(scheduler.submit_batch(task.call(n) for n in (2, 3)))
    calm_down(scheduler)
    assert waiting.handle.status() is TaskStatus.PENDING
    assert (len(starts.times), len(others.times)) == (2, 1)
    last = scheduler.submit(task, 4)
    calm_down(scheduler)
    assert last.handle.status() is TaskStatus.PENDING


def test_retries_take_tokens(stage: Stage, domain: Domain) -> None:
    """S-263: each start of a body."""
    starts = Starts()

    @domain.task(rate_limit=RateLimit(20), retry=Retry.constant(3))
    def flaky(ctx: Context) -> None:
        starts.note()
        if ctx.attempt < 4:
            raise RetryableError("once more")

    scheduler = stage.started(domain)
    begin = time.monotonic()
    settle([scheduler.submit(flaky)])
    assert not is_early(starts.since(begin, 4), [0, 0.05, 0.10, 0.15])


def test_who_waits_for_a_token_holds_up_nobody(stage: Stage, domain: Domain) -> None:
    """S-264: others start, though less urgent, and though there are many in front."""
    starts, others = Starts(), Starts()
    task, other = rated(domain, starts, RateLimit.per_hour(1)), rated(domain, others, None, "other")
    scheduler = stage.started(domain, max_concurrency=2)
    scheduler.submit_batch(task.options(priority=0).call(n) for n in range(500))
    settle(scheduler.submit_batch(other.options(priority=255).call(n) for n in range(20)))
    assert len(others.times) == 20
    assert len(starts.times) == 1


@pytest.mark.parametrize("is_set", [False, True])
def test_whose_limit_counts(stage: Stage, domain: Domain, is_set: bool) -> None:
    """S-265: what is set at run time, else the scheduler's, else the decorator's."""
    starts = Starts()
    task = rated(domain, starts, RateLimit.per_hour(1))
    scheduler = stage.started(domain, rate_limits={"play::rated": RateLimit.per_hour(2)})
    if is_set:
        scheduler.set_rate_limit(task, RateLimit.per_hour(5))
    outcomes = scheduler.submit_batch(task.call(n) for n in range(9))
    settle(outcomes[: 5 if is_set else 2])
    calm_down(scheduler)
    assert len(starts.times) == (5 if is_set else 2)


def used_up(scheduler: Scheduler, task: Task[[int], None], group: str | None) -> None:
    """A bucket without tokens, and a task that waits for one."""
    of_group = task.options(group=group)
    settle([scheduler.submit(of_group, 0)])
    waiting = scheduler.submit(of_group, 1)
    calm_down(scheduler)
    assert waiting.handle.status() is TaskStatus.PENDING


@pytest.mark.parametrize("change", [None, RateLimit(1000)])
def test_a_change_takes_effect_at_once(stage: Stage, domain: Domain, change: RateLimit | None) -> None:
    """S-266: a quicker rate starts what waits, None frees it; for a task as for a group."""
    starts = Starts()
    task, free = rated(domain, starts, None), rated(domain, starts, None, "free")
    scheduler = stage.started(domain)
    scheduler.set_rate_limit(task, RateLimit.per_hour(1))
    scheduler.set_group_rate_limit("g", RateLimit.per_hour(1))
    used_up(scheduler, task, None)
    used_up(scheduler, free, "g")
    assert len(starts.times) == 2
    scheduler.set_rate_limit(task, change)
    starts.wait(3)
    scheduler.set_group_rate_limit("g", change)
    starts.wait(4)


def test_a_larger_burst_gives_no_tokens(stage: Stage, domain: Domain) -> None:
    """S-266: tokens are kept, as far as they fit."""
    starts = Starts()
    task = rated(domain, starts, RateLimit.per_hour(1))
    scheduler = stage.started(domain)
    used_up(scheduler, task, None)
    scheduler.set_rate_limit(task, RateLimit(1 / 3600, burst=50))
    calm_down(scheduler)
    assert len(starts.times) == 1


def test_a_restart_fills_the_buckets(stage: Stage, domain: Domain) -> None:
    """S-267."""
    starts = Starts()
    task = rated(domain, starts, RateLimit.per_hour(1))
    scheduler = stage.started(domain)
    used_up(scheduler, task, None)
    scheduler.stop(5.0)
    scheduler.start()
    starts.wait(2)
