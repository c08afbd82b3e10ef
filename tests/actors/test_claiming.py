"""Claims are carried out by statements that change rows: what the transaction does afterwards goes on from these."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest

from millrace.actors.claiming import Claiming
from millrace.actors.effects import Effects
from millrace.actors.ledger import Ledger
from millrace.actors.mailbox import Mailbox
from millrace.actors.requests import ClaimHooks, ClaimTasks
from millrace.model.rows import NewRow, Phase
from millrace.store.writer import Writer

LedgerOf = Callable[..., Ledger]


class NoDelivery:
    """Nothing is lost here."""

    def hooks_lost(self, effects: Effects, ids: Iterable[int]) -> None:
        assert not list(ids)


@pytest.fixture
def claiming() -> Claiming:
    return Claiming(
        delivery=cast("Any", NoDelivery()), mailbox=Mailbox[Any]("persistence"), untold=lambda: (), ages=False
    )


@pytest.fixture
def ledger(writer: Writer, ledger_of: LedgerOf) -> Ledger:
    """In which tasks 1 and 2 have been looked at."""
    for task_id in (1, 2):
        row = NewRow(
            id=task_id, name="play::a", key=f"k{task_id}", label="", payload="{}", priority=128, lane=1,
            status="pending", phase=1, max_retries=0, created_at_ms=1,
        )  # fmt: skip
        writer.insert_tasks([row])
    found = ledger_of()
    found.load([1, 2])
    return found


def test_what_follows_a_claim_in_its_transaction_leaves_it(claiming: Claiming, ledger: Ledger) -> None:
    """A claimed parent is written back where one of its children expires: its run is under way for all that."""
    claiming.claim(ledger, [ClaimTasks((1,))])
    row = ledger.row(1)
    assert row is not None
    row.child_failed += 1
    ledger.changed(row)
    ledger.flush()
    (again,) = ledger.writer.load_rows([1])
    assert (again.status, again.executing, again.run, again.child_failed) == ("running", 1, 1, 1)


def test_what_follows_the_claim_of_a_hook_leaves_it(claiming: Claiming, ledger: Ledger) -> None:
    """A cascade that ends is noted in the row of the parent whose hook has just started."""
    row = ledger.row(1)
    assert row is not None
    row.status, row.phase, row.closing, row.cancel_requested_at_ms, row.cascade = (
        "cancelling",
        Phase.HOOK,
        "cancelled",
        1,
        1,
    )
    ledger.changed(row)
    ledger.flush()
    claiming.claim_hooks(ledger, ClaimHooks((1,)))
    row = ledger.row(1)
    assert row is not None
    row.cascade = 0
    ledger.changed(row)
    ledger.flush()
    (again,) = ledger.writer.load_rows([1])
    assert (again.executing, again.run, again.cascade) == (1, 1, 0)


def test_what_is_claimed_twice_starts_once(claiming: Claiming, ledger: Ledger) -> None:
    """By a dispatcher that is no more and by the next, in one transaction: a task never runs twice at the same time."""
    claiming.claim(ledger, [ClaimTasks((1, 2)), ClaimTasks((2, 1))])
    assert [(claim.id, claim.run) for claim in ledger.effects.claims] == [(1, 1), (2, 1)]
