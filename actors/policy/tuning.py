"""What is set at run time against what the program itself says (behaviour.md, S-260)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from millrace.actors.policy.limits import Limits
from millrace.model.limits import RateLimit

Kind: TypeAlias = Literal["slots", "domain", "group", "weight", "minimum", "task_rate", "group_rate"]
"""What can be set. "slots" has no name, the others are of a domain, group or task."""
Value: TypeAlias = int | RateLimit | None
"""None: no own value, so that the default is in force, or no limit at all."""

_FIELDS: Final[Mapping[Kind, str]] = {
    "domain": "domains",
    "group": "groups",
    "weight": "weights",
    "minimum": "minimums",
    "task_rate": "task_rates",
    "group_rate": "group_rates",
}
TAKEN_BACK: Final[frozenset[Kind]] = frozenset({"domain", "group"})
"""Of these None takes back what was set: the program's own value is in force again."""


class Setting(NamedTuple):
    """A value set at run time, and the program's own that it replaced."""

    kind: Kind
    name: str
    value: Value
    replaced: Value


def value_of(limits: Limits, kind: Kind, name: str) -> Value:
    """The value that the limits have themselves; None where they have none."""
    if kind == "slots":
        return limits.slots
    values: Mapping[str, Any] = getattr(limits, _FIELDS[kind])
    found: Value = values.get(name)
    return found


def with_value(limits: Limits, kind: Kind, name: str, value: Value) -> Limits:
    """The limits with another value."""
    if kind == "slots":
        return replace(limits, slots=value) if isinstance(value, int) else limits
    values: dict[str, Any] = dict(getattr(limits, _FIELDS[kind]))
    values.pop(name, None)
    if value is not None:
        values[name] = value
    changed: dict[str, Any] = {_FIELDS[kind]: values}
    return replace(limits, **changed)


def set_value(code: Limits, kind: Kind, name: str, value: Value) -> Setting:
    """What setting a value comes to. Where it comes to the program's own value, ``value`` and ``replaced`` are equal."""
    own = value_of(code, kind, name)
    return Setting(kind, name, own if value is None and kind in TAKEN_BACK else value, own)


def in_force(code: Limits, settings: Iterable[Setting]) -> tuple[Limits, list[Setting]]:
    """The limits in force, and the settings that hold no more, as the program says something else than when they were set."""
    limits = code
    obsolete: list[Setting] = []
    for setting in settings:
        if value_of(code, setting.kind, setting.name) == setting.replaced:
            limits = with_value(limits, setting.kind, setting.name, setting.value)
        else:
            obsolete.append(setting)
    return limits, obsolete


def weight_of(limits: Limits, group: str) -> int:
    """The weight of a group in force."""
    return limits.weights.get(group, limits.default_weight)
