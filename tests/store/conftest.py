"""What tests of the store share: places for stores, and Python processes of their own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil  # noqa: F401 - whoever runs a store has it loaded; here it would be loaded while the first check of a place is timed
import pytest

from millrace.store.connection import Location, locate

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., str]


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return locate(tmp_path / "store.db")


@pytest.fixture
def start_python() -> Iterator[Start]:
    """Starts `python -c script args...` with pipes for text; what still runs at the end of the test is killed."""
    with ExitStack() as started:

        def start(script: str, *args: object) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", script, *map(str, args)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.enter_context(process)  # closes the pipes and waits
            started.callback(process.kill)
            return process

        yield start


@pytest.fixture
def run_python(start_python: Start) -> Run:
    """Runs a script to its end and returns what it printed; a failing one fails the test with its traceback."""

    def run(script: str, *args: object) -> str:
        process = start_python(script, *args)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return out.strip()

    return run


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def become_nobody() -> str:
    """Script text after which rights bind: root may write anything, so the process turns into another user.

    That one may not read where the library is installed: what is loaded late is loaded before.
    """
    return "import os, psutil\nif os.geteuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"


@pytest.fixture
def is_root() -> bool:
    return os.geteuid() == 0
