"""How tasks expire: no body starts after its deadline, and what waits for one past it ends EXPIRED."""

from collections.abc import Iterable
from typing import Final

from millrace.actors import depending, settling
from millrace.actors.ledger import Ledger
from millrace.actors.policy import deadlines
from millrace.model.rows import Row
from millrace.model.statuses import TaskStatus

STEP: Final = 500
"""Tasks that one transaction expires at most."""


def sweep(ledger: Ledger) -> bool:
    """Expire a step of what is past its deadline, oldest deadline first. True while there may be more."""
    ids = ledger.writer.starts.select_late(ledger.steady_ms, STEP)
    expire_late(ledger, ids)
    return len(ids) == STEP


def expire_late(ledger: Ledger, ids: Iterable[int]) -> list[int]:
    """Expire those of the tasks that wait for a start past their deadline; their ids. The others are left as they are."""
    wanted = list(ids)
    ledger.load(wanted)
    expired: list[int] = []
    for task_id in wanted:
        row = ledger.row(task_id)
        if row is not None and deadlines.is_late(row, ledger.steady_ms):
            expire(ledger, row)
            expired.append(task_id)
    depending.follow(ledger)
    return expired


def expire(ledger: Ledger, row: Row, why: str | None = None) -> None:
    """The task ends EXPIRED, once its children have: those that never started expire with it, the others are cancelled."""
    row.error, row.traceback = why or deadlines.why_expired(row), None
    settling.close(ledger, row, TaskStatus.EXPIRED.value)
