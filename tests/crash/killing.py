"""Kills busy programs, and looks at what they leave."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import busy_program
from busy_program import read_lines
from wreck import active, find_violations, is_made, open_wreck, settled, torn_batches, wrongly_followed

from millrace import ParentClosed, Scheduler, TaskStatus

ACTIVE = [status for status in TaskStatus if not status.is_terminal]


class Nursery:
    """The process that forks the programs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, busy_program.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def kill_one(self, told: dict[str, object], after_s: float) -> None:
        """Start a program, and kill it ``after_s`` seconds after it is ready (or was forked, with ``is_early``)."""
        if self._process.stdin is None:
            raise AssertionError("opened with a pipe")
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        pid = self._hear("R")
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
        self._hear("D")

    def _hear(self, word: str) -> int:
        if self._process.stdout is None or self._process.stderr is None:
            raise AssertionError("opened with pipes")
        heard, _, pid = self._process.stdout.readline().strip().partition(" ")
        if heard != word:
            self._process.kill()
            raise AssertionError(f"expected {word}, heard {heard!r}: {self._process.stderr.read()}")
        return int(pid)


@dataclass
class Life:
    """A store through many kills."""

    path: Path
    seed: int
    durability: str
    boots: int = 0
    ends: dict[int, str] = field(default_factory=dict)
    """Every end that was ever seen in the file."""

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed} {self.durability}")

    def kill(self, nursery: Nursery, low_s: float, high_s: float, *, is_early: bool = False) -> None:
        """One more boot, killed at a random instant; then the store is looked at."""
        self.boots += 1
        told: dict[str, object] = {
            "path": str(self.path),
            "seed": self._rng.randrange(1 << 30),
            "durability": self.durability,
            "boot": self.boots,
            "is_early": is_early,
        }
        nursery.kill_one(told, self._rng.uniform(low_s, high_s))
        self.check()

    def check(self) -> None:
        """Nothing acknowledged is lost, no end is undone, and the file is in order."""
        if not self.path.exists() or not self.path.stat().st_size:
            assert not self.acks("S"), self
            return  # killed before the store was made
        connection = open_wreck(self.path)
        try:
            if not is_made(connection):
                assert not self.acks("S"), self
                return
            assert find_violations(connection) == [], self
            assert torn_batches(connection) == [], self
            assert wrongly_followed(connection) == [], self
            queued, ended = active(connection), settled(connection)
            cancels = {
                row[0] for row in connection.execute("SELECT id FROM task WHERE cancel_requested_at_ms IS NOT NULL")
            }
        finally:
            connection.close()
        undone = {task_id: status for task_id, status in self.ends.items() if ended.get(task_id) != status}
        assert not undone, self
        self.ends = ended
        lost = {int(words[1]) for words in self.acks("S")} - queued - ended.keys()
        assert not lost, self
        wrong = [words for words in self.acks("D") if ended.get(int(words[1])) != words[2]]
        assert not wrong, self
        forgotten = [
            task_id
            for words in self.acks("C")
            if (task_id := int(words[1])) not in cancels and ended.get(task_id) != "cancelled"
        ]
        assert not forgotten, self

    def acks(self, word: str) -> list[list[str]]:
        """The acknowledgements of a kind."""
        return [words for words in read_lines(Path(f"{self.path}.acks")) if words[0] == word]

    def finish(self) -> None:
        """After the last kill everything that is left runs to its end."""
        self.boots += 1
        busy_program.Program.boot = self.boots
        busy_program.Program.acks = busy_program.Notes(f"{self.path}.acks")
        busy_program.Program.runs = busy_program.Notes(f"{self.path}.runs")
        with Scheduler(self.path, domains=[busy_program.domain], max_crashes=1_000_000) as scheduler:
            run_out(scheduler)
            assert scheduler.schedules() == [], self
        self.check()
        self.check_runs()
        self.check_series()

    def check_series(self) -> None:
        """Each series had its runs, each of its own due time (M6)."""
        connection = open_wreck(self.path)
        found = connection.execute(
            "SELECT series_id, count(*), count(DISTINCT run_at_ms) FROM history WHERE series_id IS NOT NULL GROUP BY 1"
        ).fetchall()
        connection.close()
        runs = busy_program.SERIES_RUNS
        assert [row for row in found if row[1:] != (runs, runs)] == [], self

    def check_runs(self) -> None:
        """No task ran twice at once, or to its end twice in a boot for the same attempt; what completed has run."""
        open_runs: dict[str, tuple[str, ...]] = {}
        begun: Counter[tuple[str, ...]] = Counter()
        last_end: dict[str, str] = {}
        for word, boot, task_id, phase, attempt in read_lines(Path(f"{self.path}.runs")):
            run = (boot, task_id, phase, attempt)
            if word == "B":
                before = open_runs.get(task_id)
                assert before is None or before[0] != boot, f"{run} began beside {before}: {self}"
                open_runs[task_id] = run
                begun[run] += 1
            else:
                open_runs.pop(task_id, None)
                last_end[task_id] = boot
                begun[run] -= word == "I"
        twice = [run for run, count in begun.items() if count > 1]
        assert not twice, self
        ran = {task_id for _, task_id, _, _ in begun}
        connection = open_wreck(self.path)
        never = connection.execute("SELECT id FROM history WHERE status = 'completed' AND run > 0").fetchall()
        connection.close()
        assert not {row[0] for row in never if str(row[0]) not in ran}, self


def run_out(scheduler: Scheduler, timeout_s: float = 120.0) -> None:
    """Lift the pauses, finish the flows and wait until nothing is active; on time-out say what is."""
    scheduler.resume()
    for group in busy_program.GROUPS:
        scheduler.resume_group(group)
    for record in scheduler.tasks(status=TaskStatus.WAITING, task="flow::errand", limit=10_000):
        with contextlib.suppress(ParentClosed):  # a child has failed it meanwhile
            scheduler.open_flow(record.id).finish()
    deadline = time.monotonic() + timeout_s
    while left := scheduler.tasks(status=ACTIVE, limit=20):
        for record in scheduler.tasks(status=TaskStatus.BLOCKED, limit=10_000):
            if any(scheduler.task(other).status is TaskStatus.DEPENDENCY_FAILED for other in record.depends_on):
                scheduler.cancel(record.id)  # a failure under FAIL leaves it waiting for a retry by hand
        if time.monotonic() > deadline:
            raise AssertionError(f"{scheduler.count(status=ACTIVE)} tasks never ended: {left[:5]}")
        try:
            scheduler._core.wait(left[-1].id, min(1.0, deadline - time.monotonic()))
        except TimeoutError:
            continue
