"""A program may end in any way, in the middle of its work, without having stopped its scheduler."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import ending_program
import pytest
from busy_program import read_lines
from killing import run_out
from wreck import active, find_violations, open_wreck, settled

from millrace import Context, Domain, Scheduler, TaskStatus

pytestmark = pytest.mark.crash

EXITS_WITHIN_S = 1.0
SLOW_MACHINE_S = 4.0

CODES = {"main ends": 0, "sys.exit": 3, "exception": 1, "interrupted": -signal.SIGINT, "os._exit": 4}

quick = Domain("ending")
"""The same tasks for the next start: bodies that end at once."""


@quick.task()
def patient(ctx: Context) -> str:
    return "done"


@quick.task()
def deaf(ctx: Context) -> str:
    return "done"


@quick.task()
def leaf(ctx: Context, n: int) -> int:
    return n


@quick.task()
def fruitful(ctx: Context) -> str:
    return "done"


@pytest.mark.parametrize("end", CODES)
@pytest.mark.parametrize("work", ["idle", *ending_program.WORK])
def test_a_program_that_ends_by_itself_exits_at_once_and_loses_nothing(tmp_path: Path, work: str, end: str) -> None:
    """It exits within a second with its own code and no traceback of ours, and the next start goes on with everything.

    What was interrupted costs no attempt, and no crash either unless the process gave no time to say so.
    """
    path = tmp_path / "store.db"
    with subprocess.Popen(
        [sys.executable, ending_program.__file__, str(path), work, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        said = program.stdout.readline()
        began = time.monotonic()
        _, errors = program.communicate(timeout=60)
        took_s = time.monotonic() - began
    assert said == "END\n", errors
    assert program.returncode == CODES[end], errors
    assert took_s < EXITS_WITHIN_S + SLOW_MACHINE_S
    assert errors.count("Traceback") == (end in ("exception", "interrupted")), errors
    assert "Fatal Python error" not in errors
    acked = {int(words[1]) for words in read_lines(Path(f"{path}.acks"))}
    connection = open_wreck(path)
    assert find_violations(connection) == []
    assert acked <= active(connection) | settled(connection).keys()
    begun = connection.execute("SELECT retries, crashes, executing FROM task WHERE name <> 'ending::leaf'").fetchall()
    connection.close()
    if end == "os._exit":
        assert all(row == (0, 0, 1) for row in begun)
    else:
        assert all(row == (0, 0, 0) for row in begun)
    assert len(begun) == (0 if work == "idle" else 3)
    with Scheduler(path, domains=[quick]) as scheduler:
        run_out(scheduler)
        ends = {record.status for record in scheduler.tasks(limit=100_000)}
        assert ends <= {TaskStatus.COMPLETED}
        assert all(record.attempt == 1 for record in scheduler.tasks(task=patient))
