"""What each group's share of the slots is: S-275 and S-276, exactly. Pure arithmetic in integers and fractions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple


class Claim(NamedTuple):
    """What groups have in common that get the same share."""

    weight: int
    """1 or more."""
    low: int
    """Slots that are its own if there are enough: its minimum, as far as it can use it."""
    high: int
    """Slots that it can use at most: its tasks, its limit. ``low`` or more."""


def claim_of(weight: int, minimum: int, demand: int, limit: int | None) -> Claim:
    """The claim of a group with so many tasks that run or are ready."""
    high = demand if limit is None else min(demand, limit)
    return Claim(weight, min(minimum, high), high)


def divide(slots: int, claims: Mapping[Claim, int]) -> dict[Claim, Fraction]:
    """The exact share of a group of each claim; ``claims`` says how many groups have it.

    x = weight * k cut to low..high, with the k for which the shares add up to the slots, or to all that can be used. Where
    the minimums alone are too many, each is the most that its group gets.
    """
    total = min(slots, sum(claim.high * count for claim, count in claims.items()))
    if sum(claim.low * count for claim, count in claims.items()) <= slots:
        bounds = [_Bounds(claim, claim.weight, claim.low, claim.high, count) for claim, count in claims.items()]
    else:
        total = slots
        bounds = [_Bounds(claim, claim.weight, 0, claim.low, count) for claim, count in claims.items()]
    return _fill(total, bounds)


def round_shares(shares: Iterable[tuple[str, Fraction]]) -> dict[str, int]:
    """Whole slots of shares that add up to a whole number: floors, and one more each by largest remainder, then by name."""
    given = list(shares)
    whole = {name: x.numerator // x.denominator for name, x in given}
    left = sum((x for _, x in given), Fraction(0)) - sum(whole.values())
    for name, _ in sorted(given, key=lambda each: (whole[each[0]] - each[1], each[0]))[: int(left)]:
        whole[name] += 1
    return whole


@dataclass(frozen=True, slots=True)
class _Bounds:
    claim: Claim
    weight: int
    low: int
    high: int
    count: int


def _fill(total: int, bounds: Sequence[_Bounds]) -> dict[Claim, Fraction]:
    """Divide by weight as if nobody had bounds, settle whom that gives too much or too little, divide the rest anew.

    Of both kinds, the one that weighs more is settled (so browsers stretch boxes: CSS flexible box layout, section 9.7).
    What is settled is so for good: where the shares within their bounds add up to too much, k is less than it was tried
    with, and who is at its lower bound now will be there then.
    """
    shares: dict[Claim, Fraction] = {}
    free: list[_Bounds] = list(bounds)
    while free:
        weight = sum(each.weight * each.count for each in free)
        short = [each for each in free if each.weight * total <= each.low * weight]
        over = [each for each in free if each.weight * total >= each.high * weight]
        missing = sum((each.low * weight - each.weight * total) * each.count for each in short)
        spare = sum((each.weight * total - each.high * weight) * each.count for each in over)
        settled: dict[Claim, int] = {}
        if missing >= spare:
            settled |= {each.claim: each.low for each in short}
        if spare >= missing:
            settled |= {each.claim: each.high for each in over}
        if not settled:
            return shares | {each.claim: Fraction(each.weight * total, weight) for each in free}
        shares |= {claim: Fraction(bound) for claim, bound in settled.items()}
        total -= sum(settled[each.claim] * each.count for each in free if each.claim in settled)
        free = [each for each in free if each.claim not in settled]
    return shares
