"""The ready queue: what it chooses is what a look at all that waits would choose, however little of it is in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from millrace.actors.policy import lines, window
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Bin, Line, Place
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.starts import ASIDE
from millrace.model.lanes import Lane, make_lane
from millrace.model.limits import Aging, RateLimit
from millrace.model.priority import Priority
from millrace.model.rows import Phase, Ready

NAMES: Final = ("a::x", "a::y", "b::z")
GROUPS: Final = (None, "g", "h")
PARENTS: Final = (None, 1, 2)
PRIORITIES: Final = (0, 64, 128)
BOUNDS: Final = {1: 1, 2: 2}


RATES: Final = {"a::x": RateLimit(1, 2), "b::z": RateLimit(0.25, 1)}
GROUP_RATES: Final = {"g": RateLimit(0.5, 3)}
QUICK: Final = Aging(grace=1, interval=0.5, ceiling=Priority(32))
"""In fractions that floats have exactly, so that the plain model beside it is exact."""


def ready(task_id: int, lane: Lane, *, phase: int = Phase.BODY, since_ms: int = 0) -> Ready:
    """A task that can start."""
    bound = None if lane.parent_id is None else BOUNDS[lane.parent_id]
    return Ready(lane.priority, phase, task_id, 0, lane, bound, since_ms)


@dataclass
class Store:
    """All that is ready, as the store would have it."""

    ages: bool = False
    tasks: dict[int, Ready] = field(default_factory=dict[int, Ready])

    def place(self, task: Ready) -> Place:
        """Where it stands in its lane."""
        return (task.since_ms, task.id) if self.ages else (task.phase, task.id)

    def page(self, lane: Lane, after: Place, limit: int) -> list[Ready]:
        """A page of a lane."""
        found = (task for task in self.tasks.values() if task.lane == lane and self.place(task) > after)
        return sorted(found, key=self.place)[:limit]


def feed(queue: ReadyQueue, store: Store) -> None:
    """Answer all pages that are wanted."""
    pages = queue.pages()
    while pages:
        for page in pages:
            queue.extend(page.lane, store.page(page.lane, page.after, page.limit), page.after, page.limit)
        pages = queue.pages()


def make(limits: Limits, tasks: Iterable[Ready] = (), aging: Aging | None = None) -> tuple[ReadyQueue, Store]:
    """A queue over a store with these tasks."""
    store = Store(aging is not None, {task.id: task for task in tasks})
    queue = ReadyQueue(limits, aging=aging, now=0.0, steady_ms=0, gate=lambda task, effective: None)
    queue.found({task.lane for task in store.tasks.values()}, is_last=True)
    feed(queue, store)
    return queue, store


def start_all(queue: ReadyQueue, store: Store, count: int = 1_000_000) -> list[int]:
    """Start what can start, up to a number."""
    started: list[int] = []
    while len(started) < count:
        task = queue.choose()
        if task is None:
            break
        queue.start(task)
        del store.tasks[task.id]
        started.append(task.id)
        feed(queue, store)
    return started


class Machine(RuleBasedStateMachine):
    """The queue beside a plain look at everything."""

    @initialize(page=st.integers(1, 3), aging=st.sampled_from([None, QUICK]), has_rates=st.booleans(), data=st.data())
    def begin(self, page: int, aging: Aging | None, has_rates: bool, data: st.DataObject) -> None:
        """Small pages, so that most is in the store, and heaps that are cleared out all the time."""
        window.LEAST_PAGE, window.MOST_PAGE, window.WINDOW, lines.STALE = page, 2 * page, 4 * page, 0
        self.aging, self.has_rates = aging, has_rates
        self.now = 0.0
        self.tokens = {name: float(limit.burst) for name, limit in (RATES | GROUP_RATES).items()}
        self.limits = self.draw_limits(data)
        self.next_id = 10
        self.running: dict[int, Ready] = {}
        self.queue, self.store = make(self.limits, aging=aging)

    def draw_limits(self, data: st.DataObject) -> Limits:
        """With the rates, which stay."""
        limits = data.draw(LIMITS)
        return replace(limits, task_rates=RATES, group_rates=GROUP_RATES) if self.has_rates else limits

    @rule(quarters=st.integers(1, 40))
    def pass_time(self, quarters: int) -> None:
        """Tokens come, and who waits becomes more urgent."""
        self.now += quarters / 4
        for name, limit in (RATES | GROUP_RATES).items():
            self.tokens[name] = min(limit.burst, self.tokens[name] + quarters / 4 * limit.rate)
        self.queue.at(self.now, self.now_ms)
        feed(self.queue, self.store)

    @property
    def now_ms(self) -> int:
        """The steady clock."""
        return round(self.now * 1000)

    def teardown(self) -> None:
        """Pages and heaps of their usual size again."""
        window.LEAST_PAGE, window.MOST_PAGE, window.WINDOW, lines.STALE = 16, 1024, 2048, 64

    @rule(
        lanes=st.lists(
            st.tuples(
                st.sampled_from(NAMES), st.sampled_from(GROUPS), st.sampled_from(PARENTS), st.sampled_from(PRIORITIES)
            ),
            max_size=8,
        ),
        phase=st.sampled_from([Phase.BODY, Phase.BODY, Phase.FINALIZER]),
        waited=st.lists(st.integers(0, 80), min_size=8, max_size=8),
    )
    def become_ready(
        self, lanes: list[tuple[str, str | None, int | None, int]], phase: Phase, waited: list[int]
    ) -> None:
        """Some tasks, told in one go, that have waited before by so many quarters of seconds."""
        tasks = [
            ready(self.next_id + at, make_lane(*entry), phase=phase, since_ms=self.now_ms - waited[at] * 250)
            for at, entry in enumerate(lanes)
        ]
        self.next_id += len(tasks)
        self.store.tasks |= {task.id: task for task in tasks}
        self.queue.offer(tasks)
        feed(self.queue, self.store)

    @rule(count=st.integers(1, 4))
    def start(self, count: int) -> None:
        """Each start is the best of all that no limit holds up."""
        for _ in range(count):
            task = self.queue.choose()
            expected = self.expected(task)
            assert (None if task is None else task.id) == (None if expected is None else expected.id)
            if task is None:
                return
            holding = self.queue.start(task)
            assert holding.effective == self.effective(task)
            self.pay(task)
            del self.store.tasks[task.id]
            self.running[task.id] = task
            feed(self.queue, self.store)

    @rule(count=st.integers(1, 6))
    def take(self, count: int) -> None:
        """Several starts in one go, by the short way where there is one: the same as one by one."""
        self.queue._together.is_gate_open = lambda: True
        expected: list[int] = []
        taken = self.queue.take(count, lambda holding: None)
        for holding in taken:
            best = self.expected(holding.task)
            expected.append(-1 if best is None else best.id)
            task = self.store.tasks.pop(holding.task.id)
            assert holding.effective == self.effective(task)
            self.pay(task)
            self.running[task.id] = task
        assert [holding.task.id for holding in taken] == expected
        feed(self.queue, self.store)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A run is over."""
        if self.running:
            task_id = data.draw(st.sampled_from(sorted(self.running)))
            del self.running[task_id]
            self.queue.release(task_id)

    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        """A start is undone, and the task ready again."""
        if self.running:
            task_id = data.draw(st.sampled_from(sorted(self.running)))
            task = self.running.pop(task_id)
            self.queue.release(task_id, is_undone=True)
            for name in self.rates_of(task):
                self.tokens[name] = min((RATES | GROUP_RATES)[name].burst, self.tokens[name] + 1)
            self.store.tasks[task_id] = task
            self.queue.offer([task])
            feed(self.queue, self.store)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """A task is cancelled while it waits: the queue finds out when it claims it."""
        if self.store.tasks:
            task_id = data.draw(st.sampled_from(sorted(self.store.tasks)))
            del self.store.tasks[task_id]
            self.queue.discard(task_id)
            feed(self.queue, self.store)

    @rule(data=st.data())
    def change_limits(self, data: st.DataObject) -> None:
        """Other limits and pauses."""
        self.limits = self.draw_limits(data)
        self.queue.set_limits(self.limits)
        feed(self.queue, self.store)

    @invariant()
    def counts_agree(self) -> None:
        """What takes a slot is what runs."""
        if hasattr(self, "running"):
            assert self.queue.busy == len(self.running)

    def free(self) -> list[Ready]:
        """What could start, in order: by looking at everything."""
        if self.limits.is_paused:
            return []
        free = [
            task
            for task in self.store.tasks.values()
            if self.has_room(task.lane) and all(self.tokens[name] >= 1 for name in self.rates_of(task))
        ]
        return sorted(free, key=self.order)

    def order(self, task: Ready) -> tuple[int, int, int]:
        """Its place in the order of starts."""
        return (self.effective(task), task.phase, task.id)

    def expected(self, chosen: Ready | None) -> Ready | None:
        """The first of all that could start, but for those that may be passed over; None: nothing."""
        for task in self.free():
            if task == chosen or not self.may_be_passed(task, chosen):
                return task
        return None

    def may_be_passed(self, task: Ready, chosen: Ready | None) -> bool:
        """Where tasks age, a lane is one line by how long its tasks have waited, and that is how it is read from the store.

        So a finalizer, which needs no token, stands behind a body of its lane that is more urgent by now and lacks one; and one
        that is not in memory may be passed by another of its lane that is as urgent by now and has waited longer.
        """
        if self.aging is None:
            return False
        lane = [other for other in self.store.tasks.values() if other.lane == task.lane]
        if task.phase == Phase.FINALIZER and any(
            self.order(other) < self.order(task) and any(self.tokens[name] < 1 for name in self.rates_of(other))
            for other in lane
        ):
            return True
        return (
            task.id not in self.queue._of_task
            and chosen is not None
            and chosen.lane == task.lane
            and chosen.since_ms <= task.since_ms
            and self.effective(chosen) == self.effective(task)
        )

    def rates_of(self, task: Ready) -> list[str]:
        """What it takes tokens of."""
        if not self.has_rates or task.phase == Phase.FINALIZER:
            return []
        return [name for name in (task.lane.name, task.lane.group) if name in self.tokens]

    def pay(self, task: Ready) -> None:
        """It takes them."""
        for name in self.rates_of(task):
            self.tokens[name] -= 1

    def effective(self, task: Ready) -> int:
        """Its priority by now."""
        if self.aging is None or task.priority <= QUICK.ceiling:
            return task.priority
        return max(QUICK.ceiling, task.priority - max(0, self.now_ms - task.since_ms - 1000) // 500)

    def has_room(self, lane: Lane) -> bool:
        """Whether every limit lets one more of the lane start."""
        limits = self.limits
        runs = [task.lane for task in self.running.values()]
        counts = [
            (limits.domains.get(lane.domain), sum(other.domain == lane.domain for other in runs)),
            (
                None if lane.group is None else limits.groups.get(lane.group, limits.default_group),
                sum(other.group == lane.group for other in runs),
            ),
            (
                None if lane.parent_id is None else BOUNDS[lane.parent_id],
                sum(other.parent_id == lane.parent_id for other in runs),
            ),
        ]
        is_paused = lane.domain in limits.paused_domains or lane.group in limits.paused_groups
        return not is_paused and all(limit is None or count < limit for limit, count in counts)


LIMITS = st.builds(
    Limits,
    slots=st.just(4),
    domains=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(1, 2), max_size=2),
    groups=st.dictionaries(st.sampled_from(["g", "h"]), st.integers(1, 2), max_size=2),
    default_group=st.sampled_from([None, None, 1]),
    is_paused=st.sampled_from([False, False, False, True]),
    paused_domains=st.sampled_from([frozenset[str](), frozenset({"a"})]),
    paused_groups=st.sampled_from([frozenset[str](), frozenset({"g"})]),
)

