"""What a start makes of what a dead process left, and who may start (behaviour.md, section 27)."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import dying
import pytest
from staging import SLOW_MACHINE_S, WAIT_S, Stage, heard_until, kinds, quickest

from millrace import Context, Domain, Scheduler, SchedulerStopped, StoreLocked, TaskStatus
from millrace.model.events import Completed, Interrupted

pytestmark = pytest.mark.crash


def crash(stage: Stage, script: str) -> str:
    """Let a program die on the store of the stage; what it printed."""
    return dying.run(script, stage.path)


def test_a_body_that_was_running_runs_again(stage: Stage) -> None:
    """S-352, S-363: pending again with the same attempt, its retries untouched; subscribers hear of it."""
    crash(stage, "scheduler.start(); scheduler.submit(killer).wait(60)")
    for _ in range(1):
        crash(stage, "scheduler.start(); threading.Event().wait(60)")
    scheduler = stage.scheduler(dying.domain)
    with scheduler.subscribe() as events:
        scheduler.start()
        told = heard_until(events, lambda event: isinstance(event, Completed))
    assert kinds(told) == ["Interrupted", "Dispatched", "Completed"]
    assert isinstance(told[0], Interrupted)
    assert told[0].reason == "crash"
    done = scheduler.task(1)
    assert (done.memo, done.retries, done.error) == ("attempt 1", 0, None)


def test_children_of_a_body_that_was_running_stay(stage: Stage) -> None:
    """S-352, S-167: what the dead body had spawned goes on, and its next run finds it."""
    crash(stage, "scheduler.submit(family); scheduler.start(); await_status(4, 'running')")
    scheduler = stage.started(dying.domain)
    for task_id in range(1, 5):
        assert dying.settled(scheduler, task_id).status is TaskStatus.COMPLETED
    assert [child.id for child in scheduler.children(1)] == [2, 3, 4]


def test_a_finalizer_that_was_running_runs_again_alone(stage: Stage) -> None:
    """S-353: the body is not repeated, its memo is kept."""
    crash(stage, "scheduler.start(); scheduler.submit(parent, 3, True).wait(60)")
    assert dying.settled(stage.started(dying.domain), 1).memo == "body of attempt 1, 3"


def test_a_task_that_kills_is_a_dead_letter_in_the_end(stage: Stage) -> None:
    """S-354, S-364: after three deaths it does not run once more."""
    crash(stage, "scheduler.start(); scheduler.submit(killer).wait(60)")
    for _ in range(2):
        crash(stage, "scheduler.start(); threading.Event().wait(60)")
    record = stage.started(dying.domain).task(1)
    assert record.status is TaskStatus.DEAD_LETTER
    assert record.error == "the process died 3 times in a row while it ran"


def test_max_crashes_can_be_set(stage: Stage) -> None:
    """S-354, S-364: with 1 a single death is one too many; below 1 it is refused."""
    crash(stage, "scheduler.start(); scheduler.submit(killer).wait(60)")
    assert stage.started(dying.domain, max_crashes=1).task(1).status is TaskStatus.DEAD_LETTER
    with pytest.raises(ValueError, match="max_crashes"):
        stage.scheduler(max_crashes=0)


def test_a_shutdown_begins_the_count_of_crashes_anew(stage: Stage) -> None:
    """S-363: two deaths, a stop in peace and two deaths more are no three in a row."""
    domain = Domain("dying")

    @domain.task()
    def killer(ctx: Context, deadly: bool = True) -> None:
        begun.set()
        ctx.wait_cancelled(WAIT_S)
        ctx.check_cancelled()

    begun = threading.Event()
    crash(stage, "scheduler.start(); scheduler.submit(killer).wait(60)")
    crash(stage, "scheduler.start(); time.sleep(60)")
    scheduler = stage.started(domain)
    assert begun.wait(WAIT_S)
    assert scheduler.stop(0.0) is False
    for _ in range(2):
        crash(stage, "scheduler.start(); time.sleep(60)")
    assert dying.settled(stage.started(dying.domain), 1).status is TaskStatus.COMPLETED


def test_the_innocent_do_not_end_with_the_guilty(stage: Stage) -> None:
    """S-365: tasks one crash short of the dead letters start one at a time: only the one that kills gets there."""
    submit = "[scheduler.submit(waits, n) for n in range(6)]; scheduler.submit(killer)"
    start = "scheduler.max_concurrency = 8; scheduler.start(); time.sleep(60)"
    crash(stage, f"{submit}; {start}")
    crash(stage, start)
    crash(stage, f"dying.patience_s = 0.1; {start}")
    scheduler = stage.started(dying.domain)
    assert [scheduler.task(task_id).status for task_id in range(1, 7)] == [TaskStatus.COMPLETED] * 6
    assert scheduler.task(7).status is TaskStatus.DEAD_LETTER


def test_a_cancel_that_a_crash_cut_short_goes_on(stage: Stage) -> None:
    """S-355: the body does not run again; the hook that had not run does, and the task settles."""
    crash(
        stage,
        "task = scheduler.submit(hooked); scheduler.start(); begun.wait(60); scheduler.cancel(task.id); time.sleep(60)",
    )
    dying.hooks.clear()
    scheduler = stage.started(dying.domain)
    assert dying.settled(scheduler, 1).status is TaskStatus.CANCELLED
    assert dying.hooks == [1]


def test_a_cancel_goes_on_down_a_tree(stage: Stage) -> None:
    """S-355, S-154: children whose cancel had not been recorded yet are cancelled too."""
    crash(
        stage,
        "task = scheduler.submit(family); scheduler.start(); await_status(4, 'running'); "
        "threading.Timer(0.001, die).start(); scheduler.cancel(task.id)",
    )
    with apsw.Connection(stage.path) as store:
        was_recorded = store.execute("SELECT count(*) FROM task WHERE cancel_requested_at_ms IS NOT NULL").get
        was_recorded += store.execute("SELECT count(*) FROM history WHERE status = 'cancelled'").get
    scheduler = stage.started(dying.domain)
    ends = {dying.settled(scheduler, task_id).status for task_id in range(1, 5)}
    assert ends == ({TaskStatus.CANCELLED} if was_recorded else {TaskStatus.COMPLETED})


def test_a_parent_that_waited_is_finalized(stage: Stage) -> None:
    """S-356: children that were active go on, and the finalizer runs after the last."""
    crash(
        stage,
        "dying.patience_s = 60; scheduler.max_concurrency = 1; scheduler.submit(parent, 200, False); scheduler.start(); "
        "await_status(1, 'waiting')",
    )
    record = dying.settled(stage.started(dying.domain), 1)
    assert record.memo == f"body of attempt 1, {sum(range(200))}"


def test_the_children_of_a_bounded_parent_are_offered_again(stage: Stage) -> None:
    """S-356, S-187: what a parent with `child_concurrency` had not let start goes on after a restart."""
    crash(
        stage,
        "scheduler.submit(family.options(child_concurrency=1)); scheduler.start(); await_status(2, 'running'); "
        "await_status(4, 'pending')",
    )
    scheduler = stage.started(dying.domain)
    assert [dying.settled(scheduler, task_id).status for task_id in range(1, 5)] == [TaskStatus.COMPLETED] * 4


def test_pending_and_delayed_tasks_stay_as_they_are(stage: Stage) -> None:
    """S-359: what had not started keeps its time, its priority and its key."""
    crash(stage, "scheduler.submit(quick.options(run_after=3600, priority=7, key='k'), 1); scheduler.start()")
    crash(stage, "scheduler.start()")
    scheduler = stage.started(dying.domain)
    record = scheduler.task(1)
    assert (record.status, record.priority, record.key) == (TaskStatus.PENDING, 7, "k")
    assert record.run_at is not None
    assert 3500 < (record.run_at - record.created_at).total_seconds() < 3601
    assert scheduler.submit(dying.quick.options(key="k"), 1).id == 1


def test_recovery_can_be_repeated(stage: Stage) -> None:
    """S-362: a process that dies while it recovers leaves what the next one recovers, with nothing counted twice."""
    script = "[scheduler.submit(waits, n) for n in range(4)]; scheduler.start(); [await_status(n, 'running') for n in range(1, 5)]"
    crash(stage, script)
    for delay_s in (0.0, 0.002, 0.005, 0.01):
        made = f"scheduler = Scheduler({stage.path!r}, domains=[domain], max_crashes=99)"
        crash(stage, f"{made}; threading.Timer({delay_s}, die).start(); scheduler.start()")
    scheduler = stage.started(dying.domain, max_crashes=99)
    assert {dying.settled(scheduler, task_id).memo for task_id in range(1, 5)} == set(range(4))


# The owner


def test_a_second_start_is_refused_within_a_tenth_of_a_second(stage: Stage, tmp_path: Path) -> None:
    """S-366: in the same process, by the same path or by a link, with the owner's pid and host."""
    stage.started(dying.domain)
    link = tmp_path / "link.db"
    link.symlink_to(stage.path)
    for path in (stage.path, str(link)):
        other = Scheduler(path, domains=[dying.domain])

        def be_refused(other: Scheduler = other) -> None:
            with pytest.raises(StoreLocked) as refused:
                other.start()
            assert str(os.getpid()) in str(refused.value)
            assert socket.gethostname() in str(refused.value)

        assert quickest(be_refused) < 0.1


