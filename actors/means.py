"""What the newest completed runs of each task took and moved: for the IO gate, and for the progress of what says none.

Not an actor: the persistence actor's thread adds what has been committed, any thread reads. It is loaded from the history
once, when the scheduler starts; from then on no history is read. Memory: 20 small tuples a task name.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from millrace.model.io import decode_io
from millrace.model.records import IoBudget
from millrace.model.stats import mean_io

NEWEST: Final = 20
"""Completed runs of a task that count."""

Completed = tuple[str, float, str | None]
"""Task name, seconds, what it has recorded of its IO as the store keeps it."""


class Means:
    """See the module. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, deque[tuple[float, str | None]]] = {}

    def load(self, runs: Mapping[str, Iterable[tuple[float, str | None]]]) -> None:
        """Begin anew with what the history has of each task name, oldest first."""
        with self._lock:
            self._runs = {name: deque(newest, NEWEST) for name, newest in runs.items()}

    def add(self, completed: Iterable[Completed]) -> None:
        """These have completed, in the order of their commits."""
        with self._lock:
            runs = self._runs
            for name, duration_s, io in completed:
                own = runs.get(name)
                if own is None:
                    own = runs[name] = deque(maxlen=NEWEST)
                own.append((duration_s, io))

    def _newest(self, name: str) -> list[tuple[float, str | None]]:
        with self._lock:
            return list(self._runs.get(name, ()))

    def duration_s(self, name: str) -> float | None:
        """The mean seconds of the task's newest completed runs; None where there is none."""
        newest = self._newest(name)
        return sum(duration_s for duration_s, _ in newest) / len(newest) if newest else None

    def io(self, name: str) -> IoBudget | None:
        """The mean bytes that they moved; None where there is none. A run that has recorded nothing moved nothing."""
        newest = self._newest(name)
        return mean_io([decode_io(io) for _, io in newest]) if newest else None
