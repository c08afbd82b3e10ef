"""Every check between a path and the first write to a store."""

import os
import random
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

import millrace.store.connection
from millrace.model.errors import StoreCorrupt, StoreError, StoreMoved, StoreReadOnly, UnsafeFilesystem
from millrace.store import filesystem, opening
from millrace.store.connection import Location, locate, open_reader, set_writer
from millrace.store.migrate import APPLICATION_ID, Migration, load_migrations
from millrace.store.opening import check_not_moved, identify_log, look_for_damage, open_store
from millrace.store.ownership import Ownership

STEPS = (
    Migration(1, "001_create_thing.sql", "create table thing(id integer primary key, name text)"),
    Migration(2, "002_add_size.sql", "alter table thing add column size integer"),
)


@pytest.fixture
def path(location: Location) -> Path:
    return Path(location.real_path)


def make(location: Location, rows: int = 0) -> None:
    """A store of version 1 of STEPS, closed."""
    connection = open_store(location, migrations=STEPS[:1])
    with connection:
        connection.executemany("insert into thing(name) values (?)", ((f"name {n}" * 20,) for n in range(rows)))
    connection.close()


def files_in(directory: Path) -> dict[str, bytes]:
    """What the files hold; the index, which is rebuilt from the log, and empty files hold nothing."""
    found = {entry.name: entry.read_bytes() for entry in directory.iterdir()}
    return {name: data for name, data in found.items() if data and not name.endswith("-shm")}


# New stores


def test_a_new_store_is_ours_and_private(location: Location, path: Path) -> None:
    """Made with our mark and version; store, log and index have mode 0600 whatever the umask."""
    before = os.umask(0)
    try:
        connection = open_store(location)
    finally:
        os.umask(before)
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("user_version") == len(load_migrations())
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 1
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    connection.close()
    assert list(path.parent.iterdir()) == [path]


def test_a_narrow_umask_does_no_harm(location: Location) -> None:
    """Under umask 077 the store is made all the same."""
    before = os.umask(0o077)
    try:
        open_store(location).close()
    finally:
        os.umask(before)


def test_a_store_is_opened_again(location: Location) -> None:
    """What was written is there, and opening changes nothing."""
    make(location, rows=3)
    connection = open_store(location, migrations=STEPS[:1])
    assert connection.execute("select count(*) from thing").get == 3
    assert connection.total_changes() == 0
    connection.close()


def test_an_empty_file_is_a_new_store(location: Location, path: Path) -> None:
    """A file that was just touched (a temporary file's name) becomes a store."""
    path.touch()
    open_store(location).close()
    assert path.stat().st_size > 0


def test_an_empty_database_is_a_new_store(location: Location, path: Path) -> None:
    """A SQLite file that declares nothing, as a start that was killed leaves it, becomes a store."""
    bare = apsw.Connection(str(path))
    bare.pragma("journal_mode", "wal")
    bare.execute("vacuum")
    bare.close()
    open_store(location).close()


def test_memory_is_a_store_like_any_other() -> None:
    """A store in memory is made, written and read by the same code, and gone when it is discarded."""
    place = locate(":memory:")
    connection = open_store(place, migrations=STEPS)
    connection.execute("insert into thing(name) values ('a')")
    reader = open_reader(place)
    assert reader.execute("select count(*) from thing").get == 1
    reader.close()
    check_not_moved(connection, place, identify_log(place))
    connection.close()
    place.discard()
    assert not Path(place.directory).exists()