def test_a_scheduler_that_was_refused_still_submits_and_starts_later(stage: Stage) -> None:
    """S-366, S-368: it goes on as one that is not started, and owns the store once the owner has stopped."""
    owner = stage.started(dying.domain)
    other = stage.scheduler(dying.domain)
    assert other.submit(dying.quick, 1).id == 1
    with pytest.raises(StoreLocked):
        other.start()
    second = other.submit(dying.quick, 2)
    assert other.task(second.id).id == 2
    owner.stop()
    other.start()
    assert second.result(WAIT_S) == 2


def test_the_lock_of_a_dead_owner_is_free_at_once(stage: Stage) -> None:
    """S-366: the operating system frees it, however the process ended."""
    crash(stage, "scheduler.start()")
    began = time.monotonic()
    stage.started(dying.domain)
    assert time.monotonic() - began < 1.0 + SLOW_MACHINE_S


def test_of_many_processes_one_starts(stage: Stage) -> None:
    """S-366: all others are refused, whoever comes first."""
    script = (
        "import sys\nfrom millrace import Scheduler, StoreLocked\nsys.stdin.readline()\n"
        f"try:\n    Scheduler({stage.path!r}).start(); print('owner', flush=True); sys.stdin.readline()\n"
        "except StoreLocked:\n    print('refused', flush=True)\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for _ in range(6)
    ]
    try:
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
        said = [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]
        assert sorted(said) == ["owner"] + ["refused"] * 5
    finally:
        for racer in racers:
            racer.communicate("end\n", timeout=WAIT_S)


