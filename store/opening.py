"""Opening a store: every check that stands between a path and the first write to it, and making or upgrading it.

In order, so that nothing is touched before it is known to be ours:

1. SQLite's version; the place (`millrace.store.filesystem`); the right to write;
2. the file: made with mode 0600 where there is none (log and index take SQLite's copy of that mode); an empty one is
   taken for new, unless log or lock say that it was a store;
3. the mark of our files, then the schema version, then the schema's text against what the migrations declare;
4. a bounded look for damage;
5. write-ahead mode, a backup where a migration is due, the migrations.

A file that is refused is left as it is: its log is not checkpointed, its mode not changed.
"""

import ctypes
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from millrace.model.errors import StoreCorrupt, StoreError, StoreMoved, StoreReadOnly
from millrace.store.connection import (
    BUSY_TIMEOUT_S,
    Location,
    connect,
    set_deadline,
    set_writer,
)
from millrace.store.faults import may_write, translate, translate_os, translated
from millrace.store.filesystem import check_place
from millrace.store.migrate import (
    APPLICATION_ID,
    Hook,
    Migration,
    check_schema,
    load_migrations,
    migrate,
    read_schema,
    schema_version,
    too_new,
)
from millrace.store.ownership import was_store

_log = logging.getLogger(__name__)

OLDEST_SQLITE: Final = (3, 51, 3)
"""Before it two connections could corrupt a file in write-ahead mode."""

WITHDRAWN_SQLITE: Final = frozenset({(3, 52, 0)})

DAMAGE_CHECK_S: Final = 0.25
"""Seconds given to the look for damage: some 400 MB of a file in the page cache, less from a disk. What it has not
reached by then is checked by SQLite as it is read, and wholly by `millrace doctor`: a start must not grow slower with
the history."""

_SMALLEST_DATABASE: Final = 512
"""Bytes of the smallest page. Said here because SQLite takes a file of one byte for an empty database."""

_PATIENCE_S: Final = 0.005


def open_store(
    location: Location,
    *,
    upgrade: bool = True,
    allow_network: bool = False,
    migrations: Sequence[Migration] | None = None,
    on_point: Hook | None = None,
) -> apsw.Connection:
    """Checks a store, makes or upgrades it, and returns the connection that writes to it.

    Safe against others who open, make or upgrade it at the same time. The caller closes the connection.

    Args:
        location: of the store; its directory must exist.
        upgrade: migrate an older store. Only for its owner: a client must not change the schema under an older owner.
        allow_network: accept a file system whose locks are not to be relied on.
        migrations: for tests, in place of those of this version of millrace.
        on_point: for tests, see `migrate`.

    Raises:
        UnsafeFilesystem, StoreReadOnly, StoreCorrupt, StoreBusy, StoreFull: as their names say.
        StoreError: SQLite too old, store too new, or too old without `upgrade`, a path that will not do.
    """
    steps = load_migrations() if migrations is None else migrations
    check_sqlite(location)
    check_place(location, allow_network=allow_network)
    try:
        _check_rights(location)
        _make_file(location)
    except OSError as error:
        raise translate_os(error, path=location.path) from error
    connection = connect(location, apsw.SQLITE_OPEN_READWRITE)
    try:
        with translated(location.real_path):
            _leave_log_alone(connection, is_refused=True)
            version = _check_content(connection, location, steps, upgrade=upgrade)
            _log_ahead_with_patience(connection)
            if version < len(steps):
                _upgrade(connection, location, steps, version, on_point)
            _leave_log_alone(connection, is_refused=False)
    except BaseException:
        connection.close(force=True)
        raise
    return connection


# Before the file is opened


def check_sqlite(location: Location) -> None:
    """StoreError where SQLite is a version that can lose data."""
    text = apsw.sqlite_lib_version()
    version = tuple(int(part) for part in text.split("."))
    if version < OLDEST_SQLITE or version in WITHDRAWN_SQLITE:
        wanted = ".".join(str(part) for part in OLDEST_SQLITE)
        raise StoreError(
            f"{location.path}: expected SQLite {wanted} or later but not 3.52.0, found {text}, which can corrupt a "
            "store; upgrade apsw",
            path=location.path,
        )


