"""A disk that fails: every commit is acknowledged or raised, outcomes are kept, and the store goes on when the disk does."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from faultvfs import Disk, Fault, Kind, Replay, disk
from power_cuts import lay_out, use_disk
from wreck import active, find_violations, open_wreck, settled

from millrace import (
    CommitUnknown,
    Context,
    Domain,
    Retry,
    Scheduler,
    SchedulerFailed,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreMoved,
    TaskStatus,
)
from millrace.actors import draining
from millrace.actors.persistence import RETRY_AFTER_S
from millrace.store import session

pytestmark = pytest.mark.crash

WAIT_S = 60.0
GOES_ON_S = 1.0
"""How soon after the trouble is over work goes on."""
SLOW_MACHINE_S = 4.0


class Work:
    """A domain whose bodies count themselves, and can be held back."""

    def __init__(self) -> None:
        self.runs: Counter[tuple[int, int]] = Counter()
        """By task and attempt."""
        self.gate = threading.Event()
        self.arrived = threading.Event()
        self.domain = Domain("work", retry=Retry.none())

        @self.domain.task()
        def plain(ctx: Context, n: int) -> int:
            self.runs[ctx.id, ctx.attempt] += 1
            return n

        @self.domain.task(retry=Retry.constant(30, 0.03))  # its spawns may fail with the disk
        def tree(ctx: Context, n: int) -> int:
            self.runs[ctx.id, ctx.attempt] += 1
            ctx.spawn_children([plain.call(n * 10 + i) for i in range(3)])
            return n

        @self.domain.task()
        def held(ctx: Context) -> str:
            self.runs[ctx.id, ctx.attempt] += 1
            self.arrived.set()
            self.gate.wait(WAIT_S)
            return "done"

        self.plain, self.tree, self.held = plain, tree, held


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk under every scheduler of the test."""
    with disk() as made:
        use_disk(monkeypatch, made)
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def submit_for_ever(scheduler: Scheduler, work: Work) -> None:
    for number in itertools.count(1):
        scheduler.submit(work.plain, number)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def restarts(scheduler: Scheduler) -> int:
    counts = scheduler._core.runtime.delivery.counts()
    return sum(count for (counter, _, _), count in counts.items() if counter == "actor_restarts")


def check_file(path: Path, acked: set[int]) -> None:
    connection = open_wreck(path)
    try:
        assert find_violations(connection) == []
        assert acked <= active(connection) | settled(connection).keys()
    finally:
        connection.close()


def submit_stubbornly(scheduler: Scheduler, disk: Disk, submit: Callable[[], int], errors: list[StoreError]) -> int:
    """Submit until it succeeds; a lasting fault ends after three failures."""
    failed = 0
    while True:
        try:
            return submit()
        except StoreError as error:
            errors.append(error)
            failed += 1
            if failed == 3:
                disk.fault = None
            assert failed < 10, errors


# Failures of reading and writing


def press(work: Work, disk: Disk, path: Path, fault: Fault) -> int:
    """A small load with a fault in it; how often it struck. Whatever it was, the load gets through and nothing is doubled."""
    errors: list[StoreError] = []
    acked: set[int] = set()
    with Scheduler(path, domains=[work.domain]) as scheduler:
        disk.fault = fault
        for number in range(5):
            key = f"key-{number}"
            task = (work.tree if number % 2 else work.plain).options(key=key)
            acked.add(submit_stubbornly(scheduler, disk, lambda: scheduler.submit(task, number).id, errors))  # noqa: B023
            for error in errors:
                assert not isinstance(error, CommitUnknown) or error.key
        for task_id in list(acked):
            record = wait_through(scheduler, disk, task_id)
            assert record is TaskStatus.COMPLETED
        disk.fault = None
        assert scheduler.submit(work.plain, 99).result(WAIT_S) == 99
        assert restarts(scheduler) == 0
        assert {record.key for record in scheduler.tasks(task=work.plain) if record.parent_id is None} >= {"key-0"}
        keys = Counter(record.key for record in scheduler.tasks(limit=1000) if record.key.startswith("key-"))
        assert set(keys.values()) == {1}, keys
    assert set(work.runs.values()) == {1}
    check_file(path, acked)
    return fault.hits


