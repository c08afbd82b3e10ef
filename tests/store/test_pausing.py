"""Pauses in the store: one row each, from which it follows what callers see of every task, and how old the tasks get."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from millrace.model.filters import Filters
from millrace.model.pauses import Pause, Scope
from millrace.model.rows import NewRow
from millrace.model.statuses import TaskStatus
from millrace.store.connection import Location, set_writer
from millrace.store.looking import count_active, select_ids
from millrace.store.opening import open_store
from millrace.store.statements import SQL
from millrace.store.writer import Writer


@pytest.fixture
def writer(location: Location) -> Iterator[Writer]:
    connection = open_store(location)
    set_writer(connection)
    made = Writer(connection)
    made.begin()
    yield made
    made.rollback()
    made.close()


def put(writer: Writer, task_id: int, name: str = "play::body", **values: Any) -> None:
    """A task in the queue."""
    given: dict[str, Any] = {"status": "pending", "phase": 1, "priority": 7, "payload": "{}", "created_at_ms": 0}
    row = NewRow(id=task_id, name=name, key=f"k{task_id}", label="", lane=0, **given | values)
    writer.insert_tasks([row])


def pause(writer: Writer, scope: Scope, name: str = "", since: int = 10, until: int | None = None) -> None:
    """A pause of something."""
    writer.pauses.put(Pause(scope, name, since, until))


def statuses(connection: apsw.Connection) -> dict[int, str]:
    """The statuses that callers see."""
    ids = [task_id for (task_id,) in connection.execute("SELECT id FROM task ORDER BY id")]
    return {task_id: connection.execute(SQL["select_status"], {"id": task_id}).get for task_id in ids}


def test_queued_tasks_of_a_paused_group_or_domain_are_paused(writer: Writer) -> None:
    """S-110: what is stored of them does not change; S-109: the scheduler's pause leaves them pending."""
    put(writer, 1, grp="a")
    put(writer, 2, "other::body", grp="a", delayed=1, run_at_ms=5)
    put(writer, 3, "other::body", grp="A")
    put(writer, 4, "play2::body")
    pause(writer, "group", "a")
    assert statuses(writer.connection) == {1: "paused", 2: "paused", 3: "pending", 4: "pending"}
    pause(writer, "domain", "other")
    pause(writer, "domain", "play")
    writer.pauses.delete("group", "a")
    assert statuses(writer.connection) == {1: "paused", 2: "paused", 3: "paused", 4: "pending"}
    writer.pauses.delete("domain", "other")
    writer.pauses.delete("domain", "play")
    pause(writer, "scheduler")
    assert set(statuses(writer.connection).values()) == {"pending"}


def test_only_queued_tasks_look_paused(writer: Writer) -> None:
    """S-119: what waits, runs or is parked in a paused scope shows what it is."""
    for task_id, status in enumerate(("waiting", "parked", "blocked"), 1):
        put(writer, task_id, status=status, grp="a")
    pause(writer, "group", "a")
    assert statuses(writer.connection) == {1: "waiting", 2: "parked", 3: "blocked"}


def test_a_record_shows_the_same_status_as_a_count(writer: Writer) -> None:
    """However a task is looked at, it is paused or it is not."""
    put(writer, 1, grp="a")
    put(writer, 2)
    pause(writer, "group", "a")
    assert writer.load_record(1)[4] == "paused"  # type: ignore[index]
    counts = count_active(writer.connection, Filters())
    assert (counts[TaskStatus.PAUSED], counts[TaskStatus.PENDING], sum(counts.values())) == (1, 1, 2)
    paused = Filters(statuses=frozenset({"paused"}))
    assert select_ids(writer.connection, paused, limit=10) == [1]


def test_a_pause_is_counted_by_what_it_newly_holds(writer: Writer) -> None:
    """S-114: queued and running tasks of the scope that nothing else pauses."""
    put(writer, 1, grp="a")
    put(writer, 2, grp="a", status="waiting")
    put(writer, 3, "other::body", grp="a", holds_key=0)
    put(writer, 4)
    put(writer, 5, "play2::body", grp="b")
    put(writer, 6, "other::body", status="blocked")
    counts = [
        writer.pauses.count_startable("group", "a"),
        writer.pauses.count_startable("domain", "play"),
        writer.pauses.count_startable("domain", "other"),
        writer.pauses.count_startable("scheduler", ""),
    ]
    assert counts == [2, 2, 1, 4]
    pause(writer, "group", "a")
    assert writer.pauses.count_startable("domain", "play") == 1
    assert writer.pauses.count_startable("domain", "other") == 0
    assert writer.pauses.count_startable("scheduler", "") == 2


