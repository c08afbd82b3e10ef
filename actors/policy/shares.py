"""Which group a free slot goes to: S-273 to S-282.

Each group with work has a share of the slots (``filling``) and a credit, which grows with every start by its part of the
share and falls by one with each start of its own. Both would cost a loop over all groups a start if they were kept up to
date. They are not:

- Groups of one weight and one demand have one share, so they are kept as one *class*, with one running sum of what a group
  of it has earned. A group stores the difference of its credit and that sum, and earns without being touched. That makes
  the order of the groups of a class constant, too: they stand in heaps, one for each number of runs.
- Shares are divided anew only when the classes have changed, and somebody asks. A group that has more to do than there are
  slots stays in its class whatever it starts.

So a start costs the number of classes with different numbers of runs, not that of groups: some 8 us with 100 as with
10,000 groups of a few weights, 50 us where each start changes a class. (100 different weights: 50 us; 10,000: 4 ms.)

Credits are integers, in units fine enough (2^-64) that what is rounded off decides nothing: they are compared in units of
2^-32, where those that are equal by the rule are equal.
"""

import heapq
from collections.abc import Iterable, Mapping
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from millrace.actors.policy.filling import Claim, claim_of, divide, round_shares

_ONE: Final = 1 << 64
_COARSE: Final = 32
"""Bits that are rounded off where credits are compared."""
_HALF: Final = 1 << (_COARSE - 1)
_STALE: Final = 64
"""Places in a heap that nobody stands at any more, beyond as many as there are groups, before they are cleared out."""
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class Tier(IntEnum):
    """How much a group is behind its share; lower comes first (S-278, after tasks past ``aging.urgent``)."""

    BELOW_SHARE = 0
    """Fewer runs than the whole slots of its share."""
    BELOW_NEXT = 1
    """Fewer than the next whole number."""
    BEYOND = 2


