"""The largest few of many, in bounded memory, with a result that does not depend on the order."""

from bisect import insort
from typing import Final

from millrace.cli.scan.limits import TOP
from millrace.cli.scan.memo import Sized

_Key = tuple[int, str]


class Largest:
    """The `limit` largest by bytes, ties by name; several names of one inode count as the first by name.

    Empty ones are left out. Not for several threads.
    """

    def __init__(self, limit: int = TOP) -> None:
        self._limit: Final = limit
        self._keys: list[_Key] = []
        self._items: dict[_Key, Sized] = {}
        self.floor = 1
        """Nothing below this many bytes can enter."""

    def add(self, item: Sized) -> None:
        """Enters the item where it belongs, if it does."""
        if item.bytes < self.floor:
            return
        key = (-item.bytes, item.name)
        if item.inode:
            other = self._other_name(item)
            if other is not None:
                if other <= key:
                    return
                self._remove(other)
        if key in self._items:
            return
        insort(self._keys, key)
        self._items[key] = item
        if len(self._keys) > self._limit:
            self._remove(self._keys[-1])
        if len(self._keys) == self._limit:
            self.floor = max(1, -self._keys[-1][0])

    def result(self) -> list[Sized]:
        """The largest first."""
        return [self._items[key] for key in self._keys]

    def _other_name(self, item: Sized) -> _Key | None:
        for key in self._keys:
            other = self._items[key]
            if other.inode == item.inode and other.device == item.device:
                return key
        return None

    def _remove(self, key: _Key) -> None:
        self._keys.remove(key)
        del self._items[key]
