"""The writer: what goes in by position comes out under the same name, in bulk, and only where it is still true."""

from collections.abc import Iterator
from typing import Any

import apsw
import msgspec
import pytest

from millrace.actors.policy.lines import START
from millrace.model.lanes import make_lane
from millrace.model.rows import Claim, NewRow, Phase, PlainEnd, Ready, Row
from millrace.store.connection import Location, set_writer
from millrace.store.named import CHUNK
from millrace.store.opening import open_store
from millrace.store.writer import Writer

NEW: dict[str, Any] = {
    "id": 1,
    "name": "play::body",
    "key": "the key",
    "label": "the label",
    "status": "pending",
    "phase": 1,
    "priority": 7,
    "payload": '{"n":1}',
    "parent_id": None,
    "parent_round": 0,
    "spawner_id": None,
    "spawner_run": None,
    "holds_key": True,
    "held": 0,
    "limited": False,
    "delayed": False,
    "run_at_ms": None,
    "max_retries": 3,
    "fail_fast": True,
    "max_failures": None,
    "child_concurrency": None,
    "options": None,
    "retry_of": None,
    "is_flow": 0,
    "flow_open": 0,
    "created_at_ms": 11,
    "grp": "the group",
    "lane": 77,
    "tags": '{"k":"v"}',
    "ready_ms": 21,
    "ages": 1,
    "ttl_ms": 22,
    "ttl_first": 1,
    "expires_at_ms": None,
    "depends_on": "[24]",
    "unmet": 1,
    "on_dependency_failure": "fail",
    "series_id": 25,
    "version": 26,
    "expected_io": "[1,2,3,4]",
}
"""A new row."""

DISTINCT: dict[str, Any] = {
    "phase_runs": 2,
    "memo": '"memo"',
    "parent_id": 400,
    "parent_round": 4,
    "run": 5,
    "round": 6,
    "round_run": 8,
    "run_at_ms": 9,
    "retries": 10,
    "max_retries": 12,
    "crashes": 13,
    "max_failures": 0.25,
    "child_concurrency": 14,
    "child_total": 15,
    "child_active": 1,
    "child_failed": 16,
    "first_failure": "first",
    "error": "error",
    "traceback": "traceback",
    "cancel_requested_at_ms": 17,
    "superseded_by": 18,
    "rerun": "rerun",
    "options": "options",
    "started_at_ms": 19,
    "duration_s": 20.5,
    "progress": 0.5,
    "grp": "group",
    "lane": 27,
    "tags": '{"k":"w"}',
    "ready_ms": 28,
    "waited_ms": 29,
    "ages": 1,
    "effective": 30,
    "paused": 2,
    "ttl_ms": 31,
    "ttl_first": 1,
    "expires_at_ms": 32,
    "depends_on": "[33]",
    "unmet": 34,
    "on_dependency_failure": "ignore",
    "failed_dependency": 35,
    "series_id": 36,
    "version": 37,
    "expected_io": "[5,6,7,8]",
    "actual_io": "[9,10,11,12]",
    "bytes_done": 38,
    "bytes_total": 39,
    "log": "log",
}
"""Columns of one row, each with a value that no other has."""


@pytest.fixture
def writer(location: Location) -> Iterator[Writer]:
    connection = open_store(location)
    set_writer(connection)
    made = Writer(connection)
    made.begin()
    yield made
    made.rollback()
    made.close()


def new(task_id: int, **values: Any) -> NewRow:
    """A new row with a key of its own."""
    return NewRow(**NEW | {"id": task_id, "key": f"k{task_id}"} | values)


def stored(writer: Writer, table: str = "task") -> list[dict[str, Any]]:
    """All rows by the names of their columns."""
    cursor = writer.connection.execute(f"SELECT * FROM {table} ORDER BY id")
    names: list[str] = []
    found = []
    for row in cursor:
        names = names or [column[0] for column in cursor.get_description()]
        found.append(dict(zip(names, row, strict=True)))
    return found


