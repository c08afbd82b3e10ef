"""What pressure holds is looked at again when it falls, however it falls: S-290, S-294."""

import pytest

from millrace.actors import gating as gating_module
from millrace.actors.gating import Gating
from millrace.actors.policy.gate import IoGate
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.pressure import Pressure
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.starts import ASIDE
from millrace.actors.sampler import Readings
from millrace.model.lanes import make_lane
from millrace.model.limits import ResourceSnapshot
from millrace.model.rows import Phase, Ready


class NoThreads:
    """No run was given up."""

    abandoned = ()


@pytest.mark.parametrize("last", [Readings(None, {"load": 0.2}), Readings(None, {"load": None})])
@pytest.mark.parametrize("later_s", [1.0, 9.999, 10.0, 25.0])
def test_what_waits_is_looked_at_again_when_a_source_falls_silent(last: Readings, later_s: float) -> None:
    """A source that was out of date before that was told is no exception."""
    gating = Gating(
        None,  # type: ignore[arg-type]  # nothing runs
        NoThreads(),  # type: ignore[arg-type]  # nobody is asked more
        pressure=Pressure(),
        io=IoGate(is_on=False),
        means=lambda name: None,
        max_crashes=3,
    )
    now = 100.0
    queue = ReadyQueue(
        Limits(4),
        aging=None,
        now=now,
        steady_ms=0,
        gate=lambda task, effective: gating.hold_up(queue, task, effective, now),
    )
    lane = make_lane("a::x", None, None, 200)
    queue.found([lane], is_last=True)
    [page] = queue.pages()
    queue.extend(lane, [Ready(200, Phase.BODY, 7, 0, lane)], page.after, page.limit)
    gating.read(queue, Readings(None, {"load": 0.9}), now)
    assert queue.choose() is None
    now += later_s
    gating.read(queue, last, now)
    task = queue.choose()
    assert task is not None
    assert task.id == 7


def test_a_body_that_has_waited_for_io_as_long_as_it_may_wakes_nobody() -> None:
    """S-288: once, when the time is there; what holds it then is another's business, and time alone changes nothing."""
    io = IoGate()
    for second in range(3):
        io.reading(ResourceSnapshot(0.1, 100.0, 100.0, 100.0, 100.0), 70.0 + second)
    io.started(1, (1_000, 0, 0, 0))
    gating = Gating(
        None,  # type: ignore[arg-type]  # nothing runs
        NoThreads(),  # type: ignore[arg-type]  # nobody is asked more
        pressure=Pressure(),
        io=io,
        means=lambda name: None,
        max_crashes=3,
    )
    queue = ReadyQueue(Limits(4), aging=None, now=72.0, steady_ms=0, gate=lambda task, effective: None)
    task = Ready(128, Phase.BODY, 7, 0, make_lane("a::x", None, None, 128), io="[1000,0,0,0]")
    assert gating.hold_up(queue, task, 128, 72.0) is ASIDE
    assert gating.due_in(72.0) == 30.0
    assert gating.due_in(101.0) == 1.0
    assert gating.due_in(102.0) is None
    assert gating.hold_up(queue, task, 128, 102.0) is None


def test_lines_that_wait_for_io_go_on_when_those_held_one_by_one_have_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-077, S-287: a line beyond the number that is held one by one is looked at again at the end of a run."""
    monkeypatch.setattr(gating_module, "HELD_MOST", 1)
    io = IoGate()
    for second in range(3):
        io.reading(ResourceSnapshot(0.1, 100.0, 100.0, 100.0, 100.0), 70.0 + second)
    gating = Gating(
        None,  # type: ignore[arg-type]  # nothing runs
        NoThreads(),  # type: ignore[arg-type]  # nobody is asked more
        pressure=Pressure(),
        io=io,
        means=lambda name: None,
        max_crashes=3,
    )
    queue = ReadyQueue(
        Limits(9),
        aging=None,
        now=72.0,
        steady_ms=0,
        gate=lambda task, effective: gating.hold_up(queue, task, effective, 72.0),
    )
    queue.found([], is_last=True)

    def offer(task_id: int, priority: int, expected: int) -> None:
        lane = make_lane("a::x", None, None, priority)
        queue.offer([Ready(priority, Phase.BODY, task_id, 0, lane, io=f"[{expected},0,0,0]")])

    def start() -> list[int]:
        return [holding.task.id for holding in queue.take(9, gating.started)]

    def end(task_id: int) -> list[int]:
        queue.release(task_id)
        gating.ended(queue, task_id)
        return start()

    offer(1, 1, 100)
    offer(2, 2, 50)
    offer(3, 3, 20)
    assert start() == [1, 2]  # 3 is held by itself
    offer(4, 0, 1_000)
    assert start() == []  # and the line of 4 as a whole
    assert end(1) == [3]
    assert end(2) == []
    assert end(3) == [4]
