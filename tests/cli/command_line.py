"""Runs `millrace` as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reference import Counts


@dataclass(frozen=True)
class Ended:
    code: int
    output: str
    errors: str

    @property
    def result(self) -> dict[str, object]:
        """The object that `--json` ended with."""
        assert self.code == 0, self.errors
        found = json.loads(self.output.splitlines()[-1])
        assert isinstance(found, dict)
        return found


class Running:
    """A `millrace` process; `home` keeps its own stores apart from the user's."""

    def __init__(self, home: Path, *words: object, env: Mapping[str, str] = {}, prefix: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "millrace.cli", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            env={**os.environ, "XDG_STATE_HOME": str(home), **env},
        )

    def end(self, timeout: float = 100) -> Ended:
        output, errors = self.process.communicate(timeout=timeout)
        return Ended(self.process.returncode, output, errors)

    def kill_after(self, seconds: float) -> Ended:
        """SIGKILL after that time, unless it has ended."""
        return self.signal_after(seconds, signal.SIGKILL)

    def signal_after(self, seconds: float, number: int) -> Ended:
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(number)
        return self.end()


def millrace(home: Path, *words: object, env: Mapping[str, str] = {}, prefix: Sequence[str] = ()) -> Ended:
    return Running(home, *words, env=env, prefix=prefix).end()


def counts_in(result: Mapping[str, object]) -> Counts:
    numbers = [result[name] for name in ("files", "directories", "other", "bytes", "disk_bytes")]
    files, directories, other, size, disk_bytes = (number for number in numbers if isinstance(number, int))
    return Counts(files, directories, other, size, disk_bytes)


def without_seconds(result: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in result.items() if name != "seconds"}