def _check_rights(location: Location) -> None:
    """SQLite would open a write-protected file for reading and complain at the first commit: say it now."""
    for path in (location.real_path, location.directory):
        if os.path.lexists(path) and not may_write(path):
            raise StoreReadOnly(
                f"{location.path}: expected to write to the store and its directory, may not write {path}; "
                "give this user the right to write to both, or move the store",
                path=location.path,
            )


def _make_file(location: Location) -> None:
    """A new store's file, empty and private from its first moment on; or a check that an empty one may be new.

    Made here and not by SQLite, because the umask that could make it private is the whole process's. Opening it beside
    SQLite is harmless this once: O_EXCL says that no connection of this process can have it open.
    """
    log_size = _size(location.wal_path)  # looked at first: another process may be making the store right now
    size = _size(location.real_path)
    if size is None and log_size:
        raise _cut_short(location, "no file beside a log")
    if size is None:
        try:
            _make_private(location.real_path)
        except FileExistsError:
            _log.debug("%s: another process made the store first", location.path)
    elif 0 < size < _SMALLEST_DATABASE:
        raise _cut_short(location, f"{size} bytes")
    elif size == 0 and log_size:
        raise _cut_short(location, "an empty file beside a log")
    elif size == 0 and was_store(location):
        raise _cut_short(location, "an empty file whose lock says that it was a store")


def _make_private(path: str) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))


def _size(path: str) -> int | None:
    try:
        return Path(path).lstat().st_size
    except FileNotFoundError:
        return None


def _cut_short(location: Location, found: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{location.path}: expected a whole store, found {found}; restore a backup, or begin anew by removing "
        f"{location.path} and its -wal, -shm and .lock",
        path=location.path,
    )


# What is in it


def _too_old(location: Location, version: int, known: int) -> StoreError:
    return StoreError(
        f"{location.path}: expected a store of schema version {known}, it has {version}; start a scheduler of this "
        "version of millrace once, which upgrades it",
        path=location.path,
    )


def _leave_log_alone(connection: apsw.Connection, *, is_refused: bool) -> None:
    """The last connection that closes moves the log into the file: not into one that was refused."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(is_refused))


def _check_content(
    connection: apsw.Connection, location: Location, steps: Sequence[Migration], *, upgrade: bool
) -> int:
    """The schema version of a file that is ours and whole, 0 for one that is empty."""
    if connection.readonly("main"):
        raise StoreReadOnly(
            f"{location.path}: expected to write to the store, SQLite could only open it for reading; "
            "look at its rights and its mount",
            path=location.path,
        )
    version = 0
    with connection:  # one snapshot: another process may be making or upgrading it
        version = schema_version(connection)
        mark = int(connection.pragma("application_id"))
        if mark == 0 and version == 0 and not read_schema(connection):
            return 0
        if mark != APPLICATION_ID:
            raise StoreCorrupt(
                f"{location.path}: expected a store of millrace, found a database of another program "
                f"(application id {mark:#010x}); give another path",
                path=location.path,
            )
        if version > len(steps):
            raise too_new(location.path, version, len(steps))
        if version < len(steps) and not upgrade:
            raise _too_old(location, version, len(steps))
        check_schema(connection, steps, version)
    _check_whole_pages(connection, location)
    look_for_damage(connection, location)
    return version


def _check_whole_pages(connection: apsw.Connection, location: Location) -> None:
    """StoreCorrupt where the last page was cut: SQLite takes what is missing of it for zeros, and a row for shorter.

    With a log a part of a page may stand at the end for good reason: a checkpoint that a full disk stopped.
    """
    size = _size(location.real_path)
    if size and size % int(connection.pragma("page_size")) and not _size(location.wal_path):
        raise _cut_short(location, f"{size} bytes, which is no whole number of pages")


def look_for_damage(connection: apsw.Connection, location: Location, *, for_s: float = DAMAGE_CHECK_S) -> None:
    """StoreCorrupt where SQLite's check finds something within `for_s` seconds; in a big file it sees a part.

    The whole check, with what its quick one leaves out: a row that its index has lost would never be found to be ready.
    """
    set_deadline(connection, for_s)
    try:
        finding = connection.pragma("integrity_check", 1)
    except apsw.InterruptError:
        return  # time is up
    finally:
        set_deadline(connection, None)
    if finding != "ok":
        raise StoreCorrupt(
            f"{location.path}: expected a whole store, SQLite found {finding!r}; restore a backup", path=location.path
        )


def _log_ahead_with_patience(connection: apsw.Connection) -> None:
    """Sets the writer's connection. Turning a new file to write-ahead mode does not wait for others: try again."""
    give_up = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            set_writer(connection)
        except apsw.BusyError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(_PATIENCE_S)
        else:
            return


