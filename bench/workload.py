"""What the millrace side of the cases shares: its scheduler, and how the end of a workload is seen."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from millrace import Domain, Retention, Scheduler, TaskStatus

THREADS = 8
GRACE_S = 600.0

_POLL_S = 0.001
_SETTLED = [status for status in TaskStatus if status.is_terminal]


class Tally:
    """Counts bodies from any thread, and says when the expected number has run."""

    def __init__(self) -> None:
        """Nothing is expected yet."""
        self.count = 0
        self._expected = 0
        self._lock = threading.Lock()
        self._is_full = threading.Event()

    def expect(self, count: int) -> None:
        """Begins anew: full once `count` bodies have run."""
        with self._lock:
            self.count, self._expected = 0, count
            self._is_full.clear()

    def add(self) -> None:
        """One body has run."""
        with self._lock:
            self.count += 1
            if self.count == self._expected:
                self._is_full.set()

    def wait(self) -> None:
        """Until the expected number has run. TimeoutError after ten minutes."""
        if not self._is_full.wait(GRACE_S):
            raise TimeoutError(f"{self.count} of {self._expected} bodies have run after {GRACE_S:.0f} s")


def open_scheduler(
    directory: Path,
    domains: Iterable[Domain],
    *,
    durability: Literal["power", "process"] = "process",
    max_concurrency: int = THREADS,
    **settings: Any,
) -> Scheduler:
    """A scheduler with 8 threads on a file in that directory, not started, that prunes nothing; settings are Scheduler's."""
    return Scheduler(
        directory / "millrace.db",
        domains=domains,
        max_concurrency=max_concurrency,
        retention=Retention(max_count=None),
        durability=durability,
        **settings,
    )


class CpuMeter:
    """What this process takes of a processor while nothing happens but what the runtime does by itself."""

    def __init__(self) -> None:
        """Begins to count."""
        self._began, self._used = time.perf_counter(), time.process_time()

    def percent(self) -> float:
        """Percent of one core since the beginning, all threads together."""
        return (time.process_time() - self._used) / (time.perf_counter() - self._began) * 100


def until_settled(scheduler: Scheduler, tally: Tally, count: int) -> None:
    """Until all the tally's bodies have run and `count` tasks are in the history. TimeoutError after ten minutes.

    The history is asked only after the last body, so that asking takes nothing from the run.
    """
    tally.wait()
    deadline = time.monotonic() + GRACE_S
    while (settled := scheduler.count(status=_SETTLED)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{settled} of {count} tasks are in the history after {GRACE_S:.0f} s")
        time.sleep(_POLL_S)
