"""A day of dispatching at a virtual clock: what one decision costs, by how many tasks wait.

Nothing but the decisions is measured: the queue of ready tasks with all its limits, over pages that lie in memory and not in
a store. Each end brings a new task, so that as many wait at the end of the day as at its beginning.
"""

import heapq
import random
import time
from collections import deque
from functools import partial
from itertools import islice
from typing import Final

from bench.case import Case, Column, Figures, Scale, Site, Sizes, Target, Variant
from millrace import Aging, RateLimit
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.queue import ReadyQueue
from millrace.model.lanes import Lane, make_lane
from millrace.model.rows import Phase, Ready

_DAY_S: Final = 86_400.0
_GROUPS: Final = 10_000
_SLOTS: Final = 64
_STARTS = Sizes(full=1_000_000, quick=20_000, tiny=500)
_PENDING: Final = (1_000, 10_000, 100_000, 1_000_000)
_SHRUNK: Final = {Scale.FULL: 1, Scale.QUICK: 10, Scale.TINY: 1_000}
_URGENT: Final = 20


class Pages:
    """Ready tasks by lane, as the store has them: in each the one that has waited longest comes first."""

    def __init__(self, groups: int) -> None:
        self._lanes = [
            make_lane("bench::noop", f"group_{number:05}", None, 128 if number % 10 else 64) for number in range(groups)
        ]
        self._waiting: dict[int, deque[Ready]] = {}
        self._random = random.Random(1)
        self._last_id = 0

    def add(self, since_ms: int) -> Ready:
        """A new task of any group."""
        self._last_id += 1
        lane = self._random.choice(self._lanes)
        task = Ready(lane.priority, Phase.BODY, self._last_id, 0, lane, None, since_ms)
        self._waiting.setdefault(lane.number, deque()).append(task)
        return task

    def lanes(self) -> list[Lane]:
        """Those with tasks."""
        return [lane for lane in self._lanes if lane.number in self._waiting]

    def page(self, lane: Lane, after: tuple[int, int], limit: int) -> list[Ready]:
        """The next tasks of a lane."""
        found = (task for task in self._waiting.get(lane.number, ()) if (task.since_ms, task.id) > after)
        return list(islice(found, limit))

    def remove(self, task: Ready) -> None:
        """It has started."""
        self._waiting[task.lane.number].remove(task)

    @property
    def count(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))


def _let_all(_task: Ready, _effective: int) -> None:
    """Nothing but the limits holds anything up."""


class Day:
    """The queue at a virtual clock, 64 runs at once, and the time that its decisions take."""

    def __init__(self, pending: int, groups: int, step_s: float) -> None:
        self.now = 0.0
        self.spent_s = 0.0
        self._step_s = step_s
        self._pages = Pages(groups)
        self._runs: list[tuple[float, int]] = []
        self._random = random.Random(2)
        for _ in range(pending):
            self._pages.add(0)
        self._queue = ReadyQueue(
            Limits(
                _SLOTS,
                default_group=2,
                default_weight=1,
                weights={f"group_{number:05}": 1 + number % 4 for number in range(0, groups, 100)},
                group_rates={f"group_{number:05}": RateLimit(0.01, 1) for number in range(0, groups, 50)},
            ),
            aging=Aging(grace=600, interval=600, ceiling=_URGENT, urgent=_URGENT),
            now=0.0,
            steady_ms=0,
            gate=_let_all,
        )
        self._queue.found(self._pages.lanes(), is_last=True)
        self._feed()

    def run(self, starts: int) -> None:
        """So many starts."""
        began = time.thread_time()
        begun = 0
        while begun < starts:
            self._queue.at(self.now, round(self.now * 1000))
            while self._queue.busy < _SLOTS and begun < starts:
                task = self._queue.choose()
                if task is None:
                    break
                self._queue.start(task)
                self._pages.remove(task)
                heapq.heappush(self._runs, (self.now + _SLOTS * self._step_s * self._random.uniform(0.5, 1.5), task.id))
                begun += 1
                self._feed()
            self._pass_on()
        self.spent_s = time.thread_time() - began

    def _pass_on(self) -> None:
        """To the next end; a new task comes with it. Where nothing runs, to the next token."""
        if self._runs:
            self.now, task_id = heapq.heappop(self._runs)
            self._queue.release(task_id)
            self._queue.offer([self._pages.add(round(self.now * 1000))])
        else:
            self.now += self._queue.next_look() or self._step_s
        self._feed()

    def _feed(self) -> None:
        """Answer all pages that are wanted."""
        while pages := self._queue.pages():
            for page in pages:
                tasks = self._pages.page(page.lane, page.after, page.limit)
                self._queue.extend(page.lane, tasks, page.after, page.limit)

    @property
    def pending(self) -> int:
        """Tasks that wait now."""
        return self._pages.count


def play(site: Site, *, pending: int) -> Figures:
    """Microseconds of the thread's own time a start, with so many waiting all the time; hours of the clock that it was."""
    shrunk = _SHRUNK[site.scale]
    starts, waiting = _STARTS.at(site.scale), max(10, pending // shrunk)
    day = Day(waiting, max(10, _GROUPS // shrunk), _DAY_S / _STARTS.full)
    day.run(starts)
    if not waiting - _SLOTS <= day.pending <= waiting:
        raise AssertionError(f"expected {waiting} tasks to wait still, but for {_SLOTS} runs; there are {day.pending}")
    return {"rate": starts / day.spent_s, "us_per_start": day.spent_s / starts * 1e6, "hours": day.now / 3600}


CASE = Case(
    name="day",
    title="a day at a virtual clock, 1,000,000 starts in 10,000 groups with limits, weights, rates and aging",
    variants=tuple(Variant(f"{pending:,} pending", partial(play, pending=pending)) for pending in _PENDING),
    columns=(
        Column("us_per_start", "us/start", 1),
        Column("rate", "starts/s"),
        Column("hours", "hours", 1),
        Column("rss_mb", "peak MB"),
    ),
    targets=(
        # log 1,000,000 / log 1,000
        Target("the cost at 1,000", "1,000,000 pending", "us_per_start", at_most=2.0, against="1,000 pending"),
    ),
    repetitions=1,
    timeout_s=1_800.0,
)
