"""Lists and counts of tasks by filters, active and settled, each one consistent read; as fast with a million rows as it can be.

Each filter that has an index is a way to the tasks it lets pass, on either side: queue or history. How many there are on
each way is counted, up to a bound, and the shortest is taken; the other filters are tests of its rows. Where even the
shortest is long, rows are read from the newest on: a way in the order of ids is followed as far as the page needs, any
other first gives way to the newest tasks of all, which have a page of a common name or domain within a few rows.
"""

from array import array
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import apsw
import msgspec

from millrace.model.filters import Filters
from millrace.model.records import TaskRecord
from millrace.model.statuses import TERMINAL, TaskStatus
from millrace.store.readers import Readers
from millrace.store.records import holdable, make_record
from millrace.store.statements import SQL

CAP: Final = 2_000
"""Rows up to which a way is measured, and read whole."""
FEW: Final = 100
"""A way this short is taken without a look at the others."""
WINDOW: Final = 20_000
"""The newest ids, among which a page is looked for first where every way is long and out of order."""
PAGE: Final = 500
"""Records that one statement loads."""

_OLDEST: Final = -(1 << 63)
_NEWEST: Final = (1 << 63) - 1
_COMPLETED: Final = TaskStatus.COMPLETED.value
_UNSUCCESSFUL: Final = tuple(sorted(status.value for status in TERMINAL if status is not TaskStatus.COMPLETED))
_ACTIVE: Final = tuple(status.value for status in TaskStatus if status not in TERMINAL)

_BY_STATUS: Final[Mapping[str, tuple[str, ...]]] = {
    "blocked": ("active_blocked",),
    "running": ("active_running",),
    "waiting": ("active_waiting",),
    "cancelling": ("active_cancelling",),
    "parked": ("active_parked",),
    "paused": ("active_paused", "active_paused_scope"),
}
"""The pieces that have an index for a status. Pending is what most of a long queue is, and has none."""

_LAST_CHARACTER: Final = chr(0x10FFFF)
_BEFORE_SURROGATES: Final = chr(0xD7FF)
_AFTER_SURROGATES: Final = chr(0xE000)

_encode = msgspec.json.encode
Bindings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """Pieces that together have all tasks which one filter lets pass, on one side."""

    pieces: tuple[str, ...]
    is_ordered: bool = True
    """Each piece has its ids in order: a page reads no more of it than it needs."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Bindings of this way alone."""


def read_tasks(readers: Readers, filters: Filters, *, limit: int, before: int | None = None) -> list[TaskRecord]:
    """Tasks by every filter given, newest first; ``before`` is the id that all come before."""
    with readers.borrow() as connection, reading(connection):
        ids = select_ids(connection, filters, limit=limit, before=before)
        return load_records(connection, ids)


def select_ids(connection: apsw.Connection, filters: Filters, *, limit: int, before: int | None = None) -> list[int]:
    """The ids of ``read_tasks``."""
    bindings = bind(filters)
    bindings["limit"] = holdable(limit)
    bindings["before"] = _NEWEST if before is None else holdable(before)
    bindings["floor"] = _OLDEST
    sides = [ways for ways in (active_ways(filters), settled_ways(filters)) if ways]
    chosen = [_choose(connection, ways, bindings) for ways in sides]
    found: list[int] = []
    if any(length >= CAP and not way.is_ordered for way, length in chosen):
        found = _select_near(connection, [ways[-1] for ways in sides], bindings)
    if len(found) < limit:
        found = [task_id for way, _ in chosen for task_id in _select(connection, way, bindings)]
    return sorted(found, reverse=True)[:limit]


def load_records(connection: apsw.Connection, ids: Sequence[int]) -> list[TaskRecord]:
    """The records of these tasks, in the same order, without those that are gone."""
    found: dict[int, TaskRecord] = {}
    for start in range(0, len(ids), PAGE):
        page = _encode(ids[start : start + PAGE]).decode()
        found |= {row[0]: make_record(row) for row in connection.execute(SQL["select_records"], {"ids": page})}
    return [found[task_id] for task_id in ids if task_id in found]


