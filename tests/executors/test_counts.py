"""S-345: started less finished is what runs, however runs end: counted under the pool's lock."""

import threading

from millrace.executors.run import Run
from millrace.executors.threads import ThreadExecutor
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Claim

WAIT_S = 60.0


def claim(task_id: int, name: str = "a::b", *, ready_ms: int | None = 1000) -> Claim:
    return Claim(
        task_id, 1, 1, 1, name, "k", "l", 128, "[]", None, None, 0, 1, 0, 0, 1, 0, 0, 0, None, None, 1000, None, 3000,
        None, 0, ready_ms=ready_ms,
    )  # fmt: skip


class Held:
    """A runner whose runs stay until they are let go, and end as told."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.reported = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.kind = RunKind.RETURNED
        self.pool = ThreadExecutor(self.run, self.report, on_thread_end=self.note_end)

    def run(self, run: Run) -> RunOutcome:
        self.begun.release()
        assert self.go.acquire(timeout=WAIT_S)
        return RunOutcome(run.claim.id, 1, 1, run.claim.name, self.kind, asked=run.asked, duration_s=0.25)

    def report(self, outcome: RunOutcome) -> None:
        assert self.census()["started"] - self.census()["finished"] == self.census()["running"]
        self.reported.release()

    def note_end(self, run: Run) -> None:
        self.ended.release()

    def census(self) -> dict[str, int]:
        census = self.pool.census()
        return {
            "started": sum(runs.started for runs in census.names.values()),
            "finished": sum(sum(runs.finished.values()) for runs in census.names.values()),
            "running": sum(census.running.values()),
        }


def test_what_waits_for_a_slot_has_not_started() -> None:
    """Of three claims on two slots two have started; one that is withdrawn was never counted."""
    held = Held()
    held.pool.start(2)
    held.pool.submit(Run(claim(task_id)) for task_id in (1, 2, 3))
    for _ in range(2):
        assert held.begun.acquire(timeout=WAIT_S)
    assert held.census() == {"started": 2, "finished": 0, "running": 2}
    assert len(held.pool.withdraw()) == 1
    held.go.release(2)
    for _ in range(2):
        assert held.reported.acquire(timeout=WAIT_S)
    assert held.pool.wait_idle(WAIT_S)
    assert held.census() == {"started": 2, "finished": 2, "running": 0}
    of_name = held.pool.census().names["a::b"]
    assert of_name.finished == {"succeeded": 2}
    assert (of_name.durations.count, of_name.durations.total) == (2, 0.5)
    waits = held.pool.census().waits["a"]
    assert (waits.count, waits.total) == (2, 4.0), "from ready_ms to started_at_ms, in seconds"
    held.pool.stop()


def test_a_run_that_is_given_up_ends_once() -> None:
    """It is over, with the outcome that it was asked for, when it is given up; its thread's end counts nothing more."""
    held = Held()
    held.pool.start(1)
    held.pool.submit([Run(claim(1))])
    assert held.begun.acquire(timeout=WAIT_S)
    assert held.pool.interrupt(1, 1, "cancelled")
    assert held.pool.abandon(1, 1) is not None
    assert held.census() == {"started": 1, "finished": 1, "running": 0}
    assert held.pool.census().workers["abandoned"] == 1
    held.go.release()
    assert held.ended.acquire(timeout=WAIT_S)
    census = held.pool.census()
    assert held.census() == {"started": 1, "finished": 1, "running": 0}
    assert census.names["a::b"].finished == {"cancelled": 1}
    assert census.latency.count == 1, "asked, and stopped at last"
    assert census.workers["abandoned"] == 0
    held.pool.stop()


def test_a_task_that_was_never_ready_has_no_wait() -> None:
    """A claim that does not say since when it was ready measures nothing."""
    held = Held()
    held.pool.start(1)
    held.pool.submit([Run(claim(1, ready_ms=None))])
    held.go.release()
    assert held.reported.acquire(timeout=WAIT_S)
    assert held.pool.census().waits["a"].count == 0
    assert held.pool.wait_idle(WAIT_S)
    held.pool.stop()
