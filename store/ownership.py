"""Who runs a store: one live process, by a lock that the operating system frees however the process ends.

The lock is a flock on `<store>.lock`, a file of its own: SQLite's locks on the store vanish when any descriptor of it
is closed in the process, and an exclusive mode would shut readers out. The file is never removed, because a removed one
can be locked by two (one holds the old, one makes a new). In it stands, for whoever is refused, who holds it: one line
of JSON, emptied at release.

The same line keeps `"store": true` once there was a store beside it, so that an empty file in its place is known for a
store that was cut short (see `millrace.store.opening`).
"""

import errno
import fcntl
import logging
import os
import socket
import stat
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec

from millrace.model.errors import StoreError, StoreLocked, StoreMoved
from millrace.store.connection import Location
from millrace.store.faults import translate_os
from millrace.store.filesystem import aliases, check_place
from millrace.store.fork import ForkGuard, close_in_child

_log = logging.getLogger(__name__)

FACTS_WAIT_S: Final = 0.06
"""How long a refused process waits for a new owner to have written who it is. S-366 gives 0.1 s in all."""

_POLL_S: Final = 0.002


class Owner(msgspec.Struct, frozen=True):
    """Who holds a store, as the lock file tells it; a fact that could not be read is None.

    `was_store`: there was a store beside the lock.
    """

    pid: Annotated[int, msgspec.Meta(gt=0, lt=1 << 31)] | None = None
    host: Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,255}\Z")] | None = None
    since: datetime | None = None
    was_store: bool = msgspec.field(name="store", default=False)

    @property
    def is_plausible(self) -> bool:
        """False while the line is still that of a former owner, or not there yet."""
        return self.pid is not None and (self.host != socket.gethostname() or _is_process(self.pid))


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


_decode = msgspec.json.Decoder(Owner).decode


class Ownership:
    """The right to run a store, held until `release()` or the end of the process. Any thread."""

    location: Location
    since: datetime

    def __init__(self, location: Location, descriptor: int, since: datetime) -> None:
        """For `acquire` only."""
        self.location = location
        self.since = since
        self._descriptor: int | None = descriptor
        self._mutex = threading.Lock()
        self._guard = ForkGuard()
        close_in_child(self)

    @classmethod
    def acquire(cls, location: Location, *, now: datetime | None = None) -> "Ownership":
        """Takes the store, or refuses within 0.1 s.

        Args:
            location: of the store, which need not exist yet.
            now: the time that others are told, UTC.

        Raises:
            StoreLocked: it is owned, by this process or another, under this path or another name for the file.
            UnsafeFilesystem, StoreReadOnly, StoreError: the place will not do.
        """
        _refuse_alias(location)
        check_place(location)
        since = now or datetime.now(UTC)
        try:
            descriptor = _lock(location)
            ownership = cls(location, descriptor, since)
        except OSError as error:
            raise translate_os(error, path=location.lock_path) from error
        ownership._tell(Owner(os.getpid(), socket.gethostname(), since))
        return ownership

    def check(self) -> None:
        """StoreMoved where the lock file was removed or replaced: somebody else may own the store by now. 3 µs."""
        self._guard.check()
        descriptor = self._descriptor
        if descriptor is None or not _is_at(self.location.lock_path, descriptor):
            raise StoreMoved(
                f"{self.location.lock_path}: expected the lock that this process holds, it was released, removed or "
                "replaced; stop every process that runs this store, then start one",
                path=self.location.path,
            )

    def release(self) -> None:
        """Frees the store. Idempotent; in a forked child it does nothing, the parent stays the owner."""
        if self._guard.is_forked:
            return
        with self._mutex:
            if self._descriptor is None:
                return
            self._tell(Owner())
            os.close(self._descriptor)
            self._descriptor = None

    def close_in_child(self) -> None:
        """A forked child must not keep the lock of a dead parent. Closing a copy leaves the parent's lock alone."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _tell(self, owner: Owner) -> None:
        """Writes who holds the store. On a full disk the lock holds all the same, so that is only logged."""
        descriptor = self._descriptor
        if descriptor is None:
            return
        was_store = _read(descriptor).was_store or _is_filled(self.location.real_path)
        line = msgspec.json.encode(msgspec.structs.replace(owner, was_store=was_store)) + b"\n"
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, line, 0)
        except OSError as error:
            _log.warning("%s: cannot write who holds the store: %s", self.location.lock_path, error)


def read_owner(location: Location) -> Owner | None:
    """Who runs the store now, None where nobody does. Takes nothing, creates nothing.

    Raises:
        StoreError: the lock file cannot be read.
    """
    try:
        descriptor = os.open(location.lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate_os(error, path=location.lock_path) from error
    try:
        # A process that takes the store in this instant finds the lock held by nobody plausible, and tries again.
        return None if _try_lock(descriptor, fcntl.LOCK_SH) else _read(descriptor)
    finally:
        os.close(descriptor)


def was_store(location: Location) -> bool:
    """True where the lock file says that there was a store beside it."""
    try:
        descriptor = os.open(location.lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False  # no lock file, or none that is ours: nothing is known of a store
    try:
        return _read(descriptor).was_store
    finally:
        os.close(descriptor)


# The lock


def _lock(location: Location) -> int:
    """The descriptor that holds the lock. StoreLocked once the holder is known, or `FACTS_WAIT_S` have passed."""
    give_up = time.monotonic() + FACTS_WAIT_S
    while True:
        descriptor = _open(location)
        try:
            if _try_lock(descriptor, fcntl.LOCK_EX):
                if _is_at(location.lock_path, descriptor):
                    kept, descriptor = descriptor, -1
                    return kept
                continue  # removed between opening and locking
            owner = _read(descriptor)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if owner.is_plausible or time.monotonic() >= give_up:
            raise StoreLocked(location.path, pid=owner.pid, host=owner.host, since=owner.since)
        time.sleep(_POLL_S)


def _open(location: Location) -> int:
    """The lock file, made with mode 0600. Not through a link, and not waiting where a pipe was put in its place."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(location.lock_path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise StoreError(
        f"{location.lock_path}: expected a plain file for the owner's lock, found something else; remove it",
        path=location.path,
    )


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise
    return True


def _is_at(path: str, descriptor: int) -> bool:
    """True where the open file is still the one at that path."""
    try:
        there = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - a Path costs more than the call
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _is_filled(path: str) -> bool:
    try:
        return Path(path).stat().st_size > 0
    except FileNotFoundError:
        return False


def _refuse_alias(location: Location) -> None:
    """A second name of the file in its directory has a lock of its own: whose owner is the file's."""
    for alias in aliases(location):
        owner = read_owner(alias)
        if owner is not None:
            raise StoreLocked(location.path, pid=owner.pid, host=owner.host, since=owner.since)


def _read(descriptor: int) -> Owner:
    """The line in a lock file. It is text that anybody with the right to write may have changed: decoded strictly."""
    try:
        return _decode(os.pread(descriptor, 4096, 0))
    except msgspec.DecodeError:
        return Owner()