def find_record(readers: Readers, names: tuple[str, ...], key: str) -> TaskRecord | None:
    """The active root task of any of the names and a key, else the newest active child, else the newest settled one."""
    filters = Filters(names=names, key=key)
    bindings = {**bind(filters), "limit": 1, "before": _NEWEST, "floor": _OLDEST}
    with readers.borrow() as connection, reading(connection):
        root: int | None = connection.execute(SQL["find_root"], bindings).get
        newest = root or max(_select(connection, active_ways(filters)[0], bindings), default=None)
        if newest is None:
            newest = connection.execute(SQL["find_newest_settled"], bindings).get
        found = [] if newest is None else load_records(connection, [newest])
    return found[0] if found else None


def read_active_ids(readers: Readers, filters: Filters) -> "array[int]":
    """The ids of all active tasks that pass, ascending: 8 bytes each."""
    statuses = frozenset(_ACTIVE) if filters.statuses is None else filters.statuses.intersection(_ACTIVE)
    with readers.borrow() as connection, reading(connection):
        return array("q", reversed(select_ids(connection, replace(filters, statuses=statuses), limit=_NEWEST)))


def read_records(readers: Readers, ids: Sequence[int]) -> list[TaskRecord]:
    """The records of those of the tasks that are there, in the same order."""
    with readers.borrow() as connection, reading(connection):
        return load_records(connection, ids)


def read_dead_letters(readers: Readers, domain: str | None, limit: int) -> list[TaskRecord]:
    """Dead letters that have not been repeated by hand, newest first."""
    bindings = {"limit": holdable(limit), **_range_of(domain)}
    with readers.borrow() as connection, reading(connection):
        ids = [task_id for (task_id,) in connection.execute(SQL["select_dead_letters"], bindings)]
        return load_records(connection, ids)


def count_tasks(readers: Readers, filters: Filters) -> int:
    """How many active and settled tasks pass every filter given."""
    with readers.borrow() as connection, reading(connection):
        return _count_queue(connection, filters) + _count_history(connection, filters)


def count_active(connection: apsw.Connection, filters: Filters) -> dict[TaskStatus, int]:
    """Active tasks that pass, whatever ``filters.statuses``, by status, 0 included. No row is read but of what has started."""
    bindings = bind(filters) | {"statuses": None}
    counts = {
        status: sum(_number(connection, f"count_{piece}", bindings) for piece in pieces)
        for status, pieces in _BY_STATUS.items()
    }
    if filters.is_by_status_alone:
        total: int = connection.execute(SQL["count_queue"]).get
    else:
        way = _choose(connection, _queue_ways(filters, None), bindings)[0]
        total = _count(connection, way, bindings)
    counts["pending"] = total - sum(counts.values())
    return {status: counts[status.value] for status in TaskStatus if status not in TERMINAL}


def count_settled(readers: Readers) -> dict[TaskStatus, int]:
    """Settled tasks by how they ended, 0 included. By index: no row is read."""
    with readers.borrow() as connection, reading(connection):
        found = {TaskStatus(status): int(n) for status, n in connection.execute(SQL["count_unsuccessful_by_status"])}
        total: int = connection.execute(SQL["count_history"]).get
    found[TaskStatus.COMPLETED] = total - sum(found.values())
    return {status: found.get(status, 0) for status in TaskStatus if status in TERMINAL}


def read_tag_values(readers: Readers, key: str, domain: str | None) -> dict[str, int]:
    """Tasks per value of a tag, most first, ties by value."""
    statement = "select_tag_values" if domain is None else "select_tag_values_of_domain"
    with readers.borrow() as connection:
        bindings = {"k": holdable(key), **_range_of(domain)}
        return {str(value): int(count) for value, count in connection.execute(SQL[statement], bindings)}


def read_tag_keys(readers: Readers, prefix: str, domain: str | None) -> list[str]:
    """The keys of tags that begin so, sorted."""
    statement = "select_tag_keys" if domain is None else "select_tag_keys_of_domain"
    bindings = {"tag_prefix": holdable(prefix), "tag_prefix_end": holdable(_end_of(prefix)), **_range_of(domain)}
    with readers.borrow() as connection:
        return [key for (key,) in connection.execute(SQL[statement], bindings)]


