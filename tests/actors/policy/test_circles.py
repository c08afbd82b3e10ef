"""The search for circles of waiting, against a plain search forwards through the whole graph (S-251, S-063)."""

import itertools
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.circles import Newcomer, find_circle

Edges = set[tuple[int, int]]


class Stored:
    """Tasks that wait for older or newer ones, without a circle."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self.asked = 0

    def waiters(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        wanted = set(ids)
        return sorted((waiter, task) for waiter, task in self.edges if task in wanted)

    def all_waiters(self, ids: Iterable[int]) -> set[int]:
        self.asked += 1
        found = set(ids)
        while more := {waiter for waiter, _ in self.waiters(found)} - found:
            found |= more
        return found


def has_circle(edges: Edges) -> bool:
    """Take away what waits for nothing, until nothing is left, or a circle is."""
    left = set(edges)
    while True:
        free = {task for _, task in left} - {waiter for waiter, _ in left}
        rest = {(waiter, task) for waiter, task in left if task not in free}
        if rest == left:
            return bool(left)
        left = rest


TASKS = st.integers(1, 8)
GRAPHS = st.sets(st.tuples(TASKS, TASKS), max_size=16).filter(lambda edges: not has_circle(edges))
NEWCOMERS = st.lists(
    st.tuples(st.frozensets(st.integers(-3, 8).filter(bool), min_size=1, max_size=3), st.frozensets(TASKS, max_size=2)),
    max_size=3,
)


@given(edges=GRAPHS, given_=NEWCOMERS)
def test_it_finds_a_circle_where_there_is_one(
    edges: Edges, given_: list[tuple[frozenset[int], frozenset[int]]]
) -> None:
    """S-251: exactly where the stored tasks and the newcomers together have one; and the one it shows is one."""
    ids = range(-1, -1 - len(given_), -1)
    newcomers = [
        Newcomer(task_id, frozenset(one for one in waits_for if one > 0 or one in ids), waited_by)
        for task_id, (waits_for, waited_by) in zip(ids, given_, strict=True)
    ]
    stored = Stored(edges)
    circle = find_circle(newcomers, stored.all_waiters, stored.waiters)
    together = set(edges)
    for one in newcomers:
        together |= {(one.id, task) for task in one.waits_for} | {(waiter, one.id) for waiter in one.waited_by}
    assert (circle is not None) is has_circle(together)
    if circle:
        known = list(itertools.pairwise(circle))
        via_newcomers = Stored(together)
        for waiter, task in known:
            assert waiter in via_newcomers.all_waiters([task])


def test_it_asks_the_store_once_for_one_newcomer() -> None:
    """A chain of a thousand waiters is one question."""
    stored = Stored({(n + 1, n) for n in range(1, 1000)})
    assert find_circle([Newcomer(-1, frozenset({5000}), frozenset({1}))], stored.all_waiters, stored.waiters) is None
    assert stored.asked == 1
    circle = find_circle([Newcomer(-1, frozenset({1000}), frozenset({1}))], stored.all_waiters, stored.waiters)
    assert circle == tuple(range(1000, 0, -1))


def test_the_circle_names_the_task_whose_place_is_taken() -> None:
    """A newcomer has no id that anybody knows."""
    newcomer = Newcomer(-1, frozenset({-1}), frozenset({7}), stands_for=4)
    stored = Stored(set())
    assert find_circle([newcomer], stored.all_waiters, stored.waiters) == (4,)
