"""Preemption: S-101 to S-107."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.preempting import (
    GLOBAL,
    Newcomer,
    Occupant,
    Scope,
    choose_victims,
    goes_on,
    patience_ends_in,
)
from millrace.model.rows import Phase

MEDIA: Scope = ("domain", "media")
A: Scope = ("group", "a")
B: Scope = ("group", "b")


def urgent(task_id: int = 100, priority: int = 0, *full: Scope) -> Newcomer:
    return Newcomer(task_id, priority, frozenset(full or (GLOBAL,)))


def run(
    task_id: int, priority: int = 192, *scopes: Scope, phase: Phase = Phase.BODY, asked: float | None = None
) -> Occupant:
    """A run that started in the order of its id."""
    return Occupant(task_id, priority, task_id, phase, frozenset((GLOBAL, *scopes)), asked)


@pytest.mark.parametrize(
    ("newcomers", "runs", "victims"),
    [
        pytest.param(
            [urgent()], [run(1), run(2), run(3), run(4)], [4], id="S-104: one REALTIME over four: one runs twice"
        ),
        pytest.param([urgent()], [run(1, 255), run(2, 192), run(3, 128)], [1], id="S-103: the least urgent"),
        pytest.param([urgent()], [run(2, 192), run(1, 192)], [2], id="S-103: the latest started"),
        pytest.param([urgent()], [run(1, 0), run(2, 0)], [], id="S-103: strictly less urgent"),
        pytest.param([urgent(9, 64)], [run(1, 64), run(2, 65)], [2], id="S-103: by one level"),
        pytest.param([urgent()], [run(1, 255, phase=Phase.FINALIZER), run(2, 128)], [2], id="S-103: no finalizer"),
        pytest.param(
            [urgent(9, 0, A)], [run(1, 128, A), run(2, 255, B)], [1], id="S-103: of its group where that is full"
        ),
        pytest.param([urgent(9, 0, GLOBAL, A)], [run(1, 128, A), run(2, 255)], [1], id="S-103: both are full"),
        pytest.param(
            [urgent(9, 0, MEDIA, A)], [run(1, 255, A), run(2, 255, MEDIA)], [], id="S-103: neither alone helps"
        ),
        pytest.param([urgent(8), urgent(9)], [run(1), run(2), run(3)], [3, 2], id="S-104: as many as wait"),
        pytest.param(
            [urgent(8), urgent(9)], [run(1), run(2), run(3, asked=0.5)], [2], id="S-104: counting those asked"
        ),
        pytest.param([urgent(8), urgent(9)], [run(1)], [1], id="S-104: no more than there are"),
        pytest.param([], [run(1)], [], id="S-101: nobody waits"),
        pytest.param([urgent()], [run(1), run(2, asked=0.001)], [], id="S-105: asked less than a second ago"),
        pytest.param([urgent()], [run(1), run(2, asked=0.0)], [1], id="S-105: it has had its second"),
        pytest.param([urgent()], [run(2, asked=0.0)], [], id="S-105: nobody is asked twice"),
        pytest.param(
            [urgent(8), urgent(9, 0, GLOBAL, A)],
            [run(1, 255, A, asked=0.5), run(2, 192)],
            [2],
            id="S-104: who ends, ends for whom it helps",
        ),
    ],
)
def test_who_is_asked(newcomers: list[Newcomer], runs: list[Occupant], victims: list[int]) -> None:
    """One case a rule, a second after time 0."""
    assert choose_victims(newcomers, runs, 1.0) == victims


def test_the_higher_id_of_two_that_started_at_once() -> None:
    """S-103: the last tie."""
    runs = [Occupant(task, 192, 7, Phase.BODY, frozenset({GLOBAL}), None) for task in (3, 5, 4)]
    assert choose_victims([urgent()], runs, 0.0) == [5]


def test_when_to_look_again() -> None:
    """S-105: when the first of those asked has had its second."""
    assert patience_ends_in([run(1), run(2, asked=0.2), run(3, asked=0.5), run(4, asked=-3.0)], 1.0) == pytest.approx(
        0.2
    )
    assert patience_ends_in([run(1), run(2, asked=0.0)], 1.0) is None


@pytest.mark.parametrize(
    ("preempt_at", "waits", "free", "running", "expected"),
    [
        (0, True, True, [], False),
        (0, True, False, [0], False),
        (0, False, False, [0, 192], False),
        (0, False, True, [0, 192], True),
        (0, False, False, [1, 192], True),
        (64, False, False, [64], False),
        (64, False, False, [65], True),
        (200, False, False, [192], True),
        (200, False, False, [191], False),
        (None, True, False, [0], True),
    ],
)
def test_when_it_goes_on(preempt_at: int | None, waits: bool, free: bool, running: list[int], expected: bool) -> None:
    """S-107: of a task of priority 192."""
    found = goes_on(192, preempt_at=preempt_at, is_urgent_waiting=waits, has_free_slot=free, running=running)
    assert found is expected


scopes = st.frozensets(st.sampled_from([MEDIA, A, B, ("parent", 7)]), max_size=3)
newcomers_of = st.lists(
    st.builds(Newcomer, st.integers(100, 200), st.integers(0, 3), scopes.map(lambda each: each or frozenset({GLOBAL}))),
    max_size=5,
)
occupants_of = st.lists(
    st.builds(
        Occupant,
        st.integers(1, 99),
        st.integers(0, 5),
        st.integers(0, 9),
        st.sampled_from([Phase.BODY, Phase.FINALIZER]),
        scopes.map(lambda each: each | {GLOBAL}),
        st.one_of(st.none(), st.floats(0, 5)),
    ),
    max_size=8,
    unique_by=lambda each: each.task_id,
)


@given(newcomers_of, occupants_of, st.floats(0, 6))
def test_nobody_is_asked_in_vain(newcomers: list[Newcomer], runs: list[Occupant], now: float) -> None:
    """S-103 to S-105: only bodies that were not asked, each once, and less urgent than somebody whom its end helps.

    No more than wait, less one where somebody was asked within the second.
    """
    victims = choose_victims(newcomers, runs, now)
    assert all(count == 1 for count in Counter(victims).values())
    counted = sum(
        1
        for each in runs
        if each.asked_since is not None and now - each.asked_since < 1.0 and any(each.helps(one) for one in newcomers)
    )
    assert len(victims) <= max(0, len(newcomers) - min(counted, 1))
    for each in runs:
        if each.task_id in victims:
            assert each.asked_since is None
            assert each.phase == Phase.BODY
            assert any(each.helps(one) and one.priority < each.priority for one in newcomers)


@given(newcomers_of, occupants_of, st.randoms())
def test_it_does_not_depend_on_the_order_of_runs(newcomers: list[Newcomer], runs: list[Occupant], rng: object) -> None:
    """S-103: without runs that were asked, the choice is that of the rule alone."""
    fresh = [run(each.task_id, each.priority, *each.scopes, phase=each.phase) for each in runs]
    shuffled = list(fresh)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random
    assert choose_victims(newcomers, fresh, 0.0) == choose_victims(newcomers, shuffled, 0.0)
