"""Seeded histories of the whole runtime, and that the simulation itself can be trusted.

One seed again: ``MILLRACE_SEEDS=17 pytest tests/simulation -k every_seed``; a range: ``MILLRACE_SEEDS=100:2000``.
"""

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from playing import play_some
from world import Faults, World, play, silenced

from millrace.model.statuses import TaskStatus

SEEDS = range(3_000)
"""On every commit: under a minute on two cores."""
MANY_SEEDS = range(3_000, 103_000)
"""In the long environment: some half an hour."""
BLOCK = 250
"""Seeds of one test."""
SHARE = 20
"""Seeds that a worker takes at once."""

FAULTS = (
    "process died",
    "restart",
    "commit refused",
    "commit unknown",
    "commit died",
    "commit bug",
    "commit failed before",
    "commit failed after",
    "1 before",
    "1 after",
)
"""As the log of a world names them."""


def _parts(seeds: range, size: int) -> list[range]:
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def _chosen() -> range:
    text = os.environ.get("MILLRACE_SEEDS")
    if text is None:
        return SEEDS
    first, _, end = text.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where there is shared memory: a disk would only cost time."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="millrace-simulation-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessPoolExecutor]:
    """A process for each core; started here, so that their threads are not taken for a test's."""
    with ProcessPoolExecutor(
        min(8, os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
    ) as pool:
        pool.submit(os.getpid).result()
        yield pool


def _play_all(seeds: range, directory: Path, workers: ProcessPoolExecutor) -> None:
    if len(seeds) == 1:
        play(seeds[0], directory)  # here, for its traceback
        return
    parts = _parts(seeds, SHARE)
    found = [line for lines in workers.map(play_some, parts, [directory] * len(parts)) for line in lines]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("seeds", _parts(_chosen(), BLOCK), ids=lambda seeds: f"{seeds.start}-{seeds.stop}")
def test_the_rules_hold_in_every_seed(seeds: range, folder: Path, workers: ProcessPoolExecutor) -> None:
    """Whatever the order of messages, the crashes and the callers: the invariants hold after each commit, and all drains."""
    _play_all(seeds, folder, workers)


@pytest.mark.long
@pytest.mark.parametrize("seeds", _parts(MANY_SEEDS, BLOCK), ids=lambda seeds: f"{seeds.start}-{seeds.stop}")
def test_the_rules_hold_in_many_more_seeds(seeds: range, folder: Path, workers: ProcessPoolExecutor) -> None:
    """The same, for longer."""
    _play_all(seeds, folder, workers)


@pytest.mark.parametrize("seed", [3, 14, 25, 36, 47])
def test_a_seed_is_a_history(seed: int, folder: Path) -> None:
    """The same seed gives the same steps and the same rows."""
    assert play(seed, folder) == play(seed, folder)


def test_another_seed_is_another_history(folder: Path) -> None:
    """Seeds differ in what happens."""
    assert len({play(seed, folder) for seed in range(10)}) == 10


def test_worlds_have_all_that_goes_wrong(folder: Path) -> None:
    """Everything that can go wrong in a world does, and every end of a task occurs."""
    seen: set[str] = set()
    ends: set[str] = set()
    for seed in range(60):
        world = World(seed, folder, Faults(process=0.002, actor=0.02, store=0.02, restart=0.002))
        world.log = []
        with silenced():
            world.play()
        world.remove()
        seen |= {fault for line in world.log for fault in FAULTS if fault in line}
        ends |= {str(row[5]) for row in world.witness.history.values()}
    assert seen == set(FAULTS)
    assert ends == {status.value for status in TaskStatus if status.is_terminal}
