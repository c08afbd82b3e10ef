"""What the runtime counts as it happens: how often, how long, how many. From any thread; it outlives actors.

The common path counts per transaction: one lock and one update a commit (``Effects.counts``). Runs are counted where they
begin and end, by the executors; everything that is only read is read at the scrape, and is not here.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from millrace.actors.effects import CountKey
from millrace.model.families import FAMILIES
from millrace.model.histograms import Histogram

NOTHING: Final[Mapping[tuple[str, str], Sequence[float]]] = MappingProxyType({})

CRASHED_RUNS = "crashed_runs"
"""Runs that the death of a process ended: counted by the start that finds them, as started and as finished, so that they are
in neither or in both."""


class Tally:
    """See the module.

    Args:
        monotonic: the clock by which seconds are counted.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._going_on: dict[CountKey, float] = {}
        """Since when the seconds of these counters count."""
        self._counts: defaultdict[CountKey, float] = defaultdict(float)
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def add(
        self, counts: Mapping[CountKey, float], observed: Mapping[tuple[str, str], Sequence[float]] = NOTHING
    ) -> None:
        """What a commit counted, and the values of histograms (family, label) that it measured."""
        with self._lock:
            own = self._counts
            for key, count in counts.items():
                own[key] += count
            for (family, label), values in observed.items():
                self._histogram(family, label).observe_all(values)

    def count(self, counter: str, name: str = "", value: str = "", by: float = 1) -> None:
        """One more, or so many more, of something that no commit counts."""
        with self._lock:
            self._counts[counter, name, value] += by

    def go_on(self, counter: str, values: Iterable[str]) -> None:
        """From now on the seconds that pass count for these values of a counter, and for no others of it."""
        keys = {(counter, "", value) for value in values}
        with self._lock:
            now = self._monotonic()
            for key in [key for key in self._going_on if key[0] == counter and key not in keys]:
                self._counts[key] += now - self._going_on.pop(key)
            for key in keys:
                self._going_on.setdefault(key, now)

    def observe(self, family: str, value: float, label: str = "") -> None:
        """One more value of a histogram."""
        with self._lock:
            self._histogram(family, label).observe(value)

    def _histogram(self, family: str, label: str) -> Histogram:
        found = self._histograms.get((family, label))
        if found is None:
            found = self._histograms[family, label] = Histogram(FAMILIES[family].bounds)
        return found

    def counts(self) -> defaultdict[CountKey, float]:
        """All that was counted so far: (counter, task name, value) to how often, or how many seconds; 0 for anything else."""
        with self._lock:
            counts = self._counts.copy()
            if self._going_on:
                now = self._monotonic()
                for key, since in self._going_on.items():
                    counts[key] += now - since
            return counts

    def histograms(self) -> dict[tuple[str, str], Histogram]:
        """All histograms as they are now, by family and label."""
        with self._lock:
            return {key: histogram.copy() for key, histogram in self._histograms.items()}
