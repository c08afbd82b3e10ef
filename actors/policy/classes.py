"""Groups as the fair shares of the slots see them (see ``shares``): classes of one share, and rows of those that can use a slot."""

import heapq
from enum import IntEnum
from fractions import Fraction
from typing import Final

from millrace.actors.policy.filling import Claim
from millrace.actors.policy.lines import STALE

_COARSE: Final = 32
"""Bits that are rounded off where credits are compared."""
_HALF: Final = 1 << (_COARSE - 1)


class Tier(IntEnum):
    """How much a group is behind its share; lower comes first (S-278, after tasks past ``aging.urgent``)."""

    BELOW_SHARE = 0
    """Fewer runs than the whole slots of its share."""
    BELOW_NEXT = 1
    """Fewer than the next whole number."""
    BEYOND = 2


class Class:
    """Groups with one claim: they have one share."""

    __slots__ = ("_at", "_before", "_high", "_low", "claim", "count", "rate", "rows", "share")

    def __init__(self, claim: Claim, starts: int) -> None:
        self.claim = claim
        self.count = 0
        self.rows: dict[int, Row] = {}
        """Those of its groups that can use a slot, by number of runs."""
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

    def set_share(self, share: Fraction, rate: int, starts: int) -> None:
        """From now on: with what a group of it earns with each start."""
        self._before, self._at = self.earned(starts), starts
        self.share = share
        self.rate = rate
        self._low = share.numerator // share.denominator
        self._high = -(-share.numerator // share.denominator)

    def tier(self, running: int) -> Tier:
        """Of a group of it with so many runs."""
        if running < self._low:
            return Tier.BELOW_SHARE
        return Tier.BELOW_NEXT if running < self._high else Tier.BEYOND


class Group:
    """A group with work."""

    __slots__ = ("demand", "home", "is_able", "limit", "name", "offset", "placed", "ready", "row", "running", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.running, self.ready = 0, 0
        self.demand = -1
        """By which it was put in its class."""
        self.limit: int | None = None
        self.is_able = False
        self.home: Class | None = None
        self.row: Row | None = None
        self.offset = 0
        """Its credit less what a group of its class has earned."""
        self.placed = 0
        """The offset with which it stands in its row."""
        self.version = 0
        """Of its place: older ones in a heap are stale."""


class Row:
    """Groups of one class and one number of runs that can use a slot, the one with the largest credit first.

    As all of them earn alike, their order stays; but those that have earned as much as a credit can be are equal from then
    on, and stand apart, by name.
    """

    __slots__ = ("_heap", "_rich", "count", "home", "running", "tier")

    def __init__(self, home: Class, running: int) -> None:
        self.home, self.running = home, running
        self.tier: Tier = Tier.BEYOND
        self.count = 0
        self._heap: list[tuple[int, str, int, Group]] = []
        self._rich: list[tuple[str, int, Group]] = []

    def add(self, group: Group) -> None:
        """Have a group stand in it."""
        group.version += 1
        group.row, group.placed = self, group.offset
        self.count += 1
        heapq.heappush(self._heap, (-coarse(group.offset), group.name, group.version, group))
        if len(self._heap) > 2 * self.count + STALE:
            self._heap = [each for each in self._heap if each[2] == each[3].version]
            heapq.heapify(self._heap)

    def discard(self, group: Group) -> None:
        """Have it stand there no more."""
        group.version += 1
        group.row = None
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


def coarse(credit: int) -> int:
    """The credit as it is compared."""
    return (credit + _HALF) >> _COARSE
