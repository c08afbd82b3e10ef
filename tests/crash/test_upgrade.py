"""A store of an older version of millrace: upgraded after a backup, whole or not at all, and all that was in it ends."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import old_store
import pytest
import upgrading_program
from wreck import find_violations, open_wreck

from millrace import DependencyPolicy, Scheduler
from millrace.store.connection import locate
from millrace.store.migrate import expected_schema, load_migrations, read_schema, schema_version
from millrace.store.opening import open_store

pytestmark = pytest.mark.crash

TABLES = ("task", "history", "flow", "meta", "sqlite_sequence")


def rows(connection: apsw.Connection) -> dict[str, list[Any]]:
    """All that is stored, but for the salt of keys, which each store draws anew, and what is hashed with it."""
    found: dict[str, list[Any]] = {}
    for table in TABLES:
        names = connection.execute("SELECT name FROM pragma_table_info(?) WHERE name <> 'key_hash'", (table,))
        columns = ", ".join(name for (name,) in names)
        found[table] = connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
    found["meta"] = [row for row in found["meta"] if row[0] != "key_salt"]
    return found


def drained(path: Path) -> dict[int, tuple[str, str | None]]:
    """How everything ended, once a scheduler has run on the store."""
    scheduler = Scheduler(path, domains=[old_store.domain])
    scheduler.start()
    try:
        last = old_store.leaf.options(depends_on=list(old_store.ENDS), on_dependency_failure=DependencyPolicy.IGNORE)
        outcome = scheduler.submit(last, 41)
        assert outcome.id == 41  # no id comes back
        assert outcome.result(20) == 41
        assert scheduler.open_flow(9).state == {"page": 1}
    finally:
        scheduler.stop()
    connection = open_wreck(path)
    assert find_violations(connection) == []
    assert connection.execute("SELECT id, status FROM task ORDER BY id").fetchall() == [(9, "waiting"), (13, "parked")]
    ends = {
        row[0]: (row[1], row[2]) for row in connection.execute("SELECT id, status, memo FROM history WHERE id < 41")
    }
    connection.close()
    return ends


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is shared memory: a process is killed here, not the machine, and a disk would only cost time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="millrace-upgrade-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def test_an_upgraded_store_goes_on(tmp_path: Path) -> None:
    """S-362: ready, delayed, running, waiting, cancelled, retried and parked tasks, flows and the history; ids go on."""
    path = tmp_path / "tasks.db"
    old_store.make(path)
    assert drained(path) == old_store.ENDS
    connection = open_wreck(path)
    assert schema_version(connection) == len(load_migrations())
    connection.close()
    backup = open_wreck(tmp_path / "tasks.db.v1.backup")
    assert schema_version(backup) == 1
    assert backup.execute("SELECT count(*) FROM task").get == 11
    backup.close()


def test_killed_before_any_statement_an_upgrade_is_whole_or_not_begun(folder: Path) -> None:
    """S-362: the next start finds the old version or the new one, and comes to the same rows as one that was not killed."""
    old = folder / "old.db"
    old_store.make(old)
    done = subprocess.run(
        [sys.executable, upgrading_program.__file__, str(old), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        check=True,
    )
    count = int(done.stdout)
    steps = load_migrations()
    versions: list[int] = []
    whole = open_wreck(folder / f"{count - 1}.db")
    expected = rows(whole)
    whole.close()
    for number in range(count):
        path = folder / f"{number}.db"
        wreck = open_wreck(path)
        version = schema_version(wreck)
        versions.append(version)
        assert read_schema(wreck) == expected_schema(steps, version)
        wreck.close()
        opened = open_store(locate(path))
        assert rows(opened) == expected
        assert find_violations(opened) == []
        opened.close()
    assert versions.count(1) > 20
    assert sorted(versions) == versions
    assert versions[-1] == len(steps)
    for number in range(0, count, 10):
        assert drained(folder / f"{number}.db") == old_store.ENDS
