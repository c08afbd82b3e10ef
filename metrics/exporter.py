"""Several schedulers of one process as one Prometheus collector, read at most once a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

from millrace.metrics.compression import Compressor
from millrace.metrics.exposition import Exposition
from millrace.metrics.readings import Readings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

CACHED_S: Final = 1.0
"""Seconds for which what was read is given again: whoever asks more often costs nothing."""


class Source(Protocol):
    """Whatever reads the families of one scheduler. From any thread."""

    @property
    def is_owner(self) -> bool:
        """Whether this process runs the scheduler's store."""
        ...

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child of the process that made it: it has nothing to read there."""
        ...

    def read(self) -> Readings:
        """All families. Never raises."""
        ...

    def illness(self) -> str | None:
        """Why the scheduler is beyond help without a restart; None: it is alive, whether it runs or not."""
        ...

    def unready(self) -> str | None:
        """Why the scheduler runs no tasks now; None: it does."""
        ...


class Measured(Protocol):
    """A scheduler, as far as this package knows it."""

    name: str

    def __metrics__(self) -> Source:
        """What reads its metrics."""
        ...


class Exporter:
    """One collector for all schedulers of the process, told apart by the label ``scheduler``. From any thread.

    ``export(scheduler)`` makes one on prometheus_client's own registry; by itself it serves `millrace.metrics.App`, which
    needs no registry.

    Where ``PROMETHEUS_MULTIPROC_DIR`` is set, as under a preforking server, only the process that runs a scheduler exports its
    series. A forked child exports none, ever.

    Args:
        schedulers: to begin with.
        monotonic: the clock of the cache.
    """

    def __init__(self, *schedulers: Measured, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._readers: dict[str, Source] = {}
        self._read: list[tuple[str, Readings]] = []
        self._read_at: float | None = None
        self._exposition = Exposition()
        self._compressor = Compressor()
        self._blocks: dict[bool, list[bytes]] = {}
        """Of what was read, as text; by whether it is OpenMetrics."""
        self._bodies: dict[tuple[bool, bool], bytes] = {}
        """The same in one, by whether it is compressed besides."""
        for scheduler in schedulers:
            self.add(scheduler)

    def add(self, scheduler: Measured) -> None:
        """Export this one too; nothing where it is exported already.

        Raises:
            ValueError: another scheduler of that name is exported. TypeError: it is no scheduler.
        """
        given: object = scheduler
        if not hasattr(given, "__metrics__"):
            raise TypeError(f"scheduler: expected a Scheduler, got {type(given).__name__}")
        reader = scheduler.__metrics__()
        with self._lock:
            if self._readers.setdefault(scheduler.name, reader) is not reader:
                raise ValueError(
                    f"scheduler: expected a name that no other exported scheduler has, got {scheduler.name!r} again; "
                    "give each its own with Scheduler(name=...)"
                )
            self._read_at = None

    def remove(self, scheduler: Measured) -> None:
        """Export this one no more."""
        with self._lock:
            self._readers.pop(scheduler.name, None)
            self._read_at = None

    def readers(self) -> dict[str, Source]:
        """All that are exported, by the names of their schedulers."""
        with self._lock:
            return dict(self._readers)

    # As a collector of prometheus_client

    def describe(self) -> list[Metric]:
        """Nothing, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, for prometheus_client's own expositions."""
        from millrace.metrics.collecting import to_prometheus  # noqa: PLC0415 - only who has a registry needs the library

        with self._lock:
            read = self._read_all()
        yield from to_prometheus(read)

    # As text

    def text(self, *, is_openmetrics: bool = False) -> str:
        """All families in Prometheus' text format 0.0.4, or as OpenMetrics 1.0."""
        return self.body(is_openmetrics=is_openmetrics).decode()

    def body(self, *, is_openmetrics: bool = False, is_compressed: bool = False) -> bytes:
        """The same as it goes out, in UTF-8: as it is, or as a gzip file."""
        with self._lock:
            read = self._read_all()
            body = self._bodies.get((is_openmetrics, is_compressed))
            if body is None:
                blocks = self._blocks.get(is_openmetrics)
                if blocks is None:
                    blocks = self._blocks[is_openmetrics] = self._exposition.render(read, is_openmetrics=is_openmetrics)
                body = self._compressor.compress(blocks) if is_compressed else b"".join(blocks)
                self._bodies[is_openmetrics, is_compressed] = body
            return body

    def _read_all(self) -> list[tuple[str, Readings]]:
        """Holding the lock: of scrapes that meet, one reads and the others have what it read."""
        now = self._monotonic()
        if self._read_at is None or now - self._read_at >= CACHED_S:
            is_shared = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
            self._read = [
                (name, reader.read())
                for name, reader in self._readers.items()
                if not reader.is_forked and (reader.is_owner or not is_shared)
            ]
            self._read_at = now
            self._blocks.clear()
            self._bodies.clear()
        return self._read


_exporters: WeakKeyDictionary[CollectorRegistry, Exporter] = WeakKeyDictionary()
"""The exporter of each registry. Module state, as prometheus_client's registries are: a second collector with the same families
on one registry would make what it exposes invalid."""
_exporters_lock = threading.Lock()


def export(scheduler: Measured, registry: CollectorRegistry | None = None) -> Exporter:
    """Export a scheduler through prometheus_client, with all others on the same registry in one collector.

    Args:
        scheduler: need not have started; nothing of its store is read before the first scrape.
        registry: prometheus_client's default registry where left out.

    Returns:
        The registry's exporter.

    Raises:
        ValueError: another scheduler of that name is exported there. TypeError: it is no scheduler.
    """
    from prometheus_client import REGISTRY  # noqa: PLC0415 - only who has a registry needs the library

    registry = REGISTRY if registry is None else registry
    with _exporters_lock:
        exporter = _exporters.get(registry)
        if exporter is None:
            exporter = _exporters[registry] = Exporter()
            registry.register(exporter)
    exporter.add(scheduler)
    return exporter
