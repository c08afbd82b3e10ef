"""The shares of groups: S-275 to S-277."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.filling import Claim, claim_of, divide, round_shares

PLENTY = 1000
Wish = tuple[str, int, int, int, int | None]
"""Name, weight, minimum, tasks, limit."""


def wish(name: str, weight: int, minimum: int = 0, tasks: int = PLENTY, limit: int | None = None) -> Wish:
    return (name, weight, minimum, tasks, limit)


def exact(slots: int, wishes: list[Wish]) -> dict[str, Fraction]:
    """The share of each group."""
    claims = {name: claim_of(weight, minimum, tasks, limit) for name, weight, minimum, tasks, limit in wishes}
    counts: dict[Claim, int] = {}
    for claim in claims.values():
        counts[claim] = counts.get(claim, 0) + 1
    shares = divide(slots, counts)
    return {name: shares[claim] for name, claim in claims.items()}


EXAMPLES = [
    (8, [wish("a", 3), wish("b", 1)], {"a": 6, "b": 2}),
    (10, [wish("a", 1), wish("b", 1), wish("c", 1)], {"a": 4, "b": 3, "c": 3}),
    (10, [wish("a", 3), wish("b", 2), wish("c", 1)], {"a": 5, "b": 3, "c": 2}),
    (10, [wish("a", 10), wish("b", 1, minimum=3)], {"a": 7, "b": 3}),
    (8, [wish("a", 7), wish("b", 1, minimum=4)], {"a": 4, "b": 4}),
    (10, [wish("a", 1, limit=2), wish("b", 1)], {"a": 2, "b": 8}),
    (10, [wish("a", 1, minimum=5, limit=2), wish("b", 1)], {"a": 2, "b": 8}),
    (10, [wish("a", 1, tasks=2), wish("b", 1)], {"a": 2, "b": 8}),
    (12, [wish("a", 4, tasks=2), wish("b", 1), wish("c", 1)], {"a": 2, "b": 5, "c": 5}),
    (12, [wish("a", 2), wish("u", 1)], {"a": 8, "u": 4}),
    (10, [wish("a", 1), wish("", 1)], {"a": 5, "": 5}),
    (4, [wish("a", 1, minimum=3), wish("b", 1, minimum=3)], {"a": 2, "b": 2}),
    (10, [wish("a", 1, tasks=0), wish("b", 1)], {"a": 0, "b": 10}),
]


@pytest.mark.parametrize(("slots", "wishes", "expected"), EXAMPLES)
def test_the_examples(slots: int, wishes: list[Wish], expected: dict[str, int]) -> None:
    """S-277: each line of its table, in whatever order the groups come (S-282)."""
    for order in (wishes, wishes[::-1]):
        assert round_shares(exact(slots, order).items()) == expected


wishes_of = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 8), st.integers(0, 12), st.one_of(st.none(), st.integers(1, 8))),
    min_size=1,
    max_size=9,
).map(lambda each: [wish(f"g{at}", *numbers) for at, numbers in enumerate(each)])


@given(st.integers(1, 20), wishes_of)
def test_there_is_one_k_for_all(slots: int, wishes: list[Wish]) -> None:
    """S-275: the shares lie within their bounds, add up, and are weight * k wherever no bound is in the way."""
    shares = exact(slots, wishes)
    highs = {name: min(tasks, limit if limit is not None else tasks) for name, _, _, tasks, limit in wishes}
    lows = {name: min(minimum, highs[name]) for name, _, minimum, _, _ in wishes}
    if sum(lows.values()) > slots:
        highs, lows = lows, dict.fromkeys(lows, 0)
    assert sum(shares.values()) == min(slots, sum(highs.values()))
    k_at_least: list[Fraction] = []  # of a group above its lower bound
    k_at_most: list[Fraction] = []  # of a group below its upper bound
    for name, weight, *_ in wishes:
        assert lows[name] <= shares[name] <= highs[name]
        if shares[name] > lows[name]:
            k_at_least.append(shares[name] / weight)
        if shares[name] < highs[name]:
            k_at_most.append(shares[name] / weight)
    assert not k_at_least or not k_at_most or max(k_at_least) <= min(k_at_most)


@given(st.integers(1, 20), wishes_of, st.randoms())
def test_whole_slots_add_up_and_do_not_depend_on_the_order(slots: int, wishes: list[Wish], rng: object) -> None:
    """S-276, S-282: each has its floor or one more, and they add up to what the exact ones do."""
    shares = exact(slots, wishes)
    whole = round_shares(shares.items())
    assert sum(whole.values()) == sum(shares.values())
    for name, share in shares.items():
        assert share - 1 < whole[name] < share + 1
    shuffled = list(wishes)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random
    assert round_shares(exact(slots, shuffled).items()) == whole


def test_remainders_of_one_size_go_by_name() -> None:
    """S-276: whichever group was seen first."""
    third = Fraction(1, 3)
    assert round_shares([("c", third), ("b", third), ("a", third)]) == {"a": 1, "b": 0, "c": 0}
    assert round_shares([]) == {}


def test_nothing_to_divide() -> None:
    """No group, or none with tasks."""
    assert divide(4, {}) == {}
    assert divide(4, {Claim(1, 0, 0): 2}) == {Claim(1, 0, 0): 0}
