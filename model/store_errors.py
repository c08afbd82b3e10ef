"""What can be wrong with a store. Imported from ``errors``, where the others are.

Who asks SQLite or the operating system turns their errors into these (``millrace.store.faults``).
"""

from __future__ import annotations

from datetime import datetime

from millrace.model.base_error import MillraceError


class StoreError(MillraceError):
    """The store could not be opened, read or written.

    Args:
        message: what was expected, what came, what to do.
        path: the store's path as the caller gave it.
        code: SQLite's extended result code, None where SQLite was not asked.
    """

    path: str
    code: int | None

    def __init__(self, message: str, *, path: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.code = code


class StoreLocked(StoreError):
    """Another live scheduler, in this process or another, runs this store.

    Args:
        path: the store's path as the caller gave it.
        pid: the owner's process id, None where it could not be read.
        host: the owner's host name, None where it could not be read.
        since: when the owner took the store (UTC), None where it could not be read.
    """

    pid: int | None
    host: str | None
    since: datetime | None

    def __init__(self, path: str, *, pid: int | None, host: str | None, since: datetime | None) -> None:
        start = f" since {since.isoformat(timespec='seconds')}" if since else ""
        super().__init__(
            f"{path}: expected a store that nobody runs, it is held by pid {pid or 'unknown'} on host "
            f"{host or 'unknown'}{start}; stop that process, or submit "
            "without start(): it runs what is stored",
            path=path,
        )
        self.pid = pid
        self.host = host
        self.since = since


class StoreCorrupt(StoreError):
    """The file is damaged, truncated, of another program, or its schema was tampered with. It was not changed."""


class StoreFull(StoreError):
    """No space left: nothing acknowledged is lost, and submits fail until there is room."""


class StoreBusy(StoreError):
    """Another program held the file for longer than the busy timeout (30 s)."""


class StoreMoved(StoreError):
    """The file was deleted, renamed or replaced while open: nothing more is acknowledged, the scheduler stops."""


class StoreReadOnly(StoreError):
    """The file, its directory or its file system cannot be written by this process."""


class UnsafeFilesystem(StoreError):
    """The file system does not lock reliably (NFS, SMB and the like)."""


class CommitUnknown(StoreError):
    """The disk failed inside a commit: the work may or may not be there. Submit again with the same key.

    Args:
        message: what happened.
        key: the key of the submission whose fate is unknown, "" for a write that submitted nothing.
        path: the store's path.
        code: SQLite's extended result code.
    """

    key: str

    def __init__(self, message: str, *, key: str = "", path: str = "", code: int | None = None) -> None:
        super().__init__(message, path=path, code=code)
        self.key = key
