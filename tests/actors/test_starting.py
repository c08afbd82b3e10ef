"""Starts in the transaction that makes tasks ready: the same as by a claim, and only where nothing but the slots bounds them."""

from collections.abc import Callable
from typing import Any

import pytest

from millrace.actors.ledger import Ledger
from millrace.actors.openings import Openings
from millrace.actors.policy.limits import Limits
from millrace.actors.starting import start_ready
from millrace.model.lanes import make_lane
from millrace.model.limits import RateLimit
from millrace.model.rows import NewRow, Ready
from millrace.store.writer import Writer

LedgerOf = Callable[..., Ledger]
NOW, STEADY = 1_700_000_000_000, 1_700_000_000_007
NAME = "play::body"


def opened(room: int = 8) -> Openings:
    openings = Openings()
    openings.open(room, 0, openings.begin())
    return openings


def new(task_id: int, **values: Any) -> NewRow:
    lane = make_lane(NAME, values.get("grp"), None, values.get("priority", 128))
    fixed: dict[str, Any] = {"id": task_id, "name": NAME, "key": f"k{task_id}", "label": "l", "status": "pending"}
    fixed |= {"phase": 1, "priority": 128, "payload": "[]", "created_at_ms": NOW, "lane": lane.number}
    return NewRow(**fixed | {"ready_ms": STEADY} | values)


def enter(ledger: Ledger, row: NewRow) -> None:
    """A row as a submit makes it."""
    ledger.insert(row)
    ledger.ready_new(row, make_lane(row.name, row.grp, None, row.priority), None)


def started(ledger: Ledger) -> list[int]:
    return [task.id for task in ledger.effects.started]


def left(ledger: Ledger) -> list[int]:
    return [task.id for task in ledger.effects.ready]


def columns(writer: Writer, task_id: int) -> dict[str, Any]:
    cursor = writer.connection.execute("SELECT * FROM task WHERE id = ?", (task_id,))
    names = [column[0] for column in cursor.get_description()]
    return dict(zip(names, cursor.get, strict=True))


VALUES: dict[str, Any] = {
    "priority": 99,
    "run_at_ms": 5,
    "max_retries": 6,
    "fail_fast": 0,
    "max_failures": 0.5,
    "child_concurrency": 8,
    "options": "{}",
    "tags": '{"a":"b"}',
    "ttl_ms": 100,
    "expires_at_ms": STEADY + 100,
    "version": 3,
    "expected_io": "[1,2,3,4]",
}


def test_a_new_task_starts_as_a_claim_would_start_it(writer: Writer, ledger_of: LedgerOf) -> None:
    """The row has the same columns, and the executor gets the same claim."""
    ledger = ledger_of()
    enter(ledger, new(1, **VALUES))
    assert start_ready(ledger, opened()) == 1
    ledger.flush()
    writer.insert_tasks([new(2, **VALUES)])
    (claimed,) = writer.starts.claim([2], NOW, STEADY)
    at_once, by_claim = columns(writer, 1), columns(writer, 2)
    assert at_once.pop("status") == "running"
    differing = {name for name in at_once if at_once[name] != by_claim[name]}
    assert differing == {"id", "key", "key_hash"}
    assert ledger.effects.claims == writer.starts.load_claimed([1])
    assert (ledger.effects.claims[0].run, ledger.effects.claims[0].started_at_ms) == (claimed.run, NOW)
    assert (started(ledger), left(ledger)) == ([1], [])


def test_a_task_that_was_there_starts_as_a_claim_would_start_it(writer: Writer, ledger_of: LedgerOf) -> None:
    """The same of a row that had waited, with a run behind it."""
    for task_id in (1, 2):
        writer.insert_tasks([new(task_id, ready_ms=STEADY - 50, **VALUES)])
        writer.connection.execute(
            "UPDATE task SET run = 3, phase_runs = 2, retries = 2, progress = 0.5, effective = 7 WHERE id = ?",
            (task_id,),
        )
    ledger = ledger_of()
    row = ledger.row(1)
    assert row is not None
    ledger.still_ready(row)
    assert start_ready(ledger, opened()) == 1
    ledger.flush()
    writer.starts.claim([2], NOW, STEADY)
    at_once, by_claim = columns(writer, 1), columns(writer, 2)
    assert {name for name in at_once if at_once[name] != by_claim[name]} == {"id", "key", "key_hash"}
    assert at_once["waited_ms"] == 50
    assert (ledger.effects.continues, started(ledger)) == ([1], [1])


