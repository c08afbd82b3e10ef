"""What every group of the scheduler's methods stands on: its core and its runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.actors.runtime import Runtime
    from millrace.core import Core


class Operations:
    """Base of the classes that `Scheduler` is made of, one for each subject. It sets both attributes."""

    _core: Core
    _runtime: Runtime


def at_least(what: str, value: int, least: int) -> int:
    """The value, where it is an int that is not below a bound; else TypeError, ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what}: expected an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{what}: expected at least {least}, got {value}")
    return value
