"""Looking whether a store is sound, and copying, shrinking it: what an operator asks for. From any thread."""

import os
from pathlib import Path
from typing import Final

import apsw
import msgspec

from millrace.model.errors import StoreError
from millrace.store.connection import Location, open_writer
from millrace.store.faults import translate_os, translated
from millrace.store.looking import reading
from millrace.store.ownership import Ownership
from millrace.store.readers import Readers
from millrace.store.statements import SQL

_RULES: Final = {
    "a task is active or in the history, never both": "check_active_or_settled",
    "the parent of an active child is active": "check_parents",
    "what waits has active children, or is an open flow": "check_waits",
    "parents count their active children right": "check_children",
    "dependencies are counted right": "check_dependencies",
    "every id that was given is active, in the history or pruned": "check_ids",
}
_decode_names = msgspec.json.Decoder(list[str]).decode


def check_pages(readers: Readers) -> list[str]:
    """What SQLite's integrity check finds, at most 10 lines; it reads the whole file."""
    with readers.borrow() as connection:
        found = [str(line) for (line,) in connection.execute(SQL["check_pages"])]
    return [] if found == ["ok"] else found


def check_rules(readers: Readers) -> dict[str, list[int]]:
    """The rules of every committed state, each with some of the tasks that break it; of one moment."""
    with readers.borrow() as connection, reading(connection):
        return {rule: [row[0] for row in connection.execute(SQL[name])] for rule, name in _RULES.items()}


def read_names(readers: Readers) -> list[str]:
    """The names of the tasks in the queue."""
    with readers.borrow() as connection:
        return _decode_names(connection.execute(SQL["select_names"]).get)


def copy_to(readers: Readers, target: str) -> int:
    """A copy of one moment, whole and synced before it has its name, also while others write. Its bytes.

    Raises:
        StoreError: there is a file of that name, or it cannot be written.
    """
    part = f"{target}.part"
    if os.path.lexists(target):
        raise StoreError(f"{target}: expected no file of that name, there is one; give another name", path=target)
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        try:
            _copy(readers, part)
            Path(part).replace(target)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        return Path(target).stat().st_size
    except OSError as error:
        raise translate_os(error, path=target) from error


def _copy(readers: Readers, part: str) -> None:
    with readers.borrow() as connection, translated(part):
        copy = apsw.Connection(part, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with copy.backup("main", connection, "main") as backup:
                backup.step()  # all pages in one step: of one moment, whoever writes
        finally:
            copy.close()


def vacuum(location: Location) -> None:
    """Write the file anew, without the room that is free in it.

    Raises:
        StoreLocked: a process runs the store. StoreError: it cannot be written.
    """
    ownership = Ownership.acquire(location)
    try:
        connection = open_writer(location)
        try:
            with translated(location.real_path):
                connection.execute(SQL["write_anew"])
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            connection.close()
    finally:
        ownership.release()