TestTheQueueChoosesTheBest = Machine.TestCase
TestTheQueueChoosesTheBest.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_nobody_stands_behind_somebody_who_cannot_start() -> None:
    """S-077, S-258: one runnable task of the lowest priority behind a thousand whose group is full."""
    full = make_lane("a::x", "full", None, 0)
    tasks = [ready(number, full) for number in range(1, 1001)]
    queue, store = make(Limits(4, groups={"full": 1}), [*tasks, ready(5000, make_lane("b::z", None, None, 255))])
    assert start_all(queue, store) == [1, 5000]


def test_what_cannot_start_is_not_looked_at_again() -> None:
    """S-081: a full group's lanes wait in it; a look at the queue costs nothing for them."""
    lanes = [make_lane("a::x", "full", None, priority) for priority in range(200)]
    asked: list[int] = []
    queue, store = make(Limits(4, groups={"full": 1}), [ready(n, lane) for n, lane in enumerate(lanes, 1)])
    queue._gate = lambda task, effective: asked.append(task.id)  # type: ignore[func-returns-value]  # it counts
    assert start_all(queue, store) == [1]
    assert queue.choose() is None
    queue.release(1)
    assert start_all(queue, store) == [2]
    assert asked == [1, 2]


def test_a_drained_bucket_lets_one_start_a_token() -> None:
    """S-261, S-263, S-264: three at once, then one each tenth of a second; others go past."""
    slow, other = make_lane("a::x", None, None, 0), make_lane("a::y", None, None, 200)
    limits = Limits(100, task_rates={"a::x": RateLimit(10, 3)})
    queue, store = make(limits, [*(ready(n, slow) for n in range(1, 6)), ready(9, other)])
    assert start_all(queue, store) == [1, 2, 3, 9]
    assert queue.next_look() == pytest.approx(0.1)
    queue.at(0.05, 50)
    assert start_all(queue, store) == []
    queue.at(0.1, 100)
    assert start_all(queue, store) == [4]
    queue.at(0.2, 200)
    assert start_all(queue, store) == [5]


