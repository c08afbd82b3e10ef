"""What is measured of a store, as values."""

from dataclasses import dataclass, field
from typing import NamedTuple


class QueueCount(NamedTuple):
    """Active tasks of one name and status (delayed ones are not pending), and since when the first ready one is ready."""

    name: str
    status: str
    tasks: int
    ready_since_ms: int | None


class ScheduleTimes(NamedTuple):
    """When a task with a schedule runs next, and when a run of it last ended well; None: not at all."""

    name: str
    next_run_ms: int | None
    last_success_ms: int | None


class FileSizes(NamedTuple):
    """Bytes of the store's file and of its log, and free on its file system."""

    store: int
    log: int
    free: int


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue as one pass over it found it."""

    counts: list[QueueCount] = field(default_factory=list[QueueCount])
    schedules: list[ScheduleTimes] = field(default_factory=list[ScheduleTimes])
