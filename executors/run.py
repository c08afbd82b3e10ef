"""A run under way: the claim it began with, and what is asked of it and known of it until it ends."""

import threading
import time
from collections.abc import Callable
from typing import Final

from millrace.model.durations import LONGEST_WAIT_S
from millrace.model.errors import InterruptReason
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
    """One run. Asked to stop from any thread; its fields of progress are written by its body alone."""

    __slots__ = (
        "_listeners",
        "_lock",
        "_wake",
        "asked",
        "begun_at",
        "claim",
        "fraction",
        "has_ended",
        "is_abandoned",
        "is_fresh",
        "message",
        "waits",
    )

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.asked: InterruptReason | None = None
        self.begun_at: float | None = None
        """Monotonic time at which the function was called; None before."""
        self.has_ended = False
        self.is_abandoned = False
        """Given up: its outcome is recorded, though its thread still runs."""
        self.fraction: float | None = None
        self.message: str | None = None
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
            if self.asked is None or REASON_ORDER.index(reason) < REASON_ORDER.index(self.asked):
                self.asked = reason
            if self._wake is not None:
                self._wake.set()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(reason)

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
        return (self.claim.priority, self.claim.phase, self.claim.id)
