"""One directory: opened without following links, read once, in memory that does not grow with the number of its files.

What is counted follows `find` and `du`: an entry that cannot be looked at counts nowhere and is unreadable; a directory
that cannot be read counts as a directory, with its own disk bytes, and is unreadable; an entry that is gone by the time
it is looked at never was.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from millrace.cli.scan.extensions import Extensions, comes_before, extension_of
from millrace.cli.scan.largest import Largest
from millrace.cli.scan.limits import LINKS_PER_MEMO, MAX_PATH, UNREAD_PER_DIRECTORY
from millrace.cli.scan.memo import DirectoryMemo, Link, Sized
from millrace.cli.scan.names import to_text
from millrace.cli.scan.unread import UnreadList

BLOCK: Final = 512  # bytes of a unit of st_blocks, whatever the file system's own blocks are
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_STEP: Final = 4000  # bytes of a path in one call: below PATH_MAX, 4096 with its NUL
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})  # removed, or replaced by something else
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})  # of us, not of the directory: to be tried again
_HALF: Final = 1 << 63
_TYPE: Final = 0o170000
_REGULAR: Final = stat.S_IFREG


@dataclass(slots=True)
class Reading:
    """What one directory holds."""

    path: str
    memo: DirectoryMemo = field(default_factory=DirectoryMemo)
    subdirectories: list[str] = field(default_factory=list[str])
    """Names, as `os` functions take them; none that `-x` stays out of."""
    links: list[Link] = field(default_factory=list[Link])
    """Of its inodes with several links, each once."""

    def link_memos(self) -> Iterator[DirectoryMemo]:
        """The links that the directory's own memo has no room for."""
        for start in range(LINKS_PER_MEMO, len(self.links), LINKS_PER_MEMO):
            yield DirectoryMemo(links=self.links[start : start + LINKS_PER_MEMO])


def read_directory(path: str, *, one_file_system: bool = False) -> Reading:
    """Reads a directory. Its errors are in the memo.

    Args:
        path: absolute, of any length.
        one_file_system: a sub-directory on another device is counted, without its disk bytes, and not entered.

    Raises:
        OSError: the process is short of file descriptors or memory.
    """
    reading = Reading(path)
    unread = UnreadList(UNREAD_PER_DIRECTORY)
    try:
        descriptor = open_directory(path)
    except OSError as error:
        _not_opened(reading, unread, error)
    else:
        try:
            _read(reading, unread, descriptor, one_file_system=one_file_system)
        finally:
            os.close(descriptor)
    memo = reading.memo
    memo.unread, memo.unread_count = unread.result(), unread.count
    if memo.unread or memo.largest:
        memo.path = to_text(path)
    return reading


