"""SIGINT and SIGTERM for a command that drains: the first one asks, the second one ends the process."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """What was received.

    The first signal only sets `received`: a command looks at it between two waits, so that nothing of the runtime is
    torn by an exception at a random place.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """The first signal's number."""

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler. Raises KeyboardInterrupt at the second signal."""
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number


@contextmanager
def interrupts() -> Generator[Interrupts]:
    """Handles both signals while it lasts. Main thread only."""
    received = Interrupts()
    before = {number: signal.signal(number, received.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
