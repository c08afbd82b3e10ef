"""Opening a store for readers alone: nothing is made, upgraded or written, whoever runs it."""

from pathlib import Path

import apsw

from millrace.model.errors import StoreCorrupt, StoreError, StoreReadOnly
from millrace.store.connection import Location
from millrace.store.faults import translate_os
from millrace.store.filesystem import check_plain
from millrace.store.migrate import APPLICATION_ID, load_migrations, schema_version, too_new
from millrace.store.readers import Readers


def open_to_read(location: Location) -> Readers:
    """Connections that read a store that is there, of this version of millrace. The caller closes them.

    Raises:
        StoreCorrupt: the file is none of ours.
        StoreReadOnly: nobody runs it, and SQLite may not make its index beside it.
        StoreError: there is none, it cannot be read, or another version of millrace made it.
    """
    try:
        found = Path(location.real_path).stat()
    except FileNotFoundError as error:
        raise StoreError(
            f"{location.path}: expected a store, there is no such file; give the one that the scheduler runs",
            path=location.path,
        ) from error
    except OSError as error:
        raise translate_os(error, path=location.path) from error
    check_plain(location, found)
    readers = Readers(location)
    try:
        with readers.borrow() as connection:
            _check(connection, location, found.st_size)
    except StoreReadOnly as error:
        readers.close()
        raise StoreReadOnly(
            f"{location.path}: expected the right to write beside it, where SQLite keeps what its readers share while "
            "nobody runs the store; give this user that, or copy the store to where it has it",
            path=location.path,
            code=error.code,
        ) from error
    except BaseException:
        readers.close()
        raise
    return readers


def read_version(readers: Readers) -> int:
    """The schema version of the file."""
    with readers.borrow() as connection:
        return schema_version(connection)


def _check(connection: apsw.Connection, location: Location, size: int) -> None:
    mark, version, known = int(connection.pragma("application_id")), schema_version(connection), len(load_migrations())
    if mark != APPLICATION_ID:
        found = "an empty file" if mark == 0 and size == 0 else f"something else (application id {mark:#010x})"
        raise StoreCorrupt(
            f"{location.path}: expected a store of millrace, found {found}; give the file that the scheduler runs",
            path=location.path,
        )
    if version > known:
        raise too_new(location.path, version, known)
    if version < known:
        raise StoreError(
            f"{location.path}: expected a store of schema version {known}, it has {version}; start a scheduler of this "
            "version of millrace once, which upgrades it",
            path=location.path,
        )
