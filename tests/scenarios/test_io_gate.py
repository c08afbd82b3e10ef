"""The IO gate: S-283, S-284, S-287 to S-289, with a sampler that says 100 MB/s."""

import pytest
from staging import WAIT_S, Stage, calm_down

from millrace import Context, Domain, IoBudget, Outcome, ResourceSnapshot, Scheduler, Task, TaskStatus

MB = 1_000_000


class Disk:
    """A machine whose disk moves 100 MB/s, always."""

    def sample(self) -> ResourceSnapshot:
        return ResourceSnapshot(0.1, 100.0 * MB, 100.0 * MB, 0.0, 0.0)


@pytest.fixture
def reader(stage: Stage, domain: Domain) -> Task[[int], None]:
    """A task that stands at a gate, and moves nothing."""
    gate = stage.gate()

    @domain.task()
    def read(ctx: Context, n: int) -> None:
        gate.hold()

    return read


def reads(scheduler: Scheduler, reader: Task[[int], None], megabytes: int, n: int = 0) -> Outcome[None]:
    """One that expects to read so much."""
    return scheduler.submit(reader.options(io=IoBudget.disk(read=megabytes * MB)), n or megabytes)


def is_held(scheduler: Scheduler, outcome: Outcome[None]) -> bool:
    calm_down(scheduler)
    return outcome.handle.status() is TaskStatus.PENDING


@pytest.mark.parametrize(("own", "waits"), [(40, False), (50, True)])
def test_the_example(stage: Stage, domain: Domain, reader: Task[[int], None], own: int, waits: bool) -> None:
    """S-287: 100 MB/s, 120 MB expected: 40 MB more starts, 50 MB more waits."""
    scheduler = stage.started(domain, resources=Disk())
    reads(scheduler, reader, 120)
    assert is_held(scheduler, reads(scheduler, reader, own)) is waits


def test_who_expects_nothing_there_starts(stage: Stage, domain: Domain, reader: Task[[int], None]) -> None:
    """S-288: bodies without IO, and of another direction, however many wait in front."""
    scheduler = stage.started(domain, resources=Disk(), max_concurrency=8)
    reads(scheduler, reader, 5000)
    held = [reads(scheduler, reader, 1000 + n) for n in range(100)]
    plain = scheduler.submit(reader.options(priority=200), 7)
    writes = scheduler.submit(reader.options(io=IoBudget.disk(write=5000 * MB), priority=200), 8)
    assert not is_held(scheduler, plain)
    assert not is_held(scheduler, writes)
    assert all(is_held(scheduler, outcome) for outcome in (held[0], held[99]))


def test_what_was_held_starts_when_there_is_room(stage: Stage, domain: Domain) -> None:
    """S-287: a running body's end, or what it records, makes room."""
    gate, moving = stage.gate(), stage.gate()

    @domain.task(io=IoBudget.disk(read=150 * MB))
    def first(ctx: Context) -> None:
        moving.hold()
        ctx.record_io(disk_read=100 * MB)
        gate.hold()

    @domain.task(io=IoBudget.disk(read=60 * MB))
    def second(ctx: Context) -> int:
        return ctx.id

    scheduler = stage.started(domain, resources=Disk())
    outcome = scheduler.submit(first)
    moving.await_arrivals()
    waiting = scheduler.submit(second)
    calm_down(scheduler)
    assert waiting.handle.status() is TaskStatus.PENDING
    moving.open()
    assert waiting.result(WAIT_S) == waiting.id
    gate.open()
    assert outcome.wait(WAIT_S).actual_io == IoBudget.disk(read=100 * MB)


def test_means_are_expected_where_nothing_is_declared(stage: Stage, domain: Domain) -> None:
    """S-284: of runs that completed."""
    gate = stage.gate()

    @domain.task()
    def read(ctx: Context, megabytes: int) -> None:
        if megabytes:
            ctx.record_io(disk_read=megabytes * MB)
        else:
            gate.hold()

    scheduler = stage.started(domain, resources=Disk())
    for megabytes in (50, 150):
        scheduler.submit(read, megabytes).wait(WAIT_S)
    scheduler.submit(read.options(key="a"), 0)
    gate.await_arrivals()
    held = scheduler.submit(read.options(key="b"), 0)
    assert is_held(scheduler, held)


def test_without_resources_nothing_is_gated(stage: Stage, domain: Domain, reader: Task[[int], None]) -> None:
    """S-289: nor by a sampler that raises."""

    class Broken:
        def sample(self) -> ResourceSnapshot:
            raise OSError("no disk")

    for resources in (None, Broken()):
        scheduler = stage.started(domain, resources=resources, path=":memory:")
        outcomes = [reads(scheduler, reader, 5000, n) for n in (1, 2, 3)]
        assert not any(is_held(scheduler, outcome) for outcome in outcomes)
        assert scheduler.snapshot().resources is None
