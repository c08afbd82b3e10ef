"""What the tasks of a scan return: JSON in the store, typed here.

Bytes are `st_size`, disk bytes `st_blocks` times 512. Names and paths are in the text form of `names`.
"""

import msgspec


class Tally(msgspec.Struct, array_like=True):
    """Files of one kind."""

    files: int = 0
    bytes: int = 0
    disk_bytes: int = 0


class Link(msgspec.Struct, array_like=True, frozen=True):
    """One name of an inode that has several. Which of its names is counted is decided where all are known."""

    device: int
    inode: int
    extension: str | None
    """None where it is no regular file: it is counted where its name was found, and its disk bytes here."""
    bytes: int
    disk_bytes: int


class Sized(msgspec.Struct, array_like=True, frozen=True):
    """A candidate for the list of the largest."""

    name: str
    bytes: int
    disk_bytes: int
    device: int = 0
    inode: int = 0
    """Both 0 unless other names of the same file may turn up."""


class Unread(msgspec.Struct, array_like=True, frozen=True):
    """What could not be read, and why."""

    name: str
    error: str


class DirectoryMemo(msgspec.Struct, omit_defaults=True):
    """What one directory holds itself, its sub-directories left out; or a part of its hard links."""

    path: str = ""
    """Given where a name below needs it."""
    directories: int = 0
    """1 for itself, and with `-x` the mount points in it; 0 where it was gone when its turn came."""
    other: int = 0
    """Entries that are neither directories nor regular files."""
    directory_disk_bytes: int = 0
    """Of itself."""
    other_disk_bytes: int = 0
    extensions: dict[str, Tally] = {}
    """Its regular files with one link."""
    bytes: int = 0
    """Of its regular files, each inode once: what the list of the largest directories goes by."""
    disk_bytes: int = 0
    largest: list[Sized] = []
    links: list[Link] = []
    unread: list[Unread] = []
    """The name "" is the directory itself."""
    unread_count: int = 0
