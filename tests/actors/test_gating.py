"""What pressure holds is looked at again when it falls, however it falls: S-290, S-294."""

import pytest

from millrace.actors.gating import Gating
from millrace.actors.policy.gate import IoGate
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.pressure import Pressure
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.sampler import Readings
from millrace.model.lanes import make_lane
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