def test_a_second_pause_changes_the_end_and_not_the_begin(writer: Writer) -> None:
    """S-115: pausing again sets the new deadline, or none."""
    pause(writer, "group", "a", 10, 90)
    pause(writer, "group", "a", 20, None)
    assert writer.pauses.load() == [Pause("group", "a", 10, None)]


@pytest.mark.parametrize(
    ("ready", "waited", "older"),
    [
        pytest.param(0, 0, 10, id="ready before it: what it waited until then counts"),
        pytest.param(14, 0, 0, id="ready in it: none of that counts"),
        pytest.param(11, 3, 3, id="ready in it for the second time: what it had waited before counts"),
    ],
)
@pytest.mark.parametrize(("scope", "name"), [("group", "a"), ("domain", "play"), ("scheduler", "")])
def test_tasks_do_not_age_in_a_pause(
    writer: Writer, *, scope: Scope, name: str, ready: int, waited: int, older: int
) -> None:
    """S-117: at its end a task is as old as it was when the pause began, or when it became ready in it."""
    put(writer, 1, grp="a", ages=1, ready_ms=ready)
    writer.connection.execute("UPDATE task SET waited_ms = ?", (waited,))
    put(writer, 2, "other::body", grp="b", ages=1, ready_ms=5)
    writer.pauses.shift_ready(scope, name, since=10, now=50)
    found = dict(writer.connection.execute("SELECT id, 50 - ready_ms FROM task"))
    assert found == {1: older, 2: 5 if scope == "scheduler" else 45}


def test_pauses_that_overlap_are_one(writer: Writer) -> None:
    """S-117: paused from 10 to 60, by one pause until 40 and by another from 30 on, a task is as old as at 10."""
    put(writer, 1, grp="a", ages=1, ready_ms=0)
    pause(writer, "group", "a", 10)
    pause(writer, "domain", "play", 30)
    writer.pauses.delete("group", "a")
    writer.pauses.shift_ready("group", "a", since=10, now=40)
    writer.pauses.delete("domain", "play")
    writer.pauses.shift_ready("domain", "play", since=30, now=60)
    assert writer.load_rows([1])[0].ready_ms == 50


def test_a_pause_inside_another_takes_nothing_twice(writer: Writer) -> None:
    """S-117: the inner one's time is the outer one's."""
    put(writer, 1, grp="a", ages=1, ready_ms=0)
    pause(writer, "group", "a", 10)
    pause(writer, "domain", "play", 30)
    writer.pauses.delete("domain", "play")
    writer.pauses.shift_ready("domain", "play", since=30, now=40)
    assert writer.load_rows([1])[0].ready_ms == 0
    writer.pauses.delete("group", "a")
    writer.pauses.shift_ready("group", "a", since=10, now=60)
    assert writer.load_rows([1])[0].ready_ms == 50


def test_what_was_stopped_goes_on_when_nothing_pauses_it(writer: Writer) -> None:
    """S-113: in whichever order the pauses are lifted; what was preempted is another matter."""
    put(writer, 1, grp="a", status="paused")
    put(writer, 2, status="paused")
    put(writer, 3, status="paused")
    writer.connection.execute("UPDATE task SET paused = CASE id WHEN 3 THEN 1 ELSE 2 END")
    pause(writer, "group", "a")
    pause(writer, "scheduler")
    assert writer.pauses.select_stopped() == []
    writer.pauses.delete("scheduler", "")
    assert writer.pauses.select_stopped() == [2]
    writer.pauses.delete("group", "a")
    assert writer.pauses.select_stopped() == [1, 2]
    assert writer.pauses.select_preempted() == [3]


def test_groups_and_pauses_of_a_list_of_tasks(writer: Writer) -> None:
    """Asked for many at once."""
    put(writer, 1, grp="a")
    put(writer, 2)
    put(writer, 3, "other::body")
    pause(writer, "group", "a")
    pause(writer, "domain", "other")
    assert writer.pauses.select_groups([1, 2, 3]) == {1: "a"}
    assert writer.pauses.select_unpaused([1, 2, 3]) == [2]
