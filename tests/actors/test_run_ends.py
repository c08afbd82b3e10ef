"""Ends of runs whose task has its verdict already."""

from collections.abc import Callable

import pytest

from millrace.actors.ledger import Ledger
from millrace.actors.run_ends import apply_outcomes
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import NewRow, Phase
from millrace.store.writer import Writer

LedgerOf = Callable[..., Ledger]
VERDICT = "child 2 play::leaf: ValueError: no"


@pytest.mark.parametrize(
    ("why", "error"), [(None, VERDICT), ("its thread did not stop", f"{VERDICT}; its thread did not stop")]
)
def test_a_run_that_is_given_up_leaves_the_verdict_of_its_task(
    writer: Writer, ledger_of: LedgerOf, why: str | None, error: str
) -> None:
    """S-183: a shutdown, or a time limit, gives the body of a failed parent up."""
    row = NewRow(
        id=1, name="play::a", key="k", label="", payload="{}", priority=128, lane=1, status="pending", phase=1,
        max_retries=0, created_at_ms=1,
    )  # fmt: skip
    writer.insert_tasks([row])
    writer.starts.claim([1], 2, 2)
    ledger = ledger_of()
    running = ledger.row(1)
    assert running is not None
    running.status, running.closing, running.error = "cancelling", "failed", VERDICT
    ledger.changed(running)
    ledger.flush()
    given_up = RunOutcome(1, 1, Phase.BODY, "play::a", RunKind.INTERRUPTED, asked="shutdown", abandoned=True, error=why)
    assert apply_outcomes(ledger, [given_up]) == []
    ledger.flush()
    settled = writer.connection.execute("SELECT status, error FROM history WHERE id = 1").get
    assert settled == ("failed", error)
