"""`millrace scan` on 100,000 directories: its rate, and its totals when it is killed on the way and resumed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.workload import GRACE_S

_SIZES = Sizes(full=100_000, quick=5_000, tiny=100)
_BRANCHES = 10
_FILE_BYTES = 100
# When the scan is killed, as shares of the time that an undisturbed one takes from there on.
_KILLS = (0.3, 0.3)

Totals = Mapping[str, object]


def make_tree(site: Site) -> None:
    """Directory n holds one file and the directories 10n+1 to 10n+10, those below the size."""
    content = b"x" * _FILE_BYTES
    paths: list[Path] = []
    for number in range(_SIZES.at(site.scale)):
        path = paths[(number - 1) // _BRANCHES] / f"d{number}" if number else site.shared / "tree"
        path.mkdir()
        (path / f"f{number}.txt").write_bytes(content)
        paths.append(path)


def walk(site: Site) -> Figures:
    """The same directories read by one thread with os.fwalk and one lstat a file, nothing written: the floor."""
    began = time.perf_counter()
    directories = files = size = 0
    for _, _, names, directory in os.fwalk(site.shared / "tree"):
        directories += 1
        files += len(names)
        size += sum(os.lstat(name, dir_fd=directory).st_size for name in names)
    took_s = time.perf_counter() - began
    _check_counts({"directories": directories, "files": files, "bytes": size}, _SIZES.at(site.scale))
    return {"rate": directories / took_s, "seconds": took_s}


def scan(site: Site) -> Figures:
    """An undisturbed scan, timed from the start of its process to its end; then one that is killed and resumed."""
    count = _SIZES.at(site.scale)
    tree = site.shared / "tree"
    began = time.perf_counter()
    undisturbed = _finish(_begin(tree, site.directory / "undisturbed.db"))
    took_s = time.perf_counter() - began
    _check_counts(undisturbed, count)
    kills, resumed = _scan_with_kills(tree, site.directory / "killed.db", took_s)
    return {
        "rate": count / took_s,
        "seconds": took_s,
        "kills": kills,
        "is_same": float(_comparable(resumed) == _comparable(undisturbed)),
    }


def _scan_with_kills(tree: Path, db: Path, undisturbed_s: float) -> tuple[int, Totals]:
    """How often it could be killed before it was done, and the totals of the run that ended by itself."""
    kills = 0
    process = _begin(tree, db)
    for share in _KILLS:
        try:
            process.wait(timeout=undisturbed_s * share)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            # Killed before it made its file, there is nothing to resume: it begins anew.
            process = _begin(tree, db, *(("--resume",) if db.exists() else ()))
    return kills, _finish(process)


def _begin(tree: Path, db: Path, *options: str) -> subprocess.Popen[str]:
    # The entry point by its name, not by its script: a checkout need not have one.
    run = [sys.executable, "-c", "from millrace.cli import main; main()"]
    command = [*run, "scan", str(tree), "--db", str(db), "--json", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen[str]) -> Totals:
    """Waits for the end and reads the totals, the last line of its output."""
    output, errors = process.communicate(timeout=GRACE_S)
    if process.returncode != 0:
        raise RuntimeError(f"millrace scan ended with {process.returncode}: {errors.strip()}")
    totals = json.loads(output.strip().splitlines()[-1])
    if not isinstance(totals, dict):
        raise TypeError(f"expected one JSON object from millrace scan, got {type(totals).__name__}")
    return totals


def _check_counts(totals: Totals, count: int) -> None:
    expected = {"directories": count, "files": count, "bytes": count * _FILE_BYTES}
    found = {name: totals.get(name) for name in expected}
    if found != expected:
        raise AssertionError(f"expected {expected}, got {found}")


def _comparable(totals: Totals) -> dict[str, object]:
    return {name: value for name, value in totals.items() if name != "seconds"}


CASE = Case(
    name="scan",
    title="millrace scan on 100,000 directories, also killed and resumed",
    variants=(
        Variant("millrace scan", scan, prepare=make_tree),
        Variant("os.fwalk", walk, prepare=make_tree),
    ),
    columns=(
        Column("rate", "directories/s"),
        Column("seconds", "seconds", 1),
        Column("kills", "kills"),
        Column("is_same", "same totals"),
    ),
    targets=(
        Target("directories a second", "millrace scan", "rate", at_least=3_000.0),
        Target("kills before the resumed scan ended", "millrace scan", "kills", at_least=1.0),
        Target("same totals after kill and resume", "millrace scan", "is_same", at_least=1.0),
    ),
    repetitions=3,
    timeout_s=1_800.0,
)
