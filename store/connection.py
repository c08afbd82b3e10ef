"""How a connection to the store is opened and set, one small function per setting.

`locate` resolves a path once; everything after it uses the resolved one. `open_writer` and `open_reader` open a store
that `millrace.store.opening.open_store` has found good; they check nothing. A connection is one thread's at a time.
"""

import os
import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, cast

import apsw

from millrace.model.errors import StoreError
from millrace.model.keys import hash_key
from millrace.store.faults import translate, translate_os, translated
from millrace.store.private import PrivateDirectory

BUSY_TIMEOUT_S: Final = 30.0
"""Seconds that a statement waits for another program's lock before it is StoreBusy."""

CACHE_KIB: Final = 48 * 1024
"""Page cache of the writer, KiB: it holds the index of a million keys, whose pages change in no order. With a third of that
running with a million tasks pending took a sixth longer."""

READER_CACHE_KIB: Final = 4 * 1024
"""That of a reader."""

STATEMENT_CACHE: Final = 256
"""Prepared statements kept per connection: more than there are statements."""

WAL_KEPT_BYTES: Final = 64 << 20
"""What is left of the log after a checkpoint, at most; beyond, it is cut back."""

DEADLINE_STEPS: Final = 10_000
"""Virtual machine steps between two looks at a read's deadline: some 0.2 ms apart."""

MEMORY: Final = ":memory:"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store is.

    path: as the caller gave it, for messages.
    real_path: absolute, all links resolved; log, index and lock stand beside it under this name.
    is_memory: the caller asked for ":memory:": real_path is private to this object and ends with it.
    vfs: name of a registered SQLite VFS to go through, None for the system's. It must keep real files at real paths.
    """

    path: str
    real_path: str
    is_memory: bool = False
    vfs: str | None = None
    private: PrivateDirectory | None = None

    @property
    def directory(self) -> str:
        """The directory of the store."""
        return str(Path(self.real_path).parent)

    @property
    def wal_path(self) -> str:
        """The write-ahead log."""
        return self.real_path + "-wal"

    @property
    def lock_path(self) -> str:
        """The file that the owner locks."""
        return self.real_path + ".lock"

    @property
    def bell_path(self) -> str:
        """The socket by which the owner hears that others have written."""
        return self.real_path + ".bell"

    def discard(self) -> None:
        """Ends a store in memory; nothing for a store in a file. Close its connections first. Idempotent."""
        if self.private is not None:
            self.private.discard()


def locate(path: str | PathLike[str], *, vfs: str | None = None) -> Location:
    """Resolves a path, once. Each call with ":memory:" is a new, empty, private store.

    Raises:
        TypeError: it is no text. ValueError: it is empty, has a NUL in it, or a name that is not UTF-8.
        StoreError: no private directory could be made for ":memory:".
    """
    given = check_path(path)
    return _locate_in_memory(vfs) if given == MEMORY else Location(given, os.path.realpath(given), vfs=vfs)


def check_path(path: object) -> str:
    """A path as text; TypeError and ValueError where it is none that a store can have. Nothing is looked up."""
    given: object = os.fspath(cast("PathLike[str]", path)) if isinstance(path, PathLike) else path
    if not isinstance(given, str):
        raise TypeError(f"path: expected text or a path of text, got {type(given).__name__}")
    if not given or "\0" in given:
        raise ValueError(f"path: expected the name of a file or {MEMORY!r}, got {given!r}")
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"path: expected a name that is UTF-8, got {given!r}") from error
    return given


def where_it_is(path: str) -> str:
    """A checked path as it leads from the present working directory, which may be another one when it is opened.

    Raises:
        StoreError: it is relative, and the working directory is gone.
    """
    try:
        return path if path == MEMORY or Path(path).is_absolute() else str(Path.cwd() / path)
    except OSError as error:
        raise translate_os(error, path=path) from error


def _locate_in_memory(vfs: str | None) -> Location:
    try:
        private = PrivateDirectory()
    except OSError as error:
        raise translate_os(error, path=MEMORY) from error
    return Location(MEMORY, str(Path(private.path, "store.db").resolve()), is_memory=True, vfs=vfs, private=private)


# Opening


def open_writer(location: Location) -> apsw.Connection:
    """A connection that writes, to an existing store that was found good.

    Raises:
        StoreError: it cannot be opened; StoreMoved where it is gone, StoreReadOnly without the rights.
    """
    connection = connect(location, apsw.SQLITE_OPEN_READWRITE)
    try:
        with translated(location.real_path):
            set_writer(connection)
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def set_writer(connection: apsw.Connection) -> None:
    """All that a writing connection needs beyond `connect`; it needs no lock, but on a new store."""
    log_ahead(connection)
    sync_checkpoints_only(connection)
    checkpoint_by_hand(connection)
    keep_log_short(connection)
    enforce_references(connection)
    cache_pages(connection, CACHE_KIB)


def open_reader(location: Location, *, deadline_s: float | None = None) -> apsw.Connection:
    """A connection that can only read. It neither blocks the writer nor is blocked by it.

    Args:
        location: of an existing store.
        deadline_s: seconds from now after which whatever it runs is cut off (a StoreError); None for no bound.

    Raises:
        StoreError: as `open_writer`.
    """
    connection = connect(location, apsw.SQLITE_OPEN_READONLY)
    try:
        with translated(location.real_path):
            refuse_writes(connection)
            cache_pages(connection, READER_CACHE_KIB)
            set_deadline(connection, deadline_s)
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def connect(location: Location, flags: int) -> apsw.Connection:
    """Opens the file as it is, never creating it, with what every connection is set to. Reads nothing of it yet.

    NOFOLLOW: the path was resolved before, so a link found now was planted since.
    """
    try:
        connection = apsw.Connection(
            location.real_path,
            flags=flags | apsw.SQLITE_OPEN_NOFOLLOW,
            vfs=location.vfs,
            statementcachesize=STATEMENT_CACHE,
        )
    except apsw.Error as error:
        raise translate(error, path=location.real_path) from error
    try:
        with translated(location.real_path):
            _set_all(connection)
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def _set_all(connection: apsw.Connection) -> None:
    wait_when_busy(connection)
    distrust_schema(connection)
    defend_internals(connection)
    refuse_quoted_names_as_text(connection)
    check_cells(connection)
    map_nothing(connection)
    sort_in_memory(connection)
    forbid_attaching(connection)
    number_keys(connection)


# One setting each. (Extended result codes are always on in apsw.)


def wait_when_busy(connection: apsw.Connection) -> None:
    """Locks of other programs are waited for in SQLite, `BUSY_TIMEOUT_S` at most, without the interpreter lock."""
    connection.set_busy_timeout(int(BUSY_TIMEOUT_S * 1000))


def log_ahead(connection: apsw.Connection) -> None:
    """WAL: readers and the writer do not wait for each other. A file keeps the mode; setting it again costs a read."""
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        name = connection.filename
        raise StoreError(
            f"{name}: expected a file system that can hold a write-ahead log, SQLite stayed with {mode!r}; "
            "move the store to a local disk",
            path=name,
        )


def sync_checkpoints_only(connection: apsw.Connection) -> None:
    """NORMAL: no sync in a commit. The writer asks for FULL in the commits that answer somebody."""
    connection.pragma("synchronous", "normal")


def checkpoint_by_hand(connection: apsw.Connection) -> None:
    """No checkpoint inside COMMIT: its error would be reported for a commit that did happen (39 of 146 in a test)."""
    connection.wal_autocheckpoint(0)


def keep_log_short(connection: apsw.Connection) -> None:
    """After a burst the log is cut back to `WAL_KEPT_BYTES` when it is begun anew."""
    connection.pragma("journal_size_limit", WAL_KEPT_BYTES)


def enforce_references(connection: apsw.Connection) -> None:
    """Foreign keys hold where the schema declares them; SQLite's default is to ignore them."""
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)