def wait_through(scheduler: Scheduler, disk: Disk, task_id: int) -> TaskStatus:
    """Wait for an end; where the fault keeps it from being stored, the fault ends meanwhile."""
    try:
        return scheduler._core.wait(task_id, 0.3).status
    except (TimeoutError, StoreError):
        disk.fault = None
        return scheduler._core.wait(task_id, WAIT_S).status


FAULTS: dict[str, tuple[int, set[Kind]]] = {
    "write error": (apsw.SQLITE_IOERR_WRITE, {"write"}),
    "sync error": (apsw.SQLITE_IOERR_FSYNC, {"sync"}),
    "disk full": (apsw.SQLITE_FULL, {"write"}),
    "truncate error": (apsw.SQLITE_IOERR_TRUNCATE, {"truncate"}),
    "any error": (apsw.SQLITE_IOERR, {"write", "sync", "truncate", "delete"}),
}


@pytest.mark.parametrize("is_lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_at_some_operations_loses_and_doubles_nothing(
    kind: str, is_lasting: bool, broken: Disk, tmp_path: Path
) -> None:
    """The first failing operation may be any: what was acknowledged is there, every body runs once, and no actor dies of it."""
    code, kinds = FAULTS[kind]
    for nth in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89):
        fault = Fault(code, kinds, nth, is_lasting)
        if not press(Work(), broken, tmp_path / f"store-{nth}.db", fault):
            break


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("is_lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_at_every_operation_loses_and_doubles_nothing(
    kind: str, is_lasting: bool, broken: Disk, tmp_path: Path
) -> None:
    """The same for each operation in turn, until the load passes untouched."""
    code, kinds = FAULTS[kind]
    nth = 1
    while press(Work(), broken, tmp_path / f"store-{nth}.db", Fault(code, kinds, nth, is_lasting)):
        nth += 1


# A full disk


def test_a_full_disk_refuses_submits_and_keeps_outcomes(broken: Disk, path: Path, work: Work) -> None:
    """Submits are StoreFull, what a body has done meanwhile is kept, and all goes on within a second of there being room."""
    with Scheduler(path, domains=[work.domain]) as scheduler:
        held = scheduler.submit(work.held)
        assert work.arrived.wait(WAIT_S)
        broken.fault = Fault(apsw.SQLITE_FULL, {"write"}, is_lasting=True)
        with pytest.raises(StoreFull):
            scheduler.submit(work.plain, 1)
        work.gate.set()
        with pytest.raises(TimeoutError):
            held.wait(0.2)
        with pytest.raises(StoreFull):
            scheduler.submit(work.plain, 2)
        broken.fault = None
        began = time.monotonic()
        assert held.result(WAIT_S) == "done"
        assert time.monotonic() - began < GOES_ON_S + SLOW_MACHINE_S
        assert scheduler.submit(work.plain, 3).result(WAIT_S) == 3
        assert restarts(scheduler) == 0
    assert work.runs[held.id, 1] == 1
    check_file(path, {held.id})


def test_a_checkpoint_that_finds_no_room_fails_nobody(broken: Disk, path: Path, work: Work) -> None:
    """Where only the store's own file cannot grow, the log goes on taking commits, and is copied when there is room."""
    with Scheduler(path, domains=[work.domain]) as scheduler:
        broken.fault = fault = Fault(apsw.SQLITE_FULL, {"write"}, is_lasting=True, endings=(".db",))
        outcomes = [scheduler.submit(work.plain, number) for number in range(40)]
        assert [outcome.result(WAIT_S) for outcome in outcomes] == list(range(40))
        assert fault.hits
        broken.fault = None
    assert set(work.runs.values()) == {1}
    check_file(path, {outcome.id for outcome in outcomes})


