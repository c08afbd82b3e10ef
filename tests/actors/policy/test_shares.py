"""Which group a free slot goes to: S-273, S-276, S-278 to S-282."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.actors.policy.classes import Tier
from millrace.actors.policy.filling import Claim, claim_of, divide, round_shares
from millrace.actors.policy.shares import FairShares


@dataclass
class Machine:
    """Slots, groups with plenty to do, and runs: the shares decide all starts."""

    shares: FairShares
    slots: int
    ready: dict[str, int]
    limits: dict[str, int] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for group in self.ready:
            self.tell(group)

    def tell(self, group: str) -> None:
        limit = self.limits.get(group)
        is_able = limit is None or self.running[group] < limit
        self.shares.set_demand(group, self.running[group], min(self.ready[group], self.slots), limit, is_able=is_able)

    def fill(self) -> None:
        """Start as many as fit."""
        while sum(self.running.values()) < self.slots and (picked := self.shares.pick()) is not None:
            group = picked[1] or ""
            self.shares.started(group)
            self.running[group] += 1
            self.ready[group] -= 1
            self.started.append(group)
            self.tell(group)

    def end(self, group: str) -> None:
        """One of its runs is over."""
        self.running[group] -= 1
        self.tell(group)


PLENTY = 10_000


def machine(slots: int, weights: Mapping[str, int], minimums: Mapping[str, int] = {}, **ready: int) -> Machine:
    """All groups have plenty to do but where said."""
    tasks = dict.fromkeys(weights, PLENTY) | ready
    return Machine(FairShares(slots, 1, weights, minimums), slots, tasks)


@pytest.mark.parametrize(
    ("slots", "weights", "minimums", "ready", "expected"),
    [
        (8, {"a": 3, "b": 1}, {}, {}, {"a": 6, "b": 2}),
        (10, {"a": 1, "b": 1, "c": 1}, {}, {}, {"a": 4, "b": 3, "c": 3}),
        (10, {"a": 3, "b": 2, "c": 1}, {}, {}, {"a": 5, "b": 3, "c": 2}),
        (10, {"a": 10, "b": 1}, {"b": 3}, {}, {"a": 7, "b": 3}),
        (8, {"a": 7, "b": 1}, {"b": 4}, {}, {"a": 4, "b": 4}),
        (10, {"a": 1, "b": 1}, {}, {"a": 2}, {"a": 2, "b": 8}),
        (12, {"a": 4, "b": 1, "c": 1}, {}, {"a": 2}, {"a": 2, "b": 5, "c": 5}),
        (12, {"a": 2}, {}, {"u": PLENTY}, {"a": 8, "u": 4}),
        (10, {"a": 1}, {}, {"": PLENTY}, {"a": 5, "": 5}),
        (4, {"a": 1, "b": 1}, {"a": 3, "b": 3}, {}, {"a": 2, "b": 2}),
        (10, {"a": 1, "b": 1}, {}, {"a": 0}, {"b": 10}),
    ],
)
def test_the_examples_filled_in_one_go(
    slots: int, weights: dict[str, int], minimums: dict[str, int], ready: dict[str, int], expected: dict[str, int]
) -> None:
    """S-277, S-280: free slots go where the shares are, and ``slots_of`` says the same."""
    stage = Machine(FairShares(slots, 1, weights, minimums), slots, dict.fromkeys(weights, PLENTY) | ready)
    assert {group: stage.shares.slots_of(group) for group in expected} == expected
    stage.fill()
    assert +stage.running == expected


def test_equal_groups_on_one_slot_alternate() -> None:
    """S-279."""
    stage = machine(1, {"a": 1, "b": 1})
    for _ in range(20):
        stage.fill()
        stage.end(stage.started[-1])
    assert stage.started == ["a", "b"] * 10


def test_weights_of_ten_and_one_on_two_slots_start_ten_to_one() -> None:
    """S-279: though either has whole slots of 1, or less."""
    stage = machine(2, {"a": 10, "b": 1})
    stage.fill()
    for ended in range(1098):
        stage.end(stage.started[ended])
        stage.fill()
    assert Counter(stage.started) == {"a": 1000, "b": 100}


def test_a_hundred_equal_groups_on_four_slots_start_in_turn() -> None:
    """S-278, S-279: by credit, then by name."""
    names = [f"g{number:02}" for number in range(100)]
    stage = machine(4, dict.fromkeys(names, 1))
    for _ in range(100):
        stage.fill()
        stage.end(stage.started[-4])
        stage.fill()
    assert sorted(stage.started[:100]) == names


def test_what_a_group_cannot_use_others_have() -> None:
    """S-280: and it has its share again when it can."""
    shares = FairShares(4, 1, {"a": 3, "b": 1})
    shares.set_demand("a", 0, 4, None, is_able=False)
    shares.set_demand("b", 0, 4, None)
    assert shares.pick() == (Tier.BELOW_SHARE, "b")
    shares.set_demand("b", 3, 4, None)
    assert shares.pick() == (Tier.BEYOND, "b")
    shares.set_demand("a", 0, 4, None)
    assert shares.pick() == (Tier.BELOW_SHARE, "a")


def test_nobody_can_use_a_slot() -> None:
    """No group, none with ready tasks, none that is able, no candidate."""
    shares = FairShares(4, 2)
    assert shares.pick() is None
    shares.set_demand("a", 1, 0, None)
    shares.set_demand(None, 0, 1, None, is_able=False)
    assert shares.pick() is None
    assert shares.pick([]) is None
    assert shares.pick([None]) == (Tier.BELOW_SHARE, None)


def test_shares_are_in_force_when_something_is_set() -> None:
    """S-273, S-276: slots are None otherwise; the ungrouped are a group of the default weight."""
    assert not FairShares(4).is_in_force
    assert FairShares(4).slots_of("a") is None
    for shares in (FairShares(4, 2), FairShares(4, 1, {"a": 1}), FairShares(4, 1, {}, {"a": 0})):
        assert shares.is_in_force
        assert shares.slots_of("a") == 0
        assert shares.weight_of(None) == shares.weight_of("unknown")


def test_a_change_takes_effect_at_once() -> None:
    """S-281: weights and minimums; what runs is left alone."""
    stage = machine(10, {"a": 1, "b": 1})
    assert stage.shares.slots_of("a") == 5
    stage.shares.configure(10, 1, {"a": 4, "b": 1}, {})
    assert (stage.shares.slots_of("a"), stage.shares.slots_of("b")) == (8, 2)
    stage.shares.configure(10, 1, {"a": 4, "b": 1}, {"b": 7})
    assert (stage.shares.slots_of("a"), stage.shares.slots_of("b")) == (3, 7)
    stage.shares.configure(20, 3, {}, {})
    assert (stage.shares.slots_of("a"), stage.shares.weight_of("a")) == (10, 3)


def test_credit_is_bounded_and_gone_without_work() -> None:
    """S-279: -C..C; who cannot start for long has no claim to a long row of starts."""
    shares = FairShares(2, 1, {"a": 1, "b": 1})
    for group in ("a", "b", "c"):
        shares.set_demand(group, 0, 2, None)
    for _ in range(50):
        shares.started("b")
    assert [shares.credit_of(group) for group in ("a", "b", "c")] == [2.0, -2.0, 2.0]
    assert shares.pick() == (Tier.BELOW_NEXT, "a")
    shares.set_demand("a", 0, 0, None)
    shares.set_demand("a", 0, 2, None)
    assert shares.credit_of("a") == 0.0
    assert shares.pick() == (Tier.BELOW_NEXT, "c")


def test_those_with_as_much_credit_as_there_can_be_are_equal() -> None:
    """S-278, S-279: then the name decides, not who waited longer."""
    shares = FairShares(1, 1, {"a": 1})
    for group in ("b", "c"):
        shares.set_demand(group, 0, 1, None)
    for _ in range(9):
        shares.started("c")
    shares.set_demand("a", 0, 1, None)
    assert shares.pick() == (Tier.BELOW_NEXT, "b")
    for _ in range(9):
        shares.started("c")
    assert [shares.credit_of(group) for group in ("a", "b", "c")] == [1.0, 1.0, -1.0]
    assert shares.pick() == (Tier.BELOW_NEXT, "a")
    shares.started("a")
    assert shares.pick() == (Tier.BELOW_NEXT, "b")


def test_what_is_rounded_off_decides_nothing() -> None:
    """S-279: thirds and sixths of a start add up to whole ones, and equal credits go by name."""
    shares = FairShares(1, 1, {"a": 2, "b": 1, "c": 3})
    for group in ("a", "b", "c"):
        shares.set_demand(group, 0, 9, None)
    for group in ("c", "a", "c", "b", "c", "a") * 1000:
        assert shares.pick() is not None
        shares.started(group)
    assert shares.pick() == (Tier.BELOW_NEXT, "a")


# Against the rules, word by word


@dataclass
class Reference:
    """S-275 to S-280 with fractions and loops over all groups."""

    slots: int
    default: int
    weights: Mapping[str, int]
    minimums: Mapping[str, int]
    demands: dict[str, tuple[int, int, int | None, bool]] = field(default_factory=dict)
    credits: dict[str, Fraction] = field(default_factory=dict)

    def shares(self) -> dict[str, Fraction]:
        claims: dict[str, Claim] = {
            name: claim_of(self.weights.get(name, self.default), self.minimums.get(name, 0), running + ready, limit)
            for name, (running, ready, limit, _) in self.demands.items()
        }
        found = divide(self.slots, Counter(claims.values()))
        return {name: found[claim] for name, claim in claims.items()}

    def set_demand(self, name: str, running: int, ready: int, limit: int | None, is_able: bool) -> None:
        self.demands.pop(name, None)
        if running + ready:
            self.demands[name] = (running, ready, limit, is_able and ready > 0)
            self.credits.setdefault(name, Fraction(0))
        else:
            self.credits.pop(name, None)

    def started(self, name: str) -> None:
        shares = self.shares()
        total = sum(shares.values())
        for each, share in shares.items():
            credit = self.credits[each] + share / total - (each == name)
            self.credits[each] = max(Fraction(-self.slots), min(Fraction(self.slots), credit))

    def configure(self, slots: int, default: int, weights: Mapping[str, int], minimums: Mapping[str, int]) -> None:
        self.slots, self.default, self.weights, self.minimums = slots, default, weights, minimums
        self.credits = {name: max(Fraction(-slots), min(Fraction(slots), c)) for name, c in self.credits.items()}

    def pick(self, candidates: Iterable[str]) -> tuple[int, str] | None:
        shares = self.shares()
        ranks = []
        for name in candidates:
            running, share = self.demands[name][0], shares[name]
            tier = 0 if running < int(share) else 1 if running < share else 2
            ranks.append((tier, -self.credits[name], name))
        return None if not ranks else (min(ranks)[0], min(ranks)[2])


NAMES = ["", "a", "b", "c", "d", "e"]
weights_of = st.dictionaries(st.sampled_from(NAMES[1:]), st.integers(1, 6))
minimums_of = st.dictionaries(st.sampled_from(NAMES[1:]), st.integers(0, 4))
configurations = st.tuples(st.integers(1, 7), st.integers(1, 3), weights_of, minimums_of)
demands = st.tuples(
    st.just("demand"),
    st.sampled_from(NAMES),
    st.integers(0, 4),
    st.integers(0, 9),
    st.one_of(st.none(), st.integers(1, 5)),
    st.booleans(),
)
steps = st.one_of(
    demands,
    demands,
    st.tuples(st.just("start")),
    st.tuples(st.just("starts"), st.integers(1, 30)),
    st.tuples(st.just("configure"), configurations),
)


@settings(max_examples=300)
@given(configurations, st.lists(steps, max_size=60))
def test_it_decides_as_the_rules_do(configuration: tuple[int, int, dict[str, int], dict[str, int]], plan: list) -> None:
    """S-275, S-276, S-278, S-279: whatever happens, the same group is next, with the same tier, slots and credit."""
    shares, rule = FairShares(*configuration), Reference(*configuration)
    for kind, *step in plan:
        if kind == "demand":
            name, running, ready, limit, is_able = step
            shares.set_demand(name or None, running, ready, limit, is_able=is_able)
            rule.set_demand(name, running, ready, limit, is_able)
        elif kind == "configure":
            shares.configure(*step[0])
            rule.configure(*step[0])
        else:
            for _ in range(step[0] if step else 1):
                if (next_one := rule.pick(name for name, demand in rule.demands.items() if demand[3])) is None:
                    break
                shares.started(next_one[1] or None)
                rule.started(next_one[1])
        able = [name for name, demand in rule.demands.items() if demand[3]]
        expected = rule.pick(able)
        picked = shares.pick()
        assert (picked and (picked[0].value, picked[1] or "")) == expected
        assert shares.pick(name or None for name in able) == picked
        assert shares.pick(able[1:]) == shares.pick(able[:0:-1])
        whole = round_shares(rule.shares().items())
        for name in NAMES:
            assert shares.share_of(name or None) == rule.shares().get(name, 0)
            assert shares.credit_of(name or None) == pytest.approx(float(rule.credits.get(name, 0)), abs=1e-12)
            if shares.is_in_force:
                assert shares.slots_of(name) == whole.get(name, 0)


def test_heaps_stay_small() -> None:
    """What nobody stands at any more is cleared out."""
    stage = machine(2, {"a": 1, "b": 1, "c": 1})
    for _ in range(2000):
        stage.fill()
        stage.end(stage.started[-1])
    assert sum(len(row._heap) + len(row._rich) for row in stage.shares._rows) < 300
