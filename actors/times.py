"""The clocks, injected wherever time is told: in a program the system's, in a simulation one that is set by hand."""

import time
from typing import Protocol


class Times(Protocol):
    """The time, three ways. From any thread."""

    def monotonic(self) -> float:
        """Seconds of a clock that nobody sets: for waiting."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC by the wall clock: for records and schedules."""
        ...

    def steady_ms(self) -> int:
        """Milliseconds since 1970 UTC as the wall clock would say had nobody set it since the start: for delays."""
        ...


class SystemTimes:
    """The system's clocks."""

    def __init__(self) -> None:
        self._anchor_ns = time.time_ns() - time.monotonic_ns()

    def monotonic(self) -> float:
        """See ``Times``."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """See ``Times``."""
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        """See ``Times``."""
        return (self._anchor_ns + time.monotonic_ns()) // 1_000_000
