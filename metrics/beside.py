"""A store seen from beside: what an exporter can say that runs no tasks, whoever runs them."""

import platform
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final, Protocol

from millrace.actors.opened import store_versions
from millrace.metrics.labels import MOST_NAMES, Names
from millrace.metrics.queue import QueueWatch
from millrace.metrics.readings import Readings
from millrace.metrics.stored import Numbers, put_files, put_queue, series_of
from millrace.model.errors import MillraceError
from millrace.model.families import FAMILIES
from millrace.model.measures import FileSizes, QueueState

IN_STORE: Final = (
    "tasks",
    "oldest_ready_age_seconds",
    "schedule_next_run_timestamp_seconds",
    "schedule_last_success_timestamp_seconds",
    "store_size_bytes",
    "store_wal_bytes",
    "store_free_bytes",
)
"""The families that a store has. All others are of the process that runs it: its counters begin with it, its limits are in its
memory."""


class Store(Protocol):
    """A store, as far as this module asks for it. From any thread."""

    def queue(self) -> QueueState:
        """One pass over the active tasks, and a look at each schedule."""
        ...

    def sizes(self) -> FileSizes:
        """What it takes on its disk."""
        ...

    def owner(self) -> object | None:
        """Who runs it; None: nobody."""
        ...


class StoreReader:
    """Reads the families that a store has, and leaves out those that only the process that runs it knows. From any thread.

    No task is registered here. The names that have series of their own are those that were found in the store, the first 200 of
    them: a name that the queue has no task of any more stays, at 0.

    Args:
        name: the label ``scheduler``; the store does not know that of its owner.
        store: what is read.
        wall_ms: milliseconds since 1970 UTC.
    """

    def __init__(self, name: str, store: Store, *, wall_ms: Callable[[], int]) -> None:
        self.name = name
        self.is_owner = self.is_forked = False
        self._store = store
        self._wall_ms = wall_ms
        self._lock = threading.Lock()
        self._names = Names(())
        self._found: dict[str, None] = {}
        self._errors = 0
        self._queue = QueueWatch(store.queue, monotonic=time.monotonic, detach=_detach)

    def __metrics__(self) -> "StoreReader":
        """For ``Exporter``."""
        return self

    def read(self) -> Readings:
        """What cannot be read is left out and counted, and never raises."""
        with self._lock:
            began = time.perf_counter()
            numbers: Numbers = {name: {} for name in FAMILIES}
            try:
                files, state = self._store.sizes(), self._queue.look()
            except (MillraceError, OSError):
                self._errors += 1
            else:
                self._take_names(state)
                for name in IN_STORE:
                    numbers[name] |= dict.fromkeys(series_of(FAMILIES[name], self._names), 0.0)
                put_files(numbers, files)
                put_queue(numbers, state, self._names, self._wall_ms())
            numbers["owner"][()] = 0.0
            numbers["build_info"] = {(version("millrace"), platform.python_version(), *store_versions()): 1.0}
            numbers["collector_errors_total"][()] = self._errors
            numbers["collector_duration_seconds"][()] = time.perf_counter() - began
            return Readings(numbers, {name: {} for name in FAMILIES})

    def illness(self) -> str | None:
        """None: it has nothing that could be beyond help."""
        return None

    def unready(self) -> str | None:
        """Why no tasks run now; None: they do."""
        return None if self._store.owner() is not None else "expected a process that runs the store, there is none"

    def _take_names(self, state: QueueState) -> None:
        known = len(self._found)
        for name in sorted({*(entry.name for entry in state.counts), *(times.name for times in state.schedules)}):
            if len(self._found) < MOST_NAMES:
                self._found.setdefault(name)
        if len(self._found) > known:
            self._names = Names(self._found)


def _detach(work: Callable[[], None], name: str) -> None:
    threading.Thread(target=work, name=f"millrace-{name}", daemon=True).start()
