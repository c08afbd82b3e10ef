"""Connections: where a store is, and what each connection is set to."""

import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from millrace.model.errors import StoreBusy, StoreError, StoreMoved, StoreReadOnly
from millrace.store import private
from millrace.store.connection import Location, locate, open_reader, open_writer, set_deadline, where_it_is
from millrace.store.faults import translated
from millrace.store.private import PrivateDirectory

FOREVER = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n"


@pytest.fixture
def made(location: Location) -> Location:
    """A file with one table `t(x)`."""
    Path(location.real_path).touch()
    connection = open_writer(location)
    connection.execute("create table t(x)")
    connection.close()
    return location


@pytest.fixture
def writer(made: Location) -> Iterator[apsw.Connection]:
    connection = open_writer(made)
    yield connection
    connection.close(force=True)


@pytest.fixture
def reader(made: Location) -> Iterator[apsw.Connection]:
    connection = open_reader(made)
    yield connection
    connection.close(force=True)


# Where it is


def test_a_path_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path through a link becomes the file's own; log and lock stand beside that."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    found = locate("link/store.db")
    monkeypatch.chdir("/")
    assert found.path == "link/store.db"
    assert found.real_path == str(tmp_path / "real" / "store.db")
    assert found.wal_path == str(tmp_path / "real" / "store.db-wal")
    assert found.lock_path == str(tmp_path / "real" / "store.db.lock")


def test_a_relative_path_is_one_of_the_present_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made absolute without a look at what is there; a store in memory has no directory."""
    monkeypatch.chdir(tmp_path)
    assert where_it_is("link/store.db") == str(tmp_path / "link" / "store.db")
    assert where_it_is(":memory:") == ":memory:"


def test_a_working_directory_that_is_gone_is_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An absolute path does without."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert where_it_is("/tasks.db") == "/tasks.db"
    with pytest.raises(StoreError, match=r"tasks\.db"):
        where_it_is("tasks.db")


@pytest.mark.parametrize("path", ["", "a\0b", "\udc80.db"])
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    """An empty path, a NUL and bytes that are not UTF-8 are ValueErrors."""
    with pytest.raises(ValueError, match="path: expected"):
        locate(path)


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file:x?mode=memory` is the name of a file in the working directory, nothing else."""
    monkeypatch.chdir(tmp_path)
    found = locate("file:x?mode=memory")
    Path(found.real_path).touch()
    open_writer(found).close()
    assert (tmp_path / "file:x?mode=memory").stat().st_size > 0


# What it is set to


def test_the_writer_is_set(writer: apsw.Connection) -> None:
    """A log, no sync and no checkpoint in a commit, nothing mapped, a bounded log."""
    assert writer.pragma("journal_mode") == "wal"
    assert writer.pragma("synchronous") == 1
    assert writer.pragma("wal_autocheckpoint") == 0
    assert writer.pragma("journal_size_limit") == 64 << 20
    assert writer.pragma("mmap_size") == 0
    assert writer.pragma("foreign_keys") == 1
    assert writer.pragma("busy_timeout") == 30_000


@pytest.mark.parametrize("kind", ["writer", "reader"])
def test_every_connection_is_guarded(kind: str, request: pytest.FixtureRequest) -> None:
    """The schema is not trusted, internals cannot be written, damaged cells are noticed, names are no strings."""
    connection: apsw.Connection = request.getfixturevalue(kind)
    assert connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, -1) == 0
    assert connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, -1) == 1
    assert connection.pragma("cell_size_check") == 1
    assert connection.pragma("temp_store") == 2
    assert connection.pragma("busy_timeout") == 30_000
    with pytest.raises(apsw.SQLError):
        connection.execute('select "no such name"')


def test_no_connection_makes_or_writes_another_file(writer: apsw.Connection, tmp_path: Path) -> None:
    """ATTACH creates no file."""
    with pytest.raises(apsw.Error):
        writer.execute("attach ? as other", (str(tmp_path / "other.db"),))
    assert not (tmp_path / "other.db").exists()


def test_a_reader_cannot_write(reader: apsw.Connection) -> None:
    """Neither the store nor a temporary table."""
    for text in ("insert into t values (1)", "create temp table u(x)"):
        with pytest.raises(apsw.ReadOnlyError):
            reader.execute(text)


def test_a_commit_leaves_the_log_uncheckpointed(writer: apsw.Connection, made: Location) -> None:
    """However long the log, only the writer's own call moves it into the file."""
    size = Path(made.real_path).stat().st_size
    with writer:
        for _ in range(30):
            writer.execute("insert into t values (zeroblob(1000000))")
    assert Path(made.real_path).stat().st_size == size
    writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert Path(made.real_path).stat().st_size > 30_000_000


def test_a_missing_store_is_not_made(location: Location) -> None:
    """Neither kind of connection creates a file."""
    for opener in (open_writer, open_reader):
        with pytest.raises(StoreMoved):
            opener(location)
    assert not Path(location.real_path).exists()


