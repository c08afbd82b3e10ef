"""One scheduler at one moment: every family of ``model.families``, with all series of its registered tasks.

What runs and what has run comes from one census under the executors' lock, so that started less finished is running. All
else is read just before or after it.
"""

import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from threading import Lock
from typing import Final

from millrace.actors.effects import CountKey
from millrace.actors.opened import store_versions
from millrace.actors.runtime import Runtime
from millrace.actors.settings import Phases
from millrace.actors.tally import CRASHED_RUNS
from millrace.metrics.labels import Names
from millrace.metrics.queue import QueueWatch
from millrace.metrics.stored import Numbers, put_files, put_queue, series_of
from millrace.model.census import Census
from millrace.model.errors import MillraceError
from millrace.model.families import FAMILIES, Family, Labels
from millrace.model.histograms import Histogram
from millrace.model.measures import QueueState

_EXECUTORS: Final = {"run": "thread", "hook": "hook"}
"""Name of a pool to the label that it has."""

STUCK_AFTER_S: Final = 60.0
"""A dispatcher that was asked for a sign of life so long ago is stuck: its turns take milliseconds."""

Histograms = dict[str, dict[Labels, Histogram]]
Places = tuple[tuple[str, Labels], ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read: family to the values of its labels to the value."""

    numbers: Numbers
    histograms: Histograms


class Reader:
    """Reads one scheduler. From any thread.

    Args:
        runtime: of the scheduler.
        registered: the qualified names of its tasks.
    """

    def __init__(self, runtime: Runtime, registered: Callable[[], Iterable[str]]) -> None:
        self._lock = Lock()
        self._runtime = runtime
        self._registered = registered
        self._names = Names(())
        self._known: tuple[str, ...] | None = None
        self._zeros: Numbers = {}
        self._empty: Histograms = {}
        """One empty histogram for all series of a family: nothing is ever added to one that is shown."""
        self._places: dict[CountKey, Places] = {}
        """Where what is counted is shown: family and labels."""
        self._errors = 0
        self._queue = QueueWatch(
            runtime.store.measure_queue, monotonic=runtime.times.monotonic, detach=runtime.loop.detach
        )

    def read(self) -> Readings:
        """All families. What cannot be read is left out and counted, and never raises."""
        with self._lock:
            return self._read()

    @property
    def is_owner(self) -> bool:
        """Whether this process runs the scheduler's store."""
        return self._runtime.is_owner

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child of the process that made the scheduler: it has nothing to read there."""
        return self._runtime.guard.is_forked

    def illness(self) -> str | None:
        """Why the scheduler is beyond help without a restart; None: it is alive, whether it runs or not."""
        runtime = self._runtime
        if runtime.state is Phases.FAILED:
            return "failed"
        if runtime.state is not Phases.RUNNING:
            return None
        silent_s = runtime.dispatcher.silent_s()
        runtime.dispatcher.ask_beat()
        return f"its dispatcher has not answered for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else None

    def unready(self) -> str | None:
        """Why the scheduler runs no tasks now; None: it does."""
        state = self._runtime.state
        return self.illness() if state is Phases.RUNNING else f"expected it to run, it is {state.name.lower()}"

    def _read(self) -> Readings:
        began = time.perf_counter()
        self._take_names()
        numbers: Numbers = {family: series.copy() for family, series in self._zeros.items()}
        histograms: Histograms = {family: series.copy() for family, series in self._empty.items()}
        self._read_counts(numbers, histograms)
        self._read_runs(numbers, histograms)
        self._read_actors(numbers)
        self._read_store(numbers)
        self._read_others(numbers)
        numbers["events_dropped_total"][()] = self._runtime.hub.dropped
        numbers["collector_errors_total"][()] = self._errors
        numbers["collector_duration_seconds"][()] = time.perf_counter() - began
        return Readings(numbers, histograms)

    # Series that are there from the start

    def _take_names(self) -> None:
        """Tasks are declared at import, some of them late: where there are new ones, their series begin."""
        known = tuple(self._registered())
        if known == self._known:
            return
        self._known = known
        self._names = Names(known)
        self._zeros = {
            name: dict.fromkeys(series_of(family, self._names), 0.0)
            for name, family in FAMILIES.items()
            if family.kind != "histogram"
        }
        self._zeros["build_info"] = {_versions(): 1.0}
        self._empty = {
            name: dict.fromkeys(series_of(family, self._names), Histogram(family.bounds))
            for name, family in FAMILIES.items()
            if family.kind == "histogram"
        }
        self._places = {}

    # Counted

    def _read_counts(self, numbers: Numbers, histograms: Histograms) -> None:
        tally = self._runtime.tally
        places = self._places
        for key, count in tally.counts().items():
            for family, labels in places.get(key) or self._find_places(key):
                series = numbers[family]
                series[labels] = series.get(labels, 0.0) + count
        for (family_name, name), histogram in tally.histograms().items():
            labels = self._labels(FAMILIES[family_name], name, name)
            self._merge(histograms, family_name, labels, histogram)

    def _find_places(self, key: CountKey) -> Places:
        counter, name, value = key
        family = FAMILIES.get(f"{counter}_total")
        places: Places = ()
        if counter == CRASHED_RUNS:
            task = self._names.task(name)
            places = (("runs_started_total", task), ("runs_finished_total", (*task, "crashed")))
        elif family is not None:
            places = ((family.name, self._labels(family, name, value)),)
        self._places[key] = places
        return places

    def _labels(self, family: Family, name: str, value: str) -> Labels:
        labels: list[str] = []
        for label in family.labels:
            if label == "domain":
                labels.append(self._names.domain(name))
            elif label == "task":
                labels.append(self._names.task(name)[1])
            else:
                labels.append(value)
        return tuple(labels)

    @staticmethod
    def _add(numbers: Numbers, family: str, labels: Labels, value: float) -> None:
        series = numbers[family]
        series[labels] = series.get(labels, 0.0) + value

    def _merge(self, histograms: Histograms, family: str, labels: Labels, part: Histogram) -> None:
        """Add one, a copy that is this reading's own, to what is shown under these labels."""
        series = histograms[family]
        shown = series.get(labels)
        if shown is not None and shown is not self._empty[family].get(labels):
            part.add(shown.buckets, shown.total)
        series[labels] = part

    # Runs

    def _read_runs(self, numbers: Numbers, histograms: Histograms) -> None:
        bodies, hooks = self._runtime.executors.census()
        for name, runs in bodies.names.items():
            task = self._names.task(name)
            self._add(numbers, "runs_started_total", task, runs.started)
            for outcome, count in runs.finished.items():
                self._add(numbers, "runs_finished_total", (*task, outcome), count)
            self._merge(histograms, "run_duration_seconds", task, runs.durations)
        for domain, waits in bodies.waits.items():
            self._merge(histograms, "wait_seconds", (self._names.domain(domain),), waits)
        for name, count in bodies.running.items():
            self._add(numbers, "running", ("global",), count)
            domain = self._names.domain(name)
            if domain != "global":  # (a domain of that name would be counted twice)
                self._add(numbers, "running", (domain,), count)
        ages = numbers["oldest_run_age_seconds"]
        for name, age_s in bodies.oldest_s.items():
            domain = self._names.domain(name)
            ages[domain,] = max(ages.get((domain,), 0.0), age_s)
        self._read_limits(numbers, bodies)
        for census in (bodies, hooks):
            self._read_pool(numbers, histograms, census)

    def _read_limits(self, numbers: Numbers, bodies: Census) -> None:
        """Of the domains and groups that have a limit of their own."""
        limits = self._runtime.limits
        bounds = numbers["concurrency_limit"]
        bounds.clear()
        bounds |= {(domain,): bound for domain, bound in limits.domains.items() if domain in self._names.domains}
        bounds["global",] = limits.slots
        for group, bound in limits.groups.items():
            numbers["group_limit"][group,] = bound
            numbers["group_running"][group,] = bodies.groups.get(group, 0)
            numbers["group_paused"][group,] = int(group in limits.paused_groups)

    def _read_pool(self, numbers: Numbers, histograms: Histograms, census: Census) -> None:
        executor = _EXECUTORS.get(census.executor, census.executor)
        for state, count in census.workers.items():
            numbers["workers"][executor, state] = count
        self._merge(histograms, "cancel_latency_seconds", (executor,), census.latency)

    # Read

    def _read_actors(self, numbers: Numbers) -> None:
        runtime = self._runtime
        supervisors = runtime.roster.supervisors
        if supervisors is not None:
            numbers["supervisors"]["awake",] = supervisors.awake
            numbers["supervisors"]["asleep",] = supervisors.asleep
        for box in runtime.addresses.all:
            numbers["actor_inbox_messages"][box.name,] = len(box.inbox)
        numbers["owner"][()] = int(runtime.is_owner)
        beats = numbers["dispatcher_heartbeat_timestamp_seconds"]
        if runtime.state is Phases.RUNNING and runtime.dispatcher.beat_at is not None:
            beats[()] = runtime.dispatcher.beat_at
            runtime.dispatcher.ask_beat()  # the answer is the next scrape's: one that never comes is what this is for
        else:
            beats.clear()

    def _read_store(self, numbers: Numbers) -> None:
        try:
            files = self._runtime.store.measure_files()
            state = self._queue.look()
        except (MillraceError, OSError):
            self._errors += 1
            files, state = None, QueueState()
        put_files(numbers, files)
        put_queue(numbers, state, self._names, self._runtime.times.wall_ms())

    def _read_others(self, numbers: Numbers) -> None:
        for source in self._runtime.gauges:
            try:
                for family, labels, value in source():
                    numbers[family][labels] = value
            except Exception:  # noqa: BLE001 - whatever a source raises, a scrape has what the others gave
                self._errors += 1


def total(family: Family, series: Mapping[Labels, float]) -> float | None:
    """The value of a family over all its labels; None where it has none."""
    if not series or family.whole == "none":
        return None
    if family.whole == "sum":
        return sum(series.values())
    if family.whole == "max":
        return max(series.values())
    return series.get(family.whole)


def _versions() -> Labels:
    return version("millrace"), platform.python_version(), *store_versions()
