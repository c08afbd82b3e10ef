"""OTP's restart intensity: how often the runtime's own actors may fail before the scheduler gives up.

Source: the Erlang/OTP design principles, "Supervisor behaviour".
"""

from collections import deque

from millrace.model.records import Restarts


class Intensity:
    """Counts failures in a sliding window of time."""

    def __init__(self, restarts: Restarts) -> None:
        self._limit = restarts.limit
        self._window_s = restarts.window_s
        self._failures: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Count a failure at monotonic time ``now``; False where it is one too many."""
        self._failures.append(now)
        while now - self._failures[0] > self._window_s:
            self._failures.popleft()
        return len(self._failures) <= self._limit

    def backoff_s(self) -> float:
        """Seconds to wait before the replacement: a failure of the store is mostly one of its surroundings, and passes."""
        return min(1.0, 0.01 * 2.0 ** min(len(self._failures) - 1, 10))
