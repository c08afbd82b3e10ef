"""What a pool of runs counts, as values: see ``executors.counts`` for when each is counted."""

from dataclasses import dataclass, field

from millrace.model.families import RUN_BOUNDS, WAIT_BOUNDS
from millrace.model.histograms import Histogram


class RunsOfName:
    """What is counted of the runs of one task.

    Args:
        waits: how long runs of its domain waited for their start.
    """

    __slots__ = ("durations", "finished", "started", "waits")

    def __init__(self, waits: Histogram) -> None:
        self.started = 0
        self.finished: dict[str, int] = {}
        """By what the runs came to: see ``model.outcomes.result_of``."""
        self.durations = Histogram(RUN_BOUNDS)
        self.waits = waits

    def copy(self) -> "RunsOfName":
        """As it is now, but for what it has in common with others."""
        same = object.__new__(RunsOfName)
        same.started, same.finished = self.started, self.finished.copy()
        same.durations, same.waits = self.durations.copy(), self.waits
        return same


@dataclass(slots=True)
class Census:
    """A pool at one moment."""

    executor: str
    names: dict[str, RunsOfName] = field(default_factory=dict[str, RunsOfName])
    waits: dict[str, Histogram] = field(default_factory=dict[str, Histogram])
    """By domain: how long bodies waited for their start."""
    running: dict[str, int] = field(default_factory=dict[str, int])
    """Runs under way by task name: those that began, and have not ended nor been given up."""
    groups: dict[str, int] = field(default_factory=dict[str, int])
    """Runs under way by group."""
    oldest_s: dict[str, float] = field(default_factory=dict[str, float])
    """By task name: seconds that its oldest run takes by now."""
    workers: dict[str, int] = field(default_factory=dict[str, int])
    """Threads by what they do."""
    latency: Histogram = field(default_factory=lambda: Histogram(WAIT_BOUNDS))
    """From asked to stop to stopped."""
