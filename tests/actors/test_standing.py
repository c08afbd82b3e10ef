"""What is asked of the store once a transaction stays true while the transaction goes on."""

from collections.abc import Callable

from millrace.actors.ledger import Ledger
from millrace.model.rows import NewRow
from millrace.store.writer import Writer

LedgerOf = Callable[..., Ledger]


def held_row(task_id: int, *, held: int) -> NewRow:
    """A new task, that waits for a cancelled one of its key or not."""
    return NewRow(
        id=task_id, name="play::a", key=f"k{task_id}", label="", payload="{}", priority=128, lane=1, status="pending",
        phase=1, held=held, max_retries=0, created_at_ms=1,
    )  # fmt: skip


def test_a_task_that_comes_to_wait_for_a_key_is_known_at_once(ledger_of: LedgerOf) -> None:
    """Another request of the same transaction may end what it waits for, after the store was asked."""
    ledger = ledger_of()
    assert not ledger.standing.has_held()
    ledger.insert(held_row(1, held=0))
    assert not ledger.standing.has_held()
    ledger.insert(held_row(2, held=1))
    assert ledger.standing.has_held()


def test_a_task_that_waits_for_a_key_is_found_by_later_transactions(writer: Writer, ledger_of: LedgerOf) -> None:
    """The store is asked anew in each."""
    writer.insert_tasks([held_row(1, held=1)])
    assert ledger_of().standing.has_held()
