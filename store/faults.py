"""The one boundary where errors of SQLite and of the file system become errors of millrace.

Nothing above the store sees an `apsw.Error`: it is translated here and chained. Which of SQLite's codes means what:

====================================  =====================  ====================================================
code                                  error                  why
====================================  =====================  ====================================================
FULL, IOERR_SHMSIZE                   StoreFull              the log or its index could not grow
BUSY, LOCKED, PROTOCOL                StoreBusy              somebody else held the file for the busy timeout
IOERR_FSYNC, IOERR_DIR_FSYNC          CommitUnknown          what was written may or may not be on the disk
CORRUPT, NOTADB, FORMAT,              StoreCorrupt           the file is not a whole store
IOERR_DATA, IOERR_CORRUPTFS
READONLY_DBMOVED, and CANTOPEN        StoreMoved             the file is not where it was
where nothing is at the path
READONLY, PERM, and CANTOPEN where    StoreReadOnly          rights, or a read-only file system
file or directory refuse us
any other                             StoreError             with SQLite's extended code
====================================  =====================  ====================================================

An error of writing (IOERR_WRITE, FULL) inside a COMMIT means "not committed" only because the writer never
checkpoints by itself inside a commit; an error of syncing is always unknown.
"""

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import apsw
import msgspec

from millrace.model.errors import (
    CommitUnknown,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreMoved,
    StoreReadOnly,
)

_FULL_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_ONLY_ERRNO = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def extended_code(error: apsw.Error) -> int | None:
    """SQLite's extended result code of an error, None where apsw itself raised it."""
    code: object = getattr(error, "extendedresult", None)
    return code if isinstance(code, int) else None


def _name(code: int) -> str:
    """The code as SQLite's documentation spells it, with its number."""
    name = apsw.mapping_extended_result_codes.get(code) or apsw.mapping_result_codes.get(code)
    return f"{name} {code}" if isinstance(name, str) else f"SQLite code {code}"


def code_name(code: int | None) -> str:
    """The primary code as SQLite's documentation spells it: SQLITE_FULL; "none" where SQLite was not asked."""
    name = None if code is None else apsw.mapping_result_codes.get(code & _PRIMARY)
    return name if isinstance(name, str) else "none"


def is_of_a_rule(error: StoreError) -> bool:
    """Whether a rule of the schema has refused a row: what was to be written is wrong, and the disk is well."""
    return error.code is not None and error.code & _PRIMARY == apsw.SQLITE_CONSTRAINT


def translate(error: apsw.Error, *, path: str, key: str | None = None) -> StoreError:
    """The error of millrace for an error of apsw; the caller raises it `from error`.

    Args:
        error: what apsw raised.
        path: the store's file, absolute: it is looked at where SQLite only says that it cannot open it.
        key: the key of the submission under way, for `CommitUnknown`.

    Any thread. Does not raise.
    """
    code = extended_code(error)
    if code is None:
        return StoreError(f"{path}: expected SQLite to do as asked, apsw refused: {error!r}", path=path)
    make = _BY_CODE.get(code) or _BY_CODE.get(code & _PRIMARY, _other)
    made = make(path, f"{error} ({_name(code)})", code)
    if isinstance(made, CommitUnknown):
        made.key = key or ""
    return made


def translate_os(error: OSError, *, path: str) -> StoreError:
    """The same for what the operating system says while files beside the store are made, locked or looked at."""
    what = f"{error.strerror or error} (errno {error.errno})"
    if error.errno in _FULL_ERRNO:
        return _full(path, what, None)
    if error.errno in _READ_ONLY_ERRNO:
        return _read_only(path, what, None)
    if error.errno == errno.ELOOP:
        return StoreError(f"{path}: expected a plain file, found a symbolic link: {what}; remove it", path=path)
    return StoreError(f"{path}: expected a file in an existing directory, got {what}", path=path)


class _Translated:
    """Written out, and no generator: every transaction and every read goes through it."""

    __slots__ = ("_key", "_path")

    def __init__(self, path: str, key: str | None) -> None:
        self._path = path
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error):
            raise translate(error, path=self._path, key=self._key) from error
        if isinstance(error, (UnicodeDecodeError, msgspec.DecodeError)):
            raise _corrupt(self._path, f"a value that was never written so: {error}", None) from error