@pytest.mark.parametrize(
    ("limits", "row"),
    [
        (Limits(8, task_rates={NAME: RateLimit(1.0, 1)}), {}),
        (Limits(8, domains={"play": 5}), {}),
        (Limits(8, groups={"g": 5}), {"grp": "g"}),
        (Limits(8, default_group=5), {"grp": "g"}),
        (Limits(8, group_rates={"g": RateLimit(1.0, 1)}), {"grp": "g"}),
        (Limits(8, weights={"g": 2}), {}),
        (Limits(8, minimums={"g": 2}), {}),
        (Limits(8, is_paused=True), {}),
        (Limits(8, paused_domains=frozenset({"play"})), {}),
        (Limits(8, paused_groups=frozenset({"g"})), {"grp": "g"}),
        (Limits(8), {"ttl_ms": 5, "ttl_first": 1}),
        (Limits(8), {"expires_at_ms": STEADY - 1}),
    ],
    ids=lambda value: "" if isinstance(value, Limits) else None,
)
def test_what_more_than_the_slots_bounds_goes_to_the_dispatcher(
    writer: Writer, ledger_of: LedgerOf, limits: Limits, row: dict[str, Any]
) -> None:
    """And what becomes ready along with it: which of them comes first is for the dispatcher to say."""
    ledger = ledger_of(limits=limits)
    enter(ledger, new(1))
    enter(ledger, new(2, **row))
    assert start_ready(ledger, opened()) == 0
    ledger.flush()
    assert (started(ledger), left(ledger)) == ([], [1, 2])
    assert columns(writer, 2)["status"] == "pending"


@pytest.mark.parametrize(
    ("limits", "row"),
    [
        (Limits(8, groups={"g": 5}), {"grp": "h"}),
        (Limits(8, groups={"g": 5}, default_group=5), {}),
        (Limits(8, domains={"other": 5}, task_rates={"play::other": RateLimit(1.0, 1)}), {}),
        (Limits(8), {"expires_at_ms": STEADY}),
    ],
)
def test_what_others_are_bounded_by_is_nothing_to_it(
    writer: Writer, ledger_of: LedgerOf, limits: Limits, row: dict[str, Any]
) -> None:
    """Limits of other names and groups; a deadline that has not passed."""
    ledger = ledger_of(limits=limits)
    enter(ledger, new(1, **row))
    assert start_ready(ledger, opened()) == 1


def test_ready_tasks_that_are_bounded_by_more(writer: Writer, ledger_of: LedgerOf) -> None:
    """A crash behind it, a bounded parent: the dispatcher looks closer."""
    for task in (
        Ready(128, 1, 1, 1, make_lane(NAME, None, None, 128)),
        Ready(128, 1, 1, 0, make_lane(NAME, None, 5, 128), 2),
    ):
        ledger = ledger_of()
        ledger.insert(new(1))
        ledger.effects.ready.append(task)
        assert start_ready(ledger, opened()) == 0


def test_where_waiting_raises_priority(writer: Writer, ledger_of: LedgerOf) -> None:
    """The dispatcher knows by how much."""
    ledger = ledger_of(ages=True)
    enter(ledger, new(1))
    assert start_ready(ledger, opened()) == 0


def test_the_most_urgent_first(writer: Writer, ledger_of: LedgerOf) -> None:
    """Where there are fewer places than tasks; the others go to the dispatcher."""
    ledger = ledger_of()
    for task_id, priority in ((1, 128), (2, 7), (3, 200), (4, 7)):
        enter(ledger, new(task_id, priority=priority))
    assert start_ready(ledger, opened(3)) == 3
    ledger.flush()
    assert (started(ledger), left(ledger)) == ([2, 4, 1], [3])
    assert [columns(writer, task_id)["status"] for task_id in (1, 2, 3, 4)] == [
        "running",
        "running",
        "pending",
        "running",
    ]


def test_what_is_ready_no_more(writer: Writer, ledger_of: LedgerOf) -> None:
    """A task that was made ready, and then cancelled, by requests of the same transaction."""
    writer.insert_tasks([new(1)])
    ledger = ledger_of()
    row = ledger.row(1)
    assert row is not None
    ledger.still_ready(row)
    row.status = "cancelling"
    assert start_ready(ledger, opened()) == 0


def test_rows_that_have_to_be_looked_up_first(writer: Writer, ledger_of: LedgerOf) -> None:
    """A new row that is not written yet, and behind it one that is not in memory: looking that up writes the first."""
    writer.insert_tasks([new(1), new(2)])
    ledger = ledger_of()
    enter(ledger, new(3))
    for task_id in (1, 2):
        ledger.effects.ready.append(Ready(128, 1, task_id, 0, make_lane(NAME, None, None, 128)))
    assert start_ready(ledger, opened()) == 3
    ledger.flush()
    assert [columns(writer, task_id)["status"] for task_id in (1, 2, 3)] == ["running"] * 3


def test_a_task_that_is_named_twice(writer: Writer, ledger_of: LedgerOf) -> None:
    """It starts once, by the dispatcher."""
    ledger = ledger_of()
    enter(ledger, new(1))
    ledger.effects.ready *= 2
    assert start_ready(ledger, opened()) == 0
