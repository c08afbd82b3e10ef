"""What `find` and `du` say of a tree, and a scan by plain recursion."""

import os
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from millrace.cli.scan.memo import DirectoryMemo
from millrace.cli.scan.names import to_text
from millrace.cli.scan.reading import read_directory
from millrace.cli.scan.totals import Report, Totals


@dataclass(frozen=True)
class Counts:
    files: int
    directories: int
    other: int
    bytes: int
    disk_bytes: int


def counts_of(report: Report) -> Counts:
    return Counts(report.files, report.directories, report.other, report.bytes, report.disk_bytes)


def find_and_du(*roots: Path, one_file_system: bool = False, prefix: Sequence[str] = ()) -> Counts:
    """The totals of GNU find and du; their complaints about what they cannot read are ignored."""
    only = ["-xdev"] if one_file_system else []
    found = _output([*prefix, "find", *map(str, roots), *only, "-printf", r"%y %D %i %s\n"])
    lines = [line.split() for line in found.decode().splitlines()]
    files = {(device, inode): int(size) for kind, device, inode, size in lines if kind == "f"}
    used = _output(
        [*prefix, "du", "-s", "-c", "--block-size=1", *(["-x"] if one_file_system else []), "--", *map(str, roots)]
    )
    kinds = [line[0] for line in lines]
    directories = kinds.count("d")
    other = len(kinds) - directories - kinds.count("f")
    return Counts(len(files), directories, other, sum(files.values()), int(used.splitlines()[-1].split()[0]))


def _output(command: list[str]) -> bytes:
    done = subprocess.run(command, check=False, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def memos_of(*roots: Path, one_file_system: bool = False) -> list[DirectoryMemo]:
    """The memos that a scan's tasks would return."""
    memos: list[DirectoryMemo] = []
    waiting = [str(root) for root in roots]
    while waiting:
        reading = read_directory(waiting.pop(), one_file_system=one_file_system)
        memos += [reading.memo, *reading.link_memos()]
        waiting += [f"{reading.path}/{name}" for name in reading.subdirectories]
    return memos


def report_of(memos: list[DirectoryMemo], *, seed: int | None = None) -> Report:
    """The memos added up, in a random order where a seed is given."""
    memos = list(memos)
    if seed is not None:
        random.Random(seed).shuffle(memos)
    totals = Totals()
    for memo in memos:
        totals.add(memo)
    return totals.report()


def text_of(path: bytes | Path) -> str:
    return to_text(os.fsdecode(path))
