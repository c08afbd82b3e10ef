"""What bounds starts: each limit, pause or token bucket is a scope, with the runs it counts and the lines it holds up.

A line (see ``lines``) that a scope holds up waits in that scope and costs nothing until the scope has room again. Limits
are counted from runs, so nothing leaks however a run ends.
"""

import heapq
from collections import Counter
from collections.abc import ItemsView, Iterator
from enum import Enum
from typing import Final, Literal, TypeAlias

from millrace.actors.policy.buckets import Bucket
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Bin, Line
from millrace.model.lanes import Lane
from millrace.model.limits import RateLimit
from millrace.model.rows import Phase


class Kind(Enum):
    """What a scope is of."""

    DOMAIN = "domain"
    GROUP = "group"
    PARENT = "parent"
    TASK_RATE = "task"
    GROUP_RATE = "group rate"
    PRESSURE = "pressure"
    IO = "io"


ScopeId: TypeAlias = tuple[Kind, str | int]
REASONS: Final = {
    Kind.DOMAIN: "domain",
    Kind.GROUP: "group",
    Kind.PARENT: "parent",
    Kind.TASK_RATE: "rate",
    Kind.GROUP_RATE: "rate",
    Kind.PRESSURE: "pressure",
    Kind.IO: "io",
}
"""What each kind of scope is called as a reason why nothing starts; a paused one is "paused"."""
RATES: Final = frozenset({Kind.TASK_RATE, Kind.GROUP_RATE})


class Scope:
    """One limit.

    ``limit`` None is no limit; a paused scope has no room whatever it is. A rate has a bucket in place of a limit.
    """

    __slots__ = ("bins", "bucket", "id", "is_closed", "is_paused", "limit", "lines", "running", "wake_at")

    def __init__(self, scope_id: ScopeId, *, limit: int | None = None, bucket: Bucket | None = None) -> None:
        self.id = scope_id
        self.limit = limit
        self.bucket = bucket
        self.is_paused = False
        self.is_closed = False
        """Of the scopes of pressure and IO, which have no room of their own: what waits in them is reopened by who closed it."""
        self.lines = 0
        """Lines that know this scope."""
        self.running = 0
        self.bins: dict[object, Bin] = {}
        """The lines that wait here, by group where groups have shares."""
        self.wake_at: float | None = None
        """When a rate's next token comes, where somebody waits for it."""

    def has_room(self, now: float) -> bool:
        """Whether one more may start."""
        if self.is_paused or self.is_closed:
            return False
        if self.bucket is not None:
            return self.bucket.wait_s(now) == 0.0
        return self.limit is None or self.running < self.limit

    @property
    def reason(self) -> str:
        """What it is called as a reason why nothing starts."""
        return "paused" if self.is_paused else REASONS[self.id[0]]

    def park(self, line: Line, share: object) -> None:
        """The line waits here."""
        found = self.bins.get(share)
        if found is None:
            found = self.bins[share] = Bin()
        found.push(line)

    def has_waiting(self) -> bool:
        """Whether any line waits here. Forgets bins that are empty."""
        while self.bins:
            share, found = next(iter(self.bins.items()))
            if found.first() is not None:
                return True
            del self.bins[share]
        return False


