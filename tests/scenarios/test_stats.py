"""Statistics of task types, and the means that the runtime keeps."""

import pytest
from staging import Stage, settle

from millrace import Context, Domain, IoBudget, PermanentError, Retry, RetryableError, TypeStats
from millrace.store import outcomes


@pytest.fixture
def domain() -> Domain:
    """Tasks that end in every way that counts, and in one that does not."""
    made = Domain("play")

    @made.task(retry=Retry.none())
    def work(ctx: Context, number: int) -> None:
        ctx.record_io(disk_read=100 * number, net_tx=number)
        if number == 7:
            raise PermanentError("broken")
        if number == 8:
            raise RetryableError("tired")

    return made


def test_statistics_are_of_what_ran_to_its_own_end(stage: Stage, domain: Domain) -> None:
    """S-351: COMPLETED, FAILED and DEAD_LETTER are runs, cancelled ones are not; IO is of the completed ones."""
    work = domain.tasks["play::work"]
    scheduler = stage.started(domain)
    gone = scheduler.submit(work.options(run_after=3600.0), 9)
    scheduler.cancel(gone.id)
    records = settle([scheduler.submit(work, number) for number in (1, 3, 7, 8)])
    stats = scheduler.stats(work)
    assert stats == scheduler.stats("play::work")
    assert (stats.runs, stats.failures, stats.failure_rate) == (4, 2, 0.5)
    assert stats.mean_io == IoBudget(disk_read=200, net_tx=2)
    durations = [record.duration for record in records[:2]]
    assert stats.mean_duration == pytest.approx(sum(durations) / 2)  # type: ignore[arg-type]
    assert stats.p95_duration == max(durations)  # type: ignore[type-var]
    assert stats.read_bytes_per_second == pytest.approx(400 / sum(durations))  # type: ignore[arg-type]
    assert stats.write_bytes_per_second == pytest.approx(4 / sum(durations))  # type: ignore[arg-type]


def test_an_unknown_task_has_zeros(stage: Stage, domain: Domain) -> None:
    """S-351: unknown is 0, whatever the name."""
    scheduler = stage.started(domain)
    for name in ("play::none", "", "\ud800", "play::work"):
        assert scheduler.stats(name) == TypeStats(0, 0, 0.0, 0.0, 0.0, IoBudget(), 0.0, 0.0)


def test_statistics_are_of_the_newest(stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-351: older rows than the newest 1,000 (here 3) do not count, over all ends together."""
    monkeypatch.setattr(outcomes, "RUNS", 3)
    work = domain.tasks["play::work"]
    scheduler = stage.started(domain)
    for number in (7, 8, 4, 5):
        scheduler.submit(work, number).wait(20)
    stats = scheduler.stats(work)
    assert (stats.runs, stats.failures) == (3, 1)
    assert stats.mean_io == IoBudget(disk_read=450, net_tx=4)


def test_means_are_kept_and_come_back_with_a_start(stage: Stage, domain: Domain) -> None:
    """S-284, S-299: the newest 20 COMPLETED runs, of whatever way they settled; loaded from the history at a start."""

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(domain.tasks["play::work"], 2)

    scheduler = stage.started(domain)
    means = scheduler._runtime.means
    assert means.duration_s("play::work") is None
    settle([scheduler.submit(domain.tasks["play::work"], number) for number in (7, 8)])
    assert means.duration_s("play::work") is None
    record = scheduler.submit(parent).wait(20)
    assert means.duration_s("play::parent") == record.duration
    assert means.io("play::work") == IoBudget(disk_read=200, net_tx=2)
    settle([scheduler.submit(domain.tasks["play::work"], number) for number in range(100, 125)])
    before = (means.duration_s("play::work"), means.io("play::work"), means.duration_s("play::parent"))
    assert before[1].disk_read > 10_000  # type: ignore[union-attr]
    scheduler.stop()

    again = stage.started(domain)._runtime.means
    after = (again.duration_s("play::work"), again.io("play::work"), again.duration_s("play::parent"))
    assert after == (pytest.approx(before[0]), *before[1:])
