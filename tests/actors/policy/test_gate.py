"""The IO gate: S-283, S-285 to S-289."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.gate import Bytes, IoGate
from millrace.model.limits import ResourceSnapshot

MB = 1_000_000


def reading(
    read: float = 0.0, write: float = 0.0, rx: float = 0.0, tx: float = 0.0, cpu: float = 0.5
) -> ResourceSnapshot:
    return ResourceSnapshot(cpu, read, write, rx, tx)


def gate_at(read: float, **options: float) -> IoGate:
    """A gate with one reading of the disk, at time 0."""
    gate = IoGate(**options)  # type: ignore[arg-type]  # the limit is its only number
    gate.reading(reading(read=read), 0.0)
    return gate


def reads(megabytes: float) -> Bytes:
    return (round(megabytes * MB), 0, 0, 0)


@pytest.mark.parametrize(
    ("running", "recorded", "own", "admitted"),
    [
        (120, 0, 40, True),
        (120, 0, 50, False),
        (120, 0, 40.000001, False),
        (120, 20, 50, True),
        (120, 120, 5000, True),
        (120, 500, 5000, True),
        (0, 0, 5000, True),
        (120, 0, 0, True),
    ],
)
def test_the_example(running: float, recorded: float, own: float, admitted: bool) -> None:
    """S-287, S-288: 100 MB/s, 120 MB expected: 40 MB more starts, 50 MB more waits; nobody there lets any size start."""
    gate = gate_at(100.0 * MB)
    gate.started(1, reads(running))
    gate.recorded(1, reads(recorded))
    assert gate.admits(reads(own), 0.0) is admitted


def test_a_run_that_ends_gives_back_what_it_expected() -> None:
    """S-287: of running bodies only; ended twice is ended."""
    gate = gate_at(100.0 * MB)
    gate.started(1, reads(120))
    gate.started(2, reads(30))
    assert gate.reserved == reads(150)
    gate.ended(1)
    gate.ended(1)
    gate.recorded(1, reads(1))
    assert gate.reserved == reads(30)
    assert gate.admits(reads(130), 0.0)
    assert not gate.admits(reads(131), 0.0)


def test_directions_are_apart() -> None:
    """S-288: who reads does not hold who writes, and a direction without reading holds nobody."""
    gate = IoGate()
    gate.reading(reading(read=1.0, write=nan), 0.0)
    gate.started(1, (100, 100, 0, 0))
    assert not gate.admits((1, 0, 0, 0), 0.0)
    assert gate.admits((0, 10**12, 0, 0), 0.0)
    assert gate.admits((0, 0, 10**12, 0), 0.0)
    assert gate.admits((0, 0, 0, 0), 0.0)


def test_nobody_is_held_for_more_than_half_a_minute() -> None:
    """S-288: by the gate alone."""
    gate = gate_at(1.0)
    gate.started(1, reads(1))
    for second in range(1, 31):
        gate.reading(reading(read=1.0), float(second))
    assert not gate.admits(reads(1), 29.999, held_since=0.0)
    assert gate.admits(reads(1), 30.0, held_since=0.0)


def test_without_readings_it_passes() -> None:
    """S-289: before the first, and after 10 s without one."""
    gate = IoGate()
    gate.started(1, reads(1))
    assert gate.admits(reads(10**6), 0.0)
    assert gate.resources(0.0) is None
    gate.reading(reading(read=1.0), 5.0)
    assert not gate.admits(reads(1), 14.999)
    assert gate.resources(14.999) == reading(read=1.0)
    assert gate.admits(reads(1), 15.0)
    assert gate.resources(15.0) is None


def test_without_resources_nothing_is_gated() -> None:
    """S-289."""
    gate = IoGate(is_on=False)
    gate.started(1, reads(1))
    assert gate.admits(reads(10**6), 0.0)


def test_readings_are_smoothed() -> None:
    """S-285: the first as it is, then 0.3 of the new and 0.7 of the old; after a gap one is the first again."""
    gate = gate_at(100.0)
    gate.reading(reading(read=200.0, cpu=1.0), 1.0)
    assert gate.resources(1.0) == reading(read=pytest.approx(130.0), cpu=pytest.approx(0.65))  # type: ignore[arg-type]
    gate.reading(reading(read=0.0), 2.0)
    assert gate.capacities(2.0)[0] == pytest.approx(130.0, rel=1e-3)
    gate.reading(reading(read=7.0), 50.0)
    smoothed = gate.resources(50.0)
    assert smoothed is not None
    assert smoothed.disk_read_bps == 7.0


def test_no_machine_is_more_than_busy() -> None:
    """S-285: a reading of the processors is 0..1, whatever a sampler says."""
    gate = IoGate()
    gate.reading(reading(cpu=1.5), 0.0)
    assert gate.resources(0.0) == reading(cpu=1.0)


def test_capacity_halves_towards_the_present_in_an_hour() -> None:
    """S-286: the highest smoothed reading; present load is no capacity."""
    gate = gate_at(1000.0)
    for second in range(1, 3601):
        gate.reading(reading(read=200.0), float(second))
    assert gate.capacities(3600.0)[0] == pytest.approx(600.0, rel=2e-3)
    for second in range(3601, 7201):
        gate.reading(reading(read=200.0), float(second))
    assert gate.capacities(7200.0)[0] == pytest.approx(400.0, rel=2e-3)
    gate.reading(reading(read=10_000.0), 7201.0)
    assert gate.capacities(7201.0)[0] == pytest.approx(3140.0, rel=1e-3)


def test_the_net_has_its_limit() -> None:
    """S-286: where given it is the capacity, whatever is measured; out of service with the sampler (S-289)."""
    gate = IoGate(50.0)
    assert gate.capacities(0.0) == (None, None, None, None)
    gate.reading(ResourceSnapshot(0.1, 5.0, nan, 1e9, nan), 0.0)
    assert gate.capacities(0.0) == (5.0, None, 50.0, 50.0)
    assert gate.budgets(0.0) == (8.0, None, 80.0, 80.0)
    gate.started(1, (0, 0, 0, 70))
    assert gate.admits((0, 0, 0, 10), 0.0)
    assert not gate.admits((0, 0, 0, 11), 0.0)
    assert gate.capacities(10.0) == (None, None, None, None)


@pytest.mark.parametrize("wrong", [nan, inf, -1.0, None, "fast", True, 10**400])
def test_what_is_no_number_costs_its_reading_only(wrong: object) -> None:
    """S-289: one field, not the others."""
    gate = IoGate()
    gate.reading(ResourceSnapshot(wrong, wrong, 7.0, 8.0, 9.0), 0.0)  # type: ignore[arg-type]  # what samplers may give
    assert gate.resources(0.0) == ResourceSnapshot(0.0, 0.0, 7.0, 8.0, 9.0)
    assert gate.capacities(0.0) == (None, 7.0, 8.0, 9.0)
    gate.reading(ResourceSnapshot(wrong, wrong, wrong, wrong, wrong), 1.0)  # type: ignore[arg-type]
    assert gate.resources(1.0) == ResourceSnapshot(0.0, 0.0, 7.0, 8.0, 9.0)


fours = st.tuples(*[st.integers(0, 500)] * 4)


@given(st.lists(st.tuples(st.sampled_from(["start", "record", "end"]), st.integers(1, 4), fours), max_size=40))
def test_what_is_reserved_adds_up(steps: list[tuple[str, int, Bytes]]) -> None:
    """S-287: expected less recorded, of running bodies, never below 0; at the end nothing."""
    gate = IoGate()
    expected: dict[int, Bytes] = {}
    recorded: dict[int, Bytes] = {}
    for kind, task, numbers in steps:
        if kind == "start":
            gate.started(task, numbers)
            expected[task], recorded[task] = numbers, (0, 0, 0, 0)
        elif kind == "record":
            gate.recorded(task, numbers)
            recorded[task] = numbers
        else:
            gate.ended(task)
            expected.pop(task, None)
        assert gate.reserved == tuple(
            sum(max(0, numbers[way] - recorded[task][way]) for task, numbers in expected.items()) for way in range(4)
        )
    for task in list(expected):
        gate.ended(task)
    assert gate.reserved == (0, 0, 0, 0)


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0.1, 5)), min_size=1, max_size=40))
def test_capacity_lies_between_the_present_and_the_highest(numbers: list[tuple[float, float]]) -> None:
    """S-286: never below what moves now, never above what was ever seen."""
    gate, now = IoGate(), 0.0
    for number, gap in numbers:
        now += gap
        gate.reading(reading(read=number), now)
        capacity, present = gate.capacities(now)[0], gate.resources(now)
        assert capacity is not None
        assert present is not None
        assert present.disk_read_bps <= capacity <= max(number for number, _ in numbers) * (1 + 1e-9)