# A scheduler that is not started, and stores in memory


def test_a_scheduler_that_is_not_started_submits_reads_and_cancels(any_stage: Stage) -> None:
    """S-368: nothing runs; a cancel of what never started settles at once."""
    scheduler = any_stage.scheduler(dying.domain)
    first, second = scheduler.submit(dying.quick, 1), scheduler.submit(dying.quick, 2)
    assert scheduler.task(first.id).status is TaskStatus.PENDING
    assert scheduler.cancel(first.id).settled
    assert scheduler.count() == 2
    scheduler.start()
    assert second.result(WAIT_S) == 2
    assert scheduler.task(first.id).status is TaskStatus.CANCELLED


def test_what_it_submits_runs_where_another_scheduler_owns_the_store(stage: Stage) -> None:
    """S-368: nothing is lost when the owner starts after the submit."""
    waiting = stage.scheduler(dying.domain).submit(dying.quick, 5)
    owner = stage.started(dying.domain)
    assert dying.settled(owner, waiting.id).memo == 5


def test_a_store_in_memory_is_gone_when_it_stops() -> None:
    """S-368: it has no owner, so any number of them runs beside each other; each is empty again after a stop."""
    one, other = Scheduler(":memory:", domains=[dying.domain]), Scheduler(":memory:", domains=[dying.domain])
    with one, other:
        assert one.submit(dying.quick, 1).result(WAIT_S) == 1
        assert other.count() == 0
    with pytest.raises(SchedulerStopped):
        one.count()
    with one:
        assert one.count() == 0


# Durability


@pytest.mark.parametrize("durability", ["power", "process"])
def test_what_was_acknowledged_survives_a_kill(stage: Stage, durability: str) -> None:
    """S-372: under both settings, as soon as the submit has returned."""
    crash(
        stage,
        f"scheduler = Scheduler({stage.path!r}, domains=[domain], durability={durability!r}); scheduler.submit(quick, 3)",
    )
    assert dying.settled(stage.started(dying.domain), 1).memo == 3
