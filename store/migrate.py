"""The store's schema, step by step: each `migrations/NNN_verb_object.sql` leads from version NNN-1 to NNN.

A step is one transaction, with the version number (`user_version`) and the mark of our files (`application_id`) inside
it. So a process killed at any moment leaves the file before or after a step, and the next start goes on from there; two
processes that migrate at once do each step once.

A step's text holds statements only, no BEGIN or COMMIT. It is never edited once released: the text that SQLite keeps of
it is compared at every start.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import apsw

from millrace.model.errors import InternalError, StoreCorrupt, StoreError
from millrace.model.lanes import lane_of
from millrace.store.connection import number_keys
from millrace.store.faults import translated
from millrace.store.statements import SQL

APPLICATION_ID: Final = 0x4D6C7263
"""Marks a SQLite file as a store of millrace ("Mlrc", at byte 68 of the file)."""

_FILE_NAME = re.compile(r"(\d{3})_[a-z0-9]+(?:_[a-z0-9]+)+\.sql")

_STATISTICS = frozenset(
    {
        ("table", "sqlite_stat1", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
        ("table", "sqlite_stat4", "sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
    }
)
"""What ANALYZE adds, by its exact text: allowed in a store, expected in none."""

Entry = tuple[str, str, str, str]
"""Of a schema: type, name, table, SQL."""

Hook = Callable[[str], None]
"""Told the name of each point of a migration as it is reached, "1 begun" or "1 applied" or "1 committed"."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: the version it leads to (1, 2, ...), its file's name, its SQL."""

    version: int
    name: str
    sql: str


@cache
def load_migrations() -> tuple[Migration, ...]:
    """The steps that come with this version of millrace, in order.

    Raises:
        InternalError: a file is misnamed, or a number is missing or doubled.
    """
    texts = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in files("millrace.store").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    }
    return order(texts)


def order(texts: dict[str, str]) -> tuple[Migration, ...]:
    """Migrations from file names and texts; InternalError where the names are not 001_..., 002_... without a gap."""
    steps: list[Migration] = []
    for version, name in enumerate(sorted(texts), start=1):
        match = _FILE_NAME.fullmatch(name)
        if match is None or int(match[1]) != version:
            raise InternalError(f"migrations: expected {version:03}_verb_object.sql, found {name!r}")
        steps.append(Migration(version, name, texts[name]))
    return tuple(steps)


def migrate(
    connection: apsw.Connection,
    migrations: Sequence[Migration] | None = None,
    *,
    on_point: Hook | None = None,
) -> int:
    """Brings the schema up to date; nothing where it is.

    Args:
        connection: one that writes, outside a transaction. Each step is synced.
        migrations: the steps from version 1 on; those of this version of millrace when left out.
        on_point: for tests that kill the process there.

    Returns:
        The version reached.

    Raises:
        StoreError: the file is newer than the steps, or cannot be written.
        InternalError: a step ends its own transaction or breaks a reference.
    """
    steps = load_migrations() if migrations is None else migrations
    tell = on_point or _tell_nobody
    path = connection.filename
    with translated(path):
        if schema_version(connection) < len(steps):
            _apply_all(connection, steps, tell)
        version = schema_version(connection)
    if version > len(steps):
        raise too_new(path, version, len(steps))
    return version


def _apply_all(connection: apsw.Connection, steps: Sequence[Migration], tell: Hook) -> None:
    """Every commit synced; references unchecked until the end of a step, as one that rebuilds a table drops the old."""
    settings = {"synchronous": "full", "foreign_keys": False}
    before = {name: connection.pragma(name) for name in settings}
    add_functions(connection)
    try:
        for name, value in settings.items():
            connection.pragma(name, value)
        for step in steps:
            _apply(connection, step, tell)
    finally:
        for name, value in before.items():
            connection.pragma(name, value)


def add_functions(connection: apsw.Connection) -> None:
    """What a step's statements call beside SQLite's own functions; the schema that they leave calls none."""
    connection.create_scalar_function("lane_of", _lane_of, 4, deterministic=True)
    number_keys(connection)


def _lane_of(*columns: Any) -> int:
    """As SQLite calls it, with values of any type; the columns have the right ones."""
    return lane_of(*columns)


def _apply(connection: apsw.Connection, step: Migration, tell: Hook) -> None:
    """One step, unless another process was first: that is known only once the write lock is held."""
    connection.execute(SQL["begin"])
    try:
        if schema_version(connection) == step.version - 1:
            tell(f"{step.version} begun")
            connection.execute(step.sql)
            _check_step(connection, step)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", step.version)
            tell(f"{step.version} applied")
        connection.execute(SQL["commit"])
    except BaseException:
        if connection.in_transaction:
            connection.execute(SQL["rollback"])
        raise
    tell(f"{step.version} committed")


def _check_step(connection: apsw.Connection, step: Migration) -> None:
    if not connection.in_transaction:
        raise InternalError(f"migration {step.name}: expected statements only, it ended the transaction itself")
    broken = connection.pragma("foreign_key_check")
    if broken:
        raise InternalError(f"migration {step.name}: expected whole references, it left {broken!r}")


def _tell_nobody(point: str) -> None:
    """In production nobody listens."""


def schema_version(connection: apsw.Connection) -> int:
    """The step that the file is at, 0 for an empty one."""
    return int(connection.pragma("user_version"))


def too_new(path: str, version: int, known: int) -> StoreError:
    """The error for a file made by a later millrace."""
    return StoreError(
        f"{path}: expected a store of schema version {known} at most, it has {version}: a newer millrace made it; "
        "upgrade millrace",
        path=path,
    )


# Comparing


def read_schema(connection: apsw.Connection) -> frozenset[Entry]:
    """What the file declares, without ANALYZE's tables. Does not run any of it."""
    rows = connection.execute(SQL["list_schema"])
    return frozenset((str(kind), str(name), str(table), str(sql)) for kind, name, table, sql in rows) - _STATISTICS


def expected_schema(migrations: Sequence[Migration], version: int) -> frozenset[Entry]:
    """What a store at that version declares: the steps are run on an empty database in memory (0.5 ms)."""
    connection = apsw.Connection(":memory:")
    try:
        add_functions(connection)
        for step in migrations[:version]:
            connection.execute(step.sql)
        return read_schema(connection)
    finally:
        connection.close()


def check_schema(connection: apsw.Connection, migrations: Sequence[Migration], version: int) -> None:
    """StoreCorrupt where the file declares anything else than a store at that version, be it one planted trigger."""
    found = read_schema(connection)
    expected = expected_schema(migrations, version)
    if found == expected:
        return
    extra = ", ".join(sorted(f"{entry[0]} {entry[1]}" for entry in found - expected)) or "none"
    missing = ", ".join(sorted(f"{entry[0]} {entry[1]}" for entry in expected - found)) or "none"
    path = connection.filename
    raise StoreCorrupt(
        f"{path}: expected the schema of version {version}, found these changed or added: {extra}; these changed "
        f"or missing: {missing}; restore a backup",
        path=path,
    )
