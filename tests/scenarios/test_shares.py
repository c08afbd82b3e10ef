"""Fair shares: S-273, S-277 to S-281, as bodies see them that stand at a gate."""

import threading
from collections import Counter

import pytest
from staging import Gate, Stage, calm_down, settle

from millrace import Aging, Context, Domain, Priority, Scheduler, Task

LONG_S = 0.01
"""Bodies that take longer than this are not claimed ahead of their slots."""


class Standing:
    """Groups of the bodies that stand at a gate."""

    def __init__(self, gate: Gate, domain: Domain) -> None:
        self.gate = gate
        """Of the bodies that begin from now on."""
        self._lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.order: list[str] = []

        @domain.task()
        def stand(ctx: Context, group: str, n: int) -> None:
            with self._lock:
                self.now[group] += 1
                self.order.append(group)
            try:
                self.gate.hold()
                ctx.wait_cancelled(LONG_S)
            finally:
                with self._lock:
                    self.now[group] -= 1

        self.task: Task[[str, int], None] = stand

    def submit(self, scheduler: Scheduler, group: str, count: int, priority: int = Priority.NORMAL) -> None:
        task = self.task.options(group=group or None, priority=priority)
        scheduler.submit_batch(task.call(group, n) for n in range(count))

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(+self.now)


@pytest.fixture
def standing(stage: Stage, domain: Domain) -> Standing:
    return Standing(stage.gate(), domain)


@pytest.mark.parametrize(
    ("slots", "settings", "tasks", "expected"),
    [
        (8, {"group_weights": {"a": 3, "b": 1}}, {"a": 20, "b": 20}, {"a": 6, "b": 2}),
        (10, {"group_weights": {"a": 10, "b": 1}, "group_min_slots": {"b": 3}}, {"a": 20, "b": 20}, {"a": 7, "b": 3}),
        (10, {"group_weights": {"a": 1}, "group_concurrency": {"a": 2}}, {"a": 20, "b": 20}, {"a": 2, "b": 8}),
        (12, {"group_weights": {"a": 4}}, {"a": 2, "b": 20, "c": 20}, {"a": 2, "b": 5, "c": 5}),
        (10, {"default_group_weight": 2}, {"a": 20, "": 20}, {"a": 5, "": 5}),
    ],
)
def test_slots_are_divided(
    stage: Stage, slots: int, settings: dict[str, dict[str, int]], tasks: dict[str, int], expected: dict[str, int]
) -> None:
    """S-277, S-280: in one go, whoever has submitted first."""
    domain = Domain("play")
    standing = Standing(stage.gate(), domain)
    scheduler = stage.scheduler(domain, max_concurrency=slots, **settings)
    for group, count in tasks.items():
        standing.submit(scheduler, group, count)
    scheduler.start()
    standing.gate.await_arrivals(slots)
    calm_down(scheduler)
    assert standing.counts() == expected


def test_without_weights_the_order_decides(stage: Stage, domain: Domain, standing: Standing) -> None:
    """S-273: shares are not in force."""
    scheduler = stage.scheduler(domain, max_concurrency=6)
    standing.submit(scheduler, "a", 20)
    standing.submit(scheduler, "b", 20)
    scheduler.start()
    standing.gate.await_arrivals(6)
    calm_down(scheduler)
    assert standing.counts() == {"a": 6}


def test_inside_a_group_the_order_decides(stage: Stage, domain: Domain, standing: Standing) -> None:
    """S-278: urgency does not take another group's share."""
    scheduler = stage.scheduler(domain, max_concurrency=4, group_weights={"a": 1, "b": 1})
    standing.submit(scheduler, "a", 20, Priority.HIGH)
    standing.submit(scheduler, "b", 20, Priority.IDLE)
    scheduler.start()
    standing.gate.await_arrivals(4)
    calm_down(scheduler)
    assert standing.counts() == {"a": 2, "b": 2}


