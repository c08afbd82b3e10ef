"""Where tasks with children are, and how a change climbs."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.rollup import Rollup
from millrace.model.rows import ChildBytes


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


def test_children_weigh_as_much_as_they_have_bytes() -> None:
    """S-301: 3,000 of 3,000 and 0 of 1,000 bytes make 0.75, whether the first has settled or not."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=2)
    rollup.report(2, 1, 1.0, 3000, 3000)
    rollup.report(3, 1, 0.0, 0, 1000)
    assert shown(rollup, 1) == 0.75
    assert rollup.bytes_of(1) == (3000, 4000)
    rollup.count(1, None, settled=1, total=2)
    rollup.drop(2)
    assert shown(rollup, 1) == 0.75
    assert rollup.bytes_of(1) == (3000, 4000)


def test_a_child_of_unknown_size_weighs_the_mean_of_the_others() -> None:
    """S-301: of 1,000 and 3,000 bytes the mean is 2,000; the parent's own total is unknown then (S-302)."""
    rollup = Rollup()
    rollup.count(1, None, settled=1, total=3)
    rollup.report(2, 1, 0.5, 500, 1000)
    rollup.report(3, 1, 0.0, 0, 3000)
    assert shown(rollup, 1) == pytest.approx((2000 + 500) / 6000)
    assert rollup.bytes_of(1) == (500, None)


def test_sizes_of_nothing_weigh_nothing() -> None:
    """Where all known sizes are 0 there is no mean to weigh by: every child counts alike."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=2)
    rollup.report(2, 1, 1.0, 0, 0)
    rollup.report(3, 1, 0.5, 0, 0)
    assert shown(rollup, 1) == 0.75


def test_a_size_that_becomes_known_late_lets_nothing_fall() -> None:
    """S-302: what was shown stays until the rest has caught up; only an added child lets it fall."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=2)
    rollup.report(2, 1, 1.0, 1000, 1000)
    assert shown(rollup, 1) == 0.5
    rollup.report(3, 1, 0.0, 0, 3000)
    assert shown(rollup, 1) == 0.5
    rollup.report(3, 1, 0.5, 1500, 3000)
    assert shown(rollup, 1) == 0.625
    rollup.count(1, None, settled=0, total=3)
    assert shown(rollup, 1) == pytest.approx(2500 / 6000)


def test_bytes_climb_the_whole_tree() -> None:
    """S-302: done adds up level by level; the total is known where every child has one."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=2)
    rollup.count(2, 1, settled=0, total=2)
    rollup.report(3, 2, 0.5, 50, 100)
    rollup.report(4, 2, 0.0, 0, 300)
    rollup.climb()
    assert [rollup.bytes_of(task) for task in (1, 2)] == [(50, None), (50, 400)]
    rollup.report(5, 1, 0.25, 100, 400)
    rollup.climb()
    assert rollup.bytes_of(1) == (150, 800)
    assert rollup.fraction(1) == 150 / 800


def test_a_child_added_far_below_lets_all_above_it_fall() -> None:
    """S-302: it falls only when children are added, at whatever level."""
    rollup = Rollup()
    for task_id in (1, 2, 3):
        rollup.count(task_id, task_id - 1 or None, settled=0, total=1)
    rollup.report(4, 3, 0.5, 50, 100)
    assert shown(rollup, 1) == 0.5
    rollup.count(3, 2, settled=0, total=2)
    assert shown(rollup, 1) == 0.25


def test_what_settled_children_had_can_be_restored() -> None:
    """S-303: counters and sums over settled children make what there was before a restart."""
    rollup = Rollup()
    rollup.count(1, None, settled=2, total=4)
    rollup.restore(1, ChildBytes(done=3000, counted=2, size=3000, sized=2))
    assert shown(rollup, 1) == 0.5
    rollup.report(2, 1, 0.5, 500, 1000)
    rollup.report(3, 1, 0.0, 0, 1000)
    assert shown(rollup, 1) == pytest.approx(3500 / 5000)
    assert rollup.bytes_of(1) == (3500, 5000)


def test_a_child_that_begins_anew_keeps_its_bytes_above_until_it_tells_of_others() -> None:
    """Its share stays where it was, its weight too."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=2)
    rollup.report(2, 1, 0.5, 500, 1000)
    rollup.climb()
    rollup.report(2, 1, None)
    rollup.climb()
    assert rollup.bytes_of(1) == (500, None)
    rollup.report(2, 1, 0.1, 100, 1000)
    assert shown(rollup, 1) == 0.25
    assert rollup.bytes_of(1) == (100, None)


def test_a_new_round_begins_without_bytes() -> None:
    """Those of the round before are gone with its children."""
    rollup = Rollup()
    rollup.count(1, None, settled=0, total=1)
    rollup.report(2, 1, 1.0, 10, 10)
    rollup.climb()
    rollup.count(1, None, settled=1, total=1)
    rollup.drop(2)
    assert shown(rollup, 1) == 1.0
    rollup.count(1, None, settled=0, total=0)
    rollup.climb()
    rollup.count(1, None, settled=0, total=2)
    rollup.report(3, 1, 0.0, 0, 30)
    assert shown(rollup, 1) == 0.0
    assert rollup.bytes_of(1) == (0, None)


@given(
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 16), st.none() | st.integers(0, 10**12), st.booleans()), min_size=1, max_size=12),
)
def test_a_parent_is_where_the_book_says(waiting: int, told: list[tuple[int, int | None, bool]]) -> None:
    """S-301: children in any order, settled and active, of known and unknown size: the weighted mean over all of them."""
    rollup = Rollup()
    total = len(told) + waiting
    rollup.count(1, None, settled=0, total=total)
    for child, (part, size, _) in enumerate(told, 2):
        rollup.report(child, 1, part / 16, None if size is None else size * part // 16, size)
    rollup.climb()
    settled = [child for child, (_, _, has_settled) in enumerate(told, 2) if has_settled]
    rollup.count(1, None, settled=len(settled), total=total)
    for child in settled:
        rollup.drop(child)
    rollup.count(1, None, settled=len(settled), total=total + 1)  # an added child lets it fall to what is so now
    sizes = [size for _, size, _ in told if size is not None]
    mean = Fraction(sum(sizes), len(sizes)) if sum(sizes) else Fraction(1)
    weights = [mean if size is None or not sum(sizes) else Fraction(size) for _, size, _ in told]
    at = [Fraction(1) if has_settled else Fraction(part, 16) for part, _, has_settled in told]
    book = sum((w * a for w, a in zip(weights, at, strict=True)), Fraction(0)) / (sum(weights) + (waiting + 1) * mean)
    assert shown(rollup, 1) == pytest.approx(float(book))
    done = [size * part // 16 for part, size, _ in told if size is not None]
    assert rollup.bytes_of(1) == (sum(done) if done else None, None)


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