def test_a_link_planted_after_the_path_was_resolved_is_not_followed(made: Location) -> None:
    """The file is replaced by a link to itself elsewhere: SQLite refuses it."""
    there = Path(made.real_path)
    elsewhere = there.rename(there.with_name("elsewhere.db"))
    there.symlink_to(elsewhere)
    with pytest.raises(StoreError):
        open_writer(made)


def test_a_busy_file_is_waited_for(made: Location, writer: apsw.Connection) -> None:
    """While another connection holds the write lock a write waits, and is StoreBusy when the time is up."""
    other = open_writer(made)
    other.set_busy_timeout(50)
    writer.execute("begin immediate")
    with pytest.raises(StoreBusy), translated(made.real_path):
        other.execute("insert into t values (1)")
    writer.execute("commit")
    other.execute("insert into t values (1)")
    other.close()


def test_a_read_past_its_deadline_is_cut_off(made: Location) -> None:
    """A connection opened with a deadline runs nothing beyond it; lifted, it runs on."""
    connection = open_reader(made, deadline_s=0.0)
    with pytest.raises(StoreError, match="cut off"), translated(made.real_path):
        connection.execute(FOREVER).fetchall()
    set_deadline(connection, None)
    assert connection.execute("select count(*) from t").get == 0
    connection.close()


def test_a_write_through_a_reader_is_read_only(made: Location) -> None:
    """Where SQLite has the file open for reading only, a write is StoreReadOnly."""
    connection = open_reader(made)
    with pytest.raises(StoreReadOnly), translated(made.real_path):
        connection.execute("delete from t")
    connection.close()


# In memory


def test_two_stores_in_memory_are_two() -> None:
    """Each ":memory:" is new, empty and private, and leaves nothing behind."""
    first, second = locate(":memory:"), locate(":memory:")
    assert first.real_path != second.real_path
    assert first.is_memory
    assert stat.S_IMODE(Path(first.directory).stat().st_mode) == 0o700
    for place in (first, second):
        place.discard()
        place.discard()
        assert not Path(place.directory).exists()


def test_readers_and_writer_in_memory_do_not_fail_each_other() -> None:
    """A reader with an open cursor keeps its snapshot while the writer commits, from several threads at once."""
    place = locate(":memory:")
    Path(place.real_path).touch()
    writer = open_writer(place)
    writer.set_busy_timeout(0)
    writer.execute("create table t(x)")
    writer.execute("insert into t values (0)")
    holder = open_reader(place)
    cursor = holder.execute("select x from t union all select 1 from t")
    next(cursor)
    seen: list[int] = []
    failures: list[BaseException] = []

    def read() -> None:
        try:
            mine = open_reader(place)
            mine.set_busy_timeout(0)
            seen.extend(mine.execute("select count(*) from t").get for _ in range(50))
            mine.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(200):
        writer.execute("insert into t values (?)", (n,))
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(seen) == 200
    assert len(cursor.fetchall()) == 1
    assert writer.execute("select count(*) from t").get == 201
    for connection in (holder, writer):
        connection.close(force=True)
    place.discard()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """A directory that nobody holds goes with the next one made; one that is held stays."""
    abandoned = tmp_path / "millrace-memory-dead"
    abandoned.mkdir(mode=0o700)
    (abandoned / "store.db").touch()
    held = PrivateDirectory(tmp_path)
    new = PrivateDirectory(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([held.path, new.path])
    held.discard()
    new.discard()


def test_a_directory_taken_for_abandoned_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making and locking a directory another process removes it: a second one is made."""
    real_lock = private._lock
    stolen: list[Path] = []

    def steal_first(path: Path) -> int | None:
        if not stolen:
            stolen.append(path)
            path.rmdir()
        return real_lock(path)

    monkeypatch.setattr(private, "_lock", steal_first)
    made = PrivateDirectory(tmp_path)
    assert made.path.exists()
    assert made.path != stolen[0]
    made.discard()


def test_little_shared_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where shared memory is small or missing, the temporary directory holds the store."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(private, "ROOM_NEEDED", 1 << 62)
    assert private._roomiest() == tmp_path
    monkeypatch.setattr(private, "ROOM_NEEDED", 0)
    monkeypatch.setattr(private, "SHARED_MEMORY", tmp_path / "missing")
    assert private._roomiest() == tmp_path


def test_a_forked_child_does_not_remove_it(run_python: Callable[..., str]) -> None:
    """A child that exits in the ordinary way leaves the parent's directory alone."""
    script = """
import os, sys
from millrace.store.connection import locate
place = locate(":memory:")
pid = os.fork()
if pid == 0:
    sys.exit(0)
os.waitpid(pid, 0)
print(os.path.isdir(place.directory), place.directory)
"""
    kept, directory = run_python(script).split()
    assert kept == "True"
    assert not Path(directory).exists()
