"""Where the store of a scan lies.

With `--db FILE` it is that file, and stays. Otherwise it is a file of the scan's own,
`$XDG_STATE_HOME/millrace/scan/KEY/scan.db` (`~/.local/state` by default), found again by the same paths and options,
removed when the result is out. One command at a time uses it: a lock on `KEY.lock`, gone with the process, however that
ends.
"""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FILE: Final = "scan.db"


class PlaceError(Exception):
    """There is no room for a store there. The message says what to do."""


class Place:
    """A scan's own folder, locked."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    @property
    def store(self) -> Path:
        """The store's file."""
        return self._folder / _FILE

    @property
    def is_used(self) -> bool:
        """Whether an earlier scan left its store: it was stopped, or its result never got out."""
        return self.store.exists()

    def clear(self) -> None:
        """Removes the store, and makes room for a new one."""
        self.remove()
        self._folder.mkdir(mode=0o700)

    def remove(self) -> None:
        """Removes the folder with all in it."""
        if self._folder.exists():
            shutil.rmtree(self._folder)


def state_folder() -> Path:
    """The folder of all scans' own stores.

    Raises:
        PlaceError: there is no home.
    """
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        state = given if given.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise PlaceError("there is no home directory to keep the scan's store in; give --db FILE") from error
    return state / "millrace" / "scan"


@contextmanager
def own_place(key: str, folder: Path) -> Generator[Place]:
    """The place of the scan with that key, for this process alone.

    Raises:
        PlaceError: another process runs this scan, or the folder cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _lock(folder / f"{key}.lock")
    except BlockingIOError as error:
        raise PlaceError("this scan runs already; wait for it, or give --db FILE for another one") from error
    except OSError as error:
        raise PlaceError(f"{folder}: {error.strerror}; give --db FILE") from error
    try:
        (folder / key).mkdir(mode=0o700, exist_ok=True)
        yield Place(folder / key)
    finally:
        if not (folder / key).exists():
            (folder / f"{key}.lock").unlink()
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before us may have removed the file between our open and our lock.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