@contextmanager
def reading(connection: apsw.Connection) -> Generator[None, None, None]:
    """All that is read inside is of one moment."""
    connection.execute(SQL["begin_read"])
    try:
        yield
    finally:
        connection.execute(SQL["commit"])


# Ways


def active_ways(filters: Filters) -> list[Way]:
    """Ways to the active tasks, the most selective kinds first and all tasks last; none where no status is an active one."""
    statuses = _statuses_among(filters, _ACTIVE)
    return [] if statuses == () else _queue_ways(filters, statuses)


def _queue_ways(filters: Filters, statuses: tuple[str, ...] | None) -> list[Way]:
    ways: list[Way] = []
    if filters.key is not None:
        ways.append(Way(("active_keyed", "active_unheld_keyed"), is_ordered=False))
    if filters.parent is not None:
        ways.append(Way(("active_child", "active_closing_child")))
    ways += _tag_ways(filters, "active_tagged")
    if statuses is not None and "pending" not in statuses:
        pieces = tuple(piece for status in statuses for piece in _BY_STATUS[status])
        ways.append(Way(pieces, is_ordered="paused" not in statuses))
    if filters.group is not None:
        ways.append(Way(("active_grouped",)))
    if filters.names is not None:
        ways.append(Way(("active_named",), is_ordered=False))
    if filters.tag_prefix:
        ways.append(Way(("active_tag_prefix",), is_ordered=False))
    if filters.domain is not None:
        ways.append(Way(("active_domain",), is_ordered=False))
    return [*ways, Way(("active_any",))]


def settled_ways(filters: Filters) -> list[Way]:
    """The same of the settled tasks."""
    statuses = _statuses_among(filters, (_COMPLETED, *_UNSUCCESSFUL))
    if statuses == ():
        return []
    ways: list[Way] = []
    if filters.key is not None:
        ways.append(Way(("settled_keyed",), is_ordered=False))
    ways += _tag_ways(filters, "settled_tagged")
    if statuses is not None and _COMPLETED not in statuses:
        ways.append(Way(("settled_unsuccessful",), is_ordered=len(statuses) == 1))
    if filters.group is not None:
        ways.append(Way(("settled_grouped",)))
    if filters.parent is not None:
        ways.append(Way(("settled_child",), is_ordered=False))
    if filters.names is not None:
        ways.append(Way(("settled_named",), is_ordered=False))
    if filters.tag_prefix:
        ways.append(Way(("settled_tag_prefix",), is_ordered=False))
    if filters.domain is not None:
        ways.append(Way(("settled_domain",), is_ordered=False))
    return [*ways, Way(("settled_any",))]


def _tag_ways(filters: Filters, piece: str) -> list[Way]:
    return [Way((piece,), extra={"k": holdable(k), "v": holdable(v)}) for k, v in filters.tags.items()]


def _statuses_among(filters: Filters, side: Iterable[str]) -> tuple[str, ...] | None:
    """Those of the statuses asked for that a side has; None where all are asked for."""
    return None if filters.statuses is None else tuple(status for status in side if status in filters.statuses)


def _choose(connection: apsw.Connection, ways: Sequence[Way], bindings: Bindings) -> tuple[Way, int]:
    """The shortest way, the first of several, and its length as far as it was measured."""
    best, length = ways[0], CAP
    for place, way in enumerate(ways):
        measured = 0
        for piece in way.pieces:
            cap = {"cap": length - measured}
            measured += _number(connection, f"probe_{piece}", {**bindings, **way.extra, **cap}) if cap["cap"] else 0
        if measured < length or place == 0:
            best, length = way, measured
        if length <= FEW:
            break
    return best, length


# Pages


def _select_near(connection: apsw.Connection, ways: Sequence[Way], bindings: Bindings) -> list[int]:
    """What passes among the newest ids: where that is a page, it is the page."""
    newest: int | None = connection.execute(SQL["select_max_id"]).get
    before = min(bindings["before"], (newest or 0) + 1)
    near = {**bindings, "before": before, "floor": max(_OLDEST, before - WINDOW)}
    return [task_id for way in ways for task_id in _select(connection, way, near)]


