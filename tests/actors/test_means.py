"""What the newest completed runs took is known at any moment, by any thread."""

import threading

from millrace.actors.means import NEWEST, Means
from millrace.model.records import IoBudget


def test_a_task_without_a_completed_run_has_no_mean() -> None:
    """None is unknown, which is something else than 0."""
    means = Means()
    means.add([("a", 1.0, None)])
    assert means.duration_s("b") is None
    assert means.io("b") is None
    assert means.io("a") == IoBudget()


def test_the_newest_20_count() -> None:
    """S-284, S-299: older runs are forgotten one by one, and each task has its own."""
    means = Means()
    means.load({"a": [(100.0, "[100,0,0,0]")] * 30, "b": [(7.0, None)]})
    assert means.duration_s("a") == 100.0
    means.add([("a", 0.0, None)] * 5)
    assert means.duration_s("a") == 75.0
    assert means.io("a") == IoBudget(disk_read=75)
    means.add([("a", 2.0, "[4,3,2,1]")] * NEWEST)
    assert means.duration_s("a") == 2.0
    assert means.io("a") == IoBudget(4, 3, 2, 1)
    assert means.duration_s("b") == 7.0


def test_a_load_forgets_what_was_there() -> None:
    """Another start reads the store anew."""
    means = Means()
    means.add([("a", 1.0, None)])
    means.load({})
    assert means.duration_s("a") is None


def test_means_are_read_while_they_change() -> None:
    """A reader meets no half of a change, and never fails."""
    means = Means()
    means.add([("a", 1.0, None)])
    is_over = threading.Event()
    seen: set[float | None] = set()

    def read() -> None:
        while not is_over.is_set():
            seen.add(means.duration_s("a"))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(2000):
        means.add([("a", 1.0, "[1,2,3,4]")] * 3)
    is_over.set()
    thread.join(20)
    assert seen <= {1.0}
