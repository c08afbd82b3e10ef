"""A text in blocks as one gzip file, in which what is as it was before is not compressed again.

Of a scrape's text most is as it was at the one before, and to compress all of it took a third of the time of a scrape.
"""

import zlib
from collections.abc import Sequence
from typing import Final

_LEVEL: Final = 1
"""Most lines are much like the one before: what higher levels find besides is little, and what they take for it is not."""
_RAW: Final = -zlib.MAX_WBITS
"""Without the header and the checksum, which are of the whole."""
_HEADER: Final = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""RFC 1952: deflate, no name, no time, by an unknown system."""
_KEPT_FROM: Final = 4096
"""Bytes: what is smaller is compressed together with what follows it."""


class Compressor:
    """See the module. One thread at a time. It keeps the blocks of the last text, and what they were compressed to."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[bytes, bytes]] = {}
        """By the identity of the block, which nobody else can have while it is in here."""

    def compress(self, blocks: Sequence[bytes]) -> bytes:
        """The gzip file of the blocks put together. A block that is the same object as one of the last time is not looked at."""
        deflate = zlib.compressobj(_LEVEL, wbits=_RAW)
        pieces = [_HEADER]
        kept: dict[int, tuple[bytes, bytes]] = {}
        checksum = size = 0
        for block in blocks:
            checksum = zlib.crc32(block, checksum)
            size += len(block)
            if len(block) < _KEPT_FROM:
                pieces.append(deflate.compress(block))
                continue
            # After a full flush nothing refers to what is before it: what follows can stand anywhere.
            pieces.append(deflate.flush(zlib.Z_FULL_FLUSH))
            entry = self._kept.get(id(block))
            if entry is None:
                entry = block, deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
            kept[id(block)] = entry
            pieces.append(entry[1])
        pieces += [deflate.flush(), checksum.to_bytes(4, "little"), (size % 2**32).to_bytes(4, "little")]
        self._kept = kept
        return b"".join(pieces)