def test_each_token_starts_the_next_of_all_lanes_that_wait_for_it() -> None:
    """S-264: the lane that takes a token leaves the others a look at the next one."""
    lanes = [make_lane("a::x", group, None, 0) for group in (None, "g", "h")]
    limits = Limits(100, task_rates={"a::x": RateLimit(10, 1)})
    queue, store = make(limits, [ready(n, lane) for n, lane in enumerate(lanes, 1)])
    assert start_all(queue, store) == [1]
    for number, at_ms in ((2, 100), (3, 200)):
        assert queue.next_look() == pytest.approx(0.1)
        queue.at(at_ms / 1000, at_ms)
        assert start_all(queue, store) == [number]
    assert queue.next_look() is None


def test_a_run_that_takes_its_place_again_counts_in_its_group() -> None:
    """S-257: also where nobody else was of the group while it waited."""
    lane = make_lane("a::x", "g", None, 0)
    queue, store = make(Limits(9, groups={"g": 1}), [ready(1, lane)])
    assert start_all(queue, store) == [1]
    queue.lend(1)
    queue.reclaim(1)
    store.tasks[2] = ready(2, lane)
    queue.offer([store.tasks[2]])
    assert start_all(queue, store) == []
    queue.release(1)
    assert start_all(queue, store) == [2]