def fill(writer: Writer, task_id: int, **values: Any) -> None:
    """Set columns of a row by name."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    writer.connection.execute(f"UPDATE task SET {columns} WHERE id = :id", values | {"id": task_id})


def test_a_new_row_has_each_value_in_its_column(writer: Writer) -> None:
    """The fields are in the order of the statement."""
    values = NEW | {"parent_id": 0, "parent_round": 2, "spawner_id": 3, "spawner_run": 4, "run_at_ms": 5, "retry_of": 6}
    values |= {"max_failures": 0.5, "child_concurrency": 8, "options": "o", "id": 9, "flow_open": 1, "is_flow": 1}
    writer.insert_tasks([NewRow(**values)])
    row = stored(writer)[0]
    assert {name: row[name] for name in values} == values


def test_a_loaded_row_has_each_column_in_its_field(writer: Writer) -> None:
    """The order of the statement's columns is that of `Row`."""
    writer.insert_tasks([new(500)])
    fill(writer, 500, **DISTINCT, delayed=1, held=1, limited=1, cascade=1, closing="failed")
    (row,) = writer.load_rows([500])
    columns = stored(writer)[0]
    assert msgspec.structs.asdict(row) == {field: columns[field] for field in Row.__struct_fields__}


def test_a_row_that_is_written_back_keeps_each_field_in_its_column(writer: Writer) -> None:
    """All fields that change in a round are written, and each where it belongs."""
    writer.insert_tasks([new(500)])
    (row,) = writer.load_rows([500])
    constant = {"parent_id", "parent_round", "max_failures", "child_concurrency"}  # those of a round
    for name, value in DISTINCT.items():
        if name not in constant:
            setattr(row, name, value)
    row.status, row.phase, row.executing, row.priority = "running", int(Phase.FINALIZER), 1, 99
    row.holds_key, row.held, row.limited, row.delayed = 0, 1, 1, 1
    row.closing, row.cascade, row.flow_open = "cancelled", 1, 1
    writer.update_rows([row])
    columns = stored(writer)[0]
    written = msgspec.structs.asdict(row)
    assert {name: columns[name] for name in written} == written
    assert writer.load_rows([500]) == [row]


def test_a_row_on_its_way_to_a_start_keeps_what_changes_there_and_nothing_else(writer: Writer) -> None:
    """Each where it belongs, as if the whole row were written; what else the row says is not."""
    writer.insert_tasks([new(500)])
    before = stored(writer)[0]
    (row,) = writer.load_rows([500])
    for name, value in DISTINCT.items():
        setattr(row, name, value)
    row.status, row.executing, row.delayed = "running", 1, 2
    writer.update_ways([row])
    ways = ("run", "phase_runs", "started_at_ms", "progress", "ready_ms", "waited_ms", "effective")
    changed = {name: getattr(row, name) for name in ("status", "executing", "delayed", *ways)}
    assert all(before[name] != value for name, value in changed.items())
    assert stored(writer)[0] == before | changed


def test_what_children_count_is_written_alone(writer: Writer) -> None:
    """How many there are, how many of them are active, and their bytes; the rest of the row stays as it is."""
    writer.insert_tasks([new(500), new(501)])
    before = stored(writer)
    rows = writer.load_rows([500, 501])
    for row in rows:
        row.child_total, row.child_active, row.bytes_done = row.id, 7, 900 + row.id
        row.status, row.child_failed = "waiting", 3
    writer.update_child_counts(rows)
    counts = [{"child_total": at, "child_active": 7, "bytes_done": 900 + at} for at in (500, 501)]
    assert stored(writer) == [row | written for row, written in zip(before, counts, strict=True)]


def test_a_claim_has_each_column_in_its_field(writer: Writer) -> None:
    """The start is committed with the run's number, its time and its count; the claim says the same."""
    writer.insert_tasks([new(500)])
    values = DISTINCT | {"child_active": 0, "limited": 1}
    fill(writer, 500, **values)
    (claim,) = writer.starts.claim([500], 77, 30)
    columns = stored(writer)[0]
    assert (columns["status"], columns["executing"], columns["run"]) == ("running", 1, values["run"] + 1)
    assert (columns["started_at_ms"], columns["phase_runs"]) == (77, values["phase_runs"] + 1)
    said = msgspec.structs.asdict(claim)
    assert said.pop("memo") is None  # a body needs none
    assert said == {field: columns[field] for field in Claim.__struct_fields__ if field != "memo"}
    assert writer.starts.load_claimed([500]) == [claim]


