"""The board of progress by a clock that is set by hand: rates, what is left, estimates, and what a tick takes."""

import gc
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from millrace.actors.effects import Effects
from millrace.actors.progress import Board
from millrace.executors.run import Run
from millrace.model.io import NO_IO
from millrace.model.priority import Priority
from millrace.model.records import TaskProgress, TaskRecord
from millrace.model.rows import ChildBytes, Claim, ParentCount, Phase
from millrace.model.statuses import TaskStatus


class HandTimes:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000)

    def steady_ms(self) -> int:
        return self.wall_ms()


class Desk:
    """A board with its clock, its runs and the ticks it asks for."""

    def __init__(self, interval_s: float | None = 0.5) -> None:
        self.times = HandTimes()
        self.runs: list[Run] = []
        self.means: dict[str, float] = {}
        self.armed: list[float] = []
        self.board = Board(
            self.times,
            interval_s,
            is_heard=lambda: True,
            arm=self.armed.append,
            runs=lambda: self.runs,
            mean_s=self.means.get,
        )
        self.board.begin((), {})

    def start(self, task_id: int, parent_id: int | None = None, *, phase: Phase = Phase.BODY) -> Run:
        """A run begins now."""
        run = Run(claim(task_id, parent_id, phase))
        run.begun_at = self.times.now
        self.runs.append(run)
        return run

    def report(self, run: Run, fraction: float) -> None:
        """As ``ctx.progress`` does."""
        run.fraction, run.reported_at = fraction, self.times.now
        self.board.note(run)

    def add(self, run: Run, n: int, total: int | None = None) -> None:
        """As ``ctx.set_bytes_total`` and ``ctx.add_bytes`` do."""
        if total is not None:
            run.expect_bytes(total)
        run.add_bytes(n)
        self.board.note(run)

    def look(self, task_id: int) -> TaskProgress:
        """What a snapshot has of the task."""
        (found,) = self.board.progress_of([record(task_id)])
        return found

    def tick(self) -> tuple[dict[int, float | None], dict[int, float]]:
        """Fractions that are written, and rates that are told."""
        sample = self.board.sample()
        effects = Effects(reports=dict(sample.told))
        self.board.committed(effects)
        self.board.sampled()
        return (
            {task_id: report.fraction for task_id, _, report in sample.written},
            {task_id: report.bytes_per_second or 0.0 for task_id, report in sample.told},
        )


def claim(task_id: int, parent_id: int | None, phase: Phase) -> Claim:
    return Claim(
        id=task_id,
        run=1,
        phase=phase,
        phase_runs=1,
        name="play::work",
        key=str(task_id),
        label="shown",
        priority=128,
        payload="[]",
        memo=None,
        parent_id=parent_id,
        parent_round=1,
        round=1,
        round_run=0,
        limited=0,
        fail_fast=1,
        retries=0,
        max_retries=0,
        crashes=0,
        options=None,
        error=None,
        created_at_ms=0,
        run_at_ms=None,
        started_at_ms=0,
        cancel_requested_at_ms=None,
        child_total=0,
    )


def record(task_id: int) -> TaskRecord:
    now = datetime.now(UTC)
    return TaskRecord(
        id=task_id,
        task_name="play::work",
        key=str(task_id),
        label="shown",
        status=TaskStatus.RUNNING,
        priority=Priority.NORMAL,
        effective_priority=Priority.NORMAL,
        payload=None,
        memo=None,
        parent_id=None,
        group=None,
        tags={},
        fail_fast=True,
        attempt=1,
        retries=0,
        max_retries=0,
        error=None,
        traceback=None,
        created_at=now,
        run_at=None,
        started_at=now,
        finished_at=None,
        expires_at=None,
        cancel_requested_at=None,
        duration=None,
        expected_io=NO_IO,
        actual_io=NO_IO,
        progress=None,
        depends_on=(),
        retry_of=None,
        schedule_id=None,
    )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_bytes_give_fraction_rate_and_time_left(desk: Desk) -> None:
    """S-297, S-298, S-300: 0 at the first look, then smoothed; what is left follows from it."""
    run = desk.start(1)
    desk.add(run, 0, total=1000)
    first = desk.look(1)
    assert (first.fraction, first.bytes_per_second, first.eta) == (0.0, 0.0, None)
    desk.times.now += 2.0
    desk.add(run, 200)
    second = desk.look(1)
    assert (second.fraction, second.bytes_per_second, second.eta) == (0.2, 100.0, 8.0)
    desk.times.now += 1.0
    third = desk.look(1)
    assert (third.bytes_done, third.bytes_total) == (200, 1000)
    assert third.bytes_per_second == pytest.approx(70.0)
    assert third.eta == pytest.approx(800 / 70)