def open_directory(path: str) -> int:
    """A descriptor of the directory, also where the path is longer than PATH_MAX: then it is opened part by part.

    Raises:
        OSError: it cannot be opened, is no directory, or its path takes more than `MAX_PATH`.
    """
    encoded = os.fsencode(path)
    if len(encoded) <= _STEP:
        return os.open(encoded, _OPEN)
    if len(msgspec.json.encode(to_text(path))) > MAX_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    descriptor, rest = _descend(encoded)
    try:
        return os.open(rest, _OPEN, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _descend(encoded: bytes) -> tuple[int, bytes]:
    cut = encoded.rindex(b"/", 1, _STEP)
    descriptor, rest = os.open(encoded[:cut], _OPEN), encoded[cut + 1 :]
    while len(rest) > _STEP:
        cut = rest.rindex(b"/", 1, _STEP)
        try:
            below = os.open(rest[:cut], _OPEN, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor, rest = below, rest[cut + 1 :]
    return descriptor, rest


def _not_opened(reading: Reading, unread: UnreadList, error: OSError) -> None:
    if error.errno in _SHORT:
        raise error
    if error.errno in _GONE:
        return
    try:
        status = _lstat(reading.path)
    except OSError as again:
        if again.errno not in _GONE:
            unread.add("", message_of(again))
        return
    if stat.S_ISDIR(status.st_mode):
        reading.memo.directories = 1
        reading.memo.directory_disk_bytes = status.st_blocks * BLOCK
        unread.add("", message_of(error))


def _lstat(path: str) -> os.stat_result:
    encoded = os.fsencode(path)
    if len(encoded) <= _STEP:
        return os.lstat(encoded)
    descriptor, rest = _descend(encoded)
    try:
        return os.lstat(rest, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _read(reading: Reading, unread: UnreadList, descriptor: int, *, one_file_system: bool) -> None:
    status = os.fstat(descriptor)
    reading.memo.directories = 1
    reading.memo.directory_disk_bytes = status.st_blocks * BLOCK
    device = status.st_dev if one_file_system else None
    entries = _Entries(reading, unread, device)
    try:
        # A descriptor, not a path: entries are looked up relative to it, which is faster and cannot be too long.
        with os.scandir(descriptor) as iterator:
            entries.count(iterator)
    except OSError as error:  # of the directory itself, half way through
        if error.errno in _SHORT:
            raise
        unread.add("", message_of(error))
    entries.finish()


class _Entries:
    """Counts entries into a reading. One function for all of it: it runs for each file there is."""

    def __init__(self, reading: Reading, unread: UnreadList, device: int | None) -> None:
        self._reading = reading
        self._unread = unread
        self._device = device
        self._extensions = Extensions()
        self._largest = Largest()
        self._linked: dict[tuple[int, int], Link] = {}

    def count(self, iterator: Iterator["os.DirEntry[str]"]) -> None:
        memo = self._reading.memo
        subdirectories = self._reading.subdirectories
        device, largest, count_extension = self._device, self._largest, self._extensions.add
        for entry in iterator:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if device is not None and entry.stat(follow_symlinks=False).st_dev != device:
                        memo.directories += 1
                    else:
                        subdirectories.append(entry.name)
                    continue
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                self._not_looked_at(entry.name, error)
                continue
            if status.st_mode & _TYPE == _REGULAR:
                size, disk_bytes = status.st_size, status.st_blocks * BLOCK
                if status.st_nlink > 1:
                    self._linked_file(entry.name, status)
                    continue
                memo.bytes += size
                memo.disk_bytes += disk_bytes
                count_extension(extension_of(entry.name), 1, size, disk_bytes)
                if size >= largest.floor:
                    largest.add(Sized(to_text(entry.name), size, disk_bytes))
            else:
                memo.other += 1
                if status.st_nlink > 1:
                    self._link(status, None, 0)
                else:
                    memo.other_disk_bytes += status.st_blocks * BLOCK

    def finish(self) -> None:
        memo = self._reading.memo
        memo.extensions = self._extensions.result()
        memo.largest = self._largest.result()
        self._reading.links = list(self._linked.values())
        memo.links = self._reading.links[:LINKS_PER_MEMO]

    def _linked_file(self, name: str, status: os.stat_result) -> None:
        memo = self._reading.memo
        size, disk_bytes = status.st_size, status.st_blocks * BLOCK
        if self._link(status, extension_of(name), size):
            memo.bytes += size
            memo.disk_bytes += disk_bytes
        self._largest.add(Sized(to_text(name), size, disk_bytes, *identity_of(status)))

    def _link(self, status: os.stat_result, extension: str | None, size: int) -> bool:
        """Whether the inode is new in this directory. Of its extensions the one that comes first counts."""
        identity = identity_of(status)
        known = self._linked.get(identity)
        if known is None or comes_before(extension, known.extension):
            self._linked[identity] = Link(*identity, extension, size, status.st_blocks * BLOCK)
        return known is None

    def _not_looked_at(self, name: str, error: OSError) -> None:
        if error.errno in _SHORT:
            raise error
        if error.errno not in _GONE:
            self._unread.add(to_text(name), message_of(error))


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Device and inode. Both have 64 bits and no sign; a memo takes 63 and a sign: the upper half becomes negative."""
    device, inode = status.st_dev, status.st_ino
    return device if device < _HALF else device - 2 * _HALF, inode if inode < _HALF else inode - 2 * _HALF


def message_of(error: OSError) -> str:
    """The system's words, without the path: that is told apart."""
    return error.strerror or str(error) or type(error).__name__
