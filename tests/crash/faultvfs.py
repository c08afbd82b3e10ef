"""A disk that forgets and fails: a VFS of SQLite under the real store.

`Disk` keeps the order of all that SQLite asks of its files. What was written counts as durable only from the next sync of its
file on, so that `Replay` can say what a power cut at any point of the record leaves. A `Fault` makes chosen operations fail.
The files themselves are real ones (the index in shared memory and the locks are the system's); only their syncs are left out.

Not modelled: sectors other than 512 bytes, and directory entries that vanish.
"""

import itertools
import os
import random
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

import apsw

SECTOR: Final = 512

Kind = Literal["write", "truncate", "sync", "delete"]
Survival = Literal["none", "prefix", "subset", "torn"]
"""What of the writes since the last sync is on the disk after a power cut: nothing; the first of them; any of them, as a disk
that reorders leaves them; any sectors of them."""

SURVIVALS: Final[tuple[Survival, ...]] = ("none", "prefix", "subset", "torn")


class Operation(NamedTuple):
    """One thing that was asked of a file."""

    kind: Kind
    name: str
    offset: int = 0
    data: bytes = b""


class Mark(NamedTuple):
    """Something that was acknowledged: after so many operations, at that monotonic time."""

    after: int
    at: float
    words: tuple[str, ...]


@dataclass
class Fault:
    """Operations of some kinds fail: the ``nth`` of them (from 1), and with ``is_lasting`` all after it.

    Args:
        code: SQLite's result code. A write that fails with SQLITE_FULL has written its first half.
        endings: of the names of the files meant; empty for all.
    """

    code: int
    kinds: Collection[Kind]
    nth: int = 1
    is_lasting: bool = False
    endings: tuple[str, ...] = ("",)
    seen: int = 0
    hits: int = 0

    def strikes(self, kind: Kind, name: str) -> bool:
        """Whether this operation fails."""
        if kind not in self.kinds or not name.endswith(self.endings):
            return False
        self.seen += 1
        is_hit = self.seen == self.nth or (self.is_lasting and self.seen > self.nth)
        self.hits += is_hit
        return is_hit


@dataclass
class Disk:
    """What happened, and what is to fail. From any thread."""

    name: str
    fault: Fault | None = None
    is_recording: bool = True
    operations: list[Operation] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def note(self, operation: Operation) -> None:
        """The operation has been done."""
        if self.is_recording:
            with self._lock:
                self.operations.append(operation)
                self.times.append(time.monotonic())

    def check(self, kind: Kind, name: str) -> None:
        """Raise where the operation is to fail."""
        fault = self.fault
        with self._lock:
            is_hit = fault is not None and fault.strikes(kind, name)
        if is_hit and fault is not None:
            raise apsw.exception_for(fault.code)

    def mark(self, *words: object) -> None:
        """A caller was told something."""
        with self._lock:
            self.marks.append(Mark(len(self.operations), time.monotonic(), tuple(map(str, words))))


class FaultyFile(apsw.VFSFile):
    """A file of a `Disk`."""

    def __init__(self, disk: Disk, filename: str | apsw.URIFilename | None, flags: list[int]) -> None:
        name = filename.filename() if isinstance(filename, apsw.URIFilename) else filename
        self._disk = disk
        self._name = Path(name or "").name
        super().__init__("", filename, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        try:
            self._disk.check("write", self._name)
        except apsw.FullError:
            half = bytes(data)[: len(data) // 2]
            if half:
                super().xWrite(half, offset)
                self._disk.note(Operation("write", self._name, offset, half))
            raise
        super().xWrite(data, offset)
        self._disk.note(Operation("write", self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.check("truncate", self._name)
        super().xTruncate(newsize)
        self._disk.note(Operation("truncate", self._name, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        try:
            self._disk.check("sync", self._name)
        except apsw.IOError:
            # The system has dropped what it could not write, and the next sync says that all is well.
            self._disk.note(Operation("sync", self._name, offset=-1))
            raise
        self._disk.note(Operation("sync", self._name))


class FaultyVfs(apsw.VFS):
    """The VFS of a `Disk`, over the system's."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> FaultyFile:  # noqa: N802 - SQLite's name
        return FaultyFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        name = Path(filename).name
        if not Path(filename).exists():
            return  # SQLite overlooks it; as an exception it would come out of the statement
        self._disk.check("delete", name)
        super().xDelete(filename, syncdir)
        self._disk.note(Operation("delete", name))


_numbers = itertools.count(1)


@contextmanager
def disk() -> Iterator[Disk]:
    """A disk whose name is that of a VFS while this lasts."""
    made = Disk(f"faulty-{os.getpid()}-{next(_numbers)}")
    vfs = FaultyVfs(made)
    try:
        yield made
    finally:
        vfs.unregister()


# What a power cut leaves


class _File:
    def __init__(self, image: bytes = b"") -> None:
        self.durable = bytearray(image)
        self.pending: list[Operation] = []

    def apply(self, operation: Operation) -> None:
        match operation.kind:
            case "write" | "truncate":
                self.pending.append(operation)
            case "sync":
                if operation.offset == 0:
                    for one in self.pending:
                        _apply(self.durable, one)
                self.pending.clear()
            case "delete":
                raise AssertionError("of the directory")


class Replay:
    """The record of a disk, gone through once, from the beginning.

    Args:
        operations: what happened.
        before: the files that were there, by name.
        is_lying: the disk says that it has synced, and has not.
    """

    def __init__(
        self, operations: list[Operation], *, before: Mapping[str, bytes] | None = None, is_lying: bool = False
    ) -> None:
        self._operations = operations
        self._is_lying = is_lying
        self._files: dict[str, _File] = {name: _File(image) for name, image in (before or {}).items()}
        self._at = 0

    def advance(self, count: int) -> None:
        """Go on until ``count`` operations are done."""
        for operation in self._operations[self._at : count]:
            if operation.kind == "delete":
                self._files.pop(operation.name, None)
            elif operation.kind != "sync" or not self._is_lying:
                self._files.setdefault(operation.name, _File()).apply(operation)
        self._at = max(self._at, count)

    def cut(self, survival: Survival, rng: random.Random) -> dict[str, bytes]:
        """The files after a power cut here, by name."""
        return {name: _survivors(file, survival, rng) for name, file in self._files.items()}


def _survivors(file: _File, survival: Survival, rng: random.Random) -> bytes:
    image = bytearray(file.durable)
    kept: list[Operation] = []
    match survival:
        case "none":
            pass
        case "prefix":
            kept = file.pending[: rng.randint(0, len(file.pending))]
        case "subset":
            kept = [one for one in file.pending if rng.random() < 0.5]
        case "torn":
            kept = [part for one in file.pending for part in _sectors(one) if rng.random() < 0.5]
    for one in kept:
        _apply(image, one)
    return bytes(image)


def _sectors(operation: Operation) -> Iterator[Operation]:
    if operation.kind != "write":
        yield operation
        return
    for start in range(0, len(operation.data), SECTOR):
        yield operation._replace(offset=operation.offset + start, data=operation.data[start : start + SECTOR])


def _apply(image: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del image[operation.offset :]
        return
    end = operation.offset + len(operation.data)
    if len(image) < end:
        image.extend(bytes(end - len(image)))
    image[operation.offset : end] = operation.data
