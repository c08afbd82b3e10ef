"""What is known of a scheduler only while it runs: for snapshots, which have the rest from the store."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from millrace.actors.policy.limits import Limits
from millrace.model.families import DIRECTIONS
from millrace.model.limits import Aging, RateLimit, ResourceSnapshot
from millrace.model.snapshots import GroupInfo, RateLimitInfo
from millrace.store.snapshots import StoredGroup

RateKind = Literal["task", "group"]
GaugeSource = Callable[[], Iterable[tuple[str, tuple[str, ...], float]]]
"""Gives (family of ``model.families``, values of its labels, value). From any thread; must not block."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the dispatcher knows at one moment. Before a start it is nothing at all."""

    tokens: Mapping[tuple[RateKind, str], float] = field(default_factory=dict[tuple[RateKind, str], float])
    """Of the buckets that have been taken from. The others are full."""
    slots: Mapping[str, int] = field(default_factory=dict[str, int])
    """Of the groups with work, while shares are in force."""
    pressure_by_source: Mapping[str, float] = field(default_factory=dict[str, float])
    """0 to 1, of the sources that have said something lately."""
    resources: ResourceSnapshot | None = None
    """The smoothed readings."""
    io_budgets: tuple[float | None, float | None, float | None, float | None] = (None, None, None, None)
    """Bytes a second that can be moved: disk read, disk written, received, sent; None: not known."""
    io_reserved: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Bytes that running bodies still expect to move."""


@dataclass(frozen=True, slots=True)
class Live:
    """All of it, with the limits in force."""

    limits: Limits
    aging: Aging | None
    measured: Measured

    @property
    def pressure(self) -> float:
        """That of the source with the most, 0 without any."""
        return max(self.measured.pressure_by_source.values(), default=0.0)

    @property
    def configured_groups(self) -> set[str]:
        """Groups that something is set for."""
        limits = self.limits
        return {*limits.groups, *limits.weights, *limits.minimums, *limits.group_rates}

    def group(self, stored: StoredGroup) -> GroupInfo:
        """A group, with what the store has of it."""
        limits, name = self.limits, stored.name
        return GroupInfo(
            group=name,
            running=stored.running,
            pending=stored.pending,
            limit=limits.groups.get(name, limits.default_group),
            weight=limits.weights.get(name, limits.default_weight),
            slots=self.measured.slots.get(name),
            min_slots=limits.minimums.get(name),
            paused=stored.is_paused,
            paused_until=stored.paused_until,
        )

    def rates(self) -> list[RateLimitInfo]:
        """The buckets in force, tasks' before groups', by name."""
        limits = self.limits
        return [
            *(self._rate("task", name, limits.task_rates[name]) for name in sorted(limits.task_rates)),
            *(self._rate("group", name, limits.group_rates[name]) for name in sorted(limits.group_rates)),
        ]

    def gauges(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        """(Family, values of its labels, value) of what metrics show of it."""
        for source, pressure in self.measured.pressure_by_source.items():
            yield "pressure_ratio", (source,), pressure
        for rate in self.rates():
            yield "rate_limit_tokens", (rate.kind, rate.scope), rate.available
        for direction, budget, reserved in zip(
            DIRECTIONS, self.measured.io_budgets, self.measured.io_reserved, strict=True
        ):
            if budget is not None:
                yield "io_budget_bytes_per_second", (direction,), budget
                yield "io_reserved_bytes", (direction,), float(reserved)

    def _rate(self, kind: RateKind, scope: str, limit: RateLimit) -> RateLimitInfo:
        available = self.measured.tokens.get((kind, scope), float(limit.burst))
        return RateLimitInfo(scope, kind, limit.rate, limit.burst, available)
