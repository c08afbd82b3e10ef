"""Where lines stand: in the open, or in the scope that holds them up.

A line is looked at again only when what held it up has changed. While a scope has room the most urgent line that waits in it
is in the open; the others follow one by one, as that one leaves. With fair shares the open lines stand by group, and the group
is chosen before the line.
"""

from collections.abc import Iterable
from typing import Final

from millrace.actors.policy.demands import Demands
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Bin, Line, Order, Watch
from millrace.actors.policy.scopes import Kind, Scope, Scopes
from millrace.actors.policy.starts import Holding

_ALL: Final = object()
"""The one share where groups have none."""


class Standing:
    """See the module.

    Args:
        scopes: what bounds starts.
        urgent_from: tasks of this effective priority and more urgent ones come before all shares; None: none does.
        now: monotonic seconds.
    """

    def __init__(self, scopes: Scopes, *, urgent_from: int | None, now: float) -> None:
        self._scopes = scopes
        self._urgent_from = -1 if urgent_from is None else urgent_from
        self.now = now
        """Set by whoever passes the time."""
        self._open: dict[object, Bin] = {}
        self._past_share = Watch()
        """Lines in the open whose first is past ``aging.urgent``; some have left, or changed, since."""
        self.demands: Demands | None = None
        """None where shares are not in force."""

    def clear(self, limits: Limits, holdings: Iterable[Holding] = (), lines: Iterable[Line] = ()) -> None:
        """Other limits are in force, with what runs and waits: no line is in the open until it is put there again."""
        self._open.clear()
        self._past_share = Watch()
        if not limits.has_shares:
            self.demands = None
        elif self.demands is None:
            self.demands = Demands(limits)
        else:
            self.demands.configure(limits)
        if self.demands is not None:
            self.demands.recount(holdings, lines)

    # Moves

    def to_open(self, line: Line) -> None:
        """Nothing is known that would hold the line up, or it stands there for others."""
        demands = self.demands
        share = _ALL if demands is None else line.lane.group
        found = self._open.get(share)
        if found is None:
            found = self._open[share] = Bin()
        found.push(line)
        if demands is None:
            return
        if line.order is not None and line.order[0] <= self._urgent_from:
            self._past_share.note(line)
        demands.enable(line.lane.group)

    def park(self, line: Line, scope: Scope) -> None:
        """The scope holds the line up. Where it stood for others that wait in a scope with room, the next of those comes."""
        scope.park(line, self._share(line))
        self._scopes.fills(scope)
        if scope.bucket is not None:
            self._scopes.put_off[scope.id[0]] += 1
            self._scopes.wake_later(scope, self.now)
        for other in line.scopes or ():
            if other is not scope:
                self.expose(other, line)

    def expose(self, scope: Scope, line: Line | None = None) -> None:
        """While the scope has room, the most urgent line that waits in it is in the open; with ``line`` only of that share."""
        if not scope.bins:
            return
        if not scope.has_room(self.now):
            self._scopes.fills(scope)
            if scope.bucket is not None and scope.has_waiting():
                self._scopes.wake_later(scope, self.now)  # one of them has taken the token that woke it
            return
        self._scopes.frees(scope)
        for share in [self._share(line)] if line is not None else list(scope.bins):
            found = scope.bins.get(share)
            first = None if found is None else found.first()
            if first is not None:
                self.to_open(first)
            elif found is not None:
                del scope.bins[share]

    def rebound(self, line: Line, bound: int) -> None:
        """The line's parent lets another number of children run at once."""
        line.bound = bound
        scope = self._scopes.find(Kind.PARENT, line.lane.parent_id or 0)
        if scope is not None and scope.limit != bound:
            scope.limit = bound
            self.expose(scope)

    def reopen(self, scope: Scope) -> None:
        """All that the scope holds up is looked at again."""
        bins, scope.bins = scope.bins, {}
        self._scopes.frees(scope)
        for found in bins.values():
            line = found.first()
            while line is not None:
                self.to_open(line)
                line = found.first()

    # Looks

    def best(self) -> Line | None:
        """The line in the open whose first starts next, if nothing holds it up; None: there is none."""
        demands = self.demands
        if demands is None:
            found = self._open.get(_ALL)
            return None if found is None else found.first()
        line = self._past_share.first(self._is_open)
        if line is not None:
            return line
        while True:
            picked = demands.pick()
            if picked is None:
                return None
            group = picked[1]
            found = self._open.get(group)
            line = None if found is None else found.first()
            if line is not None:
                return line
            self._shut(group)

    def others_from(self) -> Order | None:
        """No open line but the best comes before this; None: there is no other. Not with shares."""
        return self._open[_ALL].others_from()

    def has_open(self) -> bool:
        """Whether any line is in the open."""
        while self._open:
            share, found = next(iter(self._open.items()))
            if found.first() is not None:
                return True
            self._shut(share)
        return False

    def count_demand(self, line: Line) -> None:
        """Another number of the line's tasks is in memory."""
        if self.demands is not None:
            self.demands.count(line)

    def _share(self, line: Line) -> object:
        return _ALL if self.demands is None else line.lane.group

    def _shut(self, share: object) -> None:
        """Nothing of the share is in the open."""
        self._open.pop(share, None)
        if self.demands is not None and (share is None or isinstance(share, str)):
            self.demands.disable(share)

    def _is_open(self, line: Line) -> bool:
        return line.bin is not None and line.bin is self._open.get(self._share(line))
