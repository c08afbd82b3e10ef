"""What each group has to do, as the fair shares of the slots are told: only while a weight or a minimum is set.

The shares cost nothing while a group has more to do than there are slots, so they hear of no more than that. And they are
told when they are asked, once of each group, however often it has changed since: nothing but a start makes credit, and each
start is asked for. Only a group that has nothing to do any more is told of at once, as its credit goes (S-279).
"""

from collections.abc import Iterable

from millrace.actors.policy.classes import Tier
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Line
from millrace.actors.policy.shares import FairShares
from millrace.actors.policy.starts import Holding


class Demands:
    """See the module.

    Args:
        limits: in force at first.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shares = FairShares(limits.slots, limits.default_weight, limits.weights, limits.minimums)
        self._by_group: dict[str | None, list[int]] = {}
        """Of each group: runs, and ready tasks in memory."""
        self._able: set[str | None] = set()
        """Groups with a line in the open."""
        self._untold: dict[str | None, list[int]] = {}
        """Those of which the shares have not been told the last."""

    def configure(self, limits: Limits) -> None:
        """Other limits are in force: ``recount`` comes next. Credits are kept."""
        self._limits = limits
        self._shares.configure(limits.slots, limits.default_weight, limits.weights, limits.minimums)

    def recount(self, holdings: Iterable[Holding], lines: Iterable[Line]) -> None:
        """These run and wait, and no line is in the open yet."""
        self._by_group = {}
        self._able = set()
        self._untold = {}
        for holding in holdings:
            self.change(holding.task.lane.group, running=int(not holding.is_lent))
        for line in lines:
            line.demand = 0
            self.count(line)
        self._tell()

    def count(self, line: Line) -> None:
        """A line has changed. One with more in the store has plenty to do, however little is here."""
        demand = len(line) if line.is_complete else max(len(line), self._limits.slots)
        change, line.demand = demand - line.demand, demand
        if change:
            self.change(line.lane.group, ready=change)

    def change(self, group: str | None, *, running: int = 0, ready: int = 0) -> None:
        """So much more runs, and waits."""
        entry = self._by_group.get(group)
        if entry is None:
            entry = self._by_group[group] = [0, 0]
        entry[0] += running
        entry[1] += ready
        self._untold[group] = entry
        if not entry[0] and (not entry[1] or group in self._limits.paused_groups):
            del self._untold[group]
            self._shares.set_demand(group, 0, 0, None)
            if not entry[1]:
                del self._by_group[group]

    def _tell(self) -> None:
        """Tell the shares of what has changed. More to do than there are slots is as good as just so much."""
        limits = self._limits
        for group, entry in self._untold.items():
            limit = None if group is None else limits.groups.get(group, limits.default_group)
            is_paused = group is not None and group in limits.paused_groups
            ready = 0 if is_paused else min(entry[1], limits.slots)
            self._shares.set_demand(group, entry[0], ready, limit, is_able=group in self._able)
        self._untold.clear()

    def enable(self, group: str | None) -> None:
        """A line of the group is in the open."""
        if group not in self._able:
            self._able.add(group)
            self.change(group)

    def disable(self, group: str | None) -> None:
        """None is."""
        self._able.discard(group)
        self.change(group)

    def pick(self) -> tuple[Tier, str | None] | None:
        """The group that the next slot goes to, of those with a line in the open; None where there is none."""
        if self._untold:
            self._tell()
        return self._shares.pick()

    def start(self, line: Line) -> None:
        """The first of a line takes a slot, and is out of it by now."""
        group = line.lane.group
        self.started(group)
        self.change(group, running=1)
        self.count(line)

    def started(self, group: str | None) -> None:
        """A task of the group takes a slot; what runs is told after it."""
        if self._untold:
            self._tell()
        self._shares.started(group)

    def slots(self) -> dict[str, int]:
        """The whole slots of each group with work."""
        self._tell()
        return {group: self._shares.slots_of(group) or 0 for group in self._by_group if group is not None}
