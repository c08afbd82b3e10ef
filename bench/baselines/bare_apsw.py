"""The row changes of a task's life on the real schema, in a plain loop on apsw: what the file itself allows.

No thread, no actor, no encoding, no check: for each task one row into the queue, one change to running, one row into
the history and one removal, `cursor.execute` for each, in transactions of 500.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import apsw

from bench.case import Figures, Site, Sizes
from millrace.store.connection import locate, open_writer

_GROUP = 500
_CHECKPOINT_PAGES = 1_000  # SQLite's default
_SQL = Path(__file__).parent / "sql"


def drain_flat(site: Site, *, sizes: Sizes) -> Figures:
    """Takes that many tasks from submitted to settled, each transaction as durable as durability "process"."""
    insert, start, record, remove = map(_statement, ("insert_task", "start_task", "insert_history", "delete_task"))
    rows = [_new_row(number) for number in range(sizes.at(site.scale))]
    connection = _open(site.directory / "bare.db")
    cursor = connection.cursor()
    began = time.perf_counter()
    for group in _groups(rows):
        ids: list[int] = []
        cursor.execute("BEGIN IMMEDIATE")
        for row in group:
            cursor.execute(insert, row)
            ids.append(connection.last_insert_rowid())
        cursor.execute("COMMIT")
        cursor.execute("BEGIN IMMEDIATE")
        for task_id in ids:
            cursor.execute(start, {"id": task_id, "now": _now_ms()})
        cursor.execute("COMMIT")
        cursor.execute("BEGIN IMMEDIATE")
        for task_id in ids:
            cursor.execute(record, {"id": task_id, "memo": "null", "now": _now_ms(), "duration_s": 0.0})
            cursor.execute(remove, {"id": task_id})
        cursor.execute("COMMIT")
    took_s = time.perf_counter() - began
    connection.close()
    return {"rate": len(rows) / took_s, "us_per_task": took_s / len(rows) * 1e6}


def _open(path: Path) -> apsw.Connection:
    """A new file with the store's own schema and the settings of its writer, journal and durability included."""
    schema = resources.files("millrace.store").joinpath("migrations", "001_create_store.sql")
    with contextlib.closing(apsw.Connection(str(path))) as creating:
        creating.execute(schema.read_text(encoding="utf-8"))
    connection = open_writer(locate(path))
    # The store checkpoints by hand, between its transactions; here nobody does, so SQLite shall: the work is the same.
    connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
    return connection


def _statement(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def _new_row(number: int) -> dict[str, str | int]:
    payload = f'{{"number":{number}}}'
    key = hashlib.sha256(payload.encode()).hexdigest()
    return {"name": "bench::noop", "key": key, "label": "bench::noop", "payload": payload, "now": _now_ms()}


def _groups(rows: Sequence[dict[str, str | int]]) -> Iterator[Sequence[dict[str, str | int]]]:
    for first in range(0, len(rows), _GROUP):
        yield rows[first : first + _GROUP]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
