"""Signals, and what a process can do to others: it ends in time when told to, freezes, dies of a task, and starts in a race."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import told_program
from busy_program import read_lines
from wreck import active, find_violations, open_wreck, settled

from millrace import Scheduler, StoreLocked

pytestmark = pytest.mark.crash

SLOW_MACHINE_S = 4.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a script with arguments; what still runs at the end of the test is killed."""
    with ExitStack() as started:

        def start_one(*arguments: object) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start_one


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell_to_end(path: Path, start: Start, number: signal.Signals, after_s: float) -> None:
    """Start a busy program, signal it, and look at what it leaves."""
    program = start(told_program.__file__, path, 5)
    assert said(program) == "READY"
    time.sleep(after_s)
    began = time.monotonic()
    program.send_signal(number)
    _, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    assert time.monotonic() - began < 5 + SLOW_MACHINE_S
    assert "Traceback" not in errors
    acked = {int(words[1]) for words in read_lines(Path(f"{path}.acks"))}
    connection = open_wreck(path)
    try:
        assert find_violations(connection) == []
        assert acked <= active(connection) | settled(connection).keys()
        assert not connection.execute(
            "SELECT id FROM task WHERE executing = 1 OR crashes > 0 OR retries > 0"
        ).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_told_to_end_exits_with_0(tmp_path: Path, start: Start, number: signal.Signals) -> None:
    """With run() a signal at any time ends the program well, with nothing lost and nothing left executing."""
    rng = random.Random(number)
    for _ in range(3):
        tell_to_end(tmp_path / "store.db", start, number, rng.uniform(0, 0.2))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_hundred_signals_end_a_program_well(tmp_path: Path, start: Start, number: signal.Signals) -> None:
    """The same 100 times."""
    rng = random.Random(number)
    for _ in range(100):
        tell_to_end(tmp_path / "store.db", start, number, rng.uniform(0, 0.2))


def test_an_interrupted_run_costs_no_attempt(tmp_path: Path, start: Start) -> None:
    """A body that outlasts the grace is asked to stop; its task is pending as it was, and the next start runs it again."""
    path = tmp_path / "store.db"
    queued = Scheduler(path, domains=[told_program.domain])
    task_id = queued.submit(told_program.patient).id
    queued.stop()
    program = start(told_program.__file__, path, 0.1, "quiet")
    assert said(program) == "READY"
    wait_for_run(path)
    program.terminate()
    _, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    connection = open_wreck(path)
    assert connection.execute("SELECT status, retries, crashes, run FROM task WHERE id = ?", (task_id,)).fetchone() == (
        "pending",
        0,
        0,
        1,
    )
    connection.close()


def test_a_second_signal_ends_at_once(tmp_path: Path, start: Start) -> None:
    """A first signal waits for bodies as long as the grace allows; a second one does not."""
    path = tmp_path / "store.db"
    queued = Scheduler(path, domains=[told_program.domain])
    queued.submit(told_program.patient)
    queued.stop()
    program = start(told_program.__file__, path, 60, "quiet")
    assert said(program) == "READY"
    wait_for_run(path)
    program.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.5)
    began = time.monotonic()
    program.send_signal(signal.SIGTERM)
    _, errors = program.communicate(timeout=60)
    assert time.monotonic() - began < 1 + SLOW_MACHINE_S
    assert program.returncode == 0, errors


def wait_for_run(path: Path) -> None:
    """Until the body has begun, which is after its start is in the file."""
    deadline = time.monotonic() + 60
    while not read_lines(Path(f"{path}.runs")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_frozen_program_keeps_its_store(tmp_path: Path, start: Start) -> None:
    """While a process is stopped nobody else takes its store, and when it goes on nothing has run twice."""
    path = tmp_path / "store.db"
    program = start(told_program.__file__, path, 5)
    assert said(program) == "READY"
    for _ in range(3):
        program.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreLocked) as raised:
            Scheduler(path, domains=[told_program.domain]).start()
        assert raised.value.pid == program.pid
        time.sleep(0.05)
        program.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    until = time.monotonic() + 60
    while len(read_lines(Path(f"{path}.runs"))) < 15:  # of which three at most are under way
        assert time.monotonic() < until
    program.terminate()
    _, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    connection = open_wreck(path)
    assert find_violations(connection) == []
    assert len(settled(connection)) > 10
    connection.close()
    begun = Counter(words[1] for words in read_lines(Path(f"{path}.runs")))
    assert set(begun.values()) == {1}


def test_a_task_that_kills_its_process_ends_as_a_dead_letter(tmp_path: Path, start: Start) -> None:
    """Within four starts the scheduler is rid of it, and the tasks beside it have completed."""
    path = tmp_path / "store.db"
    queued = Scheduler(path, domains=[told_program.domain])
    innocents = queued.submit_batch([told_program.innocent.call(number) for number in range(20)])
    poison = queued.submit(told_program.poison.options(priority=100))
    innocents += queued.submit_batch([told_program.innocent.call(number) for number in range(20, 40)])
    queued.stop()
    deaths = 0
    while True:
        program = start(told_program.__file__, path, 5, "quiet")
        if said(program) == "READY":
            wait_until_settled(path, program, 41)
        else:
            program.wait(60)
        if program.poll() is None:
            break
        deaths += 1
        assert program.returncode == -signal.SIGKILL, program.communicate()
        assert deaths <= 3
    program.terminate()
    program.communicate(timeout=60)
    connection = open_wreck(path)
    ends = settled(connection)
    error = connection.execute("SELECT error FROM history WHERE id = ?", (poison.id,)).get
    connection.close()
    assert deaths == 3
    assert ends[poison.id] == "dead_letter"
    assert "died 3 times" in error
    assert {ends[outcome.id] for outcome in innocents} == {"completed"}


def wait_until_settled(path: Path, program: "subprocess.Popen[str]", count: int) -> None:
    """Until so many tasks are in the history, or the program has died."""
    connection = open_wreck(path)
    try:
        deadline = time.monotonic() + 60
        while program.poll() is None and connection.execute("SELECT count(*) FROM history").get < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        connection.close()


RACER = """
import sys, time
from millrace import Domain, Scheduler, StoreLocked
print("READY", flush=True)
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
try:
    Scheduler(sys.argv[1], domains=[Domain("race")]).start()
except StoreLocked as error:
    print("LOCKED", error.pid, flush=True)
else:
    print("OWNER", flush=True)
sys.stdin.read()
"""


def test_of_sixteen_programs_one_starts(tmp_path: Path) -> None:
    """Sixteen processes that start one new store at once: one runs it, the others are told which."""
    path = tmp_path / "store.db"
    at = time.time() + 2.5
    with ExitStack() as started:
        programs = []
        for _ in range(16):
            program = subprocess.Popen(
                [sys.executable, "-c", RACER, str(path), str(at)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            started.enter_context(program)
            started.callback(program.kill)
            programs.append(program)
        assert {said(program) for program in programs} == {"READY"}
        results = {program.pid: said(program) for program in programs}
    owners = [pid for pid, result in results.items() if result == "OWNER"]
    assert len(owners) == 1
    assert set(results.values()) == {"OWNER", f"LOCKED {owners[0]}"}
