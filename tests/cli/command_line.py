"""Runs `millrace` as a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import apsw
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


_started: list["subprocess.Popen[str]"] = []


def kill_left() -> None:
    """Kill what still runs, so that a test that has failed leaves nothing to the next."""
    while _started:
        process = _started.pop()
        process.kill()
        process.communicate()


class Running:
    """A `millrace` process; `home` keeps its own stores apart from the user's. At the end of the test it is killed."""

    def __init__(
        self,
        home: Path,
        *words: object,
        env: Mapping[str, str] = {},
        prefix: Sequence[str] = (),
        program: Sequence[str] = ("-m", "millrace.cli"),
    ) -> None:
        self._home = home
        # A file, not a pipe: it can be looked at while the process runs, and never fills up.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *program, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            errors="surrogateescape",
            env={**os.environ, "XDG_STATE_HOME": str(home), **env},
        )
        _started.append(self.process)

    def end(self, timeout: float = 250) -> Ended:
        try:
            output, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        with self._errors:
            return Ended(self.process.returncode, output, self._read_errors())

    def _read_errors(self) -> str:
        descriptor = self._errors.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8", "surrogateescape")

    def kill_after(self, seconds: float) -> Ended:
        """SIGKILL after that time, unless it has ended."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.end()

    def signal_at(self, settled: int, number: int, db: Path | None = None) -> Ended:
        """The signal once so many tasks have settled in its store, whatever was in it before."""
        self.wait_settled(settled, db)
        self.process.send_signal(number)
        return self.end()

    def wait_settled(self, settled: int, db: Path | None = None) -> None:
        """Until so many tasks have settled in its store; `db` where it was given one."""
        self._wait_until(lambda: settled_in(self._home, db) >= settled, f"{settled} tasks had settled")

    def wait_for(self, text: str) -> None:
        """Until it has said that on standard error."""
        self._wait_until(lambda: text in self._read_errors(), f"it said {text!r}")

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        # Nobody is told of what another process does: it is looked at.
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"60 s, and not yet: {what}"
            with suppress(subprocess.TimeoutExpired):
                code = self.process.wait(timeout=0.002)
                raise AssertionError(f"ended with {code} before {what}: {self.end().errors}")


def settled_in(home: Path, db: Path | None = None) -> int:
    """Tasks that have settled in the store of the scan, read beside its owner; 0 where there is no store yet."""
    store = db or next(home.glob("millrace/scan/*/scan.db"), None)
    try:
        connection = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError:
        return 0
    try:
        found: int | None = connection.execute("SELECT max(seq) FROM history").get
    except (apsw.SQLError, apsw.BusyError):  # it is being made, or opened after a kill
        return 0
    finally:
        connection.close()
    return found or 0


def millrace(home: Path, *words: object, env: Mapping[str, str] = {}, prefix: Sequence[str] = ()) -> Ended:
    return Running(home, *words, env=env, prefix=prefix).end()


def counts_in(result: Mapping[str, object]) -> Counts:
    numbers = [result[name] for name in ("files", "directories", "other", "bytes", "disk_bytes")]
    files, directories, other, size, disk_bytes = (number for number in numbers if isinstance(number, int))
    return Counts(files, directories, other, size, disk_bytes)


def without_seconds(result: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in result.items() if name != "seconds"}
