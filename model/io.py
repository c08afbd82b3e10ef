"""What runs move, as the store keeps it: one JSON list [disk_read, disk_write, net_rx, net_tx] of bytes, None for unknown."""

from typing import Any, Final, TypeAlias

import msgspec

from millrace.model.records import IoBudget

NO_IO: Final = IoBudget()
LARGEST: Final = (1 << 63) - 1
"""More bytes than this cannot be stored, and are not counted."""

Moved: TypeAlias = tuple[int, int, int, int]
"""Bytes moved: disk read, disk written, received, sent."""

_decode = msgspec.json.Decoder(Moved).decode
_encode = msgspec.json.Encoder().encode


def decode_io(text: str | None) -> IoBudget:
    """A budget from a row's column; unknown is nothing."""
    return NO_IO if text is None else IoBudget(*_decode(text))


def check_io(io: object) -> IoBudget:
    """A budget as a caller gives it.

    Raises:
        TypeError: it is none, or a number of it is no int. ValueError: a number is below 0, or more than can be stored.
    """
    if not isinstance(io, IoBudget):
        raise TypeError(f"io: expected an IoBudget, got {type(io).__name__}")
    for direction in ("disk_read", "disk_write", "net_rx", "net_tx"):
        check_bytes(getattr(io, direction), f"io: {direction}")
    return io


def decode_moved(text: str) -> Moved:
    """What a run has recorded, as ``encode_moved`` wrote it."""
    moved: Moved = _decode(text)
    return moved


def encode_io(io: IoBudget | None) -> str | None:
    """A row's column from a budget."""
    if io is None:
        return None
    return _encode((io.disk_read, io.disk_write, io.net_rx, io.net_tx)).decode()


def encode_moved(moved: Moved | None) -> str | None:
    """A row's column from what a run has recorded."""
    return None if moved is None else _encode(moved).decode()


def add_moved(one: Moved, other: Moved) -> Moved:
    """The sum, direction by direction."""
    return (
        min(LARGEST, one[0] + other[0]),
        min(LARGEST, one[1] + other[1]),
        min(LARGEST, one[2] + other[2]),
        min(LARGEST, one[3] + other[3]),
    )


def check_bytes(n: Any, what: str) -> int:
    """A number of bytes as a caller gives it.

    Raises:
        TypeError: it is no int. ValueError: it is below 0, or more than can be stored.
    """
    if type(n) is not int and (isinstance(n, bool) or not isinstance(n, int)):
        raise TypeError(f"{what}: expected bytes as an int, got {type(n).__name__}")
    if not 0 <= n <= LARGEST:
        raise ValueError(f"{what}: expected 0 to {LARGEST} bytes, got {n}")
    return n