def test_a_task_past_urgent_is_past_its_groups_share(stage: Stage, domain: Domain, standing: Standing) -> None:
    """S-278: whatever its group has already."""
    aging = Aging(ceiling=Priority.HIGH, urgent=Priority.HIGH)
    scheduler = stage.scheduler(domain, max_concurrency=4, group_weights={"a": 1, "b": 1}, aging=aging)
    standing.submit(scheduler, "a", 20, Priority.HIGH)
    standing.submit(scheduler, "b", 20, Priority.NORMAL)
    scheduler.start()
    standing.gate.await_arrivals(4)
    calm_down(scheduler)
    assert standing.counts() == {"a": 4}


def test_equal_groups_take_turns_on_one_slot(stage: Stage, domain: Domain, standing: Standing) -> None:
    """S-279: though all of the first came before those of the second."""
    scheduler = stage.started(domain, max_concurrency=1, group_weights={"a": 1, "b": 1})
    standing.submit(scheduler, "a", 8)
    standing.gate.await_arrivals(1)
    standing.submit(scheduler, "b", 8)
    for _ in range(11):
        calm_down(scheduler)
        before, standing.gate = standing.gate, stage.gate()
        before.open()
        standing.gate.await_arrivals(1)
    assert standing.order[1:11] == ["a", "b"] * 5


def test_what_is_claimed_ahead_begins_in_the_order_of_the_claims(
    stage: Stage, domain: Domain, standing: Standing
) -> None:
    """S-277, S-280: where bodies are short, starts are claimed ahead of their slots, and keep to the shares, too."""

    @domain.task()
    def flit(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(domain, max_concurrency=8, group_weights={"a": 3, "b": 1})
    settle(scheduler.submit_batch(flit.call(n) for n in range(200)))
    scheduler.pause()
    standing.submit(scheduler, "a", 100)
    standing.submit(scheduler, "b", 100)
    scheduler.resume()
    standing.gate.await_arrivals(8)
    assert standing.counts() == {"a": 6, "b": 2}


def test_what_a_paused_group_cannot_use_others_have(stage: Stage, domain: Domain, standing: Standing) -> None:
    """S-277, S-280: all slots, and not all of them again after the resume."""
    scheduler = stage.scheduler(domain, max_concurrency=6, group_weights={"a": 1, "b": 1})
    standing.submit(scheduler, "a", 20)
    standing.submit(scheduler, "b", 20)
    scheduler.pause_group("a")
    scheduler.start()
    standing.gate.await_arrivals(6)
    calm_down(scheduler)
    assert standing.counts() == {"b": 6}
    before, standing.gate = standing.gate, stage.gate()
    scheduler.resume_group("a")
    before.let_pass(3)
    standing.gate.await_arrivals(3)
    calm_down(scheduler)
    assert standing.counts() == {"a": 3, "b": 3}


def test_a_weight_that_is_set_counts_at_once(stage: Stage, domain: Domain, standing: Standing) -> None:
    """S-281: running bodies lose nothing; what is free next goes by the new weights."""
    scheduler = stage.scheduler(domain, max_concurrency=8, group_weights={"a": 1, "b": 1})
    standing.submit(scheduler, "a", 30)
    standing.submit(scheduler, "b", 30)
    scheduler.start()
    standing.gate.await_arrivals(8)
    calm_down(scheduler)
    assert standing.counts() == {"a": 4, "b": 4}
    scheduler.set_group_weight("a", 3)
    scheduler.set_group_min_slots("b", 0)
    calm_down(scheduler)
    assert standing.counts() == {"a": 4, "b": 4}
    before, standing.gate = standing.gate, stage.gate()
    before.open()
    standing.gate.await_arrivals(8)
    calm_down(scheduler)
    assert standing.counts() == {"a": 6, "b": 2}


def test_all_work_is_done(stage: Stage, domain: Domain) -> None:
    """S-280: with shares, limits and more groups than slots, nothing is left behind."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.started(
        domain, max_concurrency=3, group_weights={"g1": 5}, group_min_slots={"g2": 1}, default_group_concurrency=1
    )
    outcomes = scheduler.submit_batch(
        work.options(group=f"g{n % 7}" if n % 7 else None, priority=n % 200).call(n) for n in range(700)
    )
    assert len(settle(outcomes)) == 700