def test_looks_that_follow_each_other_at_once_are_one_sample(desk: Desk) -> None:
    """S-298: samples are 10 ms apart at least."""
    run = desk.start(1)
    desk.add(run, 0, total=1000)
    desk.look(1)
    desk.times.now += 1.0
    desk.add(run, 100)
    for _ in range(5):
        assert desk.look(1).bytes_per_second == 100.0
        desk.times.now += 0.001


def test_bytes_without_total_are_unknown_progress(desk: Desk) -> None:
    """S-297: they are shown, with their rate, and no fraction follows."""
    run = desk.start(1)
    desk.add(run, 5)
    desk.look(1)
    desk.times.now += 1.0
    desk.add(run, 50)
    seen = desk.look(1)
    assert (seen.fraction, seen.bytes_done, seen.bytes_total, seen.bytes_per_second, seen.eta) == (
        None,
        55,
        None,
        50.0,
        None,
    )


def test_a_report_comes_before_bytes_and_both_before_an_estimate(desk: Desk) -> None:
    """S-300: reported, else by bytes, else extrapolated."""
    desk.means["play::work"] = 100.0
    run = desk.start(1)
    desk.times.now += 30.0
    assert desk.look(1).fraction == desk.look(1).extrapolated == pytest.approx(0.3)
    desk.add(run, 1, total=2)
    assert desk.look(1).fraction == 0.5
    desk.report(run, 0.9)
    seen = desk.look(1)
    assert (seen.fraction, seen.reported) == (0.9, 0.9)


def test_the_worked_example(desk: Desk) -> None:
    """S-299: a mean of 100 s, 0.5 after 20 s, 10 s later: 0.675; ``fraction`` stays what was reported."""
    desk.means["play::work"] = 100.0
    run = desk.start(1)
    desk.times.now += 20.0
    desk.report(run, 0.5)
    desk.times.now += 10.0
    seen = desk.look(1)
    assert (seen.fraction, seen.reported, seen.extrapolated) == (0.5, 0.5, pytest.approx(0.675))


def test_without_history_and_report_nothing_is_known(desk: Desk) -> None:
    """S-299: None, also for a finalizer and for a run that waits for its slot."""
    run = desk.start(1)
    desk.times.now += 5.0
    assert desk.look(1).extrapolated is None
    desk.means["play::work"] = 10.0
    assert desk.look(1).extrapolated == 0.5
    run.begun_at = None
    assert desk.look(1).extrapolated is None
    desk.runs.clear()
    desk.start(1, phase=Phase.FINALIZER)
    desk.times.now += 5.0
    assert desk.look(1).extrapolated is None


def test_an_estimate_is_of_no_record(desk: Desk) -> None:
    """S-303, S-344: a record shows what its run has said, here as in the store."""
    desk.means["play::work"] = 10.0
    desk.start(1)
    desk.times.now += 5.0
    desk.look(1)
    assert desk.board.fraction(1) is None


def test_children_that_say_nothing_count_by_estimate(desk: Desk) -> None:
    """S-301: an active child is as far as its own fraction says, which may be an estimate (S-300)."""
    desk.means["play::work"] = 100.0
    desk.board.begin([ParentCount(1, None, 1, 4)], {})
    desk.start(2, 1)
    desk.report(desk.start(3, 1), 0.25)
    desk.times.now += 50.0
    seen = desk.look(1)
    assert seen.fraction == pytest.approx((1 + 0.5 + 0.25) / 4)
    assert (seen.extrapolated, seen.children_done, seen.children_total) == (None, 1, 4)


def test_an_estimate_moves_nothing_by_itself(desk: Desk) -> None:
    """Where nobody reports there is no tick, however long things take."""
    desk.means["play::work"] = 100.0
    desk.board.begin([ParentCount(1, None, 1, 4)], {})
    desk.start(2, 1)
    for _ in range(10):
        desk.times.now += 1.0
        assert desk.look(1).fraction is not None
    assert desk.armed == []


def test_a_parents_bytes_add_up_with_a_rate_of_their_own(desk: Desk) -> None:
    """S-301, S-302: weights, sums, a smoothed rate over all children, and what is left of all."""
    desk.board.begin([ParentCount(1, None, 1, 3)], {1: ChildBytes(2000, 1, 2000, 1)})
    runs = [desk.start(2, 1), desk.start(3, 1)]
    for run in runs:
        desk.add(run, 0, total=1000)
    assert desk.look(1).bytes_per_second == 0.0
    desk.times.now += 1.0
    for run in runs:
        desk.add(run, 250)
    seen = desk.look(1)
    assert (seen.fraction, seen.bytes_done, seen.bytes_total) == (2500 / 4000, 2500, 4000)
    assert (seen.bytes_per_second, seen.eta) == (500.0, 3.0)


