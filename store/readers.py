"""Connections that read, lent to whichever thread asks.

A connection is one thread's while it is lent. A few stay open between loans, because opening one costs 0.3 ms and a
prepared statement is worth keeping. A loan that ends with an error, or with a cursor still open (which would keep the
log from being checkpointed), costs its connection.
"""

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import apsw

from millrace.model.errors import SchedulerStopped
from millrace.store.connection import Location, open_reader, set_deadline
from millrace.store.faults import translated
from millrace.store.fork import ForkGuard

IDLE_KEPT: Final = 4
"""Connections kept open between loans."""


class Readers:
    """A small pool of read-only connections. Any thread; in a forked child every use is ForkedProcess.

    Args:
        location: of a store that `open_store` has opened.
        idle: how many connections are kept between loans, 0 or more. More may be lent at a time: one a thread.
    """

    def __init__(self, location: Location, *, idle: int = IDLE_KEPT) -> None:
        self._location = location
        self._idle_kept = idle
        self._idle: deque[apsw.Connection] = deque()
        self._mutex = threading.Lock()
        self._is_closed = False
        self._guard = ForkGuard()

    @contextmanager
    def borrow(self, *, deadline_s: float | None = None) -> Generator[apsw.Connection, None, None]:
        """A connection for this thread until the block ends; do not keep it or its cursors beyond.

        Args:
            deadline_s: seconds after which reads are cut off with a StoreError; None for no bound.

        Raises:
            StoreError: for what apsw raises, here or in the block.
            SchedulerStopped: the pool is closed.
            ForkedProcess: in a forked child.
        """
        self._guard.check()
        connection = self._take()
        is_good = False
        try:
            with translated(self._location.real_path):
                if deadline_s is not None:
                    set_deadline(connection, deadline_s)
                yield connection
                set_deadline(connection, None)
                is_good = connection.txn_state() == apsw.SQLITE_TXN_NONE
        finally:
            self._give_back(connection, is_good=is_good)

    def close(self) -> None:
        """Closes what is idle now, and what is lent when it comes back. Idempotent; does nothing in a forked child."""
        if self._guard.is_forked:
            return
        with self._mutex:
            self._is_closed = True
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close(force=True)

    def _take(self) -> apsw.Connection:
        """The connection used last (its pages are warm), or a new one, opened outside the mutex."""
        with self._mutex:
            if self._is_closed:
                raise SchedulerStopped
            if self._idle:
                return self._idle.pop()
        return open_reader(self._location)

    def _give_back(self, connection: apsw.Connection, *, is_good: bool) -> None:
        if self._guard.is_forked:
            return  # forked inside the block: the connection is the parent's
        with self._mutex:
            if is_good and not self._is_closed and len(self._idle) < self._idle_kept:
                self._idle.append(connection)
                return
        connection.close(force=True)