def test_a_finalizer_is_claimed_with_the_memo(writer: Writer) -> None:
    """It is called with it."""
    writer.insert_tasks([new(1)])
    fill(writer, 1, phase=int(Phase.FINALIZER), memo='"memo"')
    assert [claim.memo for claim in writer.starts.claim([1], 77, 77)] == ['"memo"']


@pytest.mark.parametrize(
    "state",
    [
        {"status": "waiting"},
        {"status": "parked"},
        {"delayed": 1},
        {"held": 1},
        {"status": "running", "executing": 1, "run": 1},
    ],
    ids=["waiting", "parked", "delayed", "held", "running"],
)
def test_what_is_not_ready_loses_the_race(writer: Writer, state: dict[str, Any]) -> None:
    """Zero rows is an expected result: nothing is started, the others are."""
    writer.insert_tasks([new(1), new(2)])
    fill(writer, 1, **state)
    before = stored(writer)[0]
    assert [claim.id for claim in writer.starts.claim([1, 2, 3], 77, 77)] == [2]
    assert stored(writer)[0] == before


def test_a_hook_is_claimed_once(writer: Writer) -> None:
    """Only where it is due, and nothing of its task executes."""
    writer.insert_tasks([new(1), new(2)])
    fill(writer, 1, status="cancelling", phase=int(Phase.HOOK))
    assert writer.starts.select_hooks(0, 10) == [1]
    assert [claim.id for claim in writer.starts.claim_hooks([1, 2])] == [1]
    assert writer.starts.claim_hooks([1, 2]) == []
    assert writer.starts.select_hooks(0, 10) == []
    assert stored(writer)[0]["status"] == "cancelling"


def test_more_rows_than_a_statement_takes_are_all_taken(writer: Writer) -> None:
    """Inserted, loaded, written back, claimed and settled in several statements."""
    count = 2 * CHUNK + 1
    ids = range(1, count + 1)
    writer.insert_tasks([new(n, series_id=None) for n in ids])
    rows = writer.load_rows(list(ids))
    assert [row.id for row in rows] == list(ids)
    for row in rows:
        row.priority = 200
    writer.update_rows(rows)
    claims = writer.starts.claim(list(ids), 5, 5)
    assert {claim.priority for claim in claims} == {200}
    assert len(claims) == count
    assert len(writer.settle_plain([PlainEnd(n, 1, None, 0.1, None) for n in ids], 9)) == count
    assert stored(writer) == []
    assert len(writer.load_settled(list(ids))) == count


def test_ready_tasks_of_a_lane_come_in_the_order_of_starts(writer: Writer) -> None:
    """Finalizers before bodies, then the lower id; or by how long they have waited. Page by page after a place."""
    lane = make_lane("play::body", "the group", None, 7)
    rows = [new(n, lane=lane.number, ready_ms=100 - n) for n in (1, 2, 3)]
    rows += [new(4, lane=lane.number, phase=0, ready_ms=7), new(5, lane=lane.number, delayed=1), new(7)]
    writer.insert_tasks([*rows, new(6, lane=lane.number, held=1)])
    io = "[1,2,3,4]"
    everything = [Ready(7, 0, 4, 0, lane, None, 7, io)]
    everything += [Ready(7, 1, n, 0, lane, None, 100 - n, io) for n in (1, 2, 3)]
    assert writer.starts.select_ready(lane, START, 10) == everything
    assert writer.starts.select_ready(lane, START, 2) == everything[:2]
    assert writer.starts.select_ready(lane, (0, 4), 10) == everything[1:]
    eldest = sorted(everything, key=lambda task: task.since_ms)
    assert writer.starts.select_ready(lane, START, 10, eldest=True) == eldest
    assert writer.starts.select_ready(lane, (7, 4), 2, eldest=True) == eldest[1:3]


def test_a_page_says_how_many_children_their_parent_allows(writer: Writer) -> None:
    """As its row says now."""
    lane = make_lane("play::body", None, 1, 7)
    writer.insert_tasks([new(1, child_concurrency=3), new(2, parent_id=1, limited=1, lane=lane.number)])
    assert [task.bound for task in writer.starts.select_ready(lane, START, 10)] == [3]


