"""Looks at a store as its process left it: at the file alone, without disturbing the log."""

from pathlib import Path

import apsw
from invariants import check


def open_wreck(path: Path | str, *, vfs: str | None = None) -> apsw.Connection:
    """The store as its process left it; closing this connection does not copy the log into the file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(10_000)
    return connection


def find_violations(connection: apsw.Connection) -> list[str]:
    """What does not hold, with the first ids; empty where all is well."""
    return check(connection)


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
