"""Statistics over past runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.io import NO_IO
from millrace.model.records import IoBudget
from millrace.model.stats import PastRun, TypeStats, mean_io, sum_up
from millrace.model.statuses import TaskStatus


def completed(duration_s: float | None, **io: int) -> PastRun:
    """A run that ended well."""
    return PastRun(TaskStatus.COMPLETED, duration_s, IoBudget(**io))


def test_of_no_run_everything_is_nothing() -> None:
    """S-351: unknown is 0."""
    assert sum_up([]) == TypeStats(0, 0, 0.0, 0.0, 0.0, NO_IO, 0.0, 0.0)


def test_failures_count_as_runs_and_in_nothing_else() -> None:
    """S-351: failures are FAILED and DEAD_LETTER; durations and IO are of the completed ones."""
    stats = sum_up([
        completed(1.0, disk_read=100, net_rx=20, disk_write=6),
        completed(3.0, disk_read=300, net_tx=2),
        PastRun(TaskStatus.FAILED, 100.0, IoBudget(10**9, 10**9, 10**9, 10**9)),
        PastRun(TaskStatus.DEAD_LETTER, None, NO_IO),
    ])  # fmt: skip
    assert (stats.runs, stats.failures, stats.failure_rate) == (4, 2, 0.5)
    assert stats.mean_duration == 2.0
    assert stats.p95_duration == 3.0
    assert stats.mean_io == IoBudget(200, 3, 10, 1)
    assert stats.read_bytes_per_second == 420 / 4
    assert stats.write_bytes_per_second == 8 / 4


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (19, 19), (20, 19), (21, 20), (100, 95), (1000, 950)])
def test_the_percentile_is_by_nearest_rank(count: int, expected: int) -> None:
    """95 of 100 took no longer."""
    assert sum_up([completed(float(n)) for n in range(count, 0, -1)]).p95_duration == expected


def test_runs_that_took_no_time_have_no_rate() -> None:
    """Bytes in no time are no infinite speed."""
    assert sum_up([completed(0.0, disk_read=5)]).read_bytes_per_second == 0.0


@given(st.lists(st.tuples(st.sampled_from([TaskStatus.COMPLETED, TaskStatus.FAILED]), st.floats(0, 1e6)), min_size=1))
def test_statistics_lie_where_the_runs_do(runs: list[tuple[TaskStatus, float]]) -> None:
    """Means and percentiles are between the least and the most; a rate of failures between 0 and 1."""
    stats = sum_up([PastRun(status, duration, IoBudget(disk_read=7)) for status, duration in runs])
    durations = [duration for status, duration in runs if status is TaskStatus.COMPLETED]
    assert 0.0 <= stats.failure_rate <= 1.0
    assert stats.runs == len(runs)
    if durations:
        assert stats.p95_duration in durations
        assert min(durations) * (1 - 1e-9) <= stats.mean_duration <= max(durations) * (1 + 1e-9)
        assert sum(one <= stats.p95_duration for one in durations) >= 0.95 * len(durations)
        assert stats.mean_io == IoBudget(disk_read=7)


def test_means_are_to_the_nearest_byte() -> None:
    """Each direction by itself."""
    assert mean_io([IoBudget(1, 0, 0, 9), IoBudget(2, 0, 1, 9), IoBudget(2, 0, 1, 9)]) == IoBudget(2, 0, 1, 9)
