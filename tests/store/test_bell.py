"""The owner hears that another program has written to its store (S-369)."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.store.bell import LONGEST_ADDRESS, Bell, ring
from millrace.store.connection import Location, locate
from millrace.store.session import Session

WAIT_S = 60.0


@pytest.fixture
def bells() -> Iterator[list[Bell]]:
    """Bells to be taken down at the end."""
    hanging: list[Bell] = []
    yield hanging
    for bell in hanging:
        bell.take_down()


def hang(location: Location, bells: list[Bell]) -> tuple[Bell, threading.Semaphore]:
    """A bell that is listened to, and how often it was rung."""
    bell = Bell.hang(location)
    assert bell is not None
    bells.append(bell)
    strokes = threading.Semaphore(0)
    bell.listen(strokes.release)
    return bell, strokes


def test_whoever_rings_is_heard(location: Location, bells: list[Bell]) -> None:
    """As often as it rings, until the bell is taken down."""
    bell, strokes = hang(location, bells)
    assert not bell.is_rung
    for _ in range(3):
        bell.is_rung = False
        ring(location)
        assert strokes.acquire(timeout=WAIT_S)
        assert bell.is_rung
    bell.take_down()
    ring(location)
    assert not Path(location.bell_path).exists()
    assert not strokes.acquire(blocking=False)
    bell.take_down()


def test_ringing_where_nobody_hears(location: Location, bells: list[Bell]) -> None:
    """No owner; one that has died and left its bell; one that does not come to listen: nothing is raised, nobody waits."""
    ring(location)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(location.bell_path)
    ring(location)
    bell = Bell.hang(location)
    assert bell is not None
    bells.append(bell)
    for _ in range(10_000):
        ring(location)


def test_the_next_owner_hangs_its_own(location: Location, bells: list[Bell]) -> None:
    """Where the last one has died without taking its bell down."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(location.bell_path)
    _, strokes = hang(location, bells)
    ring(location)
    assert strokes.acquire(timeout=WAIT_S)


def test_a_path_longer_than_an_address(tmp_path: Path, bells: list[Bell]) -> None:
    """Goes by way of the directory."""
    folder = tmp_path / ("d" * LONGEST_ADDRESS)
    folder.mkdir()
    location = locate(folder / "store.db")
    _, strokes = hang(location, bells)
    ring(location)
    assert strokes.acquire(timeout=WAIT_S)


def test_a_place_that_takes_no_bell(tmp_path: Path) -> None:
    """The owner has to look."""
    location = locate(tmp_path / "store.db")
    (Path(location.bell_path) / "full").mkdir(parents=True)
    assert Bell.hang(location) is None
    ring(location)


def test_who_may_write_may_ring(location: Location, bells: list[Bell]) -> None:
    """The bell of a store that a group shares is the group's."""
    Path(location.real_path).touch()
    Path(location.real_path).chmod(0o660)
    hang(location, bells)
    assert Path(location.bell_path).stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("is_owner", [True, False])
def test_a_commit_rings_where_it_is_not_the_owners(location: Location, bells: list[Bell], *, is_owner: bool) -> None:
    """And where it has written anything."""
    Session(location, upgrade=True).close()
    _, strokes = hang(location, bells)
    session = Session(location, upgrade=False, check_owner=(lambda: None) if is_owner else None)
    with session.transaction(is_synced=False):
        pass
    with session.transaction(is_synced=False):
        session.writer.add_meta("syncs", 1)
    session.close()
    ring(location)  # what was rung before is heard before
    assert strokes.acquire(timeout=WAIT_S)
    assert strokes.acquire(timeout=0.0 if is_owner else WAIT_S) is not is_owner
