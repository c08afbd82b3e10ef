"""Many memos to one report. The order in which they come makes no difference, so that an interrupted scan, whose
directories settle in another order, ends with the same totals.

Memory grows with the inodes that have several links (about 100 bytes each) and with nothing else.
"""

import msgspec

from millrace.cli.scan.extensions import Extensions, comes_before
from millrace.cli.scan.largest import Largest
from millrace.cli.scan.limits import UNREAD_PER_REPORT
from millrace.cli.scan.memo import DirectoryMemo, Link, Sized, Tally, Unread
from millrace.cli.scan.unread import UnreadList


class Report(msgspec.Struct):
    """What a scan found. Names are whole paths in the text form of `names`."""

    files: int = 0
    """Regular files, each inode once."""
    directories: int = 0
    """The roots included."""
    other: int = 0
    """Neither: links, pipes, sockets, devices. Each name counts."""
    bytes: int = 0
    """Of the files, apparent."""
    disk_bytes: int = 0
    """Allocated, of all there is, as `du` adds them: a long symbolic link has a block too. Each inode once."""
    unread: list[Unread] = []
    unread_count: int = 0
    extensions: dict[str, Tally] = {}
    largest_files: list[Sized] = []
    largest_directories: list[Sized] = []
    """By the bytes of the files directly in them."""


class Totals:
    """Adds memos up. Not for several threads."""

    def __init__(self) -> None:
        self._report = Report()
        self._extensions = Extensions()
        self._links = _Links()
        self._files = Largest()
        self._directories = Largest()
        self._unread = UnreadList(UNREAD_PER_REPORT)

    def add(self, memo: DirectoryMemo) -> None:
        """Adds one directory, or one part of a directory's hard links."""
        report = self._report
        report.directories += memo.directories
        report.other += memo.other
        report.disk_bytes += memo.directory_disk_bytes + memo.other_disk_bytes
        for extension, tally in memo.extensions.items():
            self._extensions.add(extension, tally.files, tally.bytes, tally.disk_bytes)
            report.files += tally.files
            report.bytes += tally.bytes
            report.disk_bytes += tally.disk_bytes
        for link in memo.links:
            self._add_link(link)
        self._add_names(memo)

    def add_failure(self, name: str, error: str) -> None:
        """Adds a directory whose task ended without a memo."""
        self._unread.add(name, error)

    def report(self) -> Report:
        """The report of all that was added. Nothing may be added afterwards."""
        self._extensions.merge(self._links.tallies)
        self._report.extensions = self._extensions.result()
        self._report.largest_files = self._files.result()
        self._report.largest_directories = self._directories.result()
        self._report.unread = self._unread.result()
        self._report.unread_count = self._unread.count
        return self._report

    def _add_link(self, link: Link) -> None:
        if self._links.add(link):
            self._report.disk_bytes += link.disk_bytes
            if link.extension is not None:
                self._report.files += 1
                self._report.bytes += link.bytes

    def _add_names(self, memo: DirectoryMemo) -> None:
        if not memo.path:
            return
        if memo.bytes >= self._directories.floor:
            self._directories.add(Sized(memo.path, memo.bytes, memo.disk_bytes))
        for item in memo.largest:
            if item.bytes < self._files.floor:
                break
            self._files.add(Sized(join(memo.path, item.name), item.bytes, item.disk_bytes, item.device, item.inode))
        for unread in memo.unread:
            self._unread.add(join(memo.path, unread.name), unread.error)
        self._unread.add_unlisted(memo.unread_count - len(memo.unread))


class _Links:
    """The inodes with several links seen so far, and under which of its extensions each is counted now."""

    def __init__(self) -> None:
        self._counted: dict[int, dict[int, str | None]] = {}
        # Not in an `Extensions`, which would count an extension that its last file leaves again.
        self.tallies: dict[str, Tally] = {}

    def add(self, link: Link) -> bool:
        """Whether the inode is new."""
        inodes = self._counted.setdefault(link.device, {})
        if link.inode not in inodes:
            inodes[link.inode] = link.extension
            self._tally(link, link.extension, 1)
            return True
        counted = inodes[link.inode]
        if comes_before(link.extension, counted):
            inodes[link.inode] = link.extension
            self._tally(link, counted, -1)
            self._tally(link, link.extension, 1)
        return False

    def _tally(self, link: Link, extension: str | None, sign: int) -> None:
        if extension is None:
            return
        tally = self.tallies.setdefault(extension, Tally())
        tally.files += sign
        tally.bytes += sign * link.bytes
        tally.disk_bytes += sign * link.disk_bytes
        if not tally.files:
            del self.tallies[extension]


def join(path: str, name: str) -> str:
    """The path of an entry; of the directory itself where the name is empty."""
    if not name:
        return path
    return f"{path}{name}" if path.endswith("/") else f"{path}/{name}"
