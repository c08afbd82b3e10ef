"""The one place that says what a whole number must be which a user gives: how many, how many at most."""

from __future__ import annotations

from typing import Final

MOST: Final = 1 << 53
"""What every JSON reader and every float takes for the integer that it is, and the store can hold. So many are without end."""


def check_whole(
    value: object,
    name: str,
    *,
    least: int,
    most: int | None = MOST,
    instead: str = "",
    error: type[ValueError] = ValueError,
) -> int:
    """The value, where it is an int within bounds.

    Args:
        value: what was given; typed so that the check for it is one.
        name: the option's, for the message.
        least: as which it is to be at least.
        most: as which it is to be at most; None for what is neither stored nor counted.
        instead: what to do instead, for the message.
        error: what is raised where it is out of its bounds.

    Raises:
        TypeError: it is no int.
        ValueError: it is out of its bounds; of the class that ``error`` says.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    advice = f"; {instead}" if instead else ""
    if value < least:
        raise error(f"{name}: expected at least {least}, got {_shown(value)}{advice}")
    if most is not None and value > most:
        raise error(f"{name}: expected at most {most}, got {_shown(value)}{advice}")
    return value


def _shown(value: int) -> str:
    """The number, unless it is one that nobody reads, and that Python may refuse to write."""
    return str(value) if value.bit_length() <= 64 else f"one of {value.bit_length()} bits"  # noqa: PLR2004