class FairShares:
    """See the module. Groups are names; None stands for tasks without a group, which sort as the empty name.

    Args:
        slots: runs at once, 1 or more.
        default_weight: of groups that have none of their own, and of ungrouped tasks.
        weights: by group, 1 or more.
        minimums: slots that a group has of its own, by group, 0 or more.
    """

    def __init__(
        self,
        slots: int,
        default_weight: int = 1,
        weights: Mapping[str, int] = _NONE,
        minimums: Mapping[str, int] = _NONE,
    ) -> None:
        self._slots, self._default_weight = slots, default_weight
        self._weights, self._minimums = dict(weights), dict(minimums)
        self._groups: dict[str, _Group] = {}
        """Those with work."""
        self._classes: dict[Claim, _Class] = {}
        self._lines: dict[tuple[Claim, int], _Line] = {}
        """Groups that can use a slot, by class and number of runs."""
        self._starts = 0
        self._is_divided = True
        self._whole: dict[str, int] | None = None

    # What is configured

    @property
    def is_in_force(self) -> bool:
        """Whether a weight or minimum is set (S-273); otherwise shares decide nothing."""
        return bool(self._weights or self._minimums) or self._default_weight != 1

    def weight_of(self, group: str | None) -> int:
        """The weight in force."""
        return self._weights.get(group, self._default_weight) if group else self._default_weight

    def minimum_of(self, group: str | None) -> int:
        """The minimum in force."""
        return self._minimums.get(group, 0) if group else 0

    def configure(
        self, slots: int, default_weight: int, weights: Mapping[str, int], minimums: Mapping[str, int]
    ) -> None:
        """Change what was given at first; credits are kept as far as they fit. Costs a look at each group with work."""
        credits_now = {name: self._credit(group) for name, group in self._groups.items()}
        self._slots, self._default_weight = slots, default_weight
        self._weights, self._minimums = dict(weights), dict(minimums)
        self._classes.clear()
        self._lines.clear()
        for name, group in self._groups.items():
            group.home, group.line = None, None
            self._settle(group, self._cut(credits_now[name]))

    # What is so

    def set_demand(
        self, group: str | None, running: int, ready: int, limit: int | None, *, is_able: bool = True
    ) -> None:
        """Say what a group does, whenever that changes.

        Args:
            group: its name.
            running: its runs now.
            ready: its tasks that could start now if there were slots enough; more than slots there ever will be need not
                be counted.
            limit: its concurrency limit.
            is_able: whether one of those can use a slot now (no rate, gate, throttle or other limit is in its way). Where
                it cannot, its share stays reserved in the count, and its slots go to others (S-280).
        """
        name = group or ""
        state = self._groups.get(name)
        if running + ready == 0:
            if state is not None:
                self._leave(state)
                del self._groups[name]
            return
        if state is None:
            state = self._groups[name] = _Group(name)
        state.running, state.ready, state.limit = running, ready, limit
        state.is_able = is_able and ready > 0
        self._settle(state, None)

    def started(self, group: str | None) -> None:
        """One of its tasks starts: all earn, and this one pays (S-279). Tell the demand after, not before."""
        self._divide()
        state = self._groups[group or ""]
        home = _home_of(state)
        before = self._credit(state)
        self._starts += 1
        state.offset = self._cut(before + home.rate - _ONE) - home.earned(self._starts)
        self._place(state)

    def credit_of(self, group: str | None) -> float:
        """Its credit, for people; 0 without work."""
        self._divide()
        state = self._groups.get(group or "")
        return 0.0 if state is None else self._credit(state) / _ONE

    # What follows

    def pick(self, candidates: Iterable[str | None] | None = None) -> tuple[Tier, str | None] | None:
        """The group that a free slot goes to; None where no group can use it.

        Args:
            candidates: the groups to choose from, all with work; costs a look at each. None: all that are able, which costs
                a look at each class.
        """
        self._divide()
        if candidates is not None:
            ranks = [self._rank(self._groups[group or ""]) for group in candidates]
            best = min(ranks, default=None)
        else:
            best = self._first()
        return None if best is None else (Tier(best[0]), best[2] or None)

    def tier_of(self, group: str | None) -> Tier:
        """How far a group with work is behind its share."""
        self._divide()
        state = self._groups[group or ""]
        return _home_of(state).tier(state.running)

    def share_of(self, group: str | None) -> Fraction:
        """The exact share; 0 without work."""
        self._divide()
        state = self._groups.get(group or "")
        return Fraction(0) if state is None else _home_of(state).share

    def slots_of(self, group: str | None) -> int | None:
        """The share in whole slots; None while shares are not in force (S-276)."""
        if not self.is_in_force:
            return None
        self._divide()
        if self._whole is None:
            self._whole = round_shares((name, _home_of(each).share) for name, each in self._groups.items())
        return self._whole.get(group or "", 0)

    # Classes

    def _settle(self, group: "_Group", credit: int | None) -> None:
        """Put a group where it belongs by its demand; with ``credit`` given, with that."""
        demand = min(group.running + group.ready, self._slots)
        claim = claim_of(self.weight_of(group.name), self.minimum_of(group.name), demand, group.limit)
        home = self._classes.get(claim)
        if group.home is None or home is not group.home:
            if home is None:
                home = self._classes[claim] = _Class(claim, self._starts)
            if credit is None:
                credit = 0 if group.home is None else self._credit(group)
            self._leave(group)
            group.home = home
            group.offset = credit - home.earned(self._starts)
            home.count += 1
            self._is_divided = False
            self._whole = None
        self._place(group)

    def _leave(self, group: "_Group") -> None:
        self._unplace(group)
        home, group.home = group.home, None
        if home is None:
            return
        home.count -= 1
        if home.count == 0:
            del self._classes[home.claim]
        self._is_divided = False
        self._whole = None

    def _divide(self) -> None:
        """Make the shares those of the present classes."""
        if self._is_divided:
            return
        shares = divide(self._slots, {claim: each.count for claim, each in self._classes.items()})
        total = min(self._slots, sum(claim.high * each.count for claim, each in self._classes.items()))
        for claim, home in self._classes.items():
            home.set_share(shares[claim], total, self._starts)
        for line in self._lines.values():
            line.tier = line.home.tier(line.running)
        self._is_divided = True

    def _credit(self, group: "_Group") -> int:
        return self._cut(group.offset + _home_of(group).earned(self._starts))

    def _cut(self, credit: int) -> int:
        most = self._slots * _ONE
        return max(-most, min(most, credit))

    def _rank(self, group: "_Group") -> tuple[int, int, str]:
        return (_home_of(group).tier(group.running), -_coarse(self._credit(group)), group.name)

    # Lines

    def _place(self, group: "_Group") -> None:
        """Have a group stand where it does, if it can use a slot."""
        home = _home_of(group)
        line = group.line
        stands = line is not None and group.is_able and line.home is home and line.running == group.running
        if stands and group.offset == group.placed:
            return
        self._unplace(group)
        if not group.is_able:
            return
        key = (home.claim, group.running)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(home, group.running)
            line.tier = home.tier(group.running)
        line.add(group)

    def _unplace(self, group: "_Group") -> None:
        line = group.line
        if line is None:
            return
        line.discard(group)
        if line.count == 0:
            del self._lines[line.home.claim, line.running]

    def _first(self) -> tuple[int, int, str] | None:
        """The best of the first of each line."""
        best: tuple[int, int, str] | None = None
        best_tier = len(Tier)
        starts, most = self._starts, self._slots * _ONE
        for line in self._lines.values():
            if line.tier > best_tier:
                continue
            credit, name = line.first(starts, most)
            rank = (line.tier, -_coarse(credit), name)
            if best is None or rank < best:
                best, best_tier = rank, line.tier
        return best


