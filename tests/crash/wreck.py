"""Looks at a store as its process left it: at the file alone, without disturbing the log."""

from pathlib import Path

import apsw
from invariants import check

from millrace.store.migrate import load_migrations, schema_version


def open_wreck(path: Path | str, *, vfs: str | None = None) -> apsw.Connection:
    """The store as its process left it; closing this connection does not copy the log into the file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(10_000)
    return connection


def find_violations(connection: apsw.Connection) -> list[str]:
    """What does not hold, with the first ids; empty where all is well."""
    return check(connection)


def is_made(connection: apsw.Connection) -> bool:
    """Whether the store has its present schema: it is made a version after the other."""
    return schema_version(connection) == len(load_migrations())


def active(connection: apsw.Connection) -> set[int]:
    """The ids in the queue."""
    return {row[0] for row in connection.execute("SELECT id FROM task")}


def settled(connection: apsw.Connection) -> dict[int, str]:
    """The ids in the history, with how they ended."""
    return {row[0]: row[1] for row in connection.execute("SELECT id, status FROM history")}


def torn_batches(connection: apsw.Connection) -> list[str]:
    """Batches, by the label ``batch <name> <size>`` of their tasks, that are there in part."""
    rows = connection.execute(
        """SELECT label, count(*) FROM (SELECT label FROM task UNION ALL SELECT label FROM history)
        WHERE label LIKE 'batch %' GROUP BY label"""
    ).fetchall()
    return [f"{label}: {count}" for label, count in rows if int(str(label).rpartition(" ")[2]) != count]


def wrongly_followed(connection: apsw.Connection) -> list[int]:
    """Tasks that ran though what they depend on had not completed, and those that failed for it though all of it had."""
    return [
        row[0]
        for row in connection.execute(
            """SELECT t.id FROM task AS t, json_each(t.depends_on) AS e JOIN history AS d ON d.id = e.value
            WHERE t.run > 0 AND d.status <> 'completed' AND t.on_dependency_failure <> 'ignore'
            UNION ALL SELECT t.id FROM task AS t, json_each(t.depends_on) AS e JOIN task AS d ON d.id = e.value WHERE t.run > 0
            UNION ALL SELECT h.id FROM history AS h, json_each(h.depends_on) AS e JOIN history AS d ON d.id = e.value
            WHERE h.run > 0 AND (d.seq > h.seq OR (d.status <> 'completed' AND h.on_dependency_failure <> 'ignore'))
            UNION ALL SELECT h.id FROM history AS h WHERE h.status = 'dependency_failed' AND NOT EXISTS (
                SELECT 1 FROM json_each(h.depends_on) AS e JOIN history AS d ON d.id = e.value WHERE d.status <> 'completed')"""
        )
    ]
