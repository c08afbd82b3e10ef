"""Files by extension, in bounded memory, with a result that does not depend on the order.

The extension is what follows the last dot of a name, in lower case, where that is 1 to 16 characters and the name does
not begin with that dot: `a.TAR.gz` has `gz`, `.bashrc` and `Makefile` have none (""). Of more than `limit` extensions
the `limit` first ones by length and then by text stay, which keeps `c` and `html` and drops random suffixes; the rest
is counted under `*`. An extension dropped once has `limit` others before it for good, so those kept are counted in
full.
"""

from collections.abc import Mapping
from typing import Final

from millrace.cli.scan.limits import MAX_EXTENSIONS
from millrace.cli.scan.memo import Tally
from millrace.cli.scan.names import to_text

OTHERS: Final = "*"
LONGEST: Final = 16


def extension_of(name: str) -> str:
    """The extension of a file name as `os` functions give it, "" where it has none."""
    stem, _, extension = name.rpartition(".")
    if not stem or not extension or len(extension) > LONGEST or extension == OTHERS:
        return ""
    extension = extension.lower()
    return extension if extension.isascii() else to_text(extension)


def comes_before(extension: str | None, other: str | None) -> bool:
    """Whether a file that has names with both extensions counts under the first, not the second."""
    return extension is not None and other is not None and _order(extension) < _order(other)


class Extensions:
    """Tallies by extension. Not for several threads."""

    def __init__(self, limit: int = MAX_EXTENSIONS) -> None:
        self._limit = limit
        self._tallies: dict[str, Tally] = {}
        self._last: tuple[int, str] | None = None  # the greatest that stays, once something had to go
        self._others = Tally()

    def add(self, extension: str, files: int, size: int, disk_bytes: int) -> None:
        """Counts files in."""
        tally = self._tallies.get(extension)
        if tally is None:
            tally = self._new(extension)
        tally.files += files
        tally.bytes += size
        tally.disk_bytes += disk_bytes

    def merge(self, tallies: Mapping[str, Tally]) -> None:
        """Counts in what another one's `result` gave."""
        for extension, tally in tallies.items():
            self.add(extension, tally.files, tally.bytes, tally.disk_bytes)

    def result(self) -> dict[str, Tally]:
        """At most `limit` extensions, and `*` where something was dropped."""
        self._cut()
        return self._tallies | ({OTHERS: self._others} if self._others.files else {})

    def _new(self, extension: str) -> Tally:
        if extension == OTHERS or (self._last is not None and _order(extension) > self._last):
            return self._others
        if len(self._tallies) >= 2 * self._limit:
            self._cut()
            return self._new(extension)
        return self._tallies.setdefault(extension, Tally())

    def _cut(self) -> None:
        # Not at each extension too many but at twice as many, so that a million different ones cost a few sorts.
        if len(self._tallies) <= self._limit:
            return
        order = sorted(self._tallies, key=_order)
        self._last = _order(order[self._limit - 1])
        for extension in order[self._limit :]:
            tally = self._tallies.pop(extension)
            self._others.files += tally.files
            self._others.bytes += tally.bytes
            self._others.disk_bytes += tally.disk_bytes


def _order(extension: str) -> tuple[int, str]:
    return len(extension), extension
