"""Each invariant can fail: a store that breaks one rule is named for it."""

import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from invariants import QUERIES, check

from millrace.store.connection import locate
from millrace.store.opening import open_store

_COLUMNS = "id, name, key, key_hash, label, priority, max_retries, created_at_ms, payload"

GOOD = f"""
INSERT INTO task ({_COLUMNS}, lane, status, phase, run, phase_runs, child_total, child_active, child_failed, fail_fast)
    VALUES (1, 'a::p', '1', 'x', 128, 3, 0, '{{}}', 1, 'waiting', 2, 1, 1, 3, 1, 1, 0);
INSERT INTO task ({_COLUMNS}, lane, status, phase, parent_id, parent_round, spawner_id, spawner_run)
    VALUES (2, 'a::c', '2', 'x', 128, 3, 0, '{{}}', 1, 'pending', 1, 1, 1, 1, 1);
INSERT INTO task ({_COLUMNS}, lane, status, phase, run, phase_runs, executing, started_at_ms)
    VALUES (5, 'a::r', '5', 'x', 128, 3, 0, '{{}}', 1, 'running', 1, 1, 1, 1, 0);
INSERT INTO task ({_COLUMNS}, lane, status, phase, is_flow, flow_open)
    VALUES (6, 'flow::f', '6', 'x', 128, 0, 0, NULL, 1, 'waiting', 2, 1, 1);
INSERT INTO flow VALUES (6, 'null', 1);
INSERT INTO task ({_COLUMNS}, lane, status, phase, run, phase_runs, executing, closing, holds_key, cancel_requested_at_ms)
    VALUES (7, 'a::w', '7', 'x', 128, 3, 0, '{{}}', 1, 'cancelling', 1, 1, 1, 1, 'cancelled', 0, 0);
INSERT INTO task ({_COLUMNS}, lane, status, phase, held) VALUES (8, 'a::w', '7', 'x', 128, 3, 0, '{{}}', 1, 'pending', 1, 1);
INSERT INTO history ({_COLUMNS}, status, parent_id, parent_round, spawner_id, spawner_run, run, round, retries,
        fail_fast, started_at_ms, finished_at_ms, error)
    VALUES (3, 'a::c', '3', 'x', 128, 3, 0, '{{}}', 'completed', 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, NULL),
        (4, 'a::c', '4', 'x', 128, 3, 0, '{{}}', 'failed', 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 'ValueError');
INSERT INTO history ({_COLUMNS}, status, parent_round, run, round, retries, fail_fast, finished_at_ms,
        cancel_requested_at_ms)
    VALUES (9, 'a::c', '9', 'x', 128, 3, 0, '{{}}', 'cancelled', 0, 0, 1, 0, 1, 1, 1);
INSERT INTO task ({_COLUMNS}, lane, status, phase, run, phase_runs, started_at_ms, paused)
    VALUES (10, 'a::s', '10', 'x', 128, 3, 0, '{{}}', 1, 'paused', 1, 1, 1, 1, 2);
INSERT INTO pause (scope, name, since_ms) VALUES ('domain', 'a', 0);
INSERT INTO task ({_COLUMNS}, lane, status, phase, unmet) VALUES (11, 'a::b', '11', 'x', 128, 3, 0, '{{}}', 1, 'blocked', 1, 1);
INSERT INTO history ({_COLUMNS}, status, parent_round, run, round, retries, fail_fast, finished_at_ms, error,
        on_dependency_failure)
    VALUES (12, 'a::c', '12', 'x', 128, 3, 0, '{{}}', 'dependency_failed', 0, 0, 1, 0, 1, 1, 'e', 'fail');
INSERT INTO task ({_COLUMNS}, lane, status, phase, unmet) VALUES (13, 'a::b', '13', 'x', 128, 3, 0, '{{}}', 1, 'blocked', 1, 1);
UPDATE task SET tags = '{{"a":"1"}}' WHERE id = 2;
UPDATE history SET tags = '{{"a":"1","b":""}}' WHERE id = 3;
INSERT INTO tag (k, v, task_id) VALUES ('a', '1', 2), ('a', '1', 3), ('b', '', 3);
INSERT INTO edge (task_id, dep_id) VALUES (11, 5), (13, 12);
INSERT INTO task ({_COLUMNS}, lane, status, phase, series_id, paused)
    VALUES (14, 'a::e', '14', 'x', 128, 3, 0, '{{}}', 1, 'paused', 1, 14, 3),
        (15, 'a::e', '15', 'x', 128, 3, 0, '{{}}', 1, 'pending', 1, 15, 0);
INSERT INTO series (id, name, key, schedule, submission, state, run_id)
    VALUES (14, 'a::e', '14', '{{}}', '{{}}', 'paused', 14), (15, 'a::e', '15', '{{}}', '{{}}', 'active', 15);
UPDATE sqlite_sequence SET seq = 15 WHERE name = 'task';
"""
"""One of each: a waiting parent with children in every state, a run, a flow, a key that winds down, a stopped run, history, what
waits for a run, what waits for one that failed to be retried, and a series that goes on and one that is paused."""

_SALT = "(SELECT v FROM meta WHERE k = 'key_salt')"
GOOD = re.sub(r"\((\d+), ('[^']+'), ('[^']+'), 'x'", rf"(\1, \2, \3, hash_key({_SALT}, \2, \3), 'x'", GOOD)


