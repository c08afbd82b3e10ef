"""The thread executor: slots are exact, whatever waits, is given up, taken back or resized meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from millrace.executors.run import Run
from millrace.executors.threads import ThreadExecutor
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Claim, Phase

WAIT_S = 60.0


def run_of(task_id: int, *, priority: int = 128, effective: int | None = None, number: int = 1) -> Run:
    """A run of a body."""
    return Run(
        Claim(
            id=task_id,
            run=number,
            phase=int(Phase.BODY),
            phase_runs=1,
            name="play::body",
            key="k",
            label="l",
            priority=priority,
            payload="{}",
            memo=None,
            parent_id=None,
            parent_round=0,
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
            effective=effective,
        )
    )


class Hall:
    """An executor whose runs stay until they are told to end; knows who is in, and who has been reported."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.inside: list[int] = []
        self.most_inside = 0
        self.begun: list[int] = []
        self.reported: list[int] = []
        self.late: list[int] = []
        self._free: set[int] = set()
        self.executor = ThreadExecutor(self._play, self._report, on_thread_end=self._on_thread_end)

    def _play(self, run: Run) -> RunOutcome:
        claim = run.claim
        with self.changed:
            self.inside.append(claim.id)
            self.begun.append(claim.id)
            self.most_inside = max(self.most_inside, len(self.inside))
            self.changed.notify_all()
            self.changed.wait_for(lambda: claim.id in self._free, WAIT_S)
            self.inside.remove(claim.id)
        return RunOutcome(claim.id, claim.run, claim.phase, claim.name, RunKind.RETURNED)

    def _report(self, outcome: RunOutcome) -> None:
        with self.changed:
            self.reported.append(outcome.task_id)
            self.changed.notify_all()

    def _on_thread_end(self, run: Run) -> None:
        with self.changed:
            self.late.append(run.claim.id)
            self.changed.notify_all()

    def let_end(self, *ids: int) -> None:
        """These end now, or as soon as they begin."""
        with self.changed:
            self._free.update(ids)
            self.changed.notify_all()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something."""
        with self.changed:
            assert self.changed.wait_for(is_so, WAIT_S), (self.inside, self.begun, self.reported)

    def threads(self) -> int:
        """Threads of executors that are alive."""
        return sum(thread.name.startswith("millrace-run-") for thread in threading.enumerate())


@pytest.fixture
def hall() -> Iterator[Hall]:
    made = Hall()
    yield made
    made.let_end(*range(10_000))
    made.executor.stop()


def test_as_many_runs_at_once_as_there_are_slots(hall: Hall) -> None:
    """Not one more, and not one fewer while runs wait."""
    hall.executor.start(3)
    hall.executor.submit([run_of(n) for n in range(40)])
    hall.until(lambda: len(hall.inside) == 3)
    for n in range(40):
        hall.until(lambda n=n: n in hall.begun)
        hall.let_end(n)
    hall.until(lambda: len(hall.reported) == 40)
    assert hall.most_inside == 3
    assert hall.executor.wait_idle(WAIT_S)
    assert hall.executor.runs() == []


def test_a_single_run_starts_a_single_thread(hall: Hall) -> None:
    """A thousand slots cost nothing until there are runs for them."""
    before = hall.threads()
    hall.executor.start(1000)
    hall.executor.submit([run_of(1)])
    hall.until(lambda: hall.inside == [1])
    assert hall.threads() == before + 1
    hall.executor.submit([run_of(2)])
    hall.until(lambda: hall.inside == [1, 2])
    assert hall.threads() == before + 2


def test_the_most_urgent_waiting_run_begins_first(hall: Hall) -> None:
    """Among equals the lower id, however they came in."""
    hall.executor.start(1)
    hall.executor.submit([run_of(1)])
    hall.until(lambda: hall.begun == [1])
    hall.executor.submit([run_of(5), run_of(4), run_of(9, priority=3)])
    hall.executor.submit([run_of(2), run_of(8, priority=200)])
    hall.let_end(*range(10))
    hall.until(lambda: len(hall.reported) == 6)
    assert hall.begun == [1, 9, 2, 4, 5, 8]


def test_an_effective_priority_counts_in_place_of_the_stored_one(hall: Hall) -> None:
    """S-271: it decides what begins first of what was claimed ahead."""
    hall.executor.start(1)
    hall.executor.submit([run_of(1)])
    hall.until(lambda: hall.begun == [1])
    hall.executor.submit([run_of(2), run_of(3, priority=200, effective=100)])
    hall.let_end(*range(10))
    hall.until(lambda: len(hall.reported) == 3)
    assert hall.begun == [1, 3, 2]


def test_in_turn_runs_begin_as_they_came(hall: Hall) -> None:
    """S-280: however urgent they are, until it is switched off."""
    hall.executor.start(1)
    hall.executor.begin_in_turn(is_on=True)
    hall.executor.submit([run_of(1)])
    hall.until(lambda: hall.begun == [1])
    hall.executor.submit([run_of(5), run_of(4), run_of(9, priority=3)])
    hall.executor.submit([run_of(2), run_of(8, priority=200)])
    hall.executor.begin_in_turn(is_on=False)
    hall.executor.submit([run_of(11), run_of(10)])
    hall.let_end(*range(12))
    hall.until(lambda: len(hall.reported) == 8)
    assert hall.begun == [1, 5, 4, 9, 2, 8, 10, 11]


@pytest.mark.parametrize("sizes", [(1, 4), (4, 1, 3), (2, 5, 1, 2)])
def test_slots_can_be_changed_while_runs_go_on(hall: Hall, sizes: tuple[int, ...]) -> None:
    """More begin at once; fewer as runs end, none is stopped."""
    hall.executor.start(sizes[0])
    hall.executor.submit([run_of(n) for n in range(60)])
    ended = 0
    for size in sizes:
        hall.executor.resize(size)
        while len(hall.inside) > size:
            inside = list(hall.inside)
            hall.let_end(inside[0])
            ended += 1
            hall.until(lambda inside=inside: inside[0] in hall.reported)
        hall.until(lambda size=size: len(hall.inside) == size)
        hall.most_inside = size
        for _ in range(5):
            first = hall.inside[0]
            hall.let_end(first)
            hall.until(lambda first=first, size=size: first in hall.reported and len(hall.inside) == size)
        assert hall.most_inside == size
    hall.let_end(*range(60))
    hall.until(lambda: len(hall.reported) == 60)


def test_a_run_that_waits_lends_its_slot(hall: Hall) -> None:
    """A stand-in runs meanwhile; after the wait the run goes on at once, and no more begin until there are fewer."""
    first = run_of(1)
    hall.executor.start(1)
    hall.executor.submit([first, run_of(2), run_of(3)])
    hall.until(lambda: hall.inside == [1])
    hall.executor.lend(first)
    hall.until(lambda: hall.inside == [1, 2])
    hall.executor.reclaim(first)
    hall.let_end(2)
    hall.until(lambda: 2 in hall.reported)
    assert hall.executor.wait_idle(0.05) is False
    assert hall.inside == [1]
    hall.let_end(1)
    hall.until(lambda: hall.inside == [3])


def test_nested_waits_lend_one_slot(hall: Hall) -> None:
    """Two waits of one run at a time are one stand-in."""
    first = run_of(1)
    hall.executor.start(1)
    hall.executor.submit([first, run_of(2), run_of(3)])
    hall.until(lambda: hall.inside == [1])
    hall.executor.lend(first)
    hall.executor.lend(first)
    hall.until(lambda: hall.inside == [1, 2])
    hall.executor.reclaim(first)
    hall.let_end(2)
    hall.until(lambda: hall.inside == [1, 3])


def test_a_run_that_is_given_up_frees_its_slot(hall: Hall) -> None:
    """Another begins; the late outcome is dropped, its end is told, and the thread ends."""
    hall.executor.start(1)
    before = hall.threads()
    hall.executor.submit([run_of(1), run_of(2)])
    hall.until(lambda: hall.inside == [1])
    given_up = hall.executor.abandon(1, 1)
    assert given_up is not None
    assert given_up.is_abandoned
    assert [run.claim.id for run in hall.executor.abandoned()] == [1]
    hall.until(lambda: hall.inside == [1, 2])
    hall.let_end(1)
    hall.until(lambda: hall.late == [1])
    assert hall.executor.abandoned() == []
    hall.let_end(2)
    hall.until(lambda: hall.reported == [2])
    until = time.monotonic() + WAIT_S
    while hall.threads() > before + 1 and time.monotonic() < until:
        time.sleep(0.002)
    assert hall.threads() == before + 1


def test_only_a_run_under_way_can_be_given_up(hall: Hall) -> None:
    """Not one that waits, has ended, is another run of the task, or is unknown."""
    hall.executor.start(1)
    hall.executor.submit([run_of(1), run_of(2)])
    hall.until(lambda: hall.inside == [1])
    assert hall.executor.abandon(2, 1) is None
    assert hall.executor.abandon(1, 2) is None
    assert hall.executor.abandon(3, 1) is None
    hall.let_end(1)
    hall.until(lambda: 1 in hall.reported)
    assert hall.executor.abandon(1, 1) is None


def test_what_has_not_begun_can_be_taken_back(hall: Hall) -> None:
    """All of it, or one; what has begun stays."""
    hall.executor.start(1)
    hall.executor.submit([run_of(n) for n in range(1, 6)])
    hall.until(lambda: hall.inside == [1])
    assert hall.executor.withdraw_one(3, 1)
    assert not hall.executor.withdraw_one(3, 1)
    assert not hall.executor.withdraw_one(4, 2)
    assert not hall.executor.withdraw_one(1, 1)
    assert sorted(run.claim.id for run in hall.executor.withdraw()) == [2, 4, 5]
    hall.let_end(1)
    assert hall.executor.wait_idle(WAIT_S)
    assert hall.begun == [1]
    hall.executor.submit([run_of(3)])
    hall.until(lambda: hall.begun == [1, 3])


def test_what_is_held_back_never_begins(hall: Hall) -> None:
    """A free slot goes to the next run; the one held back is known, until it is taken back, and counts as a run that waits."""
    hall.executor.start(1)
    runs = [run_of(n) for n in range(1, 5)]
    hall.executor.submit(runs)
    hall.until(lambda: hall.inside == [1])
    hall.executor.hold_back(lambda claim: claim.id in (1, 2, 4))
    hall.let_end(1, 3)
    hall.until(lambda: hall.reported == [1, 3])
    assert [hall.executor.is_held_back(run) for run in runs] == [False, True, False, True]
    assert sorted(run.claim.id for run in hall.executor.runs() if run.begun_at is None) == [2, 4]
    assert hall.executor.wait_idle(0.0) is False
    hall.executor.pause()
    assert hall.executor.wait_idle(WAIT_S)
    hall.executor.start(1)
    assert not hall.executor.withdraw_one(2, 2)
    assert hall.executor.withdraw_one(2, 1)
    assert not hall.executor.withdraw_one(2, 1)
    assert [run.claim.id for run in hall.executor.withdraw()] == [4]
    assert hall.executor.wait_idle(WAIT_S)
    assert hall.begun == [1, 3]


def test_a_run_can_be_held_back_from_the_first(hall: Hall) -> None:
    """That run of its task alone: the others begin, and so does the next one of that task."""
    hall.executor.start(2)
    hall.executor.submit([run_of(1), run_of(2)], held={(1, 1), (2, 2)})
    hall.until(lambda: hall.begun == [2])
    assert hall.executor.withdraw_one(1, 1)
    hall.executor.submit([run_of(1)])
    hall.until(lambda: hall.begun == [2, 1])


def test_a_stop_forgets_what_is_held_back(hall: Hall) -> None:
    """As it does what waits: at the next start nothing is left of either."""
    hall.executor.start(1)
    hall.executor.submit([run_of(1), run_of(2), run_of(3)])
    hall.until(lambda: hall.inside == [1])
    hall.executor.hold_back(lambda claim: claim.id == 2)
    hall.executor.stop()
    hall.let_end(1)
    assert hall.executor.wait_idle(WAIT_S)
    assert hall.executor.runs() == []
    hall.executor.start(1)
    hall.executor.submit([run_of(2)])
    hall.until(lambda: hall.begun == [1, 2])


def test_a_paused_executor_begins_nothing(hall: Hall) -> None:
    """What runs ends; what waits counts as idle, and begins with the next start unless it is taken back."""
    hall.executor.start(2)
    hall.executor.submit([run_of(1)])
    hall.until(lambda: hall.inside == [1])
    hall.executor.pause()
    hall.executor.submit([run_of(2), run_of(3)])
    assert hall.executor.wait_idle(0.02) is False
    hall.let_end(1)
    assert hall.executor.wait_idle(WAIT_S)
    assert hall.begun == [1]
    assert hall.executor.withdraw_one(2, 1)
    hall.executor.start(2)
    hall.until(lambda: hall.begun == [1, 3])


def test_a_stopped_executor_starts_again(hall: Hall) -> None:
    """Its threads end with their runs, and new ones begin after a start."""
    for turn in range(20):
        hall.executor.start(2)
        hall.executor.submit([run_of(turn * 2), run_of(turn * 2 + 1)])
        hall.let_end(turn * 2, turn * 2 + 1)
        hall.until(lambda turn=turn: len(hall.reported) == turn * 2 + 2)
        assert hall.executor.wait_idle(WAIT_S)
        hall.executor.stop()
    until = time.monotonic() + WAIT_S
    while hall.threads() and time.monotonic() < until:
        time.sleep(0.002)
    assert hall.threads() == 0


def test_the_next_run_of_a_task_may_come_from_its_report(hall: Hall) -> None:
    """A task that is claimed again before its thread is done with the report is known as the new run."""
    again: list[Run] = []

    def report(outcome: RunOutcome) -> None:
        if outcome.run < 50:
            again.append(run_of(1, number=outcome.run + 1))
            executor.submit([again[-1]])
        else:
            done.set()

    done = threading.Event()
    executor = ThreadExecutor(
        lambda run: RunOutcome(run.claim.id, run.claim.run, 1, run.claim.name, RunKind.RETURNED), report
    )
    executor.start(2)
    executor.submit([run_of(1)])
    assert done.wait(WAIT_S)
    assert executor.wait_idle(WAIT_S)
    executor.stop()


def test_interrupting_reaches_the_run_that_is_meant(hall: Hall) -> None:
    """By task and number; False where it is not here."""
    first, second = run_of(1), run_of(2)
    hall.executor.start(1)
    hall.executor.submit([first, second])
    hall.until(lambda: hall.inside == [1])
    assert not hall.executor.interrupt(1, 2, "cancelled")
    assert not hall.executor.interrupt(7, 1, "cancelled")
    assert hall.executor.interrupt(1, 1, "cancelled")
    hall.executor.interrupt_all("shutdown")
    assert (first.asked, second.asked) == ("cancelled", "shutdown")


def test_no_thread_to_be_had_leaves_runs_waiting(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads, those that are there go on with what waits."""
    hall.executor.start(4)
    hall.executor.submit([run_of(1)])
    hall.until(lambda: hall.inside == [1])

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        hall.executor.submit([run_of(2)])
    hall.let_end(1)
    hall.until(lambda: hall.inside == [2])
    hall.executor.submit([run_of(3)])
    hall.until(lambda: len(hall.inside) == 2)