def test_what_is_set_aside_stands_in_nobodys_way() -> None:
    """S-258: where the first that waits in a full group cannot start when there is room again, the next does."""
    lanes = [make_lane("a::x", "g", None, priority) for priority in (0, 64, 128)]
    queue, store = make(Limits(9, groups={"g": 1}), [ready(n, lane) for n, lane in enumerate(lanes, 1)])
    assert start_all(queue, store) == [1]
    queue._gate = lambda task, effective: ASIDE if task.id == 2 else None
    queue.release(1)
    assert start_all(queue, store) == [3]


def test_both_buckets_give_a_token_or_neither() -> None:
    """S-263: an empty bucket of the group takes nothing from the task's."""
    lane, lone = make_lane("a::x", "g", None, 0), make_lane("a::x", None, None, 1)
    limits = Limits(100, task_rates={"a::x": RateLimit(1, 2)}, group_rates={"g": RateLimit(1, 1)})
    queue, store = make(limits, [ready(1, lane), ready(2, lane), ready(3, lone)])
    assert start_all(queue, store) == [1, 3]


def test_a_finalizer_takes_no_token() -> None:
    """S-174: it starts though the bucket of its task is empty."""
    lane = make_lane("a::x", None, None, 0)
    queue, store = make(Limits(100, task_rates={"a::x": RateLimit(1, 1)}), [ready(1, lane), ready(2, lane)])
    assert start_all(queue, store) == [1]
    finalizer = ready(3, lane, phase=Phase.FINALIZER)
    store.tasks[3] = finalizer
    queue.offer([finalizer])
    assert start_all(queue, store) == [3]