def distrust_schema(connection: apsw.Connection) -> None:
    """What a planted view, trigger or index could call is limited to harmless functions."""
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)


def defend_internals(connection: apsw.Connection) -> None:
    """No statement can write SQLite's own tables or damage the file on purpose."""
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)


def refuse_quoted_names_as_text(connection: apsw.Connection) -> None:
    """A misspelt name in double quotes is an error, not a string."""
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)


def check_cells(connection: apsw.Connection) -> None:
    """Damaged pages are noticed when they are read, before their sizes are believed."""
    connection.pragma("cell_size_check", True)


def map_nothing(connection: apsw.Connection) -> None:
    """No memory mapping: an I/O error is an error code, not a SIGBUS that kills the process."""
    connection.pragma("mmap_size", 0)


def sort_in_memory(connection: apsw.Connection) -> None:
    """Temporary tables and sorts need no file, so a full disk does not fail a read."""
    connection.pragma("temp_store", "memory")


def forbid_attaching(connection: apsw.Connection) -> None:
    """An ATTACH can neither create nor write another file."""
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, 0)


def number_keys(connection: apsw.Connection) -> None:
    """What statements that look for keys call. The schema calls nothing: any tool can read and write the file."""
    connection.create_scalar_function("hash_key", _hash_key, 3, deterministic=True)


def _hash_key(*columns: Any) -> int | None:
    """As SQLite calls it, with values of any type: what is no text is nobody's name and nobody's key."""
    salt, name, key = columns
    return hash_key(salt, name, key) if isinstance(name, str) and isinstance(key, str) else None


def refuse_writes(connection: apsw.Connection) -> None:
    """A second lock beside READONLY: temporary tables cannot be written either."""
    connection.pragma("query_only", True)


def cache_pages(connection: apsw.Connection, kib: int) -> None:
    """The page cache's bound in KiB; memory is taken as pages are read."""
    connection.pragma("cache_size", -kib)


def set_deadline(connection: apsw.Connection, deadline_s: float | None) -> None:
    """Cuts off whatever the connection runs `deadline_s` seconds from now, by the monotonic clock; None lifts it."""
    if deadline_s is None:
        connection.set_progress_handler(None)
        return
    end = time.monotonic() + deadline_s
    connection.set_progress_handler(lambda: time.monotonic() >= end, DEADLINE_STEPS)
