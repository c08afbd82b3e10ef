"""Fills a store by SQL: rows that no scheduler has made, as many as a test needs, in a moment."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import apsw

from millrace.model.keys import hash_key

COLUMNS = {
    "task": (
        "id, name, key, key_hash, label, status, phase, executing, run, priority, payload, parent_id, parent_round, holds_key, "
        "closing, child_total, child_active, delayed, max_retries, created_at_ms, started_at_ms, grp, lane, tags"
    ),
    "history": (
        "id, name, key, key_hash, label, status, priority, payload, parent_id, parent_round, run, round, retries, max_retries, "
        "fail_fast, error, created_at_ms, started_at_ms, finished_at_ms, duration_s, actual_io, grp, tags"
    ),
}
ACTIVE = {
    "status": "pending", "phase": 1, "executing": 0, "run": 0, "priority": 128, "payload": "{}", "parent_id": None,
    "parent_round": 0, "holds_key": 1, "closing": None, "child_total": 0, "child_active": 0, "delayed": 0, "max_retries": 3,
    "created_at_ms": 1, "started_at_ms": None, "grp": None, "lane": 1, "tags": None,
}  # fmt: skip
SETTLED = {
    "status": "completed", "priority": 128, "payload": "{}", "parent_id": None, "parent_round": 0, "run": 1, "round": 1,
    "retries": 0, "max_retries": 3, "fail_fast": 1, "error": None, "created_at_ms": 1, "started_at_ms": 2, "finished_at_ms": 3,
    "duration_s": 1.0, "actual_io": None, "grp": None, "tags": None,
}  # fmt: skip


def fill(connection: apsw.Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows, each of which needs an id and a name, and their tags."""
    columns = COLUMNS[table].split(", ")
    values = ", ".join(f":{column}" for column in columns)
    statement = f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({values})"
    salt = connection.execute("SELECT v FROM meta WHERE k = 'key_salt'").get
    with connection:
        for row in rows:
            whole = {
                **(ACTIVE if table == "task" else SETTLED),
                "key": f"k{row['id']}",
                "label": row["name"],
                **row,
            }
            whole["key_hash"] = hash_key(salt, whole["name"], whole["key"])
            if whole["status"] in ("failed", "dead_letter") and whole.get("error") is None:
                whole["error"] = "broken"
            tags = whole["tags"]
            whole["tags"] = json.dumps(tags) if tags else None
            connection.execute(statement, whole)
            if tags:
                connection.executemany(
                    "INSERT INTO tag VALUES (?, ?, ?)", [(k, v, whole["id"]) for k, v in tags.items()]
                )
        newest = connection.execute("SELECT max(id) FROM (SELECT id FROM task UNION ALL SELECT id FROM history)").get
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'task'")
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('task', ?)", (newest,))