def test_an_undone_start_gives_its_token_back() -> None:
    """S-264: a start that came to nothing costs no token."""
    lane = make_lane("a::x", None, None, 0)
    queue, store = make(Limits(100, task_rates={"a::x": RateLimit(0.001, 1)}), [ready(1, lane), ready(2, lane)])
    assert start_all(queue, store) == [1]
    queue.release(1, is_undone=True)
    assert start_all(queue, store) == [2]


def test_a_limit_that_comes_counts_what_runs() -> None:
    """S-255, S-257: runs from before the limit count; raising it starts what waits."""
    lane = make_lane("a::x", "g", None, 0)
    queue, store = make(Limits(100), [ready(n, lane) for n in range(1, 9)])
    assert start_all(queue, store, 3) == [1, 2, 3]
    queue.set_limits(Limits(100, groups={"g": 2}))
    queue.release(1)
    assert start_all(queue, store) == []
    queue.release(2)
    assert start_all(queue, store) == [4]
    queue.set_limits(Limits(100, groups={"g": 4}))
    assert start_all(queue, store) == [5, 6]


def test_what_is_lent_counts_for_nobody() -> None:
    """S-043: a run that waits gives all its places to others, and takes them again over every limit."""
    lane = make_lane("a::x", "g", None, 0)
    queue, store = make(Limits(100, groups={"g": 1}), [ready(n, lane) for n in (1, 2, 3)])
    assert start_all(queue, store) == [1]
    queue.lend(1)
    assert start_all(queue, store) == [2]
    queue.reclaim(1)
    assert queue.busy == 2
    queue.release(2)
    assert start_all(queue, store) == []
    queue.release(1)
    assert start_all(queue, store) == [3]


AGING: Final = Aging(grace=10, interval=10, ceiling=64)


def test_who_waits_gains_priority() -> None:
    """S-268: after grace and intervals, a step each; the ceiling stops it."""
    old, new = make_lane("a::x", None, None, 130), make_lane("a::x", None, None, 128)
    queue, store = make(Limits(1), [ready(1, old), ready(2, new, since_ms=20_000)], AGING)
    queue.at(29.9, 29_900)
    assert start_all(queue, store, 1) == [2]
    queue, store = make(Limits(1), [ready(1, old), ready(2, new, since_ms=25_000)], AGING)
    queue.at(40.0, 40_000)
    assert start_all(queue, store, 1) == [1]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([60, 65, 70, 128]), st.integers(0, 60_000)), min_size=1, max_size=40),
    st.integers(60_000, 200_000),
)
def test_with_ages_the_most_urgent_by_now_comes_first(waits: list[tuple[int, int]], now_ms: int) -> None:
    """S-075, S-076, S-268: whatever waits in the store."""
    window.LEAST_PAGE, window.MOST_PAGE, window.WINDOW = 64, 128, 256
    tasks = [
        ready(n, make_lane("a::x", None, None, priority), since_ms=since)
        for n, (priority, since) in enumerate(waits, 1)
    ]

    def effective(task: Ready) -> int:
        steps = max(0, now_ms - task.since_ms - 10_000) // 10_000
        return task.priority if task.priority <= 64 else max(64, task.priority - steps)

    expected = sorted(tasks, key=lambda task: (effective(task), task.phase, task.id))
    queue, store = make(Limits(1), tasks, AGING)
    queue.at(now_ms / 1000, now_ms)
    assert start_all(queue, store) == [task.id for task in expected]
    window.LEAST_PAGE, window.MOST_PAGE, window.WINDOW = 16, 1024, 2048


def test_a_pause_that_ends_reads_the_queue_anew() -> None:
    """S-117: what waited through the pause has not aged by it, which only the store knows."""
    lane = make_lane("a::x", "g", None, 0)
    queue, store = make(Limits(9, paused_groups=frozenset({"g"})), [ready(n, lane) for n in (1, 2)])
    assert start_all(queue, store) == []
    del store.tasks[1]
    store.tasks[2] = replace_since(store.tasks[2], 7)
    queue.set_limits(Limits(9))
    feed(queue, store)
    task = queue.choose()
    assert task is not None
    assert (task.id, task.since_ms) == (2, 7)