def test_a_rate_is_told_until_it_has_fallen_to_nothing(desk: Desk) -> None:
    """S-298: what stands still is told as slower and slower, and then no tick comes any more; the store is written once."""
    run = desk.start(1)
    desk.add(run, 0, total=10_000)
    desk.tick()
    desk.times.now += 1.0
    desk.add(run, 100)
    assert desk.tick() == ({1: 0.01}, {1: 100.0})
    told: list[float] = []
    while True:
        desk.armed.clear()
        desk.times.now += 0.5
        written, rates = desk.tick()
        assert written == {}
        told += rates.values()
        if not desk.armed:
            break
    assert told[0] == pytest.approx(70.0)
    assert told == sorted(told, reverse=True)
    assert told[-1] == 0.0


def test_a_new_run_begins_without_the_bytes_of_the_last(desk: Desk) -> None:
    """S-303: nor with its rate."""
    run = desk.start(1)
    desk.add(run, 0, total=100)
    desk.look(1)
    desk.times.now += 1.0
    desk.add(run, 50)
    assert desk.look(1).bytes_per_second == 50.0
    run.has_ended = True
    desk.runs.clear()
    desk.board.committed(Effects(ended_runs=[(1, 1)]))
    again = desk.start(1)
    seen = desk.look(1)
    assert (seen.fraction, seen.reported, seen.bytes_per_second) == (None, None, None)
    desk.add(again, 10, total=100)
    assert desk.look(1).fraction == 0.1


def test_the_last_bytes_of_a_child_stay_in_its_parent(desk: Desk) -> None:
    """S-301: a child that settles in the very commit that brings its last word weighs what it said there."""
    desk.board.begin([ParentCount(1, None, 0, 2)], {})
    run = desk.start(2, 1)
    desk.add(run, 3000, total=3000)
    run.has_ended = True
    desk.runs.clear()
    desk.board.committed(
        Effects(moved_parents={1: ParentCount(1, None, 1, 2)}, settled=[(2, "completed")], ended_runs=[(2, 1)])
    )
    desk.add(desk.start(3, 1), 0, total=1000)
    seen = desk.look(1)
    assert (seen.fraction, seen.bytes_done, seen.bytes_total) == (0.75, 3000, 4000)


def test_children_that_count_no_more_take_their_bytes_with_them(desk: Desk) -> None:
    """S-302: where a failed child is spawned anew, the sums are those that the store has of the others."""
    desk.board.begin([ParentCount(1, None, 2, 2)], {1: ChildBytes(300, 2, 300, 2)})
    desk.board.committed(
        Effects(moved_parents={1: ParentCount(1, None, 1, 2)}, child_bytes={1: ChildBytes(100, 1, 100, 1)})
    )
    seen = desk.look(1)
    assert (seen.fraction, seen.bytes_done, seen.bytes_total) == (0.5, 100, None)


def test_a_leaf_that_is_over_is_kept_by_nothing(desk: Desk) -> None:
    """Between two ticks too, while another one goes on, whose report stays: the next tick has that and nothing else."""
    ended = [desk.start(task_id) for task_id in (901, 902, 903)]
    lasting = desk.start(904)
    for run in (*ended, lasting):
        desk.report(run, 0.5)
    for run in ended:
        run.has_ended = True
    effects = Effects(ended_runs=[(901, 1), (902, 1), (903, 1)], settled=[(901, "completed"), (902, "completed")])
    desk.board.committed(effects)
    desk.runs = [lasting]
    del run, ended
    assert {run.claim.id for run in gc.get_objects() if isinstance(run, Run)} & {901, 902, 903} == set()
    assert desk.board.has_reports
    assert desk.tick() == ({904: 0.5}, {904: 0.0})


@pytest.mark.parametrize("tell", [lambda run: run.add_bytes(1), lambda run: run.record_io((1, 0, 0, 0))])
def test_bytes_from_many_threads_are_all_counted(desk: Desk, tell: Callable[[Run], None]) -> None:
    """S-283, S-297: from any thread of the body."""
    run = desk.start(1)
    threads = [threading.Thread(target=lambda: [tell(run) for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (run.bytes_done, run.recorded_io) in ((20_000, None), (None, (20_000, 0, 0, 0)))
