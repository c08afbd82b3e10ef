"""A list of what could not be read that takes a bounded number of bytes and does not depend on the order."""

import msgspec

from millrace.cli.scan.limits import MAX_ERROR
from millrace.cli.scan.memo import Unread


class UnreadList:
    """The first ones by name, as many as fit into `limit` bytes; all of them are counted. Not for several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: list[Unread] = []
        self._bytes = 0
        self.count = 0

    def add(self, name: str, error: str) -> None:
        """Counts one, and lists it while there is room."""
        self.count += 1
        item = Unread(name, error[:MAX_ERROR])
        self._items.append(item)
        self._bytes += _cost(item)
        if self._bytes > 2 * self._limit:
            self._cut()

    def add_unlisted(self, count: int) -> None:
        """Counts some that another list had no room for."""
        self.count += count

    def result(self) -> list[Unread]:
        """By name."""
        self._cut()
        return self._items

    def _cut(self) -> None:
        # What does not fit here has too many bytes of smaller names before it; more entries can only add to those.
        self._items.sort(key=lambda item: (item.name, item.error))
        total = 0
        for index, item in enumerate(self._items):
            if total + _cost(item) > self._limit:
                del self._items[index:]
                break
            total += _cost(item)
        self._bytes = total


def _cost(item: Unread) -> int:
    return len(msgspec.json.encode(item)) + 1