def test_a_group_whose_first_page_is_on_its_way_has_work() -> None:
    """S-279: at a start the order does not begin with two of the group whose page came first."""
    lanes = {group: make_lane("a::x", group, None, 128) for group in ("a", "b")}
    queue = ReadyQueue(
        Limits(1, weights={"a": 1, "b": 1}), aging=None, now=0.0, steady_ms=0, gate=lambda task, effective: None
    )
    queue.found(lanes.values(), is_last=True)
    pages = {page.lane.group: page for page in queue.pages()}
    started: list[str | None] = []

    def load(group: str, first: int) -> None:
        page = pages[group]
        queue.extend(page.lane, [ready(n, page.lane) for n in range(first, first + 4)], page.after, page.limit)

    def start() -> None:
        task = queue.choose()
        if task is not None:
            queue.start(task)
            queue.release(task.id)
            started.append(task.lane.group)

    load("a", 1)
    start()
    start()
    load("b", 11)
    for _ in range(8 - len(started)):
        start()
    assert started == ["a", "b"] * 4


def test_a_group_whose_tasks_went_back_to_the_store_has_no_more_work_than_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S-277: what is dropped from memory and loaded again counts once, and its group leaves when all of it is done."""
    monkeypatch.setattr(window, "MOST_PAGE", 2)
    lane, other = make_lane("a::x", "a", None, 128), make_lane("a::x", "b", None, 128)
    queue, store = make(Limits(8, weights={"a": 3}))
    tasks = [ready(n, lane) for n in range(1, 10)]
    store.tasks |= {task.id: task for task in tasks}
    for task in tasks:
        queue.offer([task])
    feed(queue, store)
    assert len(start_all(queue, store)) == 9
    for task in tasks:
        queue.release(task.id)
    late = [ready(n, other) for n in range(20, 40)]
    store.tasks |= {task.id: task for task in late}
    queue.offer(late)
    assert queue.shares() == {"b": 8}


@pytest.mark.parametrize("priority", [0, 128])
def test_a_start_does_not_look_at_each_group_for_urgent_work(monkeypatch: pytest.MonkeyPatch, priority: int) -> None:
    """S-278, S-081: a thousand groups with work, whether theirs is past the threshold or not."""
    looks: list[object] = []
    first = Bin.first

    def count(self: Bin) -> Line | None:
        looks.append(self)
        return first(self)

    tasks = [ready(n, make_lane("a::x", f"g{n:04}", None, priority)) for n in range(1, 1001)]
    aging = Aging(ceiling=0, urgent=10)
    queue, store = make(Limits(1000, default_weight=2), tasks, aging)
    monkeypatch.setattr(Bin, "first", count)
    assert len(start_all(queue, store, 100)) == 100
    assert len(looks) < 1000


def test_what_is_past_urgent_comes_before_shares_in_the_order_of_starts() -> None:
    """S-278: as long as it can start; then the shares decide."""
    lanes = {
        "held": make_lane("a::x", "held", None, 1),
        "a": make_lane("a::x", "a", None, 5),
        "b": make_lane("a::x", "b", None, 3),
        "c": make_lane("a::x", "c", None, 128),
    }
    tasks = [ready(n, lane) for n, lane in enumerate(lanes.values(), 1)]
    tasks += [ready(n + 10, lane) for n, lane in enumerate(lanes.values(), 1)]
    queue, store = make(Limits(20, groups={"held": 1}, weights={"c": 9}), tasks, Aging(ceiling=0, urgent=10))
    assert start_all(queue, store) == [1, 3, 13, 2, 12, 4, 14]
    queue.release(1)
    assert start_all(queue, store) == [11]


def test_news_of_what_lies_in_the_store_reads_no_page() -> None:
    """S-081: while enough of the line is in memory, however much is submitted behind it; what is in memory stays as it is."""
    lane = make_lane("a::x", None, None, 128)
    queue, store = make(Limits(1), [ready(n, lane) for n in range(1, 5001)])
    before = len(queue)
    for n in range(5001, 5101):
        store.tasks[n] = ready(n, lane)
        queue.offer([store.tasks[n]])
        assert queue.pages() == []
    assert len(queue) == before
    for n in range(1, 5101):
        assert start_all(queue, store, 1) == [n]
        queue.release(n)


def test_a_line_whose_page_is_used_up_asks_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-077: also where its last task in memory stood where the next can stand at best; nobody stands behind it for ever."""
    monkeypatch.setattr(window, "LEAST_PAGE", 1)
    monkeypatch.setattr(window, "MOST_PAGE", 1)
    lane, other = make_lane("a::x", "g", None, 0), make_lane("a::x", "h", None, 9)
    queue, store = make(Limits(4, groups={"g": 4}), [ready(1, lane), ready(2, other)])
    assert start_all(queue, store) == [1, 2]
    store.tasks[3] = ready(3, other)
    queue.offer([store.tasks[3]])
    feed(queue, store)
    assert start_all(queue, store) == [3]


