"""What each group has to do: the shares may be told of it late, and decide as if they had been told at once."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.actors.policy.demands import Demands
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.shares import FairShares

SLOTS = 4
LIMITS = Limits(
    SLOTS,
    groups={"b": 2},
    weights={"a": 3, "b": 2},
    minimums={"c": 2},
    paused_groups=frozenset({"d"}),
)
GROUPS = (None, "a", "b", "c", "d")


class AtOnce:
    """The shares, told of each change as it comes."""

    def __init__(self) -> None:
        self.shares = FairShares(SLOTS, 1, LIMITS.weights, LIMITS.minimums)
        self.running: Counter[str | None] = Counter()
        self.ready: Counter[str | None] = Counter()
        self.able: set[str | None] = set()

    def tell(self, group: str | None) -> None:
        ready = 0 if group in LIMITS.paused_groups else min(self.ready[group], SLOTS)
        limit = None if group is None else LIMITS.groups.get(group)
        self.shares.set_demand(group, self.running[group], ready, limit, is_able=group in self.able)


groups = st.sampled_from(GROUPS)
steps = st.one_of(
    st.tuples(st.just("ready"), groups, st.integers(1, 6)),
    st.tuples(st.just("ended"), groups),
    st.tuples(st.just("left"), groups),
    st.tuples(st.just("enable"), groups),
    st.tuples(st.just("disable"), groups),
    st.tuples(st.just("start"), st.integers(1, 5)),
    st.tuples(st.just("start"), st.integers(1, 5)),
)


def start(late: Demands, at_once: AtOnce) -> None:
    """The group that is next has one run more, and one ready task less."""
    expected = at_once.shares.pick()
    assert late.pick() == expected
    if expected is None:
        return
    group = expected[1]
    at_once.shares.started(group)
    late.started(group)
    for running, ready in ((1, 0), (0, -1)):
        at_once.running[group] += running
        at_once.ready[group] += ready
        at_once.tell(group)
        late.change(group, running=running, ready=ready)


def follow(late: Demands, at_once: AtOnce, kind: str, value: Any, count: int = 0) -> None:
    """One step of a plan, on both sides."""
    if kind == "start":
        for _ in range(value):
            start(late, at_once)
        return
    if kind == "ready":
        at_once.ready[value] += count
        late.change(value, ready=count)
    elif kind == "ended" and at_once.running[value]:
        at_once.running[value] -= 1
        late.change(value, running=-1)
    elif kind == "left":
        late.change(value, running=-at_once.running[value], ready=-at_once.ready[value])
        at_once.running[value] = at_once.ready[value] = 0
    elif kind == "enable":
        at_once.able.add(value)
        late.enable(value)
    elif kind == "disable" and value in at_once.able:
        at_once.able.discard(value)
        late.disable(value)
    at_once.tell(value)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=5, max_size=80))
def test_what_is_told_late_decides_as_what_is_told_at_once(plan: list[tuple[Any, ...]]) -> None:
    """S-278, S-279: the same groups start, and have the same slots at the end."""
    late, at_once = Demands(LIMITS), AtOnce()
    for step in plan:
        follow(late, at_once, *step)
    whole = late.slots()
    assert whole == {group: at_once.shares.slots_of(group) for group in whole}
    for group in GROUPS:
        assert late._shares.credit_of(group) == at_once.shares.credit_of(group)


@pytest.mark.parametrize("limits", [LIMITS, replace(LIMITS, paused_groups=frozenset({"a"}))])
def test_a_group_that_was_without_work_for_a_moment_has_no_credit(limits: Limits) -> None:
    """S-279: though nobody asked meanwhile; one that is paused and runs nothing has no work either."""
    demands = Demands(limits)
    demands.change("a", running=1, ready=1)
    demands.change("b", running=1)
    demands.started("b")
    assert demands._shares.credit_of("a") > 0
    demands.change("a", running=-1, ready=-int(limits is LIMITS))
    demands.change("a", running=1, ready=1)
    demands.slots()
    assert demands._shares.credit_of("a") == 0
