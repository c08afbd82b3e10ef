"""Starts that are committed ahead of the free slots give way to what is more urgent (S-075, S-076)."""

import pytest
from staging import Stage, calm_down, settle

from millrace import Context, Domain, Priority, Scheduler, TaskStatus


def learn_that_bodies_are_short(scheduler: Scheduler, domain: Domain) -> None:
    """Have the dispatcher claim far ahead."""
    settle(scheduler.submit_batch(domain.tasks["play::quick"].call(-n) for n in range(1, 200)))


@pytest.fixture
def order(domain: Domain) -> list[int]:
    """The starts of the quick task, which is defined here."""
    started: list[int] = []

    @domain.task()
    def quick(ctx: Context, n: int) -> None:
        started.append(n)

    return started


def test_a_more_urgent_task_overtakes_starts_made_ahead(stage: Stage, domain: Domain, order: list[int]) -> None:
    """S-076: a task that becomes ready behind a long body starts before all less urgent ones that were claimed ahead."""
    gate = stage.gate()

    @domain.task()
    def hold(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    quick = domain.tasks["play::quick"]
    learn_that_bodies_are_short(scheduler, domain)
    entries = [hold.options(priority=100).call(), *(quick.call(n) for n in range(100))]
    batch = scheduler.submit_batch(entries)
    gate.await_arrivals()
    urgent = [scheduler.submit(quick.options(priority=Priority.HIGH), 1000 + n) for n in range(3)]
    calm_down(scheduler)
    gate.open()
    settle([*batch, *urgent])
    assert [n for n in order if n >= 0] == [1000, 1001, 1002, *range(100)]


def test_what_is_not_more_urgent_overtakes_nothing(stage: Stage, domain: Domain, order: list[int]) -> None:
    """S-075: what becomes ready later and is as urgent starts after what was there before."""
    scheduler = stage.started(domain, max_concurrency=1)
    quick = domain.tasks["play::quick"]
    learn_that_bodies_are_short(scheduler, domain)
    first = scheduler.submit_batch(quick.call(n) for n in range(500))
    second = [scheduler.submit(quick, 500 + n) for n in range(50)]
    ends = settle([*first, *second])
    assert {end.status for end in ends} == {TaskStatus.COMPLETED}
    assert [n for n in order if n >= 0] == list(range(550))
