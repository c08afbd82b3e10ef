"""A run under way: the claim it began with, and what is asked of it and known of it until it ends."""

import threading
import time
from collections.abc import Callable
from typing import Final

from millrace.executors.log_tail import LogTail
from millrace.model.durations import LONGEST_WAIT_S
from millrace.model.errors import InterruptReason
from millrace.model.io import LARGEST, Moved, add_moved
from millrace.model.rows import Claim

REASON_ORDER: Final[tuple[InterruptReason, ...]] = (
    "superseded",
    "cancelled",
    "parent_failed",
    "child_failed",
    "shutdown",
    "timeout",
    "paused",
    "preempted",
)
"""Where reasons meet, the first of these counts."""


class Run:
    """One run. Asked to stop, and told of bytes, from any thread; fraction and message are written by its body alone."""

    __slots__ = (
        "_listeners",
        "_lock",
        "_wake",
        "asked",
        "asked_at",
        "begun_at",
        "bytes_done",
        "bytes_total",
        "claim",
        "fraction",
        "has_ended",
        "is_abandoned",
        "is_fresh",
        "log",
        "message",
        "recorded_io",
        "reported_at",
        "waits",
    )

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.asked: InterruptReason | None = None
        self.asked_at: float | None = None
        """Monotonic time at which it was first asked."""
        self.begun_at: float | None = None
        """Monotonic time at which the function was called; None before."""
        self.has_ended = False
        self.is_abandoned = False
        """Given up: its outcome is recorded, though its thread still runs."""
        self.fraction: float | None = None
        """The last report of its body."""
        self.reported_at: float | None = None
        """Monotonic time of that report; None before the first."""
        self.message: str | None = None
        self.bytes_done: int | None = None
        """Bytes that it has told of; None where it tells of none."""
        self.bytes_total: int | None = None
        self.recorded_io: Moved | None = None
        """Bytes that it says it has moved: disk read, disk written, received, sent; None where it says nothing."""
        self.log: LogTail | None = None
        """Its captured log lines; None before the first."""
        self.is_fresh = False
        """The fields of progress have been written since they were last looked at."""
        self.waits = 0
        """Waits for other tasks under way: the run has lent its slot."""
        self._wake: threading.Event | None = None
        self._listeners: list[Callable[[InterruptReason], None]] = []
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The function is about to be called."""
        self.begun_at = time.monotonic()

    def ask(self, reason: InterruptReason) -> None:
        """Ask the run to stop. A weightier reason replaces a lighter one."""
        with self._lock:
            if self.asked_at is None:
                self.asked_at = time.monotonic()
            if self.asked is None or REASON_ORDER.index(reason) < REASON_ORDER.index(self.asked):
                self.asked = reason
            if self._wake is not None:
                self._wake.set()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(reason)

    def expect_bytes(self, total: int) -> None:
        """So many bytes are to be done in all."""
        with self._lock:
            self.bytes_total = total
            if self.bytes_done is None:
                self.bytes_done = 0

    def add_bytes(self, n: int) -> None:
        """So many bytes more are done."""
        with self._lock:
            done = n if self.bytes_done is None else self.bytes_done + n
            self.bytes_done = min(done, LARGEST)

    def record_io(self, moved: Moved) -> None:
        """So many bytes more were moved."""
        with self._lock:
            self.recorded_io = moved if self.recorded_io is None else add_moved(self.recorded_io, moved)

    def listen(self, listener: Callable[[InterruptReason], None]) -> None:
        """Call ``listener`` when the run is asked to stop, at once where it has been. It must not block."""
        with self._lock:
            self._listeners.append(listener)
            asked = self.asked
        if asked is not None:
            listener(asked)

    def unlisten(self, listener: Callable[[InterruptReason], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners.remove(listener)

    def wait_asked(self, timeout_s: float) -> bool:
        """Wait until the run is asked to stop; False where it was not within ``timeout_s``."""
        with self._lock:
            if self._wake is None:
                self._wake = threading.Event()
                if self.asked is not None:
                    self._wake.set()
            wake = self._wake
        return wake.wait(min(timeout_s, LONGEST_WAIT_S))

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it stands in the order of starts."""
        claim = self.claim
        return (claim.priority if claim.effective is None else claim.effective, claim.phase, claim.id)