class _Class:
    """Groups with one claim: they have one share."""

    __slots__ = ("_at", "_before", "_high", "_low", "claim", "count", "rate", "share")

    def __init__(self, claim: Claim, starts: int) -> None:
        self.claim = claim
        self.count = 0
        self.share = Fraction(0)
        self.rate = 0
        """What a group of it earns with each start."""
        self._low, self._high = 0, 0
        self._before = 0
        self._at = starts
        """What it had earned when the rate was set, and when that was."""

    def earned(self, starts: int) -> int:
        """What a group of it has earned by now, in all."""
        return self._before + self.rate * (starts - self._at)

    def set_share(self, share: Fraction, total: int, starts: int) -> None:
        """From now on."""
        self._before, self._at = self.earned(starts), starts
        self.share = share
        self.rate = 0 if total == 0 else round(share * _ONE / total)
        self._low = share.numerator // share.denominator
        self._high = -(-share.numerator // share.denominator)

    def tier(self, running: int) -> Tier:
        """Of a group of it with so many runs."""
        if running < self._low:
            return Tier.BELOW_SHARE
        return Tier.BELOW_NEXT if running < self._high else Tier.BEYOND


class _Group:
    """A group with work."""

    __slots__ = ("home", "is_able", "limit", "line", "name", "offset", "placed", "ready", "running", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.running, self.ready = 0, 0
        self.limit: int | None = None
        self.is_able = False
        self.home: _Class | None = None
        self.line: _Line | None = None
        self.offset = 0
        """Its credit less what a group of its class has earned."""
        self.placed = 0
        """The offset with which it stands in its line."""
        self.version = 0
        """Of its place: older ones in a heap are stale."""


class _Line:
    """Groups of one class and one number of runs that can use a slot, the one with the largest credit first.

    As all of them earn alike, their order stays; but those that have earned as much as a credit can be are equal from then
    on, and stand apart, by name.
    """

    __slots__ = ("_heap", "_rich", "count", "home", "running", "tier")

    def __init__(self, home: _Class, running: int) -> None:
        self.home, self.running = home, running
        self.tier: Tier = Tier.BEYOND
        self.count = 0
        self._heap: list[tuple[int, str, int, _Group]] = []
        self._rich: list[tuple[str, int, _Group]] = []

    def add(self, group: _Group) -> None:
        """Have a group stand in it."""
        group.version += 1
        group.line, group.placed = self, group.offset
        self.count += 1
        heapq.heappush(self._heap, (-_coarse(group.offset), group.name, group.version, group))
        if len(self._heap) > 2 * self.count + _STALE:
            self._heap = [each for each in self._heap if each[2] == each[3].version]
            heapq.heapify(self._heap)

    def discard(self, group: _Group) -> None:
        """Have it stand there no more."""
        group.version += 1
        group.line = None
        self.count -= 1

    def first(self, starts: int, most: int) -> tuple[int, str]:
        """Credit and name of the first; somebody stands here."""
        heap, rich = self._heap, self._rich
        earned = self.home.earned(starts)
        while heap:
            _, name, version, group = heap[0]
            if version != group.version:
                heapq.heappop(heap)
            elif group.offset + earned >= most:
                heapq.heappop(heap)
                heapq.heappush(rich, (name, version, group))
            else:
                break
        while rich:
            name, version, group = rich[0]
            if version == group.version:
                return most, name
            heapq.heappop(rich)
        return heap[0][3].offset + earned, heap[0][1]


def _home_of(group: _Group) -> _Class:
    if group.home is None:
        raise AssertionError("a group with work is in a class")
    return group.home


def _coarse(credit: int) -> int:
    return (credit + _HALF) >> _COARSE
