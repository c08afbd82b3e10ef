"""The same workloads on huey's SqliteHuey, with the settings that serve it best.

Its consumer runs 8 worker threads in this process and keeps results as millrace keeps its history. An empty queue is
polled every 10 to 100 ms, which gave the best rates of the intervals tried: polling every 1 to 10 ms takes the lock
from the workers that have something to do, the default of 100 ms and up oversleeps. For latency it is polled every 1
to 10 ms. Its own logging is off.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from statistics import median, quantiles

from huey import SqliteHuey, chord  # type: ignore[import-untyped]  # huey ships no types
from huey.consumer import Consumer  # type: ignore[import-untyped]  # huey ships no types
from huey.signals import SIGNAL_COMPLETE  # type: ignore[import-untyped]  # huey ships no types

from bench.case import Figures, Site, Sizes

_WORKERS = 8
_GRACE_S = 600.0

# First and longest pause, in seconds, of a worker that found the queue empty.
_POLL_FOR_RATE_S = (0.01, 0.1)
_POLL_FOR_LATENCY_S = (0.001, 0.01)


class Sync(Enum):
    """What survives, as SQLite's `synchronous`: the value is what the connection is set to."""

    POWER = 2  # FULL, huey's default: equal to durability "power"
    PROCESS = 1  # NORMAL, which huey has no option for: equal to durability "process"
    OFF = 0  # huey's `fsync=False`: less than "process", a power cut may corrupt the file


def drain_flat(site: Site, *, sizes: Sizes, sync: Sync) -> Figures:
    """Rate at which 8 workers drain a queue that is full already.

    huey has no batch submit, so submitting counts in `whole_rate` only.
    """
    count = sizes.at(site.scale)
    huey = _open(site.directory, sync=sync)
    noop = huey.task()(_noop)
    done = _Countdown(huey, count)
    began = time.perf_counter()
    for number in range(count):
        noop(number)
    drain_began = time.perf_counter()
    with _consumer(huey):
        done.wait()
        ended = time.perf_counter()
    return {"rate": count / (ended - drain_began), "whole_rate": count / (ended - began)}


def submit_one_by_one(site: Site, *, sizes: Sizes, sync: Sync) -> Figures:
    """Rate of submitting one task after the other while 8 workers run, until all results are there."""
    count = sizes.at(site.scale)
    huey = _open(site.directory, sync=sync)
    noop = huey.task()(_noop)
    done = _Countdown(huey, count)
    with _consumer(huey):
        began = time.perf_counter()
        for number in range(count):
            noop(number)
        submitted = time.perf_counter()
        done.wait()
        ended = time.perf_counter()
    return {"rate": count / (ended - began), "submit_rate": count / (submitted - began)}


def start_when_idle(site: Site, *, sizes: Sizes, sync: Sync, pause_s: float) -> Figures:
    """Time from a submit to the body's first line, while nothing else is to do."""
    huey = _open(site.directory, sync=sync)
    started = threading.Event()
    at: list[float] = []

    def mark(number: int) -> int:
        at.append(time.perf_counter())
        started.set()
        return number

    task = huey.task()(mark)
    latencies: list[float] = []
    with _consumer(huey, _POLL_FOR_LATENCY_S):
        for number in range(sizes.at(site.scale)):
            time.sleep(pause_s)
            started.clear()
            began = time.perf_counter()
            task(number)
            if not started.wait(_GRACE_S):
                raise TimeoutError(f"task {number} has not started within {_GRACE_S:.0f} s")
            latencies.append((at[-1] - began) * 1e3)
    return {"median_ms": median(latencies), "p99_ms": quantiles(latencies, n=100)[98]}


def run_chord(site: Site, *, sizes: Sizes, sync: Sync) -> Figures:
    """Rate of one chord's members, from its submit until the callback's result is there."""
    count = sizes.at(site.scale)
    huey = _open(site.directory, sync=sync)
    member = huey.task()(_noop)
    callback = huey.task()(_total)
    done = _Countdown(huey, count + 1)
    with _consumer(huey):
        began = time.perf_counter()
        result = huey.enqueue(chord([member.s(number) for number in range(count)], callback.s()))
        # Polling for the result would take the lock from the workers.
        done.wait()
        total = result.get()
        took_s = time.perf_counter() - began
    if total != sum(range(count)):
        raise AssertionError(f"expected {sum(range(count))} from the chord, got {total}")
    return {"rate": count / took_s}


def _noop(number: int) -> int:
    # Not None, so that a result is stored.
    return number


def _total(results: list[int]) -> int:
    return sum(results)


def _open(directory: Path, *, sync: Sync) -> SqliteHuey:
    logging.getLogger("huey").setLevel(logging.CRITICAL)
    huey = SqliteHuey("bench", filename=str(directory / "huey.db"))
    # huey uses one connection for all its threads, so that this holds for every later statement.
    huey.storage.conn.execute(f"pragma synchronous = {sync.value}")
    return huey


@contextmanager
def _consumer(huey: SqliteHuey, poll_s: tuple[float, float] = _POLL_FOR_RATE_S) -> Iterator[None]:
    """Starts 8 workers and stops them. Its signal handlers are not installed: `start` is not called."""
    first_s, longest_s = poll_s
    consumer = Consumer(
        huey, workers=_WORKERS, periodic=False, initial_delay=first_s, max_delay=longest_s, check_worker_health=False
    )
    threads = [consumer.scheduler, *(thread for _, thread in consumer.worker_threads)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        consumer.stop_flag.set()
        for thread in threads:
            thread.join()
        huey.storage.close()


class _Countdown:
    """Waits for that many tasks to have stored their results, which is when huey tells SIGNAL_COMPLETE."""

    def __init__(self, huey: SqliteHuey, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        huey.signal(SIGNAL_COMPLETE)(self._on_complete)

    def wait(self) -> None:
        """TimeoutError after ten minutes."""
        if not self._is_over.wait(_GRACE_S):
            raise TimeoutError(f"{self._left} tasks are not done after {_GRACE_S:.0f} s")

    def _on_complete(self, *_: object) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._is_over.set()
