"""Lets the tests of this folder import `staging` of the scenarios, and gives each a stage that is cleared at its end."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))
sys.path.insert(0, str(Path(__file__).parent))

from staging import Stage

from millrace import Domain
from millrace.metrics import queue


@pytest.fixture(autouse=True)
def counts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading counts the queue, however long this machine takes for it: else the next would repeat it for a while."""
    monkeypatch.setattr(queue, "PATIENCE_S", math.inf)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage on a store in a real file."""
    made = Stage(str(tmp_path / "tasks.db"))
    yield made
    made.clear()


@pytest.fixture
def domain() -> Domain:
    """A domain without tasks."""
    return Domain("play")
