"""`millrace status` and `millrace ls` on 1,000,000 rows of history, each in a new process: what a user waits for."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.case import Case, Column, Figures, Site, Sizes, Target, Variant
from bench.cases.scrape import fill_history
from bench.workload import GRACE_S

_CALLS = Sizes(full=20, quick=10, tiny=2)
_NOBODY_RUNS_IT = 1
"""What `status` exits with here."""


def look(site: Site) -> Figures:
    """Milliseconds from the start of the process to its end: the median and the worst of `status` and of `ls`."""
    figures: dict[str, float] = {}
    for command, expected in (("status", _NOBODY_RUNS_IT), ("ls", 0)):
        call = (sys.executable, "-m", "millrace.cli", command, "--db", str(site.shared / "millrace.db"))
        took_ms = [_run(call, expected) for _ in range(_CALLS.at(site.scale))]
        figures[f"{command}_ms"] = statistics.median(took_ms)
        figures[f"{command}_worst_ms"] = max(took_ms)
    return {**figures, "median_ms": max(figures["status_ms"], figures["ls_ms"])}


def _run(call: Sequence[str], expected: int) -> float:
    """How long it took. RuntimeError where it ended otherwise, or printed nothing."""
    began = time.perf_counter()
    ended = subprocess.run(call, capture_output=True, text=True, timeout=GRACE_S, check=False)
    took_ms = (time.perf_counter() - began) * 1000
    if ended.returncode != expected or not ended.stdout:
        raise RuntimeError(f"expected exit code {expected} and some output, got {ended.returncode}: {ended.stderr}")
    return took_ms


CASE = Case(
    name="looking",
    title="a command in a new process at 1,000,000 rows of history",
    variants=(Variant("millrace", look, prepare=fill_history),),
    columns=(
        Column("status_ms", "ms status"),
        Column("status_worst_ms", "worst"),
        Column("ls_ms", "ms ls"),
        Column("ls_worst_ms", "worst"),
    ),
    targets=(
        Target("milliseconds of status", "millrace", "status_ms", at_most=300.0),
        Target("milliseconds of ls", "millrace", "ls_ms", at_most=300.0),
    ),
    repetitions=3,
)
