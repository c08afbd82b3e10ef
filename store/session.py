"""The writing side of an open store: the connection, its writer, the checks around a commit, and checkpoints.

Used by one thread, the persistence actor's.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import apsw

from millrace.model.errors import CommitUnknown, StoreError
from millrace.store.bell import ring
from millrace.store.connection import Location, set_writer
from millrace.store.faults import translated
from millrace.store.opening import FileIdentity, check_file_not_moved, check_not_moved, identify_log, open_store
from millrace.store.writer import Writer

log = logging.getLogger("millrace.store")

CHECKPOINT_PAGES: Final = 8000
"""Pages in the log from which on it is copied into the file, after the answers are out: about 32 MB. Keys lie at random in
their indices, so a short log copies the same pages again and again: with 2,000 pages a spawn-heavy load was a tenth slower."""

CHECKPOINT_AGAIN_AFTER_S: Final = 1.0
"""Pause after a checkpoint that failed, as on a full disk."""

CHECK_FILES_EVERY_S: Final = 0.2
"""The log and the lock are looked at by their names, which costs as much as a small commit: this often is enough for them.
SQLite itself is asked at every commit whether the store's file is still the one that it opened."""


class Session:
    """An open store.

    Args:
        location: of the store.
        upgrade: whether an older store is migrated: the owner's right.
        check_owner: raises where this process is no longer the owner; None where it is not meant to be.
        on_waited: told of each wait for another program's lock that has ended well; must not raise.
    """

    def __init__(
        self,
        location: Location,
        *,
        upgrade: bool,
        check_owner: Callable[[], None] | None = None,
        on_waited: Callable[[], object] = lambda: None,
    ) -> None:
        self._location = location
        self._upgrade = upgrade
        self._check_owner = check_owner
        self._on_waited = on_waited
        self._log_pages = 0
        self._check_files_at = 0.0
        self._checkpoint_at = 0.0
        self._is_log_torn = False
        self.has_written = False
        """Whether the last transaction has written to the log: one that leaves all values as they are does not."""
        self._open()

    def _open(self) -> None:
        connection = open_store(self._location, upgrade=self._upgrade)
        try:
            with self.translated():
                set_writer(connection)
                connection.set_wal_hook(self._on_log_grown)
                writer = Writer(connection, self._on_waited)
            self._log_identity: FileIdentity = identify_log(self._location)
        except BaseException:
            connection.close(force=True)
            raise
        self.writer = writer

    def translated(self) -> AbstractContextManager[None]:
        """Around calls into the writer: errors of SQLite leave as those of millrace."""
        return translated(self._location.real_path)

    def _on_log_grown(self, connection: apsw.Connection, name: str, pages: int) -> int:
        del connection, name
        self._log_pages = pages
        self.has_written = True
        return apsw.SQLITE_OK

    def commit(self) -> None:
        """Commit, once it is sure that the files are still those that were opened.

        Raises:
            StoreMoved: they are not: nothing is committed.
        """
        now = time.monotonic()
        if now >= self._check_files_at:
            self._check_files_at = now + CHECK_FILES_EVERY_S
            check_not_moved(self.writer.connection, self._location, self._log_identity)
            if self._check_owner is not None:
                self._check_owner()
        else:
            check_file_not_moved(self.writer.connection, self._location)
        self.writer.commit()

    @contextmanager
    def transaction(self, *, is_synced: bool) -> Generator[None, None, None]:
        """Begin, and commit at the end of the block; an error in it or in the commit rolls back.

        Raises:
            StoreError: for what SQLite raises, here or in the block. Only after a CommitUnknown may it be committed.
        """
        with self.translated():
            self.has_written = False
            self.writer.set_sync(is_synced)
            self.writer.begin()
            try:
                yield
                self.commit()
            except BaseException:
                self._roll_back()
                raise
        if self.has_written and self._check_owner is None and not self._location.is_memory:
            ring(self._location)

    def _roll_back(self) -> None:
        """SQLite has mostly done it by itself; the error that led here is the one to be told."""
        try:
            self.writer.rollback()
        except apsw.Error:
            log.exception("%s: rolling back failed", self._location.path)

    def after_commit(self) -> None:
        """Copy the log into the file where it has grown long. Not before the answers are out: they do not wait for it."""
        if self._log_pages < CHECKPOINT_PAGES or time.monotonic() < self._checkpoint_at:
            return
        self._checkpoint_at = time.monotonic() + CHECKPOINT_AGAIN_AFTER_S
        try:
            self.writer.checkpoint()
        except apsw.BusyError:
            return  # somebody else is at it
        self._log_pages = 0
        self._checkpoint_at = 0.0

    def after_error(self, error: StoreError) -> bool:
        """Get ready to try again; False where this connection cannot be used any more.

        After a failed sync the system takes pages of the log for written that are not. Nothing is written behind them: the
        log is first copied into the file, which writes all of it anew, and begun again. The connection stays open till then,
        as by its index the commit that failed is not in the log; for one that opens the log it may be.
        """
        if isinstance(error, CommitUnknown):
            self._is_log_torn = True
        return not self.writer.connection.in_transaction

    def make_ready(self) -> None:
        """Before any transaction: after a failed sync, begin the log anew.

        Raises:
            StoreError: not yet; nothing may be written.
        """
        if self._is_log_torn:
            try:
                with self.translated():
                    self.writer.begin_log_anew()
            except CommitUnknown as error:  # (not of a commit: nothing was begun)
                raise StoreError(
                    f"{self._location.path}: expected the disk to sync again after it failed, it does not yet: "
                    "nothing was written; try again",
                    path=error.path,
                    code=error.code,
                ) from error
            self._is_log_torn = False

    def close(self) -> None:
        """Copy what the log holds into the file, and close."""
        try:
            self.writer.rollback()
            if self._is_log_torn:
                self.writer.begin_log_anew()
            in_log, copied = self.writer.checkpoint()
        except apsw.Error as error:
            log.warning("closing %s: the log stays as it is: %s", self._location.path, error)
        else:
            # (Beside its owner a store is not at rest, and its log is nobody's business.)
            if copied < in_log and self._check_owner is not None:
                log.warning(
                    "closing %s: another program reads it, so that some of it stays in its log: the file alone is no backup; "
                    "use `millrace db backup`",
                    self._location.path,
                )
        self.writer.close()
