"""The schema goes from version to version, each step whole or not at all."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from millrace.model.errors import InternalError, StoreCorrupt, StoreError
from millrace.model.keys import hash_key
from millrace.store.connection import Location, locate, open_writer
from millrace.store.migrate import (
    APPLICATION_ID,
    Migration,
    check_schema,
    expected_schema,
    load_migrations,
    migrate,
    order,
    read_schema,
    schema_version,
)
from millrace.store.opening import open_store

FIRST = "insert into thing values (1, 'a')"
STEPS = (
    Migration(1, "001_create_thing.sql", "create table thing(id integer primary key, name text);" + FIRST),
    Migration(2, "002_add_size.sql", "alter table thing add column size integer; update thing set size = 7"),
    Migration(3, "003_index_size.sql", "create index thing_size on thing(size)"),
)  # fmt: skip

MIGRATE = """
import os, sys
from millrace.store.connection import locate, open_writer
from millrace.store.migrate import Migration, migrate
steps = [Migration(*step) for step in eval(sys.argv[2])]
def on_point(point):
    if point == sys.argv[3]:
        os.kill(os.getpid(), 9)
print(migrate(open_writer(locate(sys.argv[1])), steps, on_point=on_point))
"""

PLAIN = [(step.version, step.name, step.sql) for step in STEPS]


@pytest.fixture
def connection(location: Location) -> Iterator[apsw.Connection]:
    Path(location.real_path).touch()
    made = open_writer(location)
    yield made
    made.close(force=True)


def test_a_new_file_gets_every_step(connection: apsw.Connection) -> None:
    """From an empty file to the last version, with version and mark set; once more changes nothing."""
    assert migrate(connection, STEPS) == 3
    assert schema_version(connection) == 3
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.execute("select * from thing").fetchall() == [(1, "a", 7)]
    before = connection.total_changes()
    assert migrate(connection, STEPS) == 3
    assert connection.total_changes() == before


def test_an_older_file_gets_what_is_missing(connection: apsw.Connection) -> None:
    """Rows of the older version are kept."""
    migrate(connection, STEPS[:1])
    connection.execute("insert into thing values (2, 'b')")
    assert migrate(connection, STEPS) == 3
    assert connection.execute("select * from thing").fetchall() == [(1, "a", 7), (2, "b", 7)]


def test_a_newer_file_is_left_alone(connection: apsw.Connection) -> None:
    """A version beyond the known ones is a StoreError that asks to upgrade millrace."""
    migrate(connection, STEPS)
    with pytest.raises(StoreError, match="newer millrace"):
        migrate(connection, STEPS[:2])
    assert schema_version(connection) == 3


@pytest.mark.parametrize(
    "text", ["create table other(x); insert into nowhere values (1)", "create table other(x) but wrong"]
)
def test_a_failing_step_leaves_the_version_before(text: str, connection: apsw.Connection) -> None:
    """What the step had done is rolled back, and the connection is as it was set."""
    with pytest.raises(StoreError):
        migrate(connection, [STEPS[0], Migration(2, "002_go_wrong.sql", text)])
    assert schema_version(connection) == 1
    assert not connection.in_transaction
    assert connection.table_exists("main", "other") is False
    assert connection.pragma("synchronous") == 1
    assert connection.pragma("foreign_keys") == 1


def test_a_step_must_not_end_its_transaction(connection: apsw.Connection) -> None:
    """A COMMIT inside a step is a bug of ours, and said to be one."""
    with pytest.raises(InternalError, match="ended the transaction"):
        migrate(connection, [Migration(1, "001_end_it.sql", "create table t(x); commit")])


def test_a_rebuilt_table_keeps_what_refers_to_it(connection: apsw.Connection) -> None:
    """A step may drop and rebuild a table that others refer to; one that loses a reference is refused."""
    base = "create table p(id integer primary key); create table c(p references p on delete cascade);"
    rows = "insert into p values (1); insert into c values (1);"
    rebuild = "create table q(id integer primary key, n); insert into q select id, 0 from p;"
    rebuild += "drop table p; alter table q rename to p"
    steps = [Migration(1, "001_a_b.sql", base + rows), Migration(2, "002_a_b.sql", rebuild)]
    assert migrate(connection, steps) == 2
    assert connection.execute("select p from c").get == 1
    with pytest.raises(InternalError, match="whole references"):
        migrate(connection, [*steps, Migration(3, "003_a_b.sql", "delete from p")])
    assert schema_version(connection) == 2


@pytest.mark.crash
@pytest.mark.parametrize("point", [f"{n} {what}" for n in (1, 2, 3) for what in ("begun", "applied", "committed")])
def test_killed_at_any_point_it_is_before_or_after(
    point: str, start_python: Callable[..., "subprocess.Popen[str]"], location: Location
) -> None:
    """SIGKILL inside a step leaves the schema of a version exactly; the next start completes it."""
    Path(location.real_path).touch()
    killed = start_python(MIGRATE, location.real_path, repr(PLAIN), point)
    killed.wait(30)
    assert killed.returncode == -signal.SIGKILL
    connection = open_writer(location)
    number, _, what = point.partition(" ")
    version = int(number) - (what != "committed")
    assert schema_version(connection) == version
    assert read_schema(connection) == expected_schema(STEPS, version)
    assert migrate(connection, STEPS) == 3
    assert connection.execute("select * from thing").fetchall() == [(1, "a", 7)]
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_processes_that_migrate_at_once_do_each_step_once(
    start_python: Callable[..., "subprocess.Popen[str]"], location: Location
) -> None:
    """Four processes on one old store all reach the last version, and no step ran twice."""
    Path(location.real_path).touch()
    first = open_writer(location)
    migrate(first, STEPS[:1])
    processes = [start_python(MIGRATE, location.real_path, repr(PLAIN), "never") for _ in range(4)]
    for process in processes:
        out, errors = process.communicate(timeout=30)
        assert out.strip() == "3", errors
    assert first.execute("select * from thing").fetchall() == [(1, "a", 7)]
    first.close()


# The steps themselves


def test_the_steps_that_ship_are_in_order() -> None:
    """They number from 1 without a gap, and a new store made of them is whole and passes its own check."""
    steps = load_migrations()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    connection = apsw.Connection(":memory:")
    assert migrate(connection, steps) == len(steps)
    assert connection.pragma("integrity_check") == "ok"
    check_schema(connection, steps, len(steps))
    connection.close()


@pytest.mark.parametrize(
    "names",
    [["002_a_b.sql"], ["001_a_b.sql", "003_a_b.sql"], ["001_a_b.sql", "001_c_d.sql"], ["001-a.sql"], ["001_a.sql"]],
)
def test_misnamed_steps_are_a_bug(names: list[str]) -> None:
    """A gap, a double number or another form of name is an InternalError."""
    with pytest.raises(InternalError, match="migrations: expected"):
        order(dict.fromkeys(names, ""))


# Comparing


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        ("create trigger planted after insert on thing begin delete from thing; end", "trigger planted"),
        ("create view planted as select * from thing", "view planted"),
        ("create table planted(x)", "table planted"),
        ("create index planted on thing(name)", "index planted"),
        ("drop index thing_size", "index thing_size"),
        ("drop index thing_size; create index thing_size on thing(name)", "index thing_size"),
        ("alter table thing add column planted as (1)", "table thing"),
    ],
)
def test_another_schema_is_corrupt(tamper: str, named: str, connection: apsw.Connection) -> None:
    """Whatever is added, changed or missing is StoreCorrupt, and named."""
    migrate(connection, STEPS)
    check_schema(connection, STEPS, 3)
    connection.execute(tamper)
    with pytest.raises(StoreCorrupt, match=named):
        check_schema(connection, STEPS, 3)


def test_statistics_are_no_tampering(connection: apsw.Connection) -> None:
    """ANALYZE adds tables of its own, which are allowed."""
    migrate(connection, STEPS)
    connection.execute("analyze")
    assert connection.table_exists("main", "sqlite_stat1")
    check_schema(connection, STEPS, 3)


def test_each_store_hashes_keys_with_a_salt_of_its_own(tmp_path: Path) -> None:
    """Who knows the salt of one store cannot look for keys that clash in another."""
    salts: set[int] = set()
    for name in ("one.db", "two.db"):
        connection = open_store(locate(tmp_path / name))
        salts.add(connection.execute("SELECT v FROM meta WHERE k = 'key_salt'").get)
        connection.close()
    assert len(salts) == 2
    assert len({hash_key(salt, "a::task", "key") for salt in salts}) == 2