def translated(path: str, *, key: str | None = None) -> AbstractContextManager[None]:
    """Around calls into apsw: what they raise leaves as a `StoreError`, chained. Other errors pass.

    A text of ours that does not decode is StoreCorrupt: SQLite has no checksums, so a flipped bit is noticed where it is read.
    """
    return _Translated(path, key)


def may_write(path: str) -> bool:
    """True where this process may write there, as far as rights and the mount say."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


# One error each, from path, SQLite's (or the system's) words, and the code


def _full(path: str, what: str, code: int | None) -> StoreError:
    return StoreFull(f"{path}: expected room to write, found none: {what}; free space", path=path, code=code)


def _busy(path: str, what: str, code: int | None) -> StoreError:
    return StoreBusy(
        f"{path}: expected the file to be free in time, another program holds it: {what}; end its transaction",
        path=path,
        code=code,
    )


def _unsynced(path: str, what: str, code: int | None) -> StoreError:
    return CommitUnknown(
        f"{path}: expected the disk to sync, it failed: {what}; the commit may or may not be there, "
        "submit again with the same key",
        path=path,
        code=code,
    )


def _corrupt(path: str, what: str, code: int | None) -> StoreError:
    return StoreCorrupt(
        f"{path}: expected a whole store, found damage or a foreign file: {what}; restore a backup",
        path=path,
        code=code,
    )


def _moved(path: str, what: str, code: int | None) -> StoreError:
    return StoreMoved(
        f"{path}: expected the store's file at its place, it was deleted, renamed or replaced: {what}; "
        "put it back, then start again",
        path=path,
        code=code,
    )


def _read_only(path: str, what: str, code: int | None) -> StoreError:
    return StoreReadOnly(
        f"{path}: expected to write to the file and its directory, may not: {what}; "
        "give this user the right to write to both, or move the store",
        path=path,
        code=code,
    )


def _cannot_open(path: str, what: str, code: int | None) -> StoreError:
    """SQLite says the same for a missing file, missing rights and missing descriptors: look which it is."""
    if not os.path.lexists(path):
        return _moved(path, what, code)
    if not (may_write(path) and may_write(str(Path(path).parent))):
        return _read_only(path, what, code)
    return StoreError(
        f"{path}: expected to open a file, its log or its index, could not: {what}; "
        "look for a directory or a link of that name, and at the limit of open files",
        path=path,
        code=code,
    )


def _cut_off(path: str, what: str, code: int | None) -> StoreError:
    return StoreError(f"{path}: expected the read to end in time, it was cut off: {what}", path=path, code=code)


def _of_a_rule(path: str, what: str, code: int | None) -> StoreError:
    return StoreError(
        f"{path}: expected rows that the rules of the store allow, {what}: none is written; please report it",
        path=path,
        code=code,
    )


def _other(path: str, what: str, code: int | None) -> StoreError:
    return StoreError(f"{path}: expected the file to be readable and writable, got {what}", path=path, code=code)


_PRIMARY = 0xFF
"""An extended code's lowest byte is its primary code."""

_BY_CODE: dict[int, Callable[[str, str, int | None], StoreError]] = {
    apsw.SQLITE_FULL: _full,
    apsw.SQLITE_IOERR_SHMSIZE: _full,
    apsw.SQLITE_BUSY: _busy,
    apsw.SQLITE_LOCKED: _busy,
    apsw.SQLITE_PROTOCOL: _busy,
    apsw.SQLITE_IOERR_FSYNC: _unsynced,
    apsw.SQLITE_IOERR_DIR_FSYNC: _unsynced,
    apsw.SQLITE_CORRUPT: _corrupt,
    apsw.SQLITE_NOTADB: _corrupt,
    apsw.SQLITE_FORMAT: _corrupt,
    apsw.SQLITE_IOERR_DATA: _corrupt,
    apsw.SQLITE_IOERR_CORRUPTFS: _corrupt,
    apsw.SQLITE_READONLY_DBMOVED: _moved,
    apsw.SQLITE_READONLY: _read_only,
    apsw.SQLITE_PERM: _read_only,
    apsw.SQLITE_CANTOPEN: _cannot_open,
    apsw.SQLITE_INTERRUPT: _cut_off,
    apsw.SQLITE_CONSTRAINT: _of_a_rule,
}
"""The table above: an extended code's own entry wins over its primary code's."""
