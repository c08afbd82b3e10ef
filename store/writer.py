"""The one connection that writes. Each method is one named statement; deciding what to write is not done here.

Rows travel in bulk, as one JSON text a statement (``json_each`` going in, ``json_group_array`` coming out). SQLite then
works through hundreds of rows in one step with the interpreter lock released, where a statement a row would give the
lock up and fight for it again a row: with one busy Python thread beside it, 280 against 15 microseconds a task.

Used by one thread at a time: the persistence actor's.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw
import msgspec

from millrace.model.rows import (
    ChildBytes,
    NewRow,
    ParentCount,
    PlainEnd,
    RetryFields,
    Row,
)
from millrace.store import inserts
from millrace.store.edges import EdgeWriter
from millrace.store.keys import KeyWriter
from millrace.store.named import Named, chunks, json_text
from millrace.store.names import NameWriter
from millrace.store.pausing import PauseWriter
from millrace.store.series import SeriesTable
from millrace.store.shelves import ShelfWriter
from millrace.store.starts import StartWriter
from millrace.store.statements import SQL
from millrace.store.tuning import TuningWriter
from millrace.store.waiting import Waits

RENEWAL_TIMEOUT_S: Final = 1.0
"""Seconds that a renewal of the log waits for readers of it."""

_decode_rows = msgspec.json.Decoder(list[Row]).decode
_decode_retry = msgspec.json.Decoder(RetryFields).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_failure = msgspec.json.Decoder(tuple[int, str, str, str, str | None]).decode
_decode_found = msgspec.json.Decoder(list[tuple[int, int, str]]).decode
_decode_parents = msgspec.json.Decoder(list[ParentCount]).decode
_decode_bytes = msgspec.json.Decoder(ChildBytes).decode

SettledRow = tuple[Any, ...]
"""The row of a task as ``store.records.make_record`` takes it."""


class Writer(Named):
    """Named statements on the writing connection.

    Args:
        connection: opened by ``store.opening.open_store``; the writer owns it from now on.
        on_waited: told of each wait for another program's lock that has ended well.
    """

    def __init__(self, connection: apsw.Connection, on_waited: Callable[[], object] = lambda: None) -> None:
        super().__init__(connection.cursor())
        self._connection = connection
        self._waits = Waits(connection, on_waited)
        self._is_synced = False
        self.starts = StartWriter(self._cursor)
        self._key_salt = self.meta("key_salt")
        self.keys = KeyWriter(self._cursor, self._key_salt)
        self.names = NameWriter(self._cursor)
        self.edges = EdgeWriter(self._cursor)
        self.shelves = ShelfWriter(self._cursor)
        self.series = SeriesTable(self._cursor)
        self.pauses = PauseWriter(self._cursor)
        self.tuning = TuningWriter(self._cursor)

    # Transactions

    def begin(self) -> None:
        """Take the write lock at once, so that nothing read before the first write can have changed by then."""
        self._cursor.execute(SQL["begin"])
        self._waits.over()

    def commit(self) -> None:
        """Commit; where ``set_sync(True)`` came before, this and all earlier commits survive a power cut from now on."""
        self._cursor.execute(SQL["commit"])

    def set_sync(self, sync: bool) -> None:
        """Whether the next commit is synced. Only between transactions."""
        if sync is not self._is_synced:
            self._cursor.execute(SQL["sync_on" if sync else "sync_off"])
            self._is_synced = sync

    def rollback(self) -> None:
        """Undo the open transaction, if one is open."""
        if self._connection.in_transaction:
            self._cursor.execute(SQL["rollback"])

    def checkpoint(self) -> tuple[int, int]:
        """Copy what the log holds into the database file, without waiting for readers. Pages in the log, pages copied."""
        return self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def begin_log_anew(self) -> None:
        """Copy the whole log into the database file, sync that, and cut the log to nothing. BusyError while others read it."""
        self._waits.patiently(RENEWAL_TIMEOUT_S)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._waits.over()
        finally:
            self._waits.patiently()

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._connection.close()

    @property
    def connection(self) -> apsw.Connection:
        """For the checks of ``store.opening`` that need it."""
        return self._connection

    # Ids and counters

    def next_id(self) -> int:
        """The id that the next task gets."""
        found: int | None = self._value("next_id")
        return found or 1

    def add_meta(self, k: str, n: int) -> None:
        """Add ``n`` to a counter."""
        self._run("add_meta", k=k, n=n)

    def meta(self, k: str) -> int:
        """The value of a counter."""
        value: int = self._value("select_meta", k=k)
        return value

    # Rows

    def load_rows(self, ids: Sequence[int]) -> list[Row]:
        """The queue rows among these ids."""
        found: list[Row] = []
        for part in chunks(ids):
            found += _decode_rows(self._value("load_rows", ids=json_text(part)))
        return found

    def update_rows(self, rows: Sequence[Row]) -> None:
        """Write whole rows back."""
        for part in chunks(rows):
            self._run("update_rows", rows=json_text(part))

    def update_ways(self, rows: Sequence[Row]) -> None:
        """Write back of rows what changes on the way to a start, and with it: half of the time that whole rows take."""
        for part in chunks(rows):
            ways = [
                (
                    row.id,
                    row.status,
                    row.executing,
                    row.delayed,
                    row.run,
                    row.phase_runs,
                    row.started_at_ms,
                    row.progress,
                    row.ready_ms,
                    row.waited_ms,
                    row.effective,
                )
                for row in part
            ]
            self._run("update_ways", ways=json_text(ways))

    def update_child_counts(self, rows: Sequence[Row]) -> None:
        """Write back of rows what their children count, and nothing else: a fifth of the time that whole rows take."""
        for part in chunks(rows):
            counts = [(row.id, row.child_total, row.child_active, row.bytes_done) for row in part]
            self._run("update_child_counts", counts=json_text(counts))

    def insert_tasks(self, tasks: Sequence[NewRow], started_at_ms: int | None = None) -> None:
        """Insert new rows, with what their tags are found by; with a moment, their first runs start then."""
        for shared, own in inserts.by_shared(tasks, self._key_salt):
            for part in chunks(own):
                self._run("insert_tasks", tasks=json_text(part), started_at_ms=started_at_ms, **shared)
        tagged = [(task.id, task.tags) for task in tasks if task.tags is not None]
        for tags in chunks(tagged):
            self._run("insert_tags", tags=json_text(tags))

    def replace_tags(self, tags: Sequence[tuple[int, str | None]]) -> None:
        """These active tasks, by id, are found by these tags and no others. Before their rows are written."""
        for part in chunks(tags):
            self._run("delete_tags_of_tasks", ids=json_text([task_id for task_id, _ in part]))
            self._run("insert_tags", tags=json_text([entry for entry in part if entry[1] is not None]))

    def begin_rounds(self, rounds: Sequence[tuple[Any, ...]]) -> None:
        """Put the payload and options of a rerun in place: (id, label, payload, fail_fast, max_failures, child_concurrency)."""
        for part in chunks(rounds):
            self._run("begin_round", rounds=json_text(part))

    def settle(self, settled: Sequence[tuple[Any, ...]], now: int) -> None:
        """Move rows into the history; each tuple is in the order that the statement names."""
        for part in chunks(settled):
            self._run("settle_rows", settled=json_text(part), now=now)
            self._run("delete_tasks", ids=json_text([entry[0] for entry in part]))

    def settle_plain(self, ends: Sequence[PlainEnd], now: int) -> set[int]:
        """Move leaves that returned into the history; the ids of those that were moved.

        Left where they are: outcomes of another run than the present one, and tasks with anything else to decide.
        """
        moved: set[int] = set()
        for part in chunks(ends):
            self._run("settle_plain_rows", settled=json_text(part), now=now)
            ids = [end.id for end in part]
            if self._changes() < len(ids):
                ids = _decode_ids(self._value("select_moved", ids=json_text(ids)))
            if ids:
                self._run("delete_tasks", ids=json_text(ids))
            moved.update(ids)
        return moved

    def load_settled(self, ids: Sequence[int]) -> dict[int, str]:
        """The terminal status of those of the ids that have settled."""
        return {
            task_id: status
            for part in chunks(ids)
            for _, task_id, status in _decode_found(self._value("load_settled", ids=json_text(part)))
        }

    def load_for_retry(self, task_id: int) -> RetryFields | None:
        """What a repetition by hand takes over from a settled task."""
        if not -(1 << 63) <= task_id < 1 << 63:
            return None  # SQLite has no such integer
        found: str | None = self._value("load_for_retry", id=task_id)
        return None if found is None else _decode_retry(found)

    def load_record(self, task_id: int) -> SettledRow | None:
        """The row of a task, active or settled."""
        found: SettledRow | None = self._cursor.execute(SQL["select_record"], {"id": task_id}).fetchone()
        return found

    def select_parents(self) -> list[ParentCount]:
        """Active tasks with children in their round."""
        return _decode_parents(self._value("select_parents"))

    def child_bytes(self, parent: int, parent_round: int) -> ChildBytes:
        """The bytes of a round's settled children."""
        return _decode_bytes(self._value("select_child_bytes", parent=parent, round=parent_round))

    # Trees and ends

    def select_children_to_cancel(self, parent: int, limit: int) -> list[int]:
        """Active children that have not been told yet."""
        return _decode_ids(self._value("select_children_to_cancel", parent=parent, limit=limit))

    def first_failure(self, parent: int, parent_round: int) -> tuple[int, str, str, str, str | None] | None:
        """The first failed child of a round that counts: id, name, label, status, error."""
        text = self._value("select_first_failure", parent=parent, round=parent_round)
        return None if text is None else _decode_failure(text)

    def closed_ancestor(self, task_id: int) -> str | None:
        """The status of the nearest of the task and its ancestors whose end is decided."""
        status: str | None = self._value("closed_ancestor", id=task_id)
        return status

    def ancestors(self, task_id: int) -> list[int]:
        """The task and everything above it."""
        return _decode_ids(self._value("ancestors", id=task_id))

    def select_cascades(self) -> list[int]:
        """Parents whose active children have still to be told of their end."""
        return _decode_ids(self._value("select_cascades"))

    def has_cascades(self) -> bool:
        """Whether there are such parents."""
        return bool(self._value("has_cascades"))

    # Flows

    def insert_flow(self, flow_id: int, state: str) -> None:
        """The state of a new flow, at revision 1."""
        self._run("insert_flow", id=flow_id, state=state)

    def load_flow(self, flow_id: int) -> tuple[str, int] | None:
        """State and revision."""
        found: tuple[str, int] | None = self._value("load_flow", id=flow_id)
        return found

    def update_flow(self, flow_id: int, state: str | None) -> None:
        """One revision more; None leaves the state as it is."""
        self._run("update_flow", id=flow_id, state=state)
