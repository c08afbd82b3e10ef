"""Several starts in one go: the same ones, in the same order, as one by one."""

from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.actors.policy import lines, window
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Place
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.shares import FairShares
from millrace.model.lanes import Lane, make_lane
from millrace.model.limits import Aging, RateLimit
from millrace.model.rows import Phase, Ready

GROUPS: Final = (None, "a", "b", "c")
AGING: Final = Aging(grace=1, interval=1, ceiling=10, urgent=30)


@dataclass
class Plan:
    """What happens to a queue, and the store beneath it."""

    limits: Limits
    aging: Aging | None
    steps: list[tuple[Any, ...]]


class Stage:
    """A queue over a store, with the starts that have come out of it."""

    def __init__(self, plan: Plan, *, is_short: bool) -> None:
        self.ages = plan.aging is not None
        self.waiting: dict[int, Ready] = {}
        self.running: dict[int, Ready] = {}
        self.starts: list[tuple[int, int]] = []
        self.shares: list[dict[str, int]] = []
        self.now_ms = 0
        self.next_id = 1
        self.queue = ReadyQueue(
            plan.limits,
            aging=plan.aging,
            now=0.0,
            steady_ms=0,
            gate=lambda task, effective: None,
            is_gate_open=lambda: is_short,
        )
        self.queue.found((), is_last=True)
        for kind, *values in plan.steps:
            getattr(self, kind)(*values)
            self.feed()
            self.shares.append(self.queue.shares())

    def feed(self) -> None:
        """Answer all pages that are wanted."""
        while pages := self.queue.pages():
            for page in pages:
                self.queue.extend(page.lane, self.page(page.lane, page.after, page.limit), page.after, page.limit)

    def page(self, lane: Lane, after: Place, limit: int) -> list[Ready]:
        """A page of a lane."""
        found = (task for task in self.waiting.values() if task.lane == lane and self.place(task) > after)
        return sorted(found, key=self.place)[:limit]

    def place(self, task: Ready) -> Place:
        """Where it stands in its lane."""
        return (task.since_ms, task.id) if self.ages else (task.phase, task.id)

    def pass_time(self, ms: int) -> None:
        """The clock goes on."""
        self.now_ms += ms
        self.queue.at(self.now_ms / 1000, self.now_ms)

    def offer(self, tasks: list[tuple[str | None, int, int]]) -> None:
        """Tasks become ready, told in one go."""
        told: list[Ready] = []
        for group, priority, crashes in tasks:
            lane = make_lane("play::work", group, None, priority)
            told.append(Ready(priority, Phase.BODY, self.next_id, crashes, lane, None, self.now_ms))
            self.next_id += 1
        self.waiting |= {task.id: task for task in told}
        self.queue.offer(told)

    def take(self, count: int) -> None:
        """Start so many."""
        for holding in self.queue.take(count, lambda holding: None):
            self.starts.append((holding.task.id, holding.effective))
            self.running[holding.task.id] = self.waiting.pop(holding.task.id)

    def end(self, at: int) -> None:
        """One run is over."""
        if self.running:
            task_id = sorted(self.running)[at % len(self.running)]
            del self.running[task_id]
            self.queue.release(task_id)

    def put_back(self, at: int) -> None:
        """One start is undone."""
        if self.running:
            task_id = sorted(self.running)[at % len(self.running)]
            task = self.waiting[task_id] = self.running.pop(task_id)
            self.queue.release(task_id, is_undone=True)
            self.queue.offer([task])

    def withdraw(self, at: int) -> None:
        """One that waits is cancelled."""
        if self.waiting:
            task_id = sorted(self.waiting)[at % len(self.waiting)]
            del self.waiting[task_id]
            self.queue.discard(task_id)

    def change(self, limits: Limits) -> None:
        """Other limits are in force."""
        self.queue.set_limits(limits)


named = st.sampled_from(["a", "b", "c"])
limits_of = st.builds(
    Limits,
    slots=st.integers(1, 6),
    groups=st.dictionaries(named, st.integers(1, 3), max_size=1),
    weights=st.dictionaries(named, st.integers(1, 5)),
    default_weight=st.integers(1, 3),
    minimums=st.dictionaries(named, st.integers(0, 3), max_size=2),
    group_rates=st.dictionaries(named, st.just(RateLimit(1, 2)), max_size=1),
    paused_groups=st.frozensets(named, max_size=1),
)
tasks_of = st.tuples(st.sampled_from(GROUPS), st.sampled_from([0, 40, 64]), st.sampled_from([0, 0, 0, 0, 0, 1]))
offers = st.tuples(st.just("offer"), st.lists(tasks_of, max_size=12))
takes = st.tuples(st.just("take"), st.integers(1, 9))
steps_of = st.one_of(
    offers,
    offers,
    takes,
    takes,
    st.tuples(st.sampled_from(["end", "end", "end", "put_back", "withdraw"]), st.integers(0, 50)),
    st.tuples(st.just("pass_time"), st.integers(1, 5000)),
    st.tuples(st.just("change"), limits_of),
)
plans = st.builds(
    Plan, limits_of, st.sampled_from([None, None, None, AGING]), st.lists(steps_of, min_size=10, max_size=60)
)


@settings(max_examples=150, deadline=None)
@given(plans, st.sampled_from([1, 16]))
def test_several_starts_at_once_are_the_same_as_one_by_one(plan: Plan, page: int) -> None:
    """S-278 to S-280: under weights, minimums, limits, rates, pauses and ages, with much or little of it in memory."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("LEAST_PAGE", page), ("MOST_PAGE", 2 * page), ("WINDOW", 4 * page)):
            patch.setattr(window, name, size)
        patch.setattr(lines, "STALE", 0)
        short, long = Stage(plan, is_short=True), Stage(plan, is_short=False)
    assert short.starts == long.starts
    assert short.shares == long.shares


def test_a_turn_of_starts_tells_the_shares_of_each_group_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tasks were offered and have ended in it: what is asked for is the start, not the change."""
    told: list[str | None] = []
    tell = FairShares.set_demand

    def count(self: FairShares, group: str | None, *values: Any, **flags: Any) -> None:
        told.append(group)
        tell(self, group, *values, **flags)

    monkeypatch.setattr(FairShares, "set_demand", count)
    plan = Plan(Limits(4, weights={"a": 2}), None, [("offer", [("a", 64, 0), ("b", 64, 0)] * 20), ("take", 30)])
    stage = Stage(plan, is_short=True)
    told.clear()
    for _ in range(20):
        stage.end(0)
    stage.offer([("a", 64, 0), ("b", 64, 0)] * 20)
    assert told == []
    stage.take(1)
    assert sorted(told, key=str) == ["a", "b"]
