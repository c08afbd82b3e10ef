"""The tally adds up what commits and others count, whoever counts it."""

import threading

from millrace.actors.effects import Effects
from millrace.actors.tally import Tally


def test_a_commit_is_added_whole() -> None:
    """What the effects of a commit counted and measured is in the tally."""
    tally, effects = Tally(), Effects()
    effects.count("retries", "a::b")
    effects.count("retries", "a::b")
    effects.count("task_bytes", "a::b", "disk_read", by=1000)
    effects.settled_after("a::b", [1.5])
    effects.settled_after("a::b", [-0.005, 0.5])
    tally.add(effects.counts, effects.observed)
    tally.add(effects.counts)
    assert tally.counts() == {("retries", "a::b", ""): 4, ("task_bytes", "a::b", "disk_read"): 2000}
    histogram = tally.histograms()["end_to_end_seconds", "a"]
    assert (histogram.count, histogram.total) == (3, 2.0), "a clock that was set back counts as no time"


def test_threads_lose_no_count() -> None:
    """Many threads count at once: the sum is exact."""
    tally = Tally()

    def work() -> None:
        for _ in range(1000):
            tally.count("events_dropped")
            tally.observe("batch_size", 3.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.counts()["events_dropped", "", ""] == 4000
    assert tally.histograms()["batch_size", ""].count == 4000
