"""The row changes of a task's life on the real schema, in a plain loop on apsw: what the file itself allows.

No thread, no actor, no encoding, no check: for each task one row into the queue, one change to running, one row into
the history and one removal, `cursor.execute` for each, in transactions of 500.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

import apsw

from bench.case import Figures, Scale, Site, Sizes
from bench.workload import CpuMeter
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


def submit_one_by_one(site: Site, *, sizes: Sizes, is_synced: bool) -> Figures:
    """Each task is committed before the next is made; the start and the end of the one before it go along.

    So there is one commit a task, and nobody waits for another thread: faster than this nothing can be that answers a submit when
    its row is committed.
    """
    insert, start, record, remove = map(_statement, ("insert_task", "start_task", "insert_history", "delete_task"))
    rows = [_new_row(number) for number in range(sizes.at(site.scale))]
    connection = _open(site.directory / "bare.db")
    cursor = connection.cursor()
    if is_synced:
        cursor.execute("PRAGMA synchronous = FULL")
    began = time.perf_counter()
    before: int | None = None
    for row in [*rows, None]:
        cursor.execute("BEGIN IMMEDIATE")
        if before is not None:
            cursor.execute(start, {"id": before, "now": _now_ms()})
            cursor.execute(record, {"id": before, "memo": "null", "now": _now_ms(), "duration_s": 0.0})
            cursor.execute(remove, {"id": before})
        if row is not None:
            cursor.execute(insert, row)
            before = connection.last_insert_rowid()
        cursor.execute("COMMIT")
    took_s = time.perf_counter() - began
    connection.close()
    return {"rate": len(rows) / took_s, "submit_rate": len(rows) / took_s}


def start_now_and_then(site: Site, *, sizes: Sizes, per_second: float, window_s: Mapping[Scale, float]) -> Figures:
    """So many tasks a second are started and ended, each by two commits, by a thread that sleeps in between."""
    insert, start, record, remove = map(_statement, ("insert_task", "start_task", "insert_history", "delete_task"))
    connection = _open(site.directory / "bare.db")
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    for number in range(sizes.at(site.scale)):
        cursor.execute(insert, _new_row(number))
    cursor.execute("COMMIT")
    count = int(window_s[site.scale] * per_second)
    began, meter = time.perf_counter(), CpuMeter()
    for task_id in range(1, count + 1):
        time.sleep(max(0.0, began + task_id / per_second - time.perf_counter()))
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(start, {"id": task_id, "now": _now_ms()})
        cursor.execute("COMMIT")
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(record, {"id": task_id, "memo": "null", "now": _now_ms(), "duration_s": 0.0})
        cursor.execute(remove, {"id": task_id})
        cursor.execute("COMMIT")
    percent = meter.percent()
    took_s = time.perf_counter() - began
    connection.close()
    return {
        "per_second": count / took_s,
        "percent": percent,
        "ms_per_start": percent / 100 * took_s * 1e3 / max(1, count),
    }


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
