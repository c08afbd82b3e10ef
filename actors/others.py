"""When the store is looked at for what other programs have written: clients, and the command line.

SQLite tells by a number that changes with every commit of another connection. The owner asks when it is told to (``store.bell``),
and once in a while besides: an idle process pays for each time that it wakes up. What follows from a change may be a look at all
lanes of the queue, so there is a pause after it of several times its length.
"""

from typing import Final, Protocol

LOOK_EVERY_S: Final = 0.05
"""Seconds between two looks: what is committed elsewhere starts within 100 ms (S-369)."""
LOOK_SELDOM_S: Final = 1.0
"""The same where others ring: for those that could not."""
SHARE: Final = 10
"""The pause after one that took longer, in times of its length."""


class Rings(Protocol):
    """What others ring when they have written."""

    is_rung: bool


class Others:
    """Whose turn is next. Used by the persistence actor's thread.

    Args:
        is_owner: whether this process runs the store.
        is_successor: whether the persistence actor takes the place of one that has died, which may not have looked any more.
        bell: what others ring when they have written; None: only looking tells.
    """

    def __init__(self, *, is_owner: bool, is_successor: bool, bell: Rings | None = None) -> None:
        self.is_owner = is_owner
        self._bell = bell
        self._every_s = LOOK_EVERY_S if bell is None else LOOK_SELDOM_S
        self._not_before = float("-inf")
        self._is_successor = is_successor
        self._version: int | None = None
        self._next_at = float("-inf")
        self._looked_at = 0.0

    def begin(self, version: int) -> None:
        """The connection is open, and what is read of the store from now on is as of this version or later."""
        if not self._is_successor:
            self._version = version

    def due_in(self, now: float) -> float:
        """Seconds until the next look."""
        is_rung = self._bell is not None and self._bell.is_rung
        return max(0.0, (self._not_before if is_rung else self._next_at) - now)

    def begin_look(self) -> None:
        """Before the version is asked for: whoever writes from now on rings anew."""
        if self._bell is not None:
            self._bell.is_rung = False

    def look(self, version: int, now: float) -> bool:
        """Whether another program has written since the last look.

        Args:
            version: what SQLite says.
            now: by the monotonic clock.
        """
        is_news = version != self._version
        self._version = version
        self._looked_at = now
        self._next_at = now + self._every_s
        return is_news

    def followed(self, now: float) -> None:
        """What the news brought about is done."""
        self._not_before = now + SHARE * (now - self._looked_at)
        self._next_at = max(self._next_at, self._not_before)
