"""The writing side of an open store: transactions, the checks around a commit, and the log."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from millrace.model.errors import StoreError, StoreMoved
from millrace.store import session as sessions
from millrace.store.connection import Location
from millrace.store.session import Session


@pytest.fixture
def session(location: Location) -> Iterator[Session]:
    made = Session(location, upgrade=True)
    yield made
    made.close()


def count(session: Session) -> int:
    """A counter that the tests move."""
    return session.writer.meta("epoch")


def test_a_transaction_commits_at_its_end(session: Session) -> None:
    """And says whether it has written anything."""
    with session.transaction(is_synced=False):
        session.writer.add_meta("epoch", 3)
    assert count(session) == 3
    assert session.has_written
    with session.transaction(is_synced=False):
        pass
    assert not session.has_written


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_rolls_back(session: Session, error: type[BaseException]) -> None:
    """Whatever it is; the next transaction begins anew."""

    def fail() -> None:
        with session.transaction(is_synced=True):
            session.writer.add_meta("epoch", 3)
            raise error

    with pytest.raises(error):
        fail()
    assert count(session) == 0
    assert not session.writer.connection.in_transaction
    with session.transaction(is_synced=True):
        session.writer.add_meta("epoch", 1)
    assert count(session) == 1


@pytest.mark.parametrize("is_synced", [True, False])
def test_a_commit_is_synced_where_it_is_asked_for(session: Session, is_synced: bool) -> None:
    """S-372: by SQLite's own setting, for that transaction."""
    for synced in (not is_synced, is_synced):
        with session.transaction(is_synced=synced):
            session.writer.add_meta("epoch", 1)
            assert session.writer.connection.pragma("synchronous") == (2 if synced else 1)


def test_errors_of_sqlite_leave_as_those_of_millrace(session: Session) -> None:
    """Chained."""
    with pytest.raises(StoreError) as raised, session.transaction(is_synced=False):
        session.writer.connection.execute("INSERT INTO meta (k, v) VALUES ('epoch', 1)")
    assert raised.value.__cause__ is not None


def test_a_removed_store_takes_no_commit(session: Session, location: Location) -> None:
    """Nothing is acknowledged that is in no file any more."""
    Path(location.real_path).unlink()
    with pytest.raises(StoreMoved), session.transaction(is_synced=False):
        session.writer.add_meta("epoch", 1)


def test_a_lost_ownership_takes_no_commit(location: Location) -> None:
    """The check that it was given is asked."""

    def lost() -> None:
        raise StoreMoved("not ours any more", path=location.path)

    session = Session(location, upgrade=True, check_owner=lost)
    with pytest.raises(StoreMoved), session.transaction(is_synced=False):
        session.writer.add_meta("epoch", 1)
    session.close()


def test_a_long_log_is_copied_into_the_file(
    session: Session, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before it is long, and not by the commit itself."""
    session.writer.checkpoint()
    with session.transaction(is_synced=False):  # the first after a checkpoint begins the log anew
        session.writer.add_meta("epoch", 1)
    monkeypatch.setattr(sessions, "CHECKPOINT_PAGES", 3)
    copied: list[int] = []
    real = session.writer.checkpoint
    monkeypatch.setattr(session.writer, "checkpoint", lambda: copied.append(1) or real())
    session.after_commit()
    assert copied == []
    for _ in range(4):
        with session.transaction(is_synced=False):
            session.writer.add_meta("epoch", 1)
    session.after_commit()
    assert copied == [1]


def test_closing_copies_the_log_and_keeps_nothing_open(location: Location) -> None:
    """What was committed is in the file alone; an open transaction is rolled back."""
    session = Session(location, upgrade=True)
    with session.transaction(is_synced=False):
        session.writer.add_meta("epoch", 4)
    session.writer.begin()
    session.writer.add_meta("epoch", 1)
    session.close()
    session.close()
    wal = Path(location.wal_path)
    assert not wal.exists() or wal.stat().st_size == 0
    again = Session(location, upgrade=True)
    assert count(again) == 4
    again.close()


def test_closing_says_that_a_reader_keeps_some_of_the_store_in_the_log(
    location: Location, caplog: pytest.LogCaptureFixture
) -> None:
    """The owner does: the file alone is no backup then. Once the reader has gone, the next close has all in it, without a word."""
    Session(location, upgrade=True).close()
    reader = apsw.Connection(location.real_path, flags=apsw.SQLITE_OPEN_READONLY)
    for is_reading in (True, False):
        session = Session(location, upgrade=True, check_owner=lambda: None)
        with session.transaction(is_synced=False):
            session.writer.add_meta("epoch", 1)
        if is_reading:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM meta").fetchall()
        with session.transaction(is_synced=False):
            session.writer.add_meta("epoch", 1)
        session.close()
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == is_reading
        assert all("stays in its log" in text for text in said)
        caplog.clear()
        if is_reading:
            reader.execute("COMMIT")
    reader.close()
