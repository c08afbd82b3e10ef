"""Pauses as they are stored: one row a scope, however many tasks it holds."""

from typing import Literal, NamedTuple, TypeAlias

Scope: TypeAlias = Literal["scheduler", "domain", "group"]
"""What can be paused. A group spans all domains; the scheduler's own has no name."""


class Pause(NamedTuple):
    """A pause in force."""

    scope: Scope
    name: str
    """Of the domain or group; empty for the scheduler."""
    since_ms: int
    """By the steady clock: tasks do not age from then on."""
    until_ms: int | None
    """By the wall clock: it ends by itself; None: by a call."""
