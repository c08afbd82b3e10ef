"""The store of one runtime: where it lies, whether this process owns it, its connections. Knows no actor."""

from collections.abc import Callable

from millrace.model.measures import FileSizes, QueueState
from millrace.store.bell import Bell
from millrace.store.connection import Location
from millrace.store.measures import measure_files, measure_queue, sqlite_versions
from millrace.store.ownership import Ownership
from millrace.store.readers import Readers
from millrace.store.session import Session


class OpenedStore:
    """See the module. Changed under the runtime's lock; read from any thread.

    Args:
        locate: finds the store, at the first use.
        on_waited: told of each wait of a writing connection for another program's lock that has ended well.
    """

    def __init__(self, locate: Callable[[], Location], on_waited: Callable[[], object]) -> None:
        self._locate = locate
        self._on_waited = on_waited
        self._location: Location | None = None
        self._first_session: Session | None = None
        self.ownership: Ownership | None = None
        self.bell: Bell | None = None
        """By which other programs tell that they have written; None where this process does not own the store, or hears none."""
        self.readers: Readers | None = None
        """None where the store is not open."""

    def _place(self) -> Location:
        self._location = self._location or self._locate()
        return self._location

    # Opening

    def own(self) -> None:
        """Take the store for this process. Nobody else can see one in memory.

        Raises:
            StoreLocked: another process owns it.
        """
        location = self._place()
        if self.ownership is None and not location.is_memory:
            self.ownership = Ownership.acquire(location)
            self.bell = Bell.hang(location)

    def open(self) -> None:
        """Open it here first, so that an error reaches the caller, and before there are actors that would have to be stopped."""
        location = self._place()
        self._first_session = self.open_session()
        self.readers = Readers(location)

    def open_session(self) -> Session:
        """A connection that writes. Upgrades the store, and sees to it that it is still its owner's, where this process is that."""
        location, ownership = self._location, self.ownership
        if location is None:
            raise AssertionError("located before")
        return Session(
            location,
            upgrade=ownership is not None,
            check_owner=None if ownership is None else ownership.check,
            on_waited=self._on_waited,
        )

    def take_session(self) -> Session:
        """The one that ``open`` has opened, once; then further ones. For the persistence actor."""
        first, self._first_session = self._first_session, None
        return first if first is not None else self.open_session()

    @property
    def is_untaken(self) -> bool:
        """Whether no persistence actor has taken the session since it was opened."""
        return self._first_session is not None

    # Facts

    @property
    def is_memory(self) -> bool:
        """Whether it is in memory, where nobody else can read or write it. False before it was located."""
        return self._location is not None and self._location.is_memory

    @property
    def is_owned(self) -> bool:
        """Whether nobody else runs it while this process is there."""
        return self.ownership is not None or self.is_memory

    def measure_queue(self) -> QueueState:
        """The active tasks, counted; nothing where the store is not open, which this does not open it for."""
        readers = self.readers
        return QueueState() if readers is None else measure_queue(readers)

    def measure_files(self) -> FileSizes | None:
        """What the store takes on its disk; None where it is not open. OSError where its file is gone."""
        location = self._location
        return None if location is None or self.readers is None else measure_files(location)

    # Closing

    def close_readers(self) -> None:
        """Before the writer: the last connection that closes copies the log into the file and removes it."""
        if self.readers is not None:
            self.readers.close()
            self.readers = None

    def release(self) -> None:
        """Another process may own it."""
        if self.bell is not None:
            self.bell.take_down()
            self.bell = None
        if self.ownership is not None:
            self.ownership.release()
            self.ownership = None

    def discard(self) -> None:
        """What is in memory ends with its scheduler."""
        if self._location is not None and self._location.is_memory:
            self._location.discard()
            self._location = None


def store_versions() -> tuple[str, str]:
    """The versions of SQLite and of apsw, for who may not ask them."""
    return sqlite_versions()
