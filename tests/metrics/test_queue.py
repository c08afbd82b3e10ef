"""The pass over the active tasks: made by the scrape where it is quick, beside it and seldom where it is not."""

from collections.abc import Callable

import pytest

from millrace.metrics import queue
from millrace.metrics.queue import SHARE, QueueWatch
from millrace.model.measures import QueueState


class Play:
    """A watch whose passes take as long as the test says, and are made beside the scrapes when it says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, took_s: float) -> None:
        monkeypatch.setattr(queue, "PATIENCE_S", 0.02)
        self.now_s = 0.0
        self.took_s = took_s
        self.passes: list[QueueState] = []
        self.detached: list[Callable[[], None]] = []
        self.watch = QueueWatch(
            self.make_pass, monotonic=lambda: self.now_s, detach=lambda work, name: self.detached.append(work)
        )

    def make_pass(self) -> QueueState:
        self.now_s += self.took_s
        self.passes.append(QueueState([], []))
        return self.passes[-1]


def test_a_quick_pass_is_made_by_each_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sees the queue as it is."""
    play = Play(monkeypatch, 0.01)
    for count in range(1, 4):
        assert play.watch.look() is play.passes[-1]
        assert len(play.passes) == count
    assert play.detached == []


def test_a_long_pass_is_made_beside_the_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They see the last one meanwhile; there is one at a time, after a pause of a multiple of its length."""
    play = Play(monkeypatch, 1.0)
    first = play.watch.look()
    assert play.watch.look() is first
    assert play.detached == []
    play.now_s += SHARE * 1.0
    assert [play.watch.look(), play.watch.look()] == [first, first]
    (work,) = play.detached
    work()
    assert len(play.passes) == 2
    assert play.watch.look() is play.passes[1]
    assert len(play.detached) == 1
