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

from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final, TypeAlias

from millrace.actors.policy.classes import Class, Group, Row, Tier, coarse
from millrace.actors.policy.filling import Claim, claim_of, divide, round_shares

_ONE: Final = 1 << 64
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


_Rank: TypeAlias = tuple[Tier, int, str]
"""Tier, credit as it is compared, and name: the least comes first."""


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
        self._groups: dict[str, Group] = {}
        """Those with work."""
        self._classes: dict[Claim, Class] = {}
        self._rows: dict[Row, None] = {}
        """Groups that can use a slot, by class and number of runs: those of all classes."""
        self._starts = 0
        self._paid: Group | None = None
        """Has started last, and stands where it did before: mostly its demand is told next, which has it stand anew anyhow."""
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
        self._rows.clear()
        for name, group in self._groups.items():
            group.home, group.row = None, None
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
            state = self._groups[name] = Group(name)
        is_same = limit == state.limit and min(running + ready, self._slots) == state.demand
        state.running, state.ready, state.limit = running, ready, limit
        state.is_able = is_able and ready > 0
        if is_same:
            self._place(state)
        else:
            self._settle(state, None)

    def started(self, group: str | None) -> None:
        """One of its tasks starts: all earn, and this one pays (S-279). Tell the demand after, not before."""
        self._divide()
        state = self._groups[group or ""]
        home = _home_of(state)
        before = self._credit(state)
        self._starts += 1
        state.offset = self._cut(before + home.rate - _ONE) - home.earned(self._starts)
        self._paid = state

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
        return None if best is None else (best[0], best[2] or None)

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

    def _settle(self, group: Group, credit: int | None) -> None:
        """Put a group where it belongs by its demand; with ``credit`` given, with that."""
        group.demand = min(group.running + group.ready, self._slots)
        claim = claim_of(self.weight_of(group.name), self.minimum_of(group.name), group.demand, group.limit)
        home = self._classes.get(claim)
        if group.home is None or home is not group.home:
            if home is None:
                home = self._classes[claim] = Class(claim, self._starts)
            if credit is None:
                credit = 0 if group.home is None else self._credit(group)
            self._leave(group)
            group.home = home
            group.offset = credit - home.earned(self._starts)
            home.count += 1
            self._is_divided = False
            self._whole = None
        self._place(group)

    def _leave(self, group: Group) -> None:
        self._unplace(group)
        if group is self._paid:
            self._paid = None
        home, group.home = group.home, None
        if home is None:
            return
        home.count -= 1
        if home.count == 0:
            del self._classes[home.claim]
        self._is_divided = False
        self._whole = None

    def _divide(self) -> None:
        """Make the shares those of the present classes, and have all stand where they do."""
        if self._paid is not None:
            self._place(self._paid)
        if self._is_divided:
            return
        shares = divide(self._slots, {claim: each.count for claim, each in self._classes.items()})
        total = min(self._slots, sum(claim.high * each.count for claim, each in self._classes.items()))
        for claim, home in self._classes.items():
            share = shares[claim]
            home.set_share(share, 0 if total == 0 else round(share * _ONE / total), self._starts)
        for row in self._rows:
            row.tier = row.home.tier(row.running)
        self._is_divided = True

    def _credit(self, group: Group) -> int:
        return self._cut(group.offset + _home_of(group).earned(self._starts))

    def _cut(self, credit: int) -> int:
        most = self._slots * _ONE
        return max(-most, min(most, credit))

    def _rank(self, group: Group) -> _Rank:
        return (_home_of(group).tier(group.running), -coarse(self._credit(group)), group.name)

    # Rows

    def _place(self, group: Group) -> None:
        """Have a group stand where it does, if it can use a slot."""
        if group is self._paid:
            self._paid = None
        home = _home_of(group)
        row = group.row
        stands = row is not None and group.is_able and row.home is home and row.running == group.running
        if stands and group.offset == group.placed:
            return
        self._unplace(group)
        if not group.is_able:
            return
        row = home.rows.get(group.running)
        if row is None:
            row = home.rows[group.running] = Row(home, group.running)
            row.tier = home.tier(group.running)
            self._rows[row] = None
        row.add(group)

    def _unplace(self, group: Group) -> None:
        row = group.row
        if row is None:
            return
        row.discard(group)
        if row.count == 0:
            del self._rows[row], row.home.rows[row.running]

    def _first(self) -> _Rank | None:
        """The best of the first of each row."""
        best: _Rank | None = None
        best_tier = Tier.BEYOND
        starts, most = self._starts, self._slots * _ONE
        for row in self._rows:
            if row.tier > best_tier:
                continue
            credit, name = row.first(starts, most)
            rank = (row.tier, -coarse(credit), name)
            if best is None or rank < best:
                best, best_tier = rank, row.tier
        return best


def _home_of(group: Group) -> Class:
    if group.home is None:
        raise AssertionError("a group with work is in a class")
    return group.home
