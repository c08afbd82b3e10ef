"""Where the store ":memory:" lives: a private directory on a memory file system, gone when the store is.

SQLite's own shared memory database (the "memdb" VFS) was tried and is no good here: one reader with an open cursor
makes the writer's COMMIT fail as busy after the whole busy timeout, and a busy writer keeps readers out for seconds (3
measured), because it has no log. A file in /dev/shm has WAL's readers and writer that do not wait for each other, runs
the same code as any store, and costs no disk. Where /dev/shm is missing, not writable or small (containers), the
temporary directory serves.

The directory is removed when its `PrivateDirectory` is discarded, collected, or the interpreter exits. A process that
is killed leaves it behind: each holds a flock on its own directory, and the next ":memory:" of the same user removes
those that nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Final

from millrace.store.fork import close_in_child

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the directory made there is our own, mode 0700
ROOM_NEEDED: Final = 256 << 20
"""Bytes that must be free in shared memory, else the temporary directory is used (containers give 64 MiB)."""

_PREFIX: Final = "millrace-memory-"


class PrivateDirectory:
    """A directory of this process alone (mode 0700), removed with all in it when this object goes.

    Raises:
        OSError: no directory could be made.
    """

    path: Path

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or _roomiest()
        _remove_abandoned(parent)
        self.path, self._lock = _make(parent)
        self._remove = weakref.finalize(self, _remove, self.path, self._lock)
        close_in_child(self)

    def discard(self) -> None:
        """Removes the directory now. Idempotent; any thread. Close the connections first."""
        self._remove()

    def close_in_child(self) -> None:
        """A forked child lets go of the lock and leaves the directory to the parent."""
        if self._remove.detach() is not None:
            os.close(self._lock)


def _roomiest() -> Path:
    """Shared memory where there is enough of it, else the temporary directory."""
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        free = 0  # no such directory
    if free >= ROOM_NEEDED and os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        return SHARED_MEMORY
    return Path(tempfile.gettempdir())


def _make(parent: Path) -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock.

    Between making and locking it another process may take it for abandoned and remove it: then begin again.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(path)
        if lock is not None:
            return path, lock


def _lock(path: Path) -> int | None:
    """The descriptor that holds the directory's lock, None where another process holds it or it is gone or not ours."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None  # removed by another process, or no directory of ours
    if _may_lock(descriptor) and path.exists():
        return descriptor
    os.close(descriptor)
    return None


def _may_lock(descriptor: int) -> bool:
    """Locks a directory of ours; False where it is another user's, or its process lives."""
    if os.fstat(descriptor).st_uid != os.geteuid():
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path, lock: int) -> None:
    """Removes the directory, then lets go of its lock, so that nobody else removes it at the same time."""
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    """Removes what killed processes of this user left."""
    for path in parent.glob(_PREFIX + "*"):
        lock = _lock(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
