"""Read-only connections, lent to one thread at a time."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from millrace.model.errors import SchedulerStopped, StoreError, StoreMoved, StoreReadOnly
from millrace.store.connection import Location, open_writer
from millrace.store.readers import Readers


@pytest.fixture
def writer(location: Location) -> Iterator[apsw.Connection]:
    Path(location.real_path).touch()
    connection = open_writer(location)
    connection.execute("create table t(x)")
    connection.execute("insert into t values (1), (2), (3)")
    yield connection
    connection.close(force=True)


@pytest.fixture
def readers(location: Location, writer: apsw.Connection) -> Iterator[Readers]:
    pool = Readers(location, idle=2)
    yield pool
    pool.close()


def test_a_connection_is_used_again(readers: Readers) -> None:
    """One loan after another gets the same connection, and sees what was committed since."""
    with readers.borrow() as first:
        assert first.execute("select count(*) from t").get == 3
    with readers.borrow() as second:
        assert second is first


def test_a_later_loan_sees_later_commits(readers: Readers, writer: apsw.Connection) -> None:
    """No loan leaves a snapshot behind for the next."""
    with readers.borrow() as connection:
        assert connection.execute("select count(*) from t").get == 3
    writer.execute("insert into t values (4)")
    with readers.borrow() as connection:
        assert connection.execute("select count(*) from t").get == 4


def test_threads_at_once_have_connections_of_their_own(readers: Readers) -> None:
    """Eight threads that hold a loan at the same time hold eight connections; two are kept afterwards."""
    barrier = threading.Barrier(8)
    lent: list[apsw.Connection] = []

    def read() -> None:
        with readers.borrow() as connection:
            lent.append(connection)
            barrier.wait(10)
            connection.execute("select count(*) from t").fetchall()
            barrier.wait(10)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(connection) for connection in lent}) == 8
    assert len(readers._idle) == 2


def test_a_loan_cannot_write(readers: Readers) -> None:
    """A write through a loan is StoreReadOnly, with SQLite's error chained."""
    with pytest.raises(StoreReadOnly) as raised, readers.borrow() as connection:
        connection.execute("delete from t")
    assert isinstance(raised.value.__cause__, apsw.ReadOnlyError)


def test_an_open_cursor_costs_the_connection(readers: Readers, writer: apsw.Connection) -> None:
    """A cursor left in the middle would keep the log from being checkpointed: its connection is closed."""
    with readers.borrow() as connection:
        cursor = connection.execute("select x from t")
        next(cursor)
    assert not readers._idle
    with pytest.raises(apsw.CursorClosedError):
        next(cursor)
    writer.execute("insert into t values (4)")
    frames, done = writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert (frames, done) == (0, 0)


@pytest.mark.parametrize("error", [apsw.SQLError("no such table"), KeyError("a bug"), KeyboardInterrupt()])
def test_a_loan_that_fails_costs_the_connection(error: BaseException, readers: Readers) -> None:
    """After any error in the block the next loan is a fresh connection; errors that are not apsw's pass."""
    expected = StoreError if isinstance(error, apsw.Error) else type(error)
    with pytest.raises(expected), readers.borrow():
        raise error
    assert not readers._idle
    with readers.borrow() as connection:
        assert connection.execute("select count(*) from t").get == 3


def test_a_deadline_is_one_loans(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loan with a deadline is cut off; the same connection lent without one is not."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with readers.borrow(deadline_s=60.0) as first:
        assert first.execute("select count(*) from t").get == 3
    now += 61.0
    with readers.borrow() as second:
        assert second is first
        slow = "with recursive n(x) as (select 1 union all select x + 1 from n limit 100000) select count(*) from n"
        assert second.execute(slow).get == 100_000
    with pytest.raises(StoreError, match="cut off"), readers.borrow(deadline_s=0.0) as connection:
        connection.execute(slow).fetchall()


def test_a_closed_pool_lends_nothing(readers: Readers) -> None:
    """close() may be repeated; a loan that is out is closed when it comes back."""
    with readers.borrow() as connection:
        readers.close()
        assert connection.execute("select count(*) from t").get == 3
    readers.close()
    assert not readers._idle
    with pytest.raises(apsw.ConnectionClosedError):
        connection.execute("select 1")
    with pytest.raises(SchedulerStopped), readers.borrow():
        pass


def test_a_store_that_is_gone_has_moved(location: Location) -> None:
    """A loan from a place without a store is StoreMoved and makes no file."""
    with pytest.raises(StoreMoved), Readers(location).borrow():
        pass
    assert not Path(location.real_path).exists()


def test_a_forked_child_is_refused(run_python: Callable[..., str], location: Location, writer: apsw.Connection) -> None:
    """In a child every loan is ForkedProcess and close() does nothing; the parent's pool goes on."""
    script = """
import os, sys
from millrace.model.errors import ForkedProcess
from millrace.store.connection import locate
from millrace.store.readers import Readers
pool = Readers(locate(sys.argv[1]))
with pool.borrow() as connection:
    connection.execute("select count(*) from t").fetchall()
pid = os.fork()
if pid == 0:
    try:
        with pool.borrow():
            os._exit(1)
    except ForkedProcess:
        pool.close()
        os._exit(7)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
with pool.borrow() as again:
    print(code, again is connection, again.execute("select count(*) from t").get)
pool.close()
"""
    assert run_python(script, location.real_path) == "7 True 3"
