"""Starts in the transaction that makes a task ready (S-039): one commit, nobody asked, and places that are never lost."""

import pytest
from staging import Stage, await_status, calm_down, settle

from millrace import Context, Domain, Outcome, Scheduler, StoreError, TaskStatus
from millrace.actors.claiming import Claiming
from millrace.actors.ledger import Ledger
from millrace.store.session import Session


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tasks that the dispatcher has asked for."""
    asked: list[int] = []
    claim = Claiming.claim

    def note(self: Claiming, ledger: Ledger, requests: list[object]) -> None:
        asked.extend(task_id for request in requests for task_id in request.ids)  # type: ignore[attr-defined]
        claim(self, ledger, requests)  # type: ignore[arg-type]

    monkeypatch.setattr(Claiming, "claim", note)
    return asked


def warm_up(scheduler: Scheduler, domain: Domain) -> None:
    """Return once the dispatcher has looked at the store, and lends its places."""
    settle([scheduler.submit(domain.tasks["play::work"], -1)])


def test_a_step_of_a_chain_asks_nobody(stage: Stage, domain: Domain, asked_for: list[int]) -> None:
    """The end of a dependency starts what waited for it."""
    seen: list[int] = []

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        seen.append(n)

    gate = stage.gate()

    @domain.task()
    def first(ctx: Context) -> None:
        gate.hold()

    scheduler = stage.started(domain)
    warm_up(scheduler, domain)
    asked_for.clear()
    chain: list[Outcome[None]] = [scheduler.submit(first)]
    for n in range(20):
        chain.append(scheduler.submit(work.options(depends_on=[chain[-1]]), n))
    gate.open()
    assert {end.status for end in settle(chain)} == {TaskStatus.COMPLETED}
    assert (seen, asked_for) == ([-1, *range(20)], [])


def test_slots_bound_what_starts_at_once(stage: Stage, domain: Domain, asked_for: list[int]) -> None:
    """As many bodies as there are slots; the others are chosen by the dispatcher, each once."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        ctx.wait_cancelled(0.01)  # not so short that others are claimed ahead
        if n >= 0:
            gate.hold()

    scheduler = stage.started(domain, max_concurrency=3)
    warm_up(scheduler, domain)
    asked_for.clear()
    outcomes = scheduler.submit_batch(work.call(n) for n in range(3))
    gate.await_arrivals(3)
    later = scheduler.submit_batch(work.call(n) for n in range(3, 8))
    assert scheduler.count(status=TaskStatus.PENDING) >= 1
    gate.open()
    settle([*outcomes, *later])
    assert set(asked_for) <= {outcome.id for outcome in later}
    assert len(asked_for) == len(set(asked_for))


def test_a_start_ahead_of_the_slots_is_recalled(stage: Stage, domain: Domain) -> None:
    """S-076: behind a body that turns out to be long it is pending again, though nothing else happens that anybody hears of."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        if n == 0:
            gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    for _ in range(5):
        warm_up(scheduler, domain)  # bodies are short, so far
    calm_down(scheduler)
    first = scheduler.submit(work, 0)
    gate.await_arrivals()
    second = scheduler.submit(work, 1)
    await_status(second, TaskStatus.PENDING)
    gate.open()
    settle([first, second])


def test_a_start_that_came_to_nothing_takes_no_slot(
    stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the commit of a submit that would have started its task: the slot is free for the next."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        ctx.wait_cancelled(0.01)  # not so short that others are claimed ahead
        if n >= 0:
            gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    warm_up(scheduler, domain)
    commit = Session.commit

    def fail_once(self: Session) -> None:
        monkeypatch.setattr(Session, "commit", commit)
        raise StoreError("the disk is full", code=13)

    monkeypatch.setattr(Session, "commit", fail_once)
    with pytest.raises(StoreError):
        scheduler.submit(work, 0)
    outcome = scheduler.submit(work, 1)
    gate.await_arrivals()
    gate.open()
    settle([outcome])