def test_lanes_with_ready_tasks_are_found_page_by_page(writer: Writer) -> None:
    """Each once, by number, with what its tasks have in common."""
    lanes = sorted(make_lane("play::body", group, parent, 7) for group in ("g", None) for parent in (1, None))
    for at, lane in enumerate(lanes):
        values = {
            "lane": lane.number,
            "grp": lane.group,
            "parent_id": lane.parent_id or 2,
            "limited": lane.parent_id == 1,
        }
        writer.insert_tasks([new(10 * at + n + 10, **values) for n in range(3)])
    writer.insert_tasks([new(1, lane=5, delayed=1), new(2, lane=6, held=1), new(3, lane=8, status="waiting")])
    assert writer.starts.select_lanes(0, 10) == lanes
    assert writer.starts.select_lanes(0, 3) == lanes[:3]
    assert writer.starts.select_lanes(lanes[2].number, 3) == lanes[3:]


def test_what_is_past_its_time_to_live_does_not_start(writer: Writer) -> None:
    """S-210: to the millisecond, by the clock that nobody sets; a finalizer starts all the same."""
    writer.insert_tasks([new(1, expires_at_ms=49), new(2, expires_at_ms=50), new(3, expires_at_ms=49, phase=0)])
    assert [claim.id for claim in writer.starts.claim([1, 2, 3], 9, 50)] == [2, 3]


def test_a_start_begins_the_time_to_live_that_counts_from_it(writer: Writer) -> None:
    """S-208: the first one only."""
    writer.insert_tasks([new(1, expires_at_ms=None, ttl_ms=30, ttl_first=1)])
    (claim,) = writer.starts.claim([1], 9, 50)
    assert stored(writer)[0]["expires_at_ms"] == 80
    assert claim.expires_at_ms == 80


def test_a_start_says_how_long_it_waited_and_by_which_priority_it_came(writer: Writer) -> None:
    """S-269, S-271."""
    writer.insert_tasks([new(1, ready_ms=20), new(2, ready_ms=50)])
    claims = writer.starts.claim([1, 2], 9, 50, {1: 5, 2: 7})
    assert [claim.effective for claim in claims] == [5, 7]
    assert [(row["waited_ms"], row["effective"]) for row in stored(writer)] == [(30, 5), (0, 7)]


def test_due_tasks_are_promoted_in_the_order_of_their_times(writer: Writer) -> None:
    """No more than asked for; the next time is that of the earliest that is left."""
    writer.insert_tasks([new(n, delayed=True, run_at_ms=100 - n) for n in range(1, 6)])
    assert writer.starts.next_due() == 95
    assert writer.starts.promote_due(97, 2) == [5, 4]
    assert writer.starts.next_due() == 97
    assert writer.starts.promote_due(96, 10) == []


def test_ids_go_on_after_their_rows_are_gone(writer: Writer) -> None:
    """An id never comes back."""
    assert writer.next_id() == 1
    writer.insert_tasks([new(1), new(2)])
    writer.starts.claim([2], 1, 1)
    writer.settle_plain([PlainEnd(2, 1, None, 0.0, None)], 5)
    assert writer.next_id() == 3


def test_counters_add_up(writer: Writer) -> None:
    """From what they were before."""
    before = writer.meta("epoch")
    writer.add_meta("epoch", 5)
    writer.add_meta("epoch", 2)
    assert writer.meta("epoch") == before + 7


def test_texts_come_back_as_they_went_in(writer: Writer) -> None:
    """Quotes, separators, other alphabets and what looks like JSON."""
    texts = ['"', "'", "\\", "[1]", '{"a":1}', "null", "\u2028", "ключ", "𝄞", "a\nb", " ", "1e400"]
    writer.insert_tasks([new(n, key=text, label=text) for n, text in enumerate(texts, 1)])
    assert [(row.key, row.label) for row in writer.load_rows(list(range(1, len(texts) + 1)))] == [(t, t) for t in texts]
    scopes = [("play::body", 0, 0, text) for text in texts]
    assert sorted(writer.keys.find_holders(scopes).holders.values()) == list(range(1, len(texts) + 1))


def test_a_transaction_takes_the_write_lock_at_once(writer: Writer, location: Location) -> None:
    """What it reads before its first write cannot have changed by then."""
    with apsw.Connection(location.real_path) as other, pytest.raises(apsw.BusyError):
        other.execute("BEGIN IMMEDIATE")
    other.close()
