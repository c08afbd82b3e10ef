"""Runs the variants of a case in turns, each measurement in a process of its own, and reads what it has written."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.case import Case, Measurement, Scale, Variant

_ROOT = Path(__file__).resolve().parent.parent
_ERROR_LINES = 12

Tell = Callable[[str], None]


def run_case(case: Case, *, scale: Scale, repetitions: int, tmp: Path, tell: Tell) -> list[Measurement]:
    """All measurements of one case, in the order in which they were made.

    Args:
        case: what to measure.
        scale: how large.
        repetitions: how often each variant is measured, at least 1.
        tmp: an existing directory on a real file system; everything made in it is removed again.
        tell: called with one line before each measurement.
    """
    with tempfile.TemporaryDirectory(prefix=f"bench-{case.name}-", dir=tmp) as made:
        home = Path(made)
        broken = {m.variant: m for m in _prepare_all(case, scale, home, tell)}
        measurements = list(broken.values())
        for repetition in range(repetitions):
            for variant in case.variants:
                if variant.name in broken:
                    continue
                tell(f"{case.name}: {variant.name}, {repetition + 1} of {repetitions}")
                measured = _measure(case, variant, scale, home, repetition)
                measurements.append(measured)
                if measured.error is not None:
                    # What has failed once fails again, after as long a wait: the others are still worth measuring.
                    broken[variant.name] = measured
        return measurements


def _prepare_all(case: Case, scale: Scale, home: Path, tell: Tell) -> Iterator[Measurement]:
    """Fills the shared directories; yields a failed measurement for each variant that could not be prepared."""
    for number, variant in enumerate(case.variants):
        _shared(home, number).mkdir()
        if variant.prepare is None:
            continue
        tell(f"{case.name}: {variant.name}, preparing")
        with tempfile.TemporaryDirectory(prefix="prepare-", dir=home) as directory:
            error = _run_worker(case, variant, scale, Path(directory), _shared(home, number), prepare=True)
        if error is not None:
            yield Measurement(variant.name, 0, {}, error)


def _measure(case: Case, variant: Variant, scale: Scale, home: Path, repetition: int) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="run-", dir=home) as made:
        directory = Path(made)
        shared = _shared(home, case.variants.index(variant))
        error = _run_worker(case, variant, scale, directory, shared, prepare=False)
        if error is not None:
            return Measurement(variant.name, repetition, {}, error)
        figures = {str(key): float(value) for key, value in json.loads(_out(directory).read_text()).items()}
        return Measurement(variant.name, repetition, figures)


def _shared(home: Path, number: int) -> Path:
    return home / f"shared-{number}"


def _out(directory: Path) -> Path:
    return directory / "figures.json"


def _run_worker(
    case: Case, variant: Variant, scale: Scale, directory: Path, shared: Path, *, prepare: bool
) -> str | None:
    """Runs the worker to its end. None where it went well, else what went wrong."""
    command = [
        *(sys.executable, "-m", "bench.worker", case.name, variant.name),
        *("--directory", str(directory), "--shared", str(shared)),
        *("--scale", scale, "--out", str(_out(directory))),
        *(("--prepare",) if prepare else ()),
    ]
    # A session of its own, so that a measurement out of time ends with all it has started.
    process = subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, errors = process.communicate(timeout=case.timeout_s)
    except subprocess.TimeoutExpired:
        _kill_session(process)
        return f"not done after {case.timeout_s:.0f} s"
    except BaseException:
        _kill_session(process)
        raise
    if process.returncode == 0:
        return None
    return "\n".join(errors.strip().splitlines()[-_ERROR_LINES:]) or f"exit code {process.returncode}"


def _kill_session(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
