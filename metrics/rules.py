"""Alert rules and their tests as values, written as the YAML that Prometheus and promtool read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Yaml: TypeAlias = "str | int | float | bool | Mapping[str, Yaml] | Sequence[Yaml]"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule.

    Attributes:
        name: what it is called.
        expr: true where it holds, in PromQL.
        wait: how long it has to hold, as Prometheus writes it ("5m"); "": not at all.
        severity: "page": somebody has to look now; "warning": somebody has to look.
        summary: what is wrong, in a line; with Prometheus' templates.
        action: what to do.
    """

    name: str
    expr: str
    wait: str
    severity: str
    summary: str
    action: str

    def rule(self) -> Yaml:
        """The rule as Prometheus reads it."""
        head: dict[str, Yaml] = {"alert": self.name, "expr": self.expr}
        if self.wait:
            head["for"] = self.wait
        return head | {
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.action},
        }


@dataclass(frozen=True, slots=True)
class Case:
    """A test of one alert: series as promtool writes them, a minute a value, and when it fires and when not.

    Attributes:
        alert: the rule's name.
        title: what happens.
        series: series to values.
        fires_at: a time ("10m") at which it fires, with (labels besides its severity, summary) of each alert then.
        silent_at: times at which it does not.
    """

    alert: str
    title: str
    series: Mapping[str, str]
    fires_at: Mapping[str, Sequence[tuple[Mapping[str, str], str]]] = field(
        default_factory=dict[str, Sequence[tuple[Mapping[str, str], str]]]
    )
    silent_at: Sequence[str] = ()


def write(value: Yaml, depth: int = 0) -> str:
    """As YAML: mappings and lists by indentation, strings quoted as JSON quotes them."""
    margin = "  " * depth
    if isinstance(value, Mapping):
        return "".join(f"{margin}{key}:{_nested(item, depth)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(_item(item, depth) for item in value)
    return f"{margin}{json.dumps(value, ensure_ascii=False)}\n"


def _nested(value: Yaml, depth: int) -> str:
    if isinstance(value, (Mapping, Sequence)) and not isinstance(value, str):
        if not value:
            return " {}\n" if isinstance(value, Mapping) else " []\n"
        return f"\n{write(value, depth + 1)}"
    return f" {write(value)}"


def _item(value: Yaml, depth: int) -> str:
    """A list's entry: the dash stands where the indentation of its first line was."""
    text = write(value, depth + 1)
    return f"{'  ' * depth}- {text[2 * (depth + 1) :]}"
