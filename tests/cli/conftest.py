"""Lets the tests of this folder import `make_tree`, and gives them trees."""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import command_line

NOBODY = 65534


@pytest.fixture(autouse=True)
def no_process_left() -> Generator[None, None, None]:
    """What a test has started ends with it, however it ends."""
    yield
    command_line.kill_left()


@pytest.fixture
def open_folder() -> Generator[Path, None, None]:
    """A folder that every user can enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-test-"))
    folder.chmod(0o755)
    yield folder
    # What a test has closed is opened again, for the removal.
    for path, names, _ in os.walk(folder):
        for name in names:
            below = Path(path, name)
            if not below.is_symlink():
                below.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def unprivileged() -> Generator[None, None, None]:
    """Runs as a user whom modes stop, child processes too; a user other than root is one already."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def as_nobody() -> Generator[None, None, None]:
    """The test runs as an unprivileged user from where the fixture is asked for."""
    with unprivileged():
        yield