def _upgrade(
    connection: apsw.Connection, location: Location, steps: Sequence[Migration], version: int, on_point: Hook | None
) -> None:
    if version > 0:
        _log.warning(
            "%s: upgrading the store from schema version %d to %d; the old one is kept as %s",
            location.path,
            version,
            len(steps),
            back_up(connection, location, version),
        )
    migrate(connection, steps, on_point=on_point)


def back_up(connection: apsw.Connection, location: Location, version: int) -> str:
    """Copies the store to `<store>.v<version>.backup`, whole and synced before it has that name; returns the name.

    Only the owner calls it, so nobody else is at the part file. An older backup of the same version is replaced.
    """
    target = f"{location.real_path}.v{version}.backup"
    part = target + ".part"
    try:
        Path(part).unlink(missing_ok=True)
        _make_private(part)
        copy = apsw.Connection(part, flags=apsw.SQLITE_OPEN_READWRITE, vfs=location.vfs)
        try:
            with copy.backup("main", connection, "main") as backup:
                backup.step()
        finally:
            copy.close()
        Path(part).replace(target)
        _sync_directory(location.directory)
    except OSError as error:
        raise translate_os(error, path=target) from error
    return target


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# While it is open


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Which file a path meant: device and inode."""

    device: int
    inode: int


def identify_log(location: Location) -> FileIdentity:
    """The log that an open connection writes to; StoreMoved where there is none. Ask right after `open_store`."""
    found = _stat_log(location)
    return FileIdentity(found.st_dev, found.st_ino)


def check_file_not_moved(connection: apsw.Connection, location: Location) -> None:
    """StoreMoved where the store's file is no longer the one that the connection has open. 4 µs: for every commit.

    SQLite goes on committing into a file that was deleted, renamed or replaced; what it acknowledges is lost.

    Args:
        connection: an open one that has read at least once.
        location: where it was opened.
    """
    moved = ctypes.c_int(0)
    try:
        is_answered = connection.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved))
    except apsw.Error as error:
        raise translate(error, path=location.real_path) from error
    if is_answered and moved.value:
        raise _moved(location, "the store's file")


def check_not_moved(connection: apsw.Connection, location: Location, log: FileIdentity | None = None) -> None:
    """The same, and for the log beside it: a look at the directory, a few µs more.

    Args:
        connection: an open one that has read at least once.
        location: where it was opened.
        log: what `identify_log` gave at the start. Without it a log that was deleted is noticed, but not one that was
            replaced as well (another process makes a new one as soon as it opens the store).
    """
    check_file_not_moved(connection, location)
    found = _stat_log(location)
    if log is not None and (found.st_ino != log.inode or found.st_dev != log.device):
        raise _moved(location, "its log")


def _stat_log(location: Location) -> os.stat_result:
    try:
        return os.stat(location.wal_path, follow_symlinks=False)  # noqa: PTH116 - a Path costs more than the call
    except FileNotFoundError as error:
        raise _moved(location, "its log") from error


def _moved(location: Location, what: str) -> StoreMoved:
    return StoreMoved(
        f"{location.path}: expected the files that were opened, {what} was deleted, renamed or replaced while open; "
        "put store and log back together, then start again",
        path=location.path,
    )