class Scopes:
    """All scopes of a scheduler, made as they are met.

    Args:
        limits: in force at first.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._scopes: dict[ScopeId, Scope] = {}
        self._wakes: list[tuple[float, int, Scope]] = []
        self._order = 0
        self._full: dict[str, set[Scope]] = {}
        """By reason, scopes without room in which lines were parked; of some the lines have gone since."""
        self.put_off: Counter[Kind] = Counter()
        """How often a rate had no token for a start; who counts takes them from here."""
        self.pressure = Scope((Kind.PRESSURE, ""))
        self.io = Scope((Kind.IO, ""))
        self.pressure.is_closed = self.io.is_closed = True

    def items(self) -> ItemsView[ScopeId, Scope]:
        """All that have been met."""
        return self._scopes.items()

    def change(self, limits: Limits, now: float) -> None:
        """Other limits are in force: all scopes are made anew, but for the tokens of rates that are limited still."""
        before, self._scopes, self._wakes = self._scopes, {}, []
        self._full.clear()
        self.limits = limits
        for scope_id, scope in before.items():
            kind, name = scope_id
            rates = limits.task_rates if kind is Kind.TASK_RATE else limits.group_rates
            rate = rates.get(str(name)) if kind in RATES else None
            if scope.bucket is not None and rate is not None:
                scope.bucket.change(rate, now)
                self._scopes[scope_id] = Scope(scope_id, bucket=scope.bucket)
            elif kind is Kind.PARENT:
                self._scopes[scope_id] = Scope(scope_id, limit=scope.limit)
        self.pressure.bins.clear()
        self.io.bins.clear()

    def of(self, lane: Lane, bound: int | None, now: float) -> tuple[Scope, ...]:
        """The scopes of a lane: those that count its runs first, then its rates."""
        limits = self.limits
        domain = lane.domain
        found: list[Scope] = []
        if domain in limits.domains or domain in limits.paused_domains:
            found.append(self._counted((Kind.DOMAIN, domain), limits.domains.get(domain)))
        group = lane.group
        if group is not None:
            limit = limits.groups.get(group, limits.default_group)
            if limit is not None or group in limits.paused_groups:
                found.append(self._counted((Kind.GROUP, group), limit))
        if lane.parent_id is not None:
            scope = self._counted((Kind.PARENT, lane.parent_id), bound)
            if bound is not None:
                scope.limit = bound
            found.append(scope)
        rate = limits.task_rates.get(lane.name)
        if rate is not None:
            found.append(self._rate((Kind.TASK_RATE, lane.name), rate, now))
        if group is not None:
            rate = limits.group_rates.get(group)
            if rate is not None:
                found.append(self._rate((Kind.GROUP_RATE, group), rate, now))
        return tuple(found)

    def _counted(self, scope_id: ScopeId, limit: int | None) -> Scope:
        scope = self._scopes.get(scope_id)
        if scope is None:
            scope = self._scopes[scope_id] = Scope(scope_id, limit=limit)
            kind, name = scope_id
            paused = self.limits.paused_domains if kind is Kind.DOMAIN else self.limits.paused_groups
            scope.is_paused = kind is not Kind.PARENT and name in paused
        return scope

    def _rate(self, scope_id: ScopeId, rate: RateLimit, now: float) -> Scope:
        scope = self._scopes.get(scope_id)
        if scope is None:
            scope = self._scopes[scope_id] = Scope(scope_id, bucket=Bucket(rate, now))
        return scope

    def of_line(self, line: Line, now: float) -> tuple[Scope, ...]:
        """The scopes of a line, which it knows from now on."""
        if line.scopes is None:
            line.scopes = self.of(line.lane, line.bound, now)
            self.ref(line.scopes)
        return line.scopes

    def find(self, kind: Kind, name: str | int) -> Scope | None:
        """A scope that has been met."""
        return self._scopes.get((kind, name))

    def ref(self, scopes: tuple[Scope, ...]) -> None:
        """A line knows these."""
        for scope in scopes:
            scope.lines += 1

    def unref(self, scopes: tuple[Scope, ...]) -> None:
        """The line is gone."""
        for scope in scopes:
            scope.lines -= 1
            self.forget(scope)

    def forget(self, scope: Scope) -> None:
        """A scope that counts no run and that no line knows; a rate keeps its tokens."""
        if scope.bucket is None and not scope.running and not scope.lines:
            self._scopes.pop(scope.id, None)

    # Reasons

    def fills(self, scope: Scope) -> None:
        """Lines wait in the scope, and it has no room."""
        self._full.setdefault(scope.reason, set()).add(scope)

    def frees(self, scope: Scope) -> None:
        """It has room, or nothing waits in it."""
        found = self._full.get(scope.reason)
        if found is not None:
            found.discard(scope)

    def reasons(self) -> set[str]:
        """Why lines wait."""
        found: set[str] = set()
        for reason, scopes in self._full.items():
            while scopes:
                scope = next(iter(scopes))
                if scope.has_waiting():
                    found.add(reason)
                    break
                scopes.discard(scope)
        return found

    # Rates

    def tokens(self, now: float) -> dict[tuple[Literal["task", "group"], str], float]:
        """Tokens in the buckets that have been met."""
        return {
            ("task" if kind is Kind.TASK_RATE else "group", str(name)): scope.bucket.available(now)
            for (kind, name), scope in self._scopes.items()
            if scope.bucket is not None
        }

    def wake_later(self, scope: Scope, now: float) -> None:
        """Somebody waits for a token of the scope."""
        if scope.bucket is None or scope.wake_at is not None:
            return
        scope.wake_at = now + scope.bucket.wait_s(now)
        self._order += 1
        heapq.heappush(self._wakes, (scope.wake_at, self._order, scope))

    def due(self, now: float) -> Iterator[Scope]:
        """Rates whose next token has come."""
        while self._wakes and self._wakes[0][0] <= now:
            at, _, scope = heapq.heappop(self._wakes)
            if scope.wake_at == at:
                scope.wake_at = None
                yield scope

    def next_wake(self) -> float | None:
        """When the next token comes that somebody waits for."""
        while self._wakes and self._wakes[0][2].wake_at != self._wakes[0][0]:
            heapq.heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None


def blocker(scopes: tuple[Scope, ...], phase: int, now: float) -> Scope | None:
    """The first of a lane's scopes that lets nothing start; a finalizer takes no token of a rate."""
    is_body = phase == Phase.BODY
    for scope in scopes:
        if (is_body or scope.bucket is None) and not scope.has_room(now):
            return scope
    return None
