"""The one connection that writes. Each method is one named statement; deciding what to write is not done here.

Rows travel in bulk, as one JSON text a statement (``json_each`` going in, ``json_group_array`` coming out). SQLite then
works through hundreds of rows in one step with the interpreter lock released, where a statement a row would give the
lock up and fight for it again a row: with one busy Python thread beside it, 280 against 15 microseconds a task.

Used by one thread at a time: the persistence actor's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeVar

import apsw
import msgspec

from millrace.model.lanes import Lane
from millrace.model.rows import (
    ChildBytes,
    Claim,
    NewRow,
    OldRow,
    ParentCount,
    PlainEnd,
    Ready,
    Renamed,
    RetryFields,
    Row,
)
from millrace.store.connection import wait_when_busy
from millrace.store.pausing import PauseWriter
from millrace.store.series import SeriesTable
from millrace.store.statements import SQL
from millrace.store.tuning import TuningWriter

CHUNK: Final = 1000
"""Rows a statement takes at once: bounds the JSON text, not the transaction."""

RENEWAL_TIMEOUT_MS: Final = 1000
"""Milliseconds that a renewal of the log waits for readers of it."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode_rows = msgspec.json.Decoder(list[Row]).decode
_decode_claims = msgspec.json.Decoder(list[Claim]).decode
_decode_renamed = msgspec.json.Decoder(list[Renamed]).decode
_decode_retry = msgspec.json.Decoder(RetryFields).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_ready = msgspec.json.Decoder(tuple[int | None, list[tuple[int, int, int, int, str | None]]]).decode
_decode_lanes = msgspec.json.Decoder(list[tuple[int, str, str | None, int | None, int]]).decode
_decode_released = msgspec.json.Decoder(list[tuple[int, int, int | None]]).decode
_decode_pairs = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_holders = msgspec.json.Decoder(tuple[int | None, list[tuple[int, int, int]]]).decode
_decode_failure = msgspec.json.Decoder(tuple[int, str, str, str, str | None]).decode
_decode_found = msgspec.json.Decoder(list[tuple[int, int, str]]).decode
_decode_named = msgspec.json.Decoder(list[tuple[int, str]]).decode
_decode_old = msgspec.json.Decoder(list[OldRow]).decode
_decode_parents = msgspec.json.Decoder(list[ParentCount]).decode
_decode_bytes = msgspec.json.Decoder(ChildBytes).decode
_decode_measure = msgspec.json.Decoder(tuple[int, int | None]).decode
_decode_resolved = msgspec.json.Decoder(list[tuple[int, int, str | None, int | None]]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode

SettledRow = tuple[Any, ...]
"""The row of a task as ``store.records.make_record`` takes it."""

Shelf = Literal["others", "dead_letters", "all"]
"""Rows of the history that are counted together: dead letters, all others, or all alike."""
Released = Literal["children", "dependencies"]
"""What a task holds in the history until it settles itself."""
_RELEASED: Final[dict[Released, str]] = {
    "children": "select_released",
    "dependencies": "select_released_dependencies",
}
_SUFFIX: Final[dict[Shelf, str]] = {"others": "", "dead_letters": "_dead_letters", "all": "_of_all"}

KeyScope = tuple[str, int, int, str]
"""Task name, parent id or 0, round of the parent, key: within it a key is unique among active tasks."""


class Holders(NamedTuple):
    """Who has the keys that were asked for, by their places: at most one holds a key, others may wind down under it."""

    next_id: int
    holders: dict[int, int]
    winding: dict[int, set[int]]


def _json(value: object) -> str:
    return _encode(value).decode()


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


class Writer:
    """Named statements on the writing connection.

    Args:
        connection: opened by ``store.opening.open_store``; the writer owns it from now on.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._is_synced = False
        self.series = SeriesTable(self._cursor)
        self.pauses = PauseWriter(self._cursor)
        self.tuning = TuningWriter(self._cursor)

    def _run(self, statement: str, /, **bindings: Any) -> None:
        self._cursor.execute(SQL[statement], bindings)

    def _value(self, statement: str, /, **bindings: Any) -> Any:
        return self._cursor.execute(SQL[statement], bindings).get

    # Transactions

    def begin(self) -> None:
        """Take the write lock at once, so that nothing read before the first write can have changed by then."""
        self._cursor.execute(SQL["begin"])

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
        self._connection.set_busy_timeout(RENEWAL_TIMEOUT_MS)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            wait_when_busy(self._connection)

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
        for part in _chunks(ids):
            found += _decode_rows(self._value("load_rows", ids=_json(part)))
        return found

    def update_rows(self, rows: Sequence[Row]) -> None:
        """Write whole rows back."""
        for part in _chunks(rows):
            self._run("update_rows", rows=_json(part))

    def insert_tasks(self, tasks: Sequence[NewRow]) -> None:
        """Insert new rows, with what their tags are found by."""
        for part in _chunks(tasks):
            self._run("insert_tasks", tasks=_json(part))
            tagged = [(task.id, task.tags) for task in part if task.tags is not None]
            if tagged:
                self._run("insert_tags", tags=_json(tagged))

    def replace_tags(self, tags: Sequence[tuple[int, str | None]]) -> None:
        """These active tasks, by id, are found by these tags and no others. Before their rows are written."""
        for part in _chunks(tags):
            self._run("delete_tags_of_tasks", ids=_json([task_id for task_id, _ in part]))
            self._run("insert_tags", tags=_json([entry for entry in part if entry[1] is not None]))

    def select_named(self, name: str, present: str, limit: int) -> list[Renamed]:
        """Active tasks of a former name, as they get their present one."""
        return _decode_renamed(self._value("select_named", name=name, present=present, limit=limit))

    def rename_tasks(self, name: str, tasks: Sequence[tuple[int, int, int]]) -> None:
        """Give active tasks a name: (id, lane, whether it holds its key no more) of each."""
        self._run("rename_tasks", name=name, tasks=_json(tasks))

    def rename_settled(self, name: str, present: str, limit: int) -> int:
        """Give settled tasks of a former name the present one; how many."""
        self._run("rename_settled", name=name, present=present, limit=limit)
        return self._connection.changes()

    def rename_series(self, name: str, present: str) -> None:
        """The same for series, but for those whose key a series of the present name has."""
        self._run("rename_series", name=name, present=present)

    def begin_rounds(self, rounds: Sequence[tuple[Any, ...]]) -> None:
        """Put the payload and options of a rerun in place: (id, label, payload, fail_fast, max_failures, child_concurrency)."""
        for part in _chunks(rounds):
            self._run("begin_round", rounds=_json(part))

    def settle(self, settled: Sequence[tuple[Any, ...]], now: int) -> None:
        """Move rows into the history; each tuple is in the order that the statement names."""
        for part in _chunks(settled):
            self._run("settle_rows", settled=_json(part), now=now)
            self._run("delete_tasks", ids=_json([entry[0] for entry in part]))

    def settle_plain(self, ends: Sequence[PlainEnd], now: int) -> set[int]:
        """Move leaves that returned into the history; the ids of those that were moved.

        Left where they are: outcomes of another run than the present one, and tasks with anything else to decide.
        """
        moved: set[int] = set()
        for part in _chunks(ends):
            self._run("settle_plain_rows", settled=_json(part), now=now)
            ids = [end.id for end in part]
            if self._connection.changes() < len(ids):
                ids = _decode_ids(self._value("select_moved", ids=_json(ids)))
            if ids:
                self._run("delete_tasks", ids=_json(ids))
            moved.update(ids)
        return moved

    def load_settled(self, ids: Sequence[int]) -> dict[int, str]:
        """The terminal status of those of the ids that have settled."""
        return {
            task_id: status
            for part in _chunks(ids)
            for _, task_id, status in _decode_found(self._value("load_settled", ids=_json(part)))
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

    # Starting

    def claim(
        self, ids: Sequence[int], now: int, steady: int, effective: Mapping[int, int] | None = None
    ) -> list[Claim]:
        """Start those of the ids that are still ready. Ids that do not come back lost the race, or are past their time to live.

        Args:
            now, steady: the wall clock's time, and the same by the clock that nobody sets.
            effective: the priorities by which they start, where waiting raises them.
        """
        found: list[Claim] = []
        raised = None if effective is None else _json(effective)
        for part in _chunks(ids):
            text = _json(part)
            found += self._load_claims(text, "task", now, steady, raised)
            self._run("claim_tasks", ids=text, now=now, steady=steady, effective=raised)
        return found

    def claim_hooks(self, ids: Sequence[int]) -> list[Claim]:
        """Start the cancel hooks of those of the ids that have one due."""
        text = _json(ids)
        found = self._load_claims(text, "hook", None)
        self._run("claim_hooks", ids=text)
        return found

    def load_claimed(self, ids: Sequence[int]) -> list[Claim]:
        """The starts that stand committed for these ids."""
        return self._load_claims(_json(ids), "started", None)

    def _load_claims(
        self, ids: str, what: str, now: int | None, steady: int | None = None, effective: str | None = None
    ) -> list[Claim]:
        step = int(what != "started")
        return _decode_claims(
            self._value("load_claims", ids=ids, what=what, step=step, now=now, steady=steady, effective=effective)
        )

    def select_ready(self, lane: Lane, after: tuple[int, int], limit: int, *, eldest: bool = False) -> list[Ready]:
        """The next startable tasks of a lane after a place in it: (phase, id), or with ``eldest`` (since when it waits, id)."""
        first, second = after
        text = self._value(
            "select_eldest" if eldest else "select_ready",
            lane=lane.number,
            parent=lane.parent_id,
            first=first,
            second=second,
            limit=limit,
        )
        bound, found = _decode_ready(text)
        return [
            Ready(lane.priority, phase, task_id, crashes, lane, bound, since_ms, io)
            for phase, task_id, crashes, since_ms, io in found
        ]

    def select_lanes(self, after: int, limit: int) -> list[Lane]:
        """Lanes that have ready tasks, by their numbers."""
        return [Lane(*entry) for entry in _decode_lanes(self._value("select_lanes", after=after, limit=limit))]

    def let_age(self, limit: int) -> int:
        """Have waiting raise tasks that were stored when it did not; how many there were."""
        self._run("let_age", limit=limit)
        return self._connection.changes()

    def promote_due(self, now: int, limit: int, *, by_wall_clock: bool = False) -> list[int]:
        """Make tasks whose time has come by a clock ready; their ids."""
        text = self._value("select_due_by_wall_clock" if by_wall_clock else "select_due", now=now, limit=limit)
        ids = _decode_ids(text)
        if ids:
            self._run("promote_due", ids=text)
        return ids

    def next_due(self, *, by_wall_clock: bool = False) -> int | None:
        """The earliest time in ms at which a delayed task is due by a clock."""
        due: int | None = self._value("select_next_due_by_wall_clock" if by_wall_clock else "select_next_due")
        return due

    # Keys

    def find_holders(self, scopes: Sequence[KeyScope]) -> Holders:
        """Which active tasks have these keys, and which id comes next."""
        holders: dict[int, int] = {}
        winding: dict[int, set[int]] = {}
        next_id: int | None = None
        for start in range(0, len(scopes), CHUNK):
            text = self._value("find_holders", keys=_json(scopes[start : start + CHUNK]))
            next_id, found = _decode_holders(text)
            for place, task_id, is_winding in found:
                if is_winding:
                    winding.setdefault(start + place, set()).add(task_id)
                else:
                    holders[start + place] = task_id
        return Holders(next_id or 1, holders, winding)

    def find_held(self, scopes: Sequence[KeyScope]) -> list[int]:
        """The tasks that wait for a cancelled one under these keys."""
        return _decode_ids(self._value("find_held", keys=_json(scopes)))

    def find_spawned(
        self, scopes: Sequence[KeyScope], *, spawner: int, round_run: int, run: int
    ) -> dict[int, list[tuple[int, str]]]:
        """What earlier runs of the spawner's round spawned: place in ``scopes`` to (id, status) of each.

        A key under which this run has spawned itself is left out: within one run a key can be used again on purpose.
        """
        found: dict[int, list[tuple[int, str]]] = {}
        for start in range(0, len(scopes), CHUNK):
            text = self._value(
                "find_spawned",
                keys=_json(scopes[start : start + CHUNK]),
                spawner=spawner,
                round_run=round_run,
                run=run,
            )
            for place, task_id, status in _decode_found(text):
                found.setdefault(start + place, []).append((task_id, status))
        return {place: children for place, children in found.items() if all(status != "anew" for _, status in children)}

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

    def select_executing(self) -> list[int]:
        """Tasks with a committed start and no end."""
        return _decode_ids(self._value("select_executing"))

    def select_hooks(self, after: int, limit: int) -> list[int]:
        """Cancelled tasks whose hook is due, by id."""
        return _decode_ids(self._value("select_hooks", after=after, limit=limit))

    # Names

    def select_names(self) -> list[str]:
        """The task names in the queue."""
        return _decode_names(self._value("select_names"))

    def select_to_park(self, name: str, limit: int) -> list[int]:
        """Pending tasks of a name."""
        return _decode_ids(self._value("select_to_park", name=name, limit=limit))

    def select_parked(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Parked tasks by id, with their names."""
        return _decode_named(self._value("select_parked", after=after, limit=limit))

    # Dependencies and deadlines

    def has_edges(self) -> bool:
        """Whether any task waits for another, or for a failed one to be retried."""
        return bool(self._value("has_edges"))

    def insert_edges(self, edges: Sequence[tuple[int, int]]) -> None:
        """Tasks wait for others: (task, dependency)."""
        for part in _chunks(edges):
            self._run("insert_edges", edges=_json(part))

    def delete_edges(self, edges: Sequence[tuple[int, int]]) -> None:
        """They wait no more."""
        for part in _chunks(edges):
            self._run("delete_edges", edges=_json(part))

    def delete_edges_of(self, ids: Sequence[int]) -> None:
        """These tasks wait for nothing any more."""
        for part in _chunks(ids):
            self._run("delete_edges_of", ids=_json(part))

    def move_edges(self, old: Sequence[int], new_id: int) -> None:
        """Who waits for any of the old tasks waits for the new one, once."""
        self._run("move_edges", old=_json(old), id=new_id)
        self._run("delete_edges_to", ids=_json(old))

    def select_dependents(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """(task, dependency) of all that wait for any of these."""
        found: list[tuple[int, int]] = []
        for part in _chunks(ids):
            found += _decode_pairs(self._value("select_dependents", ids=_json(part)))
        return found

    def meet_dependencies(self, met: Sequence[tuple[int, int]]) -> list[int]:
        """Count down what tasks wait for, (task, by how many); those that wait for nothing more and are still blocked."""
        freed: list[int] = []
        for part in _chunks(met):
            text = _json(part)
            self._run("meet_dependencies", met=text)
            freed += _decode_ids(self._value("select_unblocked", met=text))
        return freed

    def resolve_dependencies(self, ids: Sequence[int]) -> dict[int, tuple[int, str | None, int | None]]:
        """For each id the newest task in its place, with its status (None: there is none) and, while active, its parent."""
        return {
            asked: (newest, status, parent_id)
            for part in _chunks(ids)
            for asked, newest, status, parent_id in _decode_resolved(
                self._value("resolve_dependencies", ids=_json(part))
            )
        }

    def select_line(self, task_id: int) -> list[int]:
        """A settled task with those that it repeats by hand and those that repeat it."""
        return _decode_ids(self._value("select_line", id=task_id))

    def select_waiters(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """(who waits, for which of these): dependents, and parents for their children."""
        return _decode_pairs(self._value("select_waiters", ids=_json(list(ids))))

    def select_all_waiters(self, ids: Iterable[int]) -> list[int]:
        """These, and all that wait for them, directly or through others."""
        return _decode_ids(self._value("select_all_waiters", ids=_json(list(ids))))

    def select_late(self, now: int, limit: int) -> list[int]:
        """Tasks that wait for a start past their deadline, oldest deadline first."""
        return _decode_ids(self._value("select_late", now=now, limit=limit))

    def extend_deadlines(self, ids: Sequence[int], now: int) -> None:
        """Let tasks with a time to live of 0 start in this millisecond."""
        self._run("extend_deadlines", ids=_json(ids), now=now)

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

    # Pruning

    def data_version(self) -> int:
        """A number that changes when another connection has written."""
        version: int = self._value("select_data_version")
        return version

    def measure_newest(self, shelf: Shelf, limit: int) -> tuple[int, int | None]:
        """How many rows a shelf has, up to ``limit``, and the place of the first of those newest ones."""
        return _decode_measure(self._value("measure_newest" + _SUFFIX[shelf], limit=limit))

    def select_oldest(self, shelf: Shelf, after: int, limit: int) -> list[OldRow]:
        """The rows of a shelf after a place, earliest settled first."""
        return _decode_old(self._value("select_oldest" + _SUFFIX[shelf], after=after, limit=limit))

    def select_released(
        self, holder: int, what: Released, after: tuple[int, int], until: tuple[int, int], limit: int
    ) -> list[tuple[int, int, int | None]]:
        """(round, place, who holds it now) of the rows that a settled task held: of its children, or of what it depended on,
        which are of no round. From after a (round, place) on, up to the places of dead letters and of others.
        """
        text = self._value(
            _RELEASED[what],
            holder=holder,
            round=after[0],
            seq=after[1],
            dead_letters=until[0],
            others=until[1],
            limit=limit,
        )
        return _decode_released(text)

    def prune(self, rows: Sequence[int]) -> None:
        """Delete rows of the history by their places, with all that hangs on them, and count them."""
        text = _json(rows)
        self._run("delete_flows", rows=text)
        self._run("delete_tags", rows=text)
        self._run("prune_rows", rows=text)
        self.add_meta("pruned", len(rows))
