"""A pytest plugin: threads stand still at random moments, as on a busy machine (``tox run -e delays``).

Where threads meet is between actors, at the begin of a body and at a caller's answer: delays there bring about orders of events
that hardly ever occur otherwise. It has found a run that was held for ever. No test may fail by it but for its time limit.
A seed gives each process its delays, not an order of threads: one that fails is tried again, not replayed.
"""

import functools
import os
import random
import time
from collections.abc import Callable
from typing import Any, Final

from millrace.actors.executing import Executing
from millrace.actors.mailbox import Mailbox
from millrace.actors.runtime import Runtime

SEED: Final = os.environ.get("MILLRACE_DELAYS_SEED", "1")
PLACES: Final[tuple[tuple[type, str, float, float], ...]] = (
    (Mailbox, "tell", 0.01, 0.1),
    (Executing, "began", 0.1, 0.3),
    (Runtime, "ask", 0.1, 0.3),
    (Runtime, "await_reply", 0.1, 0.2),
)
"""Of which class the method is slow, how often it is, and by how many seconds at most, before and after."""

_random: Final = random.Random(f"{SEED} {os.environ.get('PYTEST_XDIST_WORKER', '')}")
_sleep: Final = time.sleep
"""As it is before any test puts something else in its place."""


def slowed(method: Callable[..., Any], share: float, most_s: float) -> Callable[..., Any]:
    """The method, with a delay before and after it now and then."""

    def stand_still() -> None:
        if _random.random() < share:
            _sleep(_random.random() * most_s)

    @functools.wraps(method)
    def slow(*args: Any, **kwargs: Any) -> Any:
        stand_still()
        try:
            return method(*args, **kwargs)
        finally:
            stand_still()

    return slow


def pytest_configure() -> None:
    """Put the slow methods in the place of the others."""
    for owner, name, share, most_s in PLACES:
        setattr(owner, name, slowed(getattr(owner, name), share, most_s))
