"""What the running tasks of a scan tell the progress line."""

import threading
import time
from dataclasses import dataclass
from typing import Final

_SMOOTHING: Final = 0.3  # share of the newest reading in the rate


@dataclass(frozen=True)
class Progress:
    """A reading of `Activity`, for show: after a crash it may count a directory twice, which the report never does."""

    done: int
    """Directories read."""
    found: int
    """Directories known, the ones read included."""
    bytes: int
    """Of the files in the directories read by this process."""
    rate: float
    """Directories a second, smoothed."""
    adding_up: bool
    """All is read, and the totals are under way."""

    @property
    def eta(self) -> float | None:
        """Seconds until what is known is read: at least, as more may be found. None where nothing moves."""
        return (self.found - self.done) / self.rate if self.rate > 0 else None


class Activity:
    """Counters of one scan in this process. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0
        self._found = 0
        self._bytes = 0
        self._adding_up = False
        self._rate = 0.0
        self._last: tuple[float, int] | None = None

    def take_over(self, *, done: int, found: int) -> None:
        """Takes over what is in the store by now: what earlier processes did, and this one since its start."""
        with self._lock:
            self._done = max(done, self._done)
            self._found = max(found, self._found)

    def directory_done(self, size: int) -> None:
        """One directory is read, with so many bytes of files in it."""
        with self._lock:
            self._done += 1
            self._bytes += size

    def directories_found(self, count: int) -> None:
        """So many new ones are known."""
        with self._lock:
            self._found += count

    def adding_up(self) -> None:
        """The finalizer has begun."""
        with self._lock:
            self._adding_up = True

    def progress(self, now: float | None = None) -> Progress:
        """A reading; `now` is in monotonic seconds. The rate is that between readings: for one caller."""
        now = time.monotonic() if now is None else now
        with self._lock:
            if self._last is not None and now > self._last[0]:
                newest = max(0.0, (self._done - self._last[1]) / (now - self._last[0]))
                self._rate = newest if not self._rate else self._rate + _SMOOTHING * (newest - self._rate)
            self._last = (now, self._done)
            return Progress(self._done, self._found, self._bytes, self._rate, self._adding_up)
