"""How the writer waits for another program's lock on the store: as SQLite's own timeout would, and counted."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

import apsw

from millrace.store.connection import BUSY_TIMEOUT_S

PAUSES_S: Final = (0.001, 0.002, 0.005, 0.010, 0.015, 0.020, 0.025, 0.025, 0.025, 0.050, 0.050, 0.100)
"""Seconds between two looks at a lock; those of SQLite's own handler, whose last one is repeated."""


class Waits:
    """The waits of one connection. SQLite asks it each time that it meets a lock; it sleeps without the interpreter lock.

    One lock waited for is one wait, however often it is looked at. One that is not let go of within the time ends in a
    ``StoreBusy``, and is an error and no wait.

    Args:
        connection: whose locks; any handler or timeout of its own is replaced.
        on_waited: told of each wait that has ended well, in the connection's thread.
    """

    def __init__(self, connection: apsw.Connection, on_waited: Callable[[], object]) -> None:
        self._connection = connection
        self._on_waited = on_waited
        self._waits_since: float | None = None
        self.patiently()

    def patiently(self, timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Wait so many seconds at most from now on."""
        self._timeout_s = timeout_s
        self._connection.set_busy_handler(self._wait)

    def over(self) -> None:
        """What was asked of SQLite has succeeded: where it has waited, that ended well."""
        if self._waits_since is not None:
            self._waits_since = None
            self._on_waited()

    def _wait(self, looks: int) -> bool:
        """Whether to look again. Called by SQLite, with the number of looks at this lock so far."""
        now = monotonic()
        if looks == 0 or self._waits_since is None:
            self._waits_since = now
        left_s = self._waits_since + self._timeout_s - now
        if left_s <= 0.0:
            self._waits_since = None
            return False
        sleep(min(PAUSES_S[min(looks, len(PAUSES_S) - 1)], left_s))
        return True
