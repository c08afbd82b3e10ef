"""The writer's waits for other programs' locks: as long as they may take, and each counted once."""

from collections.abc import Iterator

import apsw
import pytest

from millrace.model.errors import StoreBusy
from millrace.store import waiting
from millrace.store.connection import BUSY_TIMEOUT_S, Location
from millrace.store.session import Session


class Clock:
    """Time passes while somebody sleeps, and only then; ``other`` lets its lock go at a time."""

    def __init__(self, other: apsw.Connection) -> None:
        self.now = 100.0
        self.lets_go_at = float("inf")
        self._other = other

    def sleep(self, pause_s: float) -> None:
        self.now += pause_s
        if self.now >= self.lets_go_at and self._other.in_transaction:
            self._other.execute("rollback")


class Waiting:
    """A session whose waits are counted, another program's connection, and the clock of both."""

    def __init__(self, location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waited = 0
        self.session = Session(location, upgrade=True, on_waited=self._count)
        self.other = apsw.Connection(location.real_path)
        self.clock = Clock(self.other)
        monkeypatch.setattr(waiting, "sleep", self.clock.sleep)
        monkeypatch.setattr(waiting, "monotonic", lambda: self.clock.now)

    def _count(self) -> None:
        self.waited += 1

    def lock(self, for_s: float) -> None:
        self.other.execute("begin immediate")
        self.clock.lets_go_at = self.clock.now + for_s

    def write(self) -> None:
        with self.session.transaction(is_synced=False):
            self.session.writer.add_meta("epoch", 1)


@pytest.fixture
def both(location: Location, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    made = Waiting(location, monkeypatch)
    yield made
    made.other.close()
    made.session.close()


def test_a_wait_that_ends_well_is_counted_once(both: Waiting) -> None:
    """However often the lock is looked at; what does not wait is no wait."""
    both.write()
    assert both.waited == 0
    for for_s in (0.001, 29.9):
        both.lock(for_s)
        both.write()
    assert both.waited == 2
    both.write()
    assert both.waited == 2
    assert both.session.writer.meta("epoch") == 4


def test_a_wait_that_ends_badly_is_an_error(both: Waiting) -> None:
    """StoreBusy after the busy timeout, to the millisecond, and nothing counted, nor when the next write does not wait."""
    began = both.clock.now
    both.lock(BUSY_TIMEOUT_S + 1)
    with pytest.raises(StoreBusy):
        both.write()
    assert both.clock.now - began == pytest.approx(BUSY_TIMEOUT_S)
    both.other.execute("rollback")
    both.write()
    assert both.waited == 0


def test_the_log_is_not_waited_for_as_long(both: Waiting) -> None:
    """Where a reader is in its way a renewal of the log gives up after a second; writes are as patient as before."""
    both.write()
    both.other.execute("begin")
    assert both.other.execute("select count(*) from task").get == 0
    both.write()
    began = both.clock.now
    with pytest.raises(apsw.BusyError):
        both.session.writer.begin_log_anew()
    assert both.clock.now - began == pytest.approx(1.0)
    both.other.execute("rollback")
    assert both.waited == 0
    both.lock(20.0)
    both.write()
    assert both.waited == 1
