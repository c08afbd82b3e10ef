"""Records what a busy scheduler asks of its disk, and looks at the store after power cuts at any point of the record."""

import itertools
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import apsw
import busy_program
import pytest
from faultvfs import Disk, Mark, Replay, Survival
from killing import run_out
from wreck import active, find_violations, open_wreck, settled, torn_batches

from millrace import Scheduler
from millrace.store import session
from millrace.store.connection import locate


class MarkedNotes(busy_program.Notes):
    """Notes that go into the record of the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def write(self, *words: object) -> None:
        self._disk.mark(*words)


class NoNotes(busy_program.Notes):
    """Notes of nothing."""

    def __init__(self) -> None:
        pass

    def write(self, *words: object) -> None:
        pass


def use_disk(patch: pytest.MonkeyPatch, disk: Disk) -> None:
    """Schedulers made from now on have their store on that disk, and copy its log every few commits."""
    patch.setattr("millrace.core.locate", lambda path: locate(path, vfs=disk.name))
    patch.setattr(session, "CHECKPOINT_PAGES", 60)


def record(
    disk: Disk,
    path: Path,
    *,
    durability: Literal["power", "process"],
    seed: int,
    steps: int,
    for_s: float = 0.0,
) -> None:
    """Run three callers for so many steps each, and for so many seconds."""
    busy_program.Program.acks = MarkedNotes(disk)
    busy_program.Program.runs = NoNotes()
    scheduler = Scheduler(path, domains=[busy_program.domain], durability=durability)
    scheduler.start()
    end = time.monotonic() + for_s

    def work(number: int) -> None:
        rng = random.Random(f"{seed}-{number}")
        for at in itertools.count():
            if at >= steps and time.monotonic() >= end:
                return
            busy_program.step(scheduler, rng, f"caller-{number}")

    callers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    scheduler.stop(0)


@dataclass(frozen=True)
class Cut:
    """Where and how the power went."""

    after: int
    survival: Survival
    seed: int


@dataclass
class Findings:
    """What was found after many cuts: one line for each cut that was not as it must be."""

    lost: list[str]
    damaged: list[str]


def cut_often(
    disk: Disk,
    folder: Path,
    survival: Survival,
    count: int,
    *,
    seed: int,
    is_lying: bool = False,
    acked_before_s: float = 0.0,
) -> Findings:
    """Cut the power at so many random points, and look at each wreck.

    Acknowledgements of the last ``acked_before_s`` seconds before a cut may be lost.
    """
    rng = random.Random(f"{seed} {survival}")
    replay = Replay(disk.operations, is_lying=is_lying)
    findings = Findings([], [])
    made_at = next(mark.after for mark in disk.marks)
    for after in sorted(rng.randrange(made_at, len(disk.operations) + 1) for _ in range(count)):
        replay.advance(after)
        cut = Cut(after, survival, seed)
        path = lay_out(replay.cut(survival, rng), folder)
        look(disk, path, cut, findings, acked_before_s)
    return findings


def recover(path: Path) -> None:
    """Start a scheduler on a wreck, and run all that is left to its end."""
    busy_program.Program.acks = busy_program.Program.runs = NoNotes()
    with Scheduler(path, domains=[busy_program.domain], max_crashes=1_000_000) as scheduler:
        run_out(scheduler)


def lay_out(images: dict[str, bytes], folder: Path) -> Path:
    """Write the files of a wreck; its store."""
    for old in folder.iterdir():
        old.unlink()
    for name, image in images.items():
        (folder / name).write_bytes(image)
    return folder / "store.db"


def look(disk: Disk, path: Path, cut: Cut, findings: Findings, acked_before_s: float = 0.0) -> None:
    """Everything acknowledged before the cut must be there, and the file in order."""
    cut_at = disk.times[cut.after - 1]
    # An acknowledgement after the last operation before the cut was not out yet.
    acks = itertools.takewhile(lambda mark: mark.after < cut.after and mark.at <= cut_at - acked_before_s, disk.marks)
    compare(path, str(cut), acks, findings)


def compare(path: Path, what: str, acks: Iterable[Mark], findings: Findings) -> None:
    """These acknowledgements must be there, and the file in order."""
    try:
        connection = open_wreck(path)
        try:
            damage = find_violations(connection) + torn_batches(connection)
            queued, ended = active(connection), settled(connection)
            cancels = {
                row[0] for row in connection.execute("SELECT id FROM task WHERE cancel_requested_at_ms IS NOT NULL")
            }
        finally:
            connection.close()
    except apsw.Error as error:
        findings.damaged.append(f"{what}: {error!r}")
        return
    if damage:
        findings.damaged.append(f"{what}: {damage}")
    for mark in acks:
        task_id = int(mark.words[1])
        match mark.words:
            case ("S", _):
                is_kept = task_id in queued or task_id in ended
            case ("D", _, status):
                is_kept = ended.get(task_id) == status
            case _:
                is_kept = task_id in cancels or ended.get(task_id) == "cancelled"
        if not is_kept:
            findings.lost.append(f"{what}: {mark}")
