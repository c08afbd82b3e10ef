"""What the runs of a task type were like, summed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from millrace.model.io import NO_IO
from millrace.model.records import IoBudget
from millrace.model.statuses import TaskStatus

P95 = 0.95


class PastRun(NamedTuple):
    """A settled task, as far as statistics go."""

    status: TaskStatus
    """COMPLETED, FAILED or DEAD_LETTER."""
    duration_s: float | None
    io: IoBudget


@dataclass(frozen=True)
class TypeStats:
    """The newest settled tasks of a type that ran to an end of their own. What is unknown is 0."""

    runs: int
    failures: int
    """Those that ended FAILED or DEAD_LETTER."""
    failure_rate: float
    """Failures per run, 0 to 1."""
    mean_duration: float
    """Seconds, of those that completed; so are all below."""
    p95_duration: float
    """Seconds: 95 of 100 took no longer (nearest rank)."""
    mean_io: IoBudget
    read_bytes_per_second: float
    """Of disk and net together."""
    write_bytes_per_second: float


def sum_up(runs: Sequence[PastRun]) -> TypeStats:
    """Statistics over these runs."""
    completed = [run for run in runs if run.status is TaskStatus.COMPLETED]
    durations = sorted(run.duration_s for run in completed if run.duration_s is not None)
    seconds = sum(durations)
    failures = len(runs) - len(completed)
    read = sum(run.io.disk_read + run.io.net_rx for run in completed)
    written = sum(run.io.disk_write + run.io.net_tx for run in completed)
    return TypeStats(
        runs=len(runs),
        failures=failures,
        failure_rate=failures / len(runs) if runs else 0.0,
        mean_duration=seconds / len(durations) if durations else 0.0,
        p95_duration=durations[ceil(P95 * len(durations)) - 1] if durations else 0.0,
        mean_io=mean_io([run.io for run in completed]),
        read_bytes_per_second=read / seconds if seconds > 0 else 0.0,
        write_bytes_per_second=written / seconds if seconds > 0 else 0.0,
    )


def mean_io(moved: Sequence[IoBudget]) -> IoBudget:
    """The mean of each direction, to the nearest byte; nothing of nothing."""
    if not moved:
        return NO_IO
    count = len(moved)
    return IoBudget(
        disk_read=round(sum(one.disk_read for one in moved) / count),
        disk_write=round(sum(one.disk_write for one in moved) / count),
        net_rx=round(sum(one.net_rx for one in moved) / count),
        net_tx=round(sum(one.net_tx for one in moved) / count),
    )
