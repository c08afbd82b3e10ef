"""How urgent a task is: one number, lower is more urgent."""

from __future__ import annotations

from operator import index
from typing import ClassVar, Final, Self, SupportsIndex

MOST_URGENT: Final = 0
LEAST_URGENT: Final = 255


class Priority(int):
    """0 (most urgent) .. 255 (least); an int in every other respect, so it compares with plain ints.

    Args:
        value: an int (or what has `__index__`) in 0..255.

    Raises:
        TypeError: `value` is no integer.
        ValueError: `value` is outside 0..255.
    """

    __slots__ = ()

    REALTIME: ClassVar[Priority]
    """0: starts preempting."""
    HIGH: ClassVar[Priority]
    """64."""
    NORMAL: ClassVar[Priority]
    """128, the default."""
    BACKGROUND: ClassVar[Priority]
    """192."""
    IDLE: ClassVar[Priority]
    """255."""

    def __new__(cls, value: SupportsIndex) -> Self:
        """See the class; here, because an int has its value before `__init__`."""
        try:
            number = index(value)
        except TypeError:
            raise TypeError(f"priority: expected an int, got {type(value).__name__}") from None
        if not MOST_URGENT <= number <= LEAST_URGENT:
            raise ValueError(f"priority: expected {MOST_URGENT}..{LEAST_URGENT} (lower is more urgent), got {number}")
        return super().__new__(cls, number)

    def __repr__(self) -> str:
        """`Priority.HIGH` for the named levels, `Priority(42)` for the rest; both evaluate to the value."""
        name = _NAMES.get(int(self))
        return f"Priority({int(self)})" if name is None else f"Priority.{name}"

    # An int's own, so that messages, labels and CSV show the number; `int` would take it from `__repr__`.
    def __str__(self) -> str:
        return int.__repr__(self)


_NAMES: Final = {0: "REALTIME", 64: "HIGH", 128: "NORMAL", 192: "BACKGROUND", 255: "IDLE"}
Priority.REALTIME = Priority(0)
Priority.HIGH = Priority(64)
Priority.NORMAL = Priority(128)
Priority.BACKGROUND = Priority(192)
Priority.IDLE = Priority(255)
