"""The power may fail at any instant: "power" loses nothing acknowledged, "process" no more than the last second."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import busy_program
import pytest
from faultvfs import SURVIVALS, Disk, Replay, Survival, disk
from power_cuts import Findings, NoNotes, compare, cut_often, lay_out, record, recover, use_disk

from millrace import Scheduler
from millrace.actors import commits
from millrace.store.writer import Writer

pytestmark = pytest.mark.crash

CUTS = 500
Durability = Literal["power", "process"]


@pytest.fixture(scope="module")
def wrecks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for wrecks: in memory where the system has one, as thousands are laid out."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path_factory.mktemp("wrecks")
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="millrace-") as name:
        yield Path(name)


def recorded(folder: Path, durability: Durability, *, seed: int = 1, steps: int = 60, for_s: float = 0.0) -> Disk:
    with pytest.MonkeyPatch.context() as patch, disk() as made:
        use_disk(patch, made)
        patch.setattr(commits, "SYNC_EVERY_S", 0.2)
        record(made, folder / "store.db", durability=durability, seed=seed, steps=steps, for_s=for_s)
    return made


@pytest.fixture(scope="module")
def power_disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return recorded(tmp_path_factory.mktemp("power"), "power")


@pytest.fixture(scope="module")
def process_disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return recorded(tmp_path_factory.mktemp("process"), "process", for_s=2.5)


@pytest.mark.parametrize("survival", SURVIVALS)
def test_power_cuts_lose_nothing_acknowledged(power_disk: Disk, wrecks: Path, survival: Survival) -> None:
    """Whatever of the unsynced writes is left, all that was acknowledged is there and the store is in order."""
    findings = cut_often(power_disk, wrecks, survival, CUTS, seed=1)
    assert not findings.damaged
    assert not findings.lost


@pytest.mark.parametrize("survival", SURVIVALS)
def test_process_durability_loses_no_more_than_since_the_last_sync(
    process_disk: Disk, wrecks: Path, survival: Survival
) -> None:
    """With "process" a power cut leaves an earlier state of the store, whole, and not much older than a sync is due."""
    findings = cut_often(process_disk, wrecks, survival, CUTS // 5, seed=2, acked_before_s=1.0)
    assert not findings.damaged
    assert not findings.lost


def test_an_awaited_end_survives_a_power_cut(tmp_path: Path, wrecks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a wait returns, the end that it tells of is on the disk, whether it was awaited before it came or asked for later."""
    with disk() as made:
        use_disk(monkeypatch, made)
        busy_program.Program.runs = NoNotes()
        with Scheduler(tmp_path / "store.db", domains=[busy_program.domain]) as scheduler:
            for number in range(10):
                early, late = scheduler.submit(busy_program.leaf, number), scheduler.submit(busy_program.flaky, number)
                made.mark("D", early.id, early.wait(10).status.value)
                made.mark("D", late.id, late.wait(10).status.value)
                replay = Replay(made.operations)
                replay.advance(len(made.operations))
                path = lay_out(replay.cut("none", random.Random(1)), wrecks)
                findings = Findings([], [])
                compare(path, f"after task {late.id}", made.marks, findings)
                assert not findings.damaged
                assert not findings.lost


@pytest.mark.parametrize("survival", SURVIVALS)
def test_wrecks_are_taken_up(power_disk: Disk, wrecks: Path, survival: Survival) -> None:
    """A scheduler that starts on what a power cut left runs all of it to its end."""
    rng = random.Random(f"3 {survival}")
    replay = Replay(power_disk.operations)
    for after in sorted(rng.sample(range(power_disk.marks[0].after, len(power_disk.operations)), 5)):
        replay.advance(after)
        path = lay_out(replay.cut(survival, rng), wrecks)
        recover(path)
        findings = Findings([], [])
        compare(path, f"cut after {after}", [mark for mark in power_disk.marks if mark.after < after], findings)
        assert not findings.damaged
        assert not findings.lost


def test_power_cuts_while_the_store_is_made_leave_one_that_is_made_anew(power_disk: Disk, wrecks: Path) -> None:
    """Whatever is left of a store that was only being made, the next start makes it."""
    rng = random.Random(4)
    made_at = power_disk.marks[0].after
    for survival in SURVIVALS:
        replay = Replay(power_disk.operations)
        for after in range(0, made_at, 3):
            replay.advance(after)
            images = {"store.db": b""} | replay.cut(survival, rng)
            recover(lay_out(images, wrecks))


def cut_recovery(found: Disk, wrecks: Path, tmp_path: Path, *, rounds: int, cuts: int, seed: int) -> None:
    """Cut the power, start, and cut it again while that start recovers."""
    rng = random.Random(seed)
    replay = Replay(found.operations)
    places = sorted(rng.sample(range(found.marks[0].after, len(found.operations)), rounds))
    for number, after in enumerate(places):
        replay.advance(after)
        first = replay.cut(rng.choice(SURVIVALS), rng)
        acks = [mark for mark in found.marks if mark.after < after]
        folder = tmp_path / str(number)
        folder.mkdir()
        path = lay_out(first, folder)
        with pytest.MonkeyPatch.context() as patch, disk() as second:
            use_disk(patch, second)
            recover(path)
        for survival in SURVIVALS:
            again = Replay(second.operations, before=first)
            for at in sorted(rng.choices(range(len(second.operations) + 1), k=cuts)):
                again.advance(at)
                findings = Findings([], [])
                wreck = lay_out(again.cut(survival, rng), wrecks)
                compare(wreck, f"seed {seed}: {after}, then {at} {survival}", acks, findings)
                assert not findings.damaged
                assert not findings.lost


def test_power_cuts_during_recovery_lose_nothing(power_disk: Disk, wrecks: Path, tmp_path: Path) -> None:
    """A second power cut, while the first one's wreck is taken up, loses nothing either."""
    cut_recovery(power_disk, wrecks, tmp_path, rounds=5, cuts=8, seed=5)


# Negative controls: the tests above can fail


def test_a_disk_that_lies_is_found_out(power_disk: Disk, wrecks: Path) -> None:
    """Where the disk does not do what it says, acknowledged work is lost or the store damaged: the cuts show it."""
    findings = cut_often(power_disk, wrecks, "subset", 50, seed=6, is_lying=True)
    assert findings.damaged or findings.lost


def test_commits_without_syncs_are_found_out(tmp_path: Path, wrecks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where acknowledged commits are not synced, the cuts show it."""
    monkeypatch.setattr(Writer, "set_sync", lambda writer, sync: None)
    findings = cut_often(recorded(tmp_path, "power"), wrecks, "none", 50, seed=7)
    assert findings.lost


# The long runs


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("survival", SURVIVALS)
def test_forty_thousand_power_cuts_lose_nothing(tmp_path: Path, wrecks: Path, survival: Survival, seed: int) -> None:
    """The same 1,000 times for each of ten records and each way of forgetting."""
    findings = cut_often(recorded(tmp_path, "power", seed=seed, steps=150), wrecks, survival, 1_000, seed=seed)
    assert not findings.damaged
    assert not findings.lost


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_two_thousand_power_cuts_during_recovery_lose_nothing(tmp_path: Path, wrecks: Path, seed: int) -> None:
    """The same for a power cut upon a power cut."""
    cut_recovery(recorded(tmp_path, "power", seed=seed), wrecks, tmp_path, rounds=20, cuts=5, seed=seed)
