"""Resident memory and threads of this process, in MB (10**6 bytes)."""

import resource
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_STATUS = Path("/proc/self/status")
_BYTES_PER_MB = 1e6
_INTERVAL_S = 0.05


def peak_rss_mb() -> float:
    """The most this process has had resident since it began.

    On Linux VmHWM, not `ru_maxrss`: that one is handed down from the process that forked this one.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _BYTES_PER_MB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / _BYTES_PER_MB


def rss_mb() -> float:
    """What is resident now."""
    return float(psutil.Process().memory_info().rss) / _BYTES_PER_MB


class ThreadWatch:
    """Samples how many threads the process has, every 50 ms, until it is left: `with ThreadWatch() as watch: ...`.

    `peak` is the largest number seen, this sampling thread not counted.
    """

    def __init__(self) -> None:
        """Nothing is sampled until it is entered."""
        self.peak = 0
        self._process = psutil.Process()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="bench-thread-watch", daemon=True)

    def __enter__(self) -> Self:
        """Starts sampling."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends sampling, after one more sample."""
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._is_over.wait(_INTERVAL_S)
            self.peak = max(self.peak, self._process.num_threads() - 1)