def _select(connection: apsw.Connection, way: Way, bindings: Bindings) -> list[int]:
    given = {**bindings, **way.extra}
    return [task_id for piece in way.pieces for (task_id,) in connection.execute(SQL[f"page_{piece}"], given)]


# Counts


def _count_queue(connection: apsw.Connection, filters: Filters) -> int:
    ways = active_ways(filters)
    if not ways:
        return 0
    bindings = bind(filters)
    statuses = filters.statuses
    if filters.is_by_status_alone and statuses is None:
        total: int = connection.execute(SQL["count_queue"]).get
        return total
    way, length = _choose(connection, ways, bindings)
    if length >= CAP and statuses is not None and "pending" in statuses:
        # Those that are pending are what is left when all others are taken off: their rows need not be read.
        counts = count_active(connection, filters)
        return sum(count for status, count in counts.items() if status.value in statuses)
    return _count(connection, way, bindings)


def _count_history(connection: apsw.Connection, filters: Filters) -> int:
    ways = settled_ways(filters)
    if not ways:
        return 0
    bindings = bind(filters)
    if not filters.is_by_status_alone:
        return _count(connection, _choose(connection, ways, bindings)[0], bindings)
    statuses = filters.statuses
    if statuses is not None and _COMPLETED not in statuses:
        return _number(connection, "count_settled_unsuccessful", bindings)
    total: int = connection.execute(SQL["count_history"]).get
    if statuses is None:
        return total
    others = _texts(status for status in _UNSUCCESSFUL if status not in statuses)
    return total - _number(connection, "count_settled_unsuccessful", {**bindings, "statuses": others})


def _count(connection: apsw.Connection, way: Way, bindings: Bindings) -> int:
    return sum(_number(connection, f"count_{piece}", {**bindings, **way.extra}) for piece in way.pieces)


def _number(connection: apsw.Connection, statement: str, bindings: Bindings) -> int:
    number: int = connection.execute(SQL[statement], bindings).get
    return number


# Bindings


def bind(filters: Filters) -> Bindings:
    """What the statements of pieces take; NULL is for a filter that is not given."""
    return {
        "statuses": None if filters.statuses is None else _texts(filters.statuses),
        "names": None if filters.names is None else _texts(filters.names),
        "key": holdable(filters.key),
        "grp": holdable(filters.group),
        "parent": holdable(filters.parent),
        "tags": _pairs(filters.tags) if filters.tags else None,
        "tag_prefix": holdable(filters.tag_prefix) if filters.tag_prefix else None,
        "tag_prefix_end": holdable(_end_of(filters.tag_prefix)),
        "error": holdable(filters.error),
        "created_from": holdable(filters.created_from_ms),
        "created_before": holdable(filters.created_before_ms),
        "unrepeated": True if filters.unrepeated else None,
        **_range_of(filters.domain),
    }


def _range_of(domain: str | None) -> Bindings:
    """The names of a domain are those from "domain::" on and before "domain:;"."""
    if domain is None:
        return {"low": None, "high": None}
    return {"low": holdable(domain + "::"), "high": holdable(domain + ":;")}


def _end_of(prefix: str) -> str | None:
    """The first text after all that begin so, by the order of code points; None where there is none."""
    for at in range(len(prefix) - 1, -1, -1):
        if prefix[at] != _LAST_CHARACTER:
            # The code points of surrogates are no text: the next one lies behind them.
            return prefix[:at] + (_AFTER_SURROGATES if prefix[at] == _BEFORE_SURROGATES else chr(ord(prefix[at]) + 1))
    return None


def _texts(values: Iterable[str]) -> str:
    """A JSON list of those of the texts that a store can hold: what it cannot equals nothing in it."""
    return _encode([value for value in values if isinstance(holdable(value), str)]).decode()


def _pairs(tags: Mapping[str, str]) -> str:
    """A JSON list of pairs; one that a store cannot hold is a pair that no task has."""
    can_hold = all(isinstance(holdable(text), str) for pair in tags.items() for text in pair)
    return _encode(list(tags.items()) if can_hold else [("", "")]).decode()