def test_a_task_that_is_told_of_twice_ages_by_one_timer() -> None:
    """S-268: what is put in again and again costs no more later than what is put in once."""
    lane = make_lane("a::x", None, None, 255)
    queue, store = make(Limits(0), [ready(1, lane)], Aging(grace=0, interval=1, ceiling=0))
    for _ in range(50):
        queue.offer([store.tasks[1]])
    queue.at(1.0, 1000)
    queue.at(2.0, 2000)
    assert len(queue._steps) == 1


def replace_since(task: Ready, since_ms: int) -> Ready:
    """The task, waiting since another time."""
    return task._replace(since_ms=since_ms)


def test_what_another_program_has_stored_is_found_when_the_queue_is_read_anew() -> None:
    """S-369: in lanes that are complete, in lanes that are empty, and in those that come up while all lanes are looked for."""
    old, new, met = (make_lane(name, None, None, 128) for name in NAMES)
    queue, store = make(Limits(slots=8), [ready(1, old)])
    queue.start(queue.choose() or pytest.fail("expected task 1"))
    store.tasks = {n: ready(n, lane) for n, lane in ((2, old), (3, new), (4, met), (5, met))}
    assert start_all(queue, store) == []
    queue.read_all_anew()
    queue.offer([ready(5, met)])  # told by this program, in a lane of which the other's task is not known yet
    queue.found({old, new}, is_last=True)
    feed(queue, store)
    assert start_all(queue, store) == [2, 3, 4, 5]


def test_a_page_that_was_on_its_way_when_the_queue_was_read_anew_ends_its_lane() -> None:
    """It has come as the store is now, so nothing is left to ask for, and no lane either."""
    lane = make_lane(NAMES[0], None, None, 128)
    queue = ReadyQueue(Limits(slots=8), aging=None, now=0.0, steady_ms=0, gate=lambda task, effective: None)
    queue.found({lane}, is_last=True)
    (page,) = queue.pages()
    queue.read_all_anew()
    queue.extend(page.lane, (), page.after, page.limit)
    assert queue.pages() == []


def test_heaps_do_not_grow_as_time_goes_by() -> None:
    """S-081, S-268: a backlog that grows older and older takes no more memory, in its lines, in the open, or past all shares."""
    lanes = [make_lane("a::x", group, None, 255) for group in ("g", "h")]
    limits = Limits(1, default_weight=2)
    queue, _ = make(
        limits, [ready(n, lanes[n % 2]) for n in range(1, 21)], Aging(grace=0, interval=1, ceiling=0, urgent=250)
    )
    queue.start(queue.choose() or pytest.fail("expected a task"))
    for second in range(1, 250):
        queue.at(float(second), second * 1000)
    standing = queue._standing
    bins = [found for found in standing._open.values() if found]
    heaps = [line._heap for line in queue._window.lines.values()] + [found._heap for found in bins]
    assert max(map(len, [*heaps, standing._past_share._heap])) < 150


def test_what_has_started_leaves_nothing_that_would_have_aged() -> None:
    """S-268, S-081: a thousand tasks that come and start within the grace are waited for no more."""
    lane = make_lane("a::x", None, None, 128)
    queue, store = make(Limits(1), [], Aging(grace=300, interval=60))
    for n in range(1, 1001):
        queue.at(n / 1000, n)
        store.tasks[n] = ready(n, lane, since_ms=n)
        queue.offer([store.tasks[n]])
        assert start_all(queue, store) == [n]
        queue.release(n)
    assert len(queue._steps) < 100
