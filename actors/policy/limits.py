"""What bounds starts: all limits, weights, rates and pauses in force, as one value that is replaced whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from millrace.model.limits import RateLimit
from millrace.model.pauses import Scope


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that can be set while the scheduler runs, as it is in force."""

    slots: int
    """Bodies and finalizers that run at once."""
    domains: Mapping[str, int] = field(default_factory=dict[str, int])
    """The same of a domain."""
    groups: Mapping[str, int] = field(default_factory=dict[str, int])
    """The same of a group."""
    default_group: int | None = None
    """The same of every group that has none of its own."""
    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    default_weight: int = 1
    minimums: Mapping[str, int] = field(default_factory=dict[str, int])
    task_rates: Mapping[str, RateLimit] = field(default_factory=dict[str, RateLimit])
    group_rates: Mapping[str, RateLimit] = field(default_factory=dict[str, RateLimit])
    is_paused: bool = False
    paused_domains: frozenset[str] = frozenset()
    paused_groups: frozenset[str] = frozenset()

    @property
    def has_shares(self) -> bool:
        """Whether groups have a share of the slots: a weight or minimum is set."""
        return bool(self.weights) or bool(self.minimums) or self.default_weight != 1

    @property
    def has_pauses(self) -> bool:
        """Whether anything is paused."""
        return self.is_paused or bool(self.paused_domains) or bool(self.paused_groups)

    def holds(self, name: str, group: str | None) -> bool:
        """Whether a pause keeps the tasks of this name and group from starting."""
        if not self.has_pauses:
            return False
        return self.is_paused or name.partition("::")[0] in self.paused_domains or group in self.paused_groups

    def bounds(self, name: str, group: str | None) -> bool:
        """Whether anything but the slots keeps, or may keep, tasks of this name and group from starting."""
        if self.has_pauses or self.has_shares or name in self.task_rates:
            return True
        if self.domains and name.partition("::")[0] in self.domains:
            return True
        return group is not None and (
            self.default_group is not None or group in self.groups or group in self.group_rates
        )

    def pauses(self, scope: Scope, name: str) -> bool:
        """Whether this very scope is paused."""
        match scope:
            case "scheduler":
                return self.is_paused
            case "domain":
                return name in self.paused_domains
            case "group":
                return name in self.paused_groups
            case _:
                assert_never(scope)

    def with_pause(self, scope: Scope, name: str) -> "Limits":
        """These, and the scope is paused."""
        match scope:
            case "scheduler":
                return replace(self, is_paused=True)
            case "domain":
                return replace(self, paused_domains=self.paused_domains | {name})
            case "group":
                return replace(self, paused_groups=self.paused_groups | {name})
            case _:
                assert_never(scope)

    def without_pause(self, scope: Scope, name: str) -> "Limits":
        """These, and the scope is not paused."""
        match scope:
            case "scheduler":
                return replace(self, is_paused=False)
            case "domain":
                return replace(self, paused_domains=self.paused_domains - {name})
            case "group":
                return replace(self, paused_groups=self.paused_groups - {name})
            case _:
                assert_never(scope)
