"""A process may be killed at any instant: nothing acknowledged is lost, nothing that ended runs again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import Life, Nursery

pytestmark = pytest.mark.crash


ENDS = {"dependency_failed", "expired", "cancelled", "dead_letter"}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as started:
        yield started


@pytest.mark.timeout(900)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_random_lose_nothing(tmp_path: Path, nursery: Nursery, durability: str, seed: int) -> None:
    """Killed 25 times in the middle of its work, a store keeps every acknowledgement, and all work ends.

    On a machine with much else to do it is killed more often, and later, until the work has got as far as to end in all
    these ways.
    """
    life = Life(tmp_path / "store.db", seed, durability)
    while life.boots < 25 or not set(life.ends.values()) >= ENDS:
        assert life.boots < 200, life
        life.kill(nursery, 0.0, 0.1 * max(1.0, life.boots / 25))
    life.finish()


@pytest.mark.parametrize("durability", ["power", "process"])
def test_kills_at_the_start_lose_nothing(tmp_path: Path, nursery: Nursery, durability: str) -> None:
    """Killed while it makes, opens or recovers its store, a program leaves one that the next start takes up."""
    life = Life(tmp_path / "store.db", 3, durability)
    for at in range(15):
        life.kill(nursery, 0.0, 0.02, is_early=True)
        if at % 5 == 4:
            life.kill(nursery, 0.02, 0.08)
    life.finish()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_thousand_kills_lose_nothing(tmp_path: Path, nursery: Nursery, durability: str, seed: int) -> None:
    """The same, 1,000 times in all."""
    life = Life(tmp_path / "store.db", seed, durability)
    for at in range(50):
        life.kill(nursery, 0.0, 0.1 if at % 2 else 0.02, is_early=at % 5 == 0)
    life.finish()
