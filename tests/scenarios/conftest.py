"""Lets the tests of this folder import `staging`, and gives each a stage that is cleared at its end."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hand_clock import HandClock
from staging import Stage

from millrace import Domain


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage on a store in a real file."""
    made = Stage(str(tmp_path / "tasks.db"))
    yield made
    made.clear()


@pytest.fixture(params=["file", "memory"])
def any_stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """The same on a file and in memory."""
    made = Stage(str(tmp_path / "tasks.db") if request.param == "file" else ":memory:")
    yield made
    made.clear()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """The clocks of all schedulers that are made after it: now at first, and put forward by the test."""
    return HandClock(monkeypatch, datetime.now(UTC))


@pytest.fixture
def domain() -> Domain:
    """A domain without tasks."""
    return Domain("play")
