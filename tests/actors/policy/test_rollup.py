"""Where tasks with children are, and how a change climbs."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.rollup import Rollup


def shown(rollup: Rollup, task_id: int) -> float | None:
    """Where a task is, with every change carried up."""
    rollup.climb()
    return rollup.fraction(task_id)


def test_a_parent_is_at_the_mean_of_its_children() -> None:
    """S-301: two settled, one at a half and one that waits make 0.625."""
    rollup = Rollup()
    rollup.count(1, None, settled=2, total=4)
    rollup.report(4, 1, 0.5)
    assert shown(rollup, 1) == 0.625


def test_settled_children_alone_give_the_exact_share() -> None:
    """Two of three is the float that 2 / 3 is."""
    rollup = Rollup()
    rollup.count(1, None, settled=2, total=3)
    assert shown(rollup, 1) == 2 / 3


def test_a_report_of_a_parent_itself_does_not_count() -> None:
    """A task with children is where they are, whatever its body says; without them it is where the body is."""
    rollup = Rollup()
    rollup.report(1, None, 0.9)
    assert shown(rollup, 1) == 0.9
    rollup.count(1, None, settled=0, total=2)
    assert shown(rollup, 1) == 0.0


def test_a_change_climbs_the_whole_tree() -> None:
    """S-302: a leaf's report moves every task above it, and ``climb`` names them all."""
    rollup = Rollup()
    for task_id in range(1, 6):
        rollup.count(task_id, task_id - 1 or None, settled=0, total=2)
    rollup.climb()
    rollup.report(6, 5, 1.0)
    assert set(rollup.climb()) == {6, 5, 4, 3, 2, 1}
    assert rollup.fraction(1) == 0.5**5


def test_a_settled_child_counts_once() -> None:
    """Its own share goes in the moment the counters take it over."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=2)
    rollup.report(2, 1, 0.5)
    assert shown(rollup, 1) == 0.25
    rollup.count(1, None, settled=1, total=2)
    rollup.drop(2)
    assert shown(rollup, 1) == 0.5


def test_a_parent_does_not_fall_with_a_child_that_begins_anew() -> None:
    """S-302: it falls only when children are added."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=2)
    rollup.report(2, 1, 0.8)
    assert shown(rollup, 1) == 0.4
    rollup.report(2, 1, None)
    assert shown(rollup, 2) is None
    assert shown(rollup, 1) == 0.4
    rollup.report(2, 1, 0.9)
    assert shown(rollup, 1) == 0.45
    rollup.count(1, None, settled=0, total=3)
    assert shown(rollup, 1) == pytest.approx(0.3)


def test_a_new_round_begins_anew() -> None:
    """A round with as many children as the last one does not begin where that ended."""
    rollup = Rollup()
    rollup.count(1, None, settled=2, total=2)
    assert shown(rollup, 1) == 1.0
    rollup.count(1, None, settled=0, total=0)
    rollup.count(1, None, settled=0, total=2)
    assert shown(rollup, 1) == 0.0


def test_what_has_ended_leaves_nothing() -> None:
    """Tasks that settle, and reports of nothing that are taken back, cost no memory."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=1)
    rollup.report(2, 1, 0.5)
    rollup.climb()
    rollup.drop(2)
    assert len(rollup) == 1
    rollup.report(3, 1, 0.0)
    rollup.climb()
    rollup.report(3, 1, None)
    rollup.climb()
    assert len(rollup) == 1
    rollup.drop(1)
    assert len(rollup) == 0
    assert not rollup.climb()


@pytest.mark.parametrize("count", [5, 100_000])
def test_a_report_costs_the_same_for_few_and_for_many(count: int) -> None:
    """S-302: a parent of many children has one node, and a report touches two."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=count)
    rollup.report(2, 1, 1.0)
    rollup.climb()
    assert len(rollup) == 2
    assert rollup.fraction(1) == 1 / count


class _Play:
    """A tree that grows, reports and settles, and where its tasks are by the book: computed from the leaves each time."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.rollup = Rollup()
        self.parent: dict[int, int | None] = {1: None}
        self.children: dict[int, list[int]] = {1: []}
        self.reported: dict[int, Fraction] = {}
        self.settled: set[int] = set()

    @property
    def active(self) -> list[int]:
        """Tasks that have not settled."""
        return sorted(set(self.parent) - self.settled)

    def fraction(self, task_id: int) -> Fraction:
        """Where a task is in its parent."""
        if task_id in self.settled:
            return Fraction(1)
        below = self.children[task_id]
        if not below:
            return self.reported.get(task_id, Fraction(0))
        return sum((self.fraction(child) for child in below), Fraction(0)) / len(below)

    def spawn(self, parent: int) -> None:
        """One more child."""
        child = len(self.parent) + 1
        self.parent[child], self.children[child] = parent, []
        self.children[parent].append(child)
        self._count(parent)

    def report(self, task_id: int) -> None:
        """A run reports, also less than before."""
        said = Fraction(self.data.draw(st.integers(0, 16)), 16)
        self.reported[task_id] = max(self.reported.get(task_id, said), said)
        self.rollup.report(task_id, self.parent[task_id], float(said))
        self.rollup.climb()

    def settle(self, task_id: int) -> None:
        """The end of a task whose children have all settled."""
        parent = self.parent[task_id]
        if parent is None or not self.settled.issuperset(self.children[task_id]):
            return
        self.settled.add(task_id)
        self.rollup.drop(task_id)
        self._count(parent)

    def _count(self, task_id: int) -> None:
        below = self.children[task_id]
        self.rollup.count(task_id, self.parent[task_id], len(self.settled.intersection(below)), len(below))


@given(st.data())
def test_a_tree_rolls_up_as_the_mean_computed_from_its_leaves(data: st.DataObject) -> None:
    """Whatever grows, reports and settles in whatever order, every parent is where a look at all its children says."""
    play = _Play(data)
    acts: list[Callable[[int], None]] = [play.spawn, play.spawn, play.report, play.settle]
    for _ in range(data.draw(st.integers(1, 40))):
        data.draw(st.sampled_from(acts))(data.draw(st.sampled_from(play.active)))
        if data.draw(st.booleans()):
            play.rollup.climb()
    play.rollup.climb()
    for task_id in play.active:
        if play.children[task_id]:
            assert play.rollup.fraction(task_id) == pytest.approx(float(play.fraction(task_id)))
