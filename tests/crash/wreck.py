"""What must hold of a store whenever its process ends: asked of the file alone, by SQL, without disturbing the log."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import apsw

INVARIANTS: Final = {
    "a task is in the queue or in the history": "SELECT id FROM task INTERSECT SELECT id FROM history",
    "ids are conserved: stored = active + settled + pruned": """
        SELECT 1 WHERE ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'task'), 0)
            <> (SELECT count(*) FROM task) + (SELECT count(*) FROM history) + (SELECT v FROM meta WHERE k = 'pruned')""",
    "no active child has a settled parent": "SELECT c.id FROM task AS c JOIN history AS p ON p.id = c.parent_id",
    "an active child's parent is active": """
        SELECT c.id FROM task AS c WHERE parent_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM task AS p WHERE p.id = c.parent_id)""",
    "a waiting task has something to wait for": """
        SELECT id FROM task WHERE status = 'waiting' AND child_active = 0 AND flow_open = 0""",
    "active children are counted": """
        SELECT p.id FROM task AS p WHERE p.child_active <> (
            SELECT count(*) FROM task AS c WHERE c.parent_id = p.id AND c.parent_round = p.round)""",
    "children of the round are counted": """
        SELECT p.id FROM task AS p WHERE p.retries = 0 AND p.child_total <> (
            SELECT count(*) FROM task AS c WHERE c.parent_id = p.id AND c.parent_round = p.round) + (
            SELECT count(*) FROM history AS c WHERE c.parent_id = p.id AND c.parent_round = p.round)""",
    "an end that is decided has been told to the children, or is on its way": """
        SELECT c.id FROM task AS c JOIN task AS p ON p.id = c.parent_id AND p.round = c.parent_round
        WHERE p.closing IS NOT NULL AND p.cascade = 0 AND c.closing IS NULL""",
    "a recorded cancel has closed its task": """
        SELECT id FROM task WHERE cancel_requested_at_ms IS NOT NULL AND ifnull(closing, '') NOT IN (
            'cancelled', 'superseded')""",
    "a held task waits for one that winds down": """
        SELECT h.id FROM task AS h WHERE h.held = 1 AND NOT EXISTS (
            SELECT 1 FROM task AS w WHERE w.holds_key = 2 AND w.status = 'cancelling' AND w.name = h.name
                AND w.key = h.key AND w.parent_id IS h.parent_id AND w.parent_round = h.parent_round)""",
    "only a task with a start executes": "SELECT id FROM task WHERE executing = 1 AND (run = 0 OR phase_runs = 0)",
}


def open_wreck(path: Path | str, *, vfs: str | None = None) -> apsw.Connection:
    """The store as its process left it; closing this connection does not copy the log into the file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(10_000)
    return connection


def find_violations(connection: apsw.Connection) -> list[str]:
    """What does not hold, with the first ids; empty where all is well."""
    found = [
        f"{name}: {ids[:5]}"
        for name, statement in INVARIANTS.items()
        if (ids := [row[0] for row in connection.execute(statement)])
    ]
    if (finding := connection.pragma("integrity_check")) != "ok":
        found.append(f"integrity_check: {finding}")
    found += [f"foreign_key_check: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
    return found


def active(connection: apsw.Connection) -> set[int]:
    """The ids in the queue."""
    return {row[0] for row in connection.execute("SELECT id FROM task")}


def settled(connection: apsw.Connection) -> dict[int, str]:
    """The ids in the history, with how they ended."""
    return dict(connection.execute("SELECT id, status FROM history").fetchall())


def torn_batches(connection: apsw.Connection) -> list[str]:
    """Batches, by the label ``batch <name> <size>`` of their tasks, that are there in part."""
    rows: Iterable[tuple[str, int]] = connection.execute(
        """SELECT label, count(*) FROM (SELECT label FROM task UNION ALL SELECT label FROM history)
        WHERE label LIKE 'batch %' GROUP BY label"""
    ).fetchall()
    return [f"{label}: {count}" for label, count in rows if int(label.rpartition(" ")[2]) != count]
