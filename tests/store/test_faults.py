"""Errors of SQLite and of the system become errors of millrace."""

import errno
from pathlib import Path

import apsw
import pytest

from millrace.model.errors import (
    CommitUnknown,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreMoved,
    StoreReadOnly,
)
from millrace.store import faults
from millrace.store.faults import translate, translate_os, translated


def of_code(code: int) -> apsw.Error:
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (apsw.SQLITE_FULL, StoreFull),
        (apsw.SQLITE_IOERR_SHMSIZE, StoreFull),
        (apsw.SQLITE_BUSY, StoreBusy),
        (apsw.SQLITE_BUSY_RECOVERY, StoreBusy),
        (apsw.SQLITE_BUSY_SNAPSHOT, StoreBusy),
        (apsw.SQLITE_LOCKED, StoreBusy),
        (apsw.SQLITE_PROTOCOL, StoreBusy),
        (apsw.SQLITE_IOERR_FSYNC, CommitUnknown),
        (apsw.SQLITE_IOERR_DIR_FSYNC, CommitUnknown),
        (apsw.SQLITE_CORRUPT, StoreCorrupt),
        (apsw.SQLITE_CORRUPT_INDEX, StoreCorrupt),
        (apsw.SQLITE_NOTADB, StoreCorrupt),
        (apsw.SQLITE_FORMAT, StoreCorrupt),
        (apsw.SQLITE_IOERR_DATA, StoreCorrupt),
        (apsw.SQLITE_READONLY, StoreReadOnly),
        (apsw.SQLITE_READONLY_RECOVERY, StoreReadOnly),
        (apsw.SQLITE_PERM, StoreReadOnly),
        (apsw.SQLITE_READONLY_DBMOVED, StoreMoved),
        (apsw.SQLITE_IOERR_WRITE, StoreError),
        (apsw.SQLITE_IOERR_READ, StoreError),
        (apsw.SQLITE_INTERRUPT, StoreError),
        (apsw.SQLITE_CONSTRAINT_UNIQUE, StoreError),
        (apsw.SQLITE_TOOBIG, StoreError),
    ],
)
def test_each_code_has_its_error(code: int, kind: type[StoreError]) -> None:
    """A code of SQLite becomes exactly one kind of error, which names the path and keeps the extended code."""
    error = translate(of_code(code), path="/there/store.db")
    assert type(error) is kind
    assert (error.path, error.code) == ("/there/store.db", code)
    assert "/there/store.db" in str(error)
    assert str(code) in str(error)


def test_an_unknown_commit_names_its_key() -> None:
    """CommitUnknown carries the key of the submission, so that it can be looked up or submitted again."""
    error = translate(of_code(apsw.SQLITE_IOERR_FSYNC), path="/s", key="import-7")
    assert isinstance(error, CommitUnknown)
    assert error.key == "import-7"


def test_what_apsw_raises_itself_has_no_code() -> None:
    """An error of apsw without a result code is a plain StoreError that tells what it was."""
    error = translate(apsw.ThreadingViolationError("busy in another thread"), path="/s")
    assert type(error) is StoreError
    assert error.code is None
    assert "busy in another thread" in str(error)


def test_a_missing_file_has_moved(tmp_path: Path) -> None:
    """SQLite's "unable to open" at a path where nothing is means that the store is gone."""
    error = translate(of_code(apsw.SQLITE_CANTOPEN), path=str(tmp_path / "gone.db"))
    assert type(error) is StoreMoved


def test_a_file_without_rights_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's "unable to open" at a file or in a directory that cannot be written is StoreReadOnly."""
    path = tmp_path / "store.db"
    path.touch()
    for refused in (path, tmp_path):
        monkeypatch.setattr(faults, "may_write", lambda asked, refused=refused: asked != str(refused))
        assert type(translate(of_code(apsw.SQLITE_CANTOPEN), path=str(path))) is StoreReadOnly


def test_another_refusal_to_open_is_a_plain_error(tmp_path: Path) -> None:
    """SQLite's "unable to open" at a writable file hints at links and the limit of open files."""
    path = tmp_path / "store.db"
    path.touch()
    error = translate(of_code(apsw.SQLITE_CANTOPEN), path=str(path))
    assert type(error) is StoreError
    assert "limit of open files" in str(error)


def test_translated_chains_the_cause() -> None:
    """The error of apsw is kept as the cause; other errors pass as they are."""
    with pytest.raises(StoreBusy) as raised, translated("/s"):
        raise of_code(apsw.SQLITE_BUSY)
    assert isinstance(raised.value.__cause__, apsw.BusyError)
    with pytest.raises(KeyError), translated("/s"):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EACCES, StoreReadOnly),
        (errno.EROFS, StoreReadOnly),
        (errno.ELOOP, StoreError),
        (errno.ENOENT, StoreError),
    ],
)
def test_errors_of_the_system_have_their_error(number: int, kind: type[StoreError]) -> None:
    """What the operating system refuses beside the store is sorted the same way."""
    error = translate_os(OSError(number, "the reason"), path="/there/store.db.lock")
    assert type(error) is kind
    assert "/there/store.db.lock" in str(error)
    assert "the reason" in str(error)