BREACHES = {
    "I01": "UPDATE history SET id = 2 WHERE id = 9",
    "I02": "UPDATE meta SET v = v + 1 WHERE k = 'pruned'",
    "I03": "DROP INDEX task_key; UPDATE task SET key = '5', name = 'a::r', held = 0 WHERE id = 8",
    "I04": "UPDATE task SET parent_id = 3 WHERE id = 8",
    "I05": "DELETE FROM task WHERE id = 1",
    "I06": "UPDATE task SET child_active = 0 WHERE id = 1",
    "I07": "UPDATE task SET status = 'pending', phase = 0, phase_runs = 0 WHERE id = 1",
    "I08": "UPDATE task SET round = 2 WHERE id = 1",
    "I09": "UPDATE task SET parent_id = 2 WHERE id = 2",
    "I10": "UPDATE task SET status = 'blocked' WHERE id = 2",
    "N1": "UPDATE task SET unmet = 2 WHERE id = 11",
    "N2": "UPDATE task SET status = 'pending' WHERE id = 11",
    "N3": "UPDATE history SET on_dependency_failure = 'cancel' WHERE id = 12",
    "N4": "INSERT INTO edge VALUES (11, 13), (13, 11)",
    "G1": "INSERT INTO tag (k, v, task_id) VALUES ('a', '2', 2)",
    "T1": "UPDATE task SET ttl_first = 1, expires_at_ms = 1 WHERE id = 2",
    "P3": "UPDATE series SET state = 'active' WHERE id = 14",
    "R1": "UPDATE task SET series_id = 15 WHERE id = 8",
    "R2": "UPDATE series SET run_id = NULL WHERE id = 15",
    "R3": "UPDATE task SET series_id = NULL WHERE id = 15",
    "I11": "UPDATE task SET phase = 3 WHERE id = 2",
    "I12": "UPDATE task SET phase = 1 WHERE id = 1",
    "I13": "UPDATE task SET closing = 'failed', error = 'e', phase = 3 WHERE id = 1",
    "I14": "UPDATE task SET executing = 0 WHERE id = 5",
    "I15": "UPDATE sqlite_sequence SET seq = 9 WHERE name = 'task'",
    "I16": "UPDATE task SET retries = 4 WHERE id = 5",
    "I17": "UPDATE task SET retries = 1 WHERE id = 2",
    "I18": "UPDATE history SET status = 'running' WHERE id = 9",
    "I19": "UPDATE history SET error = '' WHERE id = 4",
    "I20": "UPDATE task SET closing = 'failed', error = 'e' WHERE id = 1",
    "I21": "UPDATE task SET payload = '{' WHERE id = 2",
    "I22": "UPDATE history SET run = 0 WHERE id = 3",
    "C1": "UPDATE task SET child_active = 2 WHERE id = 1",
    "C2": "UPDATE task SET child_total = 4 WHERE id = 1",
    "C3": "UPDATE task SET child_failed = 0 WHERE id = 1",
    "H1": "UPDATE task SET key = '77' WHERE id = 8",
    "H2": "UPDATE task SET rerun = '{}' WHERE id = 7",
    "E1": "UPDATE task SET status = 'running' WHERE id = 7",
    "E2": "UPDATE task SET cascade = 1 WHERE id = 1",
    "E3": "UPDATE history SET status = 'superseded' WHERE id = 9",
    "E4": "UPDATE task SET closing = 'failed', cascade = 1 WHERE id = 1",
    "D1": "UPDATE task SET delayed = 1 WHERE id = 2",
    "P1": "DELETE FROM pause WHERE name = 'a'",
    "P2": "UPDATE task SET paused = 0 WHERE id = 10",
    "L1": "UPDATE task SET limited = 1 WHERE id = 2",
    "F1": "DELETE FROM flow",
}
"""One breach of each invariant: SQL on a good store."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_store(locate(tmp_path / "tasks.db"))
    connection.execute(GOOD)
    yield connection
    connection.close()


def test_a_good_store_breaks_nothing(store: apsw.Connection) -> None:
    """One task of each kind, with its counters right, breaks no invariant."""
    assert check(store) == []


@pytest.mark.parametrize("name", list(QUERIES), ids=lambda name: str(name).partition(" ")[0])
def test_each_invariant_can_fail(store: apsw.Connection, name: str) -> None:
    """A breach of one rule is reported under that rule's name."""
    store.pragma("ignore_check_constraints", True)
    store.execute(BREACHES[name.partition(" ")[0]])
    assert name in [found.partition(": ")[0] for found in check(store, structure=False)]


def test_a_damaged_structure_is_reported(store: apsw.Connection) -> None:
    """What SQLite's own check finds is among the findings: here a row that breaks a constraint."""
    store.pragma("ignore_check_constraints", True)
    store.execute("UPDATE task SET executing = 0 WHERE id = 5")
    store.pragma("ignore_check_constraints", False)
    assert any(found.startswith("integrity_check: ") for found in check(store))


@pytest.mark.parametrize("table", ["task", "history"])
def test_a_key_without_its_number_is_named(table: str, store: apsw.Connection) -> None:
    """K1: such a row would be found by nobody who asks for its key."""
    store.execute(f"UPDATE {table} SET key_hash = key_hash + 1 WHERE id = (SELECT max(id) FROM {table})")
    assert [found.partition(" ")[0] for found in check(store)] == ["K1"]
