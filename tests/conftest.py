"""What every test gets: hypothesis profiles, and a check that no test leaves a thread behind."""

import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The machine's load must not decide whether a test passes: no deadline. On every commit the examples are the same
# ones, so that a failure is the change's; the long profile looks for new ones.
settings.register_profile("commit", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "long", deadline=None, print_blob=True, max_examples=1_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "commit"))

THREAD_GRACE_S = 30.0
"""How long a thread that was told to stop may take to end before the test fails."""


@pytest.fixture(autouse=True)
def no_thread_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that ends with more live threads than it began with.

    Threads of fixtures with a wider scope are there before and are not counted. A test that abandons a thread on
    purpose says so: `@pytest.mark.leaves_threads("why")`.
    """
    before = set(threading.enumerate())
    yield
    if request.node.get_closest_marker("leaves_threads"):
        return
    deadline = time.monotonic() + THREAD_GRACE_S
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    alive = sorted(thread.name for thread in left if thread.is_alive())
    if alive:
        pytest.fail(f"{len(alive)} threads still run {THREAD_GRACE_S:.0f} s after the test: {', '.join(alive)}")