def test_processes_that_make_one_store_at_once_all_get_it(
    start_python: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """Sixteen processes open one new path: one store, and each wrote its row."""
    script = """
import sys
from millrace.store.connection import locate
from millrace.store.opening import open_store
from millrace.store.migrate import Migration
steps = [Migration(1, "001_create_thing.sql", "create table thing(id integer primary key, name text)")]
print("ready", flush=True)
for line in sys.stdin:
    connection = open_store(locate(line.strip()), migrations=steps)
    connection.execute("insert into thing(name) values ('x')")
    connection.close()
    print("done", flush=True)
"""
    processes = [start_python(script) for _ in range(16)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for number in range(4):
        path = tmp_path / f"store{number}.db"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n", process.stderr and process.stderr.read()
        connection = open_store(locate(path), migrations=STEPS[:1])
        assert connection.execute("select count(*) from thing").get == 16
        assert connection.pragma("integrity_check") == "ok"
        connection.close()


# Not ours, or not whole


@pytest.mark.parametrize("version", ["3.51.2", "3.52.0", "3.46.1"])
def test_a_dangerous_sqlite_is_refused(version: str, location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that can corrupt a store are refused before a file is made."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    with pytest.raises(StoreError, match=version):
        open_store(location)
    assert not Path(location.real_path).exists()


@pytest.mark.parametrize("version", ["3.51.3", "3.52.1", "3.54.1", "4.0.0"])
def test_a_good_sqlite_is_accepted(version: str, location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first good version, and later ones, pass."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    open_store(location).close()


def test_a_network_disk_is_refused_before_anything_is_made(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """UnsafeFilesystem, and no file; allowed, the store is made."""
    monkeypatch.setattr(filesystem, "filesystem_type", lambda directory: "nfs4")
    with pytest.raises(UnsafeFilesystem):
        open_store(location)
    assert list(Path(location.directory).iterdir()) == []
    open_store(location, allow_network=True).close()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_database_of_another_program_is_left_as_it_is(journal: str, location: Location, path: Path) -> None:
    """StoreCorrupt; the file, and the log of one that is not checkpointed, stay byte for byte."""
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", journal)
    other.execute("create table theirs(x); insert into theirs values (1)")
    other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    other.close()
    before = files_in(path.parent)
    with pytest.raises(StoreCorrupt, match="another program"):
        open_store(location)
    assert files_in(path.parent) == before


@pytest.mark.parametrize("data", [b"hello, I am a text file\n" * 500, b"\0" * 4096, b"x", os.urandom(20_000)])
def test_a_file_that_is_no_database_is_left_as_it_is(data: bytes, location: Location, path: Path) -> None:
    """StoreCorrupt, and not a byte is changed."""
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt):
        open_store(location)
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    "tamper",
    [
        "create trigger planted after insert on thing begin select 1; end",
        "create view planted as select 1",
        "drop table thing",
        "pragma application_id = 1",
    ],
)
def test_a_changed_schema_is_corrupt(tamper: str, location: Location, path: Path) -> None:
    """What somebody planted in the file is refused before anything of it runs."""
    make(location)
    other = apsw.Connection(str(path))
    other.execute(tamper)
    other.close()
    with pytest.raises(StoreCorrupt):
        open_store(location, migrations=STEPS[:1])


def test_an_emptied_store_is_no_new_one(location: Location, path: Path) -> None:
    """A store cut to nothing is StoreCorrupt where its lock or its log says that it was one; without both it is new."""
    owner = Ownership.acquire(location)
    make(location)
    owner.release()
    path.write_bytes(b"")
    with pytest.raises(StoreCorrupt, match="lock says"):
        open_store(location)
    Path(location.lock_path).unlink()
    Path(location.wal_path).write_bytes(b"frames")
    with pytest.raises(StoreCorrupt, match="beside a log"):
        open_store(location)
    Path(location.wal_path).unlink()
    open_store(location).close()


def test_a_log_without_its_store_is_no_new_one(location: Location, path: Path) -> None:
    """The file is missing, its log is there: StoreCorrupt, because SQLite would delete the log."""
    Path(location.wal_path).write_bytes(b"frames")
    with pytest.raises(StoreCorrupt, match="no file beside a log"):
        open_store(location)
    assert Path(location.wal_path).read_bytes() == b"frames"
    assert not path.exists()


def test_a_removed_store_begins_anew(location: Location, path: Path) -> None:
    """Where the file was removed on purpose, with only the lock left, a new store is made."""
    owner = Ownership.acquire(location)
    make(location)
    owner.release()
    path.unlink()
    open_store(location).close()


def test_a_truncated_store_is_corrupt(location: Location, path: Path) -> None:
    """Cut at any of many sizes a store is StoreCorrupt, never a crash and never an empty store."""
    make(location, rows=300)
    whole = path.read_bytes()
    for size in [*range(1, len(whole), len(whole) // 60), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(StoreCorrupt):
            open_store(location, migrations=STEPS[:1])
        assert path.stat().st_size == size
    path.write_bytes(whole)
    open_store(location, migrations=STEPS[:1]).close()


def test_a_flipped_byte_never_crashes(location: Location, path: Path) -> None:
    """One byte changed anywhere: the store opens, or is refused with an error of ours; damage is noticed."""
    make(location, rows=200)
    whole = path.read_bytes()
    rng = random.Random(7)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        place = rng.randrange(len(whole))
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        for name in (location.wal_path, location.real_path + "-shm"):
            Path(name).unlink(missing_ok=True)
        try:
            open_store(location, migrations=STEPS[:1]).close()
        except StoreError:
            refused += 1
    assert refused > 0
    path.write_bytes(whole[:4096] + b"\xff" * 8 + whole[4104:])
    with pytest.raises(StoreCorrupt):
        open_store(location, migrations=STEPS[:1])


def test_an_index_that_has_lost_a_row_is_damage(location: Location, path: Path) -> None:
    """StoreCorrupt: whatever is looked for by that index alone, as what is ready, would never be found."""
    steps = (Migration(1, "001_index_thing.sql", "create table thing(n integer); create index thing_n on thing(n)"),)
    open_store(location, migrations=steps).close()
    hide = ("pragma writable_schema = on", "delete from sqlite_schema where name = 'thing_n'")
    connection = apsw.Connection(str(path))
    entry = connection.execute("select * from sqlite_schema where name = 'thing_n'").get
    for statement in hide:
        connection.execute(statement)
    connection.close()
    connection = apsw.Connection(str(path))
    connection.execute("insert into thing values (1)")
    connection.execute(hide[0])
    connection.execute("insert into sqlite_schema values (?, ?, ?, ?, ?)", entry)
    connection.close()
    with pytest.raises(StoreCorrupt, match="thing_n"):
        open_store(location, migrations=steps)


def test_the_look_for_damage_is_bounded(location: Location, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of time, what was not reached is left to SQLite's own checks: a start does not grow with the store."""
    make(location, rows=2000)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4096] + b"\xff" * 4096)
    with pytest.raises(StoreCorrupt):
        open_store(location, migrations=STEPS[:1])
    connection = apsw.Connection(str(path))
    monkeypatch.setattr(millrace.store.connection, "DEADLINE_STEPS", 1)
    look_for_damage(connection, location, for_s=0.0)
    with pytest.raises(StoreCorrupt):
        look_for_damage(connection, location, for_s=60.0)
    connection.close()


# Versions


def test_a_newer_store_is_refused(location: Location) -> None:
    """A schema version beyond ours is a StoreError that asks to upgrade millrace; the store is not changed."""
    open_store(location, migrations=STEPS).close()
    before = files_in(Path(location.directory))
    with pytest.raises(StoreError, match="newer millrace"):
        open_store(location, migrations=STEPS[:1])
    assert files_in(Path(location.directory)) == before


def test_an_older_store_is_backed_up_and_upgraded(location: Location, path: Path) -> None:
    """The older one stands beside it, private and whole, under its version."""
    make(location, rows=5)
    connection = open_store(location, migrations=STEPS)
    assert connection.execute("select count(*), count(size) from thing").get == (5, 0)
    connection.close()
    backup = path.with_name("store.db.v1.backup")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert {entry.name for entry in path.parent.iterdir()} == {"store.db", "store.db.v1.backup"}
    old = open_store(locate(backup), migrations=STEPS[:1])
    assert old.execute("select count(*) from thing").get == 5
    old.close()


def test_an_upgrade_replaces_what_a_killed_one_left(location: Location, path: Path) -> None:
    """A part file, and an older backup, do not stand in the way."""
    make(location)
    path.with_name("store.db.v1.backup.part").write_bytes(b"half")
    path.with_name("store.db.v1.backup").write_bytes(b"older")
    open_store(location, migrations=STEPS).close()
    assert path.with_name("store.db.v1.backup").read_bytes()[:6] == b"SQLite"
    assert not path.with_name("store.db.v1.backup.part").exists()


def test_a_client_does_not_upgrade(location: Location) -> None:
    """With upgrade=False an older store is refused as it is; a new one is made all the same."""
    make(location)
    before = files_in(Path(location.directory))
    with pytest.raises(StoreError, match="start a scheduler"):
        open_store(location, migrations=STEPS, upgrade=False)
    assert files_in(Path(location.directory)) == before
    open_store(locate(location.real_path + "2"), migrations=STEPS, upgrade=False).close()


# Rights


@pytest.mark.parametrize(("directory_mode", "file_mode"), [(0o755, 0o444), (0o555, 0o666), (0o555, None)])
def test_without_the_right_to_write_it_is_read_only(
    directory_mode: int,
    file_mode: int | None,
    run_python: Callable[..., str],
    become_nobody: str,
    open_directory: Path,
) -> None:
    """A file or directory that cannot be written is StoreReadOnly, naming the path, before SQLite opens it."""
    path = open_directory / "store.db"
    if file_mode is not None:
        open_store(locate(path)).close()
        path.chmod(file_mode)
    open_directory.chmod(directory_mode)
    script = (
        """
import sys
from millrace.model.errors import StoreError
from millrace.store.connection import locate
from millrace.store.migrate import load_migrations
from millrace.store.opening import open_store
load_migrations()  # while it may still read where the library is installed
"""
        + become_nobody
        + """
try:
    open_store(locate(sys.argv[1]))
except StoreError as error:
    print(type(error).__name__, sys.argv[1] in str(error))
"""
    )
    assert run_python(script, path) == f"{StoreReadOnly.__name__} True"


# While it is open


@pytest.fixture
def opened(location: Location) -> Iterator[apsw.Connection]:
    connection = open_store(location, migrations=STEPS)
    yield connection
    connection.close(force=True)


def test_at_its_place_nothing_is_said(opened: apsw.Connection, location: Location) -> None:
    """Through writes and checkpoints the files stay the ones that were opened."""
    log = identify_log(location)
    check_not_moved(opened, location, log)
    opened.execute("insert into thing(name) values ('a')")
    opened.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    check_not_moved(opened, location, log)


@pytest.mark.parametrize("name", ["store.db", "store.db-wal"])
@pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
def test_what_was_moved_is_noticed(
    how: str, name: str, opened: apsw.Connection, location: Location, path: Path
) -> None:
    """The store or its log removed, renamed or replaced while open is StoreMoved at the next check."""
    log = identify_log(location)
    victim = path.with_name(name)
    if how == "removed":
        victim.unlink()
    else:
        victim.rename(path.with_name("elsewhere"))
    if how == "replaced":
        victim.write_bytes(path.with_name("elsewhere").read_bytes())
    with pytest.raises(StoreMoved, match="while open"):
        check_not_moved(opened, location, log)


def test_a_start_at_a_busy_moment_waits(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turning a file to write-ahead mode while another process has it is tried again, up to the busy timeout."""
    real = set_writer
    left = [apsw.BusyError("busy")] * 3

    def busy_at_first(connection: apsw.Connection) -> None:
        if left:
            raise left.pop()
        real(connection)

    monkeypatch.setattr(opening, "set_writer", busy_at_first)
    open_store(location).close()
    assert left == []