def test_a_stop_on_a_full_disk_ends_and_the_next_start_goes_on(
    broken: Disk, path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be stored by the end of a stop is done again by the next start: the run, not the submission, is lost.

    Until then it is tried again twice a second, and no more often.
    """
    monkeypatch.setattr(draining, "FLUSH_WITHIN_S", 2.5)
    scheduler = Scheduler(path, domains=[work.domain])
    scheduler.start()
    held = scheduler.submit(work.held)
    assert work.arrived.wait(WAIT_S)
    broken.fault = Fault(apsw.SQLITE_FULL, {"write"}, is_lasting=True)
    began = time.monotonic()
    work.gate.set()
    scheduler.stop(5)
    tries = sum(
        n for (counter, _, _), n in scheduler._core.runtime.delivery.counts().items() if counter == "store_errors"
    )
    assert 1 < tries <= (time.monotonic() - began) / RETRY_AFTER_S + 5
    broken.fault = None
    with Scheduler(path, domains=[work.domain]) as second:
        assert second._core.wait(held.id, WAIT_S).status is TaskStatus.COMPLETED


# A sync that fails


def test_a_failed_sync_is_said_to_be_unknown_and_can_be_looked_up(broken: Disk, path: Path, work: Work) -> None:
    """A submit whose sync fails is CommitUnknown with its key; submitting that key again leaves one task, that runs once."""
    with Scheduler(path, domains=[work.domain]) as scheduler:
        before = scheduler.submit(work.plain, 1)
        before.wait(WAIT_S)
        broken.fault = Fault(apsw.SQLITE_IOERR_FSYNC, {"sync"})
        with pytest.raises(CommitUnknown) as raised:
            scheduler.submit(work.plain.options(key="one"), 2)
        assert raised.value.key == "one"
        assert raised.value.__cause__ is not None
        again = scheduler.submit(work.plain.options(key="one"), 2)
        assert again.result(WAIT_S) == 2
        assert [record.id for record in scheduler.tasks(key="one")] == [again.id]
        found = scheduler.find(work.plain, "one")
        assert found is not None
        assert found.id == again.id
        assert restarts(scheduler) == 0
    assert set(work.runs.values()) == {1}
    check_file(path, {before.id, again.id})


def test_what_is_acknowledged_after_a_failed_sync_survives_a_power_cut(
    broken: Disk, path: Path, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages that the system has dropped do not stand in the way of those that come after them."""
    monkeypatch.setattr(session, "CHECKPOINT_PAGES", 1_000_000)  # a checkpoint would happen to mend it
    wreck = tmp_path / "wreck"
    wreck.mkdir()
    with Scheduler(path, domains=[work.domain]) as scheduler:
        acked = {scheduler.submit(work.plain, number).id for number in range(3)}
        wait_until(lambda: scheduler.count(status=TaskStatus.COMPLETED) == 3)  # committed, and nobody had them synced
        broken.fault = Fault(apsw.SQLITE_IOERR_FSYNC, {"sync"}, endings=("-wal",))
        with pytest.raises(CommitUnknown):
            scheduler.submit(work.plain, 100)
        acked |= {scheduler.submit(work.plain, number).id for number in range(200, 203)}
        replay = Replay(list(broken.operations))
        replay.advance(len(broken.operations))
        lost = lay_out(replay.cut("none", random.Random(1)), wreck)
        check_file(lost, acked)


# Others at the file


def test_a_foreign_lock_is_waited_for(path: Path, work: Work) -> None:
    """While another program holds the file a submit waits, and goes on when that lets go."""
    with Scheduler(path, domains=[work.domain]) as scheduler:
        scheduler.submit(work.plain, 0).wait(WAIT_S)
        foreign = open_wreck(path)
        foreign.execute("BEGIN IMMEDIATE")
        answers: list[int] = []
        caller = threading.Thread(target=lambda: answers.append(scheduler.submit(work.plain, 1).id))
        caller.start()
        caller.join(0.2)
        assert caller.is_alive()
        foreign.execute("ROLLBACK")
        foreign.close()
        caller.join(WAIT_S)
        assert answers
        assert scheduler._core.wait(answers[0], WAIT_S).status is TaskStatus.COMPLETED


def test_a_foreign_lock_that_stays_is_store_busy(path: Path, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is held for longer than the busy timeout is StoreBusy; outcomes are kept, and all goes on afterwards."""
    monkeypatch.setattr("millrace.store.connection.BUSY_TIMEOUT_S", 0.1)
    with Scheduler(path, domains=[work.domain]) as scheduler:
        held = scheduler.submit(work.held)
        assert work.arrived.wait(WAIT_S)
        foreign = open_wreck(path)
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            scheduler.submit(work.plain, 1)
        work.gate.set()
        with pytest.raises(TimeoutError):
            held.wait(0.3)
        foreign.execute("ROLLBACK")
        foreign.close()
        began = time.monotonic()
        assert held.result(WAIT_S) == "done"
        assert time.monotonic() - began < GOES_ON_S + SLOW_MACHINE_S
        assert scheduler.submit(work.plain, 2).result(WAIT_S) == 2
        assert restarts(scheduler) == 0
    assert work.runs[held.id, 1] == 1


MOVES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name("elsewhere.db")),
    "replaced": lambda path: (path.rename(path.with_name("old.db")), path.write_bytes(b"")),
    "log deleted": lambda path: Path(f"{path}-wal").unlink(),
    "log replaced": lambda path: (Path(f"{path}-wal").rename(f"{path}-old"), Path(f"{path}-wal").write_bytes(b"")),
    "lock deleted": lambda path: Path(f"{path}.lock").unlink(),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_store_that_is_moved_stops_the_scheduler(move: str, path: Path, work: Work) -> None:
    """Within a second nothing is acknowledged any more: calls are StoreMoved, or with the waits SchedulerFailed because of it."""
    with Scheduler(path, domains=[work.domain]) as scheduler:
        scheduler.submit(work.plain, 0).wait(WAIT_S)
        held = scheduler.submit(work.held)
        assert work.arrived.wait(WAIT_S)
        MOVES[move](path)
        began = time.monotonic()
        try:
            with pytest.raises((StoreMoved, SchedulerFailed)):
                submit_for_ever(scheduler, work)
            assert time.monotonic() - began < 2.0 + SLOW_MACHINE_S
            with pytest.raises((StoreMoved, SchedulerFailed)):
                scheduler.submit(work.plain, -1)
            with pytest.raises(SchedulerFailed) as raised:
                held.wait(WAIT_S)
            assert isinstance(raised.value.__cause__, StoreMoved)
        finally:
            work.gate.set()


# Damage


def damage(path: Path, rng: random.Random) -> str:
    """Flip a bit of the file, or cut it short."""
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    if rng.random() < 0.2:
        path.write_bytes(content[:at])
        return f"cut to {at}"
    content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return f"flipped a bit at {at}"


def live_with_damage(path: Path, work: Work, seed: int) -> None:
    """Fill a store, damage it, start on it: it is refused, or runs, or fails as a corrupt store does."""
    with Scheduler(path, domains=[work.domain]) as scheduler:
        scheduler.submit_batch([work.plain.call(number) for number in range(100)])
    scheduler = Scheduler(path, domains=[work.domain])
    scheduler.submit_batch([work.plain.call(number) for number in range(100)])
    scheduler.stop()
    what = damage(path, random.Random(seed))
    failure = start_on(path, work)
    cause = failure.__cause__ if isinstance(failure, SchedulerFailed) else failure
    assert cause is None or isinstance(cause, StoreCorrupt), f"{what}: {cause!r}"


def start_on(path: Path, work: Work) -> Exception | None:
    """Run a task on a store that may be damaged; what came of it."""
    try:
        with Scheduler(path, domains=[work.domain]) as scheduler:
            scheduler.submit(work.plain, -1).wait(WAIT_S)
    except (StoreError, SchedulerFailed) as error:
        return error
    return None


def test_damage_is_refused_or_lived_with(tmp_path: Path) -> None:
    """A damaged file crashes and hangs nothing: it is StoreCorrupt, or what is damaged does not matter."""
    for seed in range(15):
        live_with_damage(tmp_path / f"store-{seed}.db", Work(), seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_damages_are_refused_or_lived_with(tmp_path: Path) -> None:
    """The same 1,000 times."""
    for seed in range(1_000):
        live_with_damage(tmp_path / f"store-{seed}.db", Work(), 1_000 + seed)
