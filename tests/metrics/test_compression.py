"""A text in blocks as a gzip file."""

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.metrics import compression
from millrace.metrics.compression import Compressor

_LONG = [f"{name} {number}\n".encode() * 1000 for number, name in enumerate(("first", "second", "third"))]
_blocks = st.lists(st.one_of(st.sampled_from(_LONG), st.binary(max_size=50), st.binary(min_size=5000, max_size=5010)))


@given(st.lists(_blocks, max_size=4))
def test_what_comes_out_is_what_went_in(texts: list[list[bytes]]) -> None:
    """Blocks stay, go, change places and stand twice in a text: what is made of each text is all of it, as one gzip file."""
    compressor = Compressor()
    for blocks in texts:
        packed = compressor.compress(blocks)
        reader = zlib.decompressobj(zlib.MAX_WBITS + 16)
        assert reader.decompress(packed) == b"".join(blocks)
        assert reader.eof, "with its checksum and its size"
        assert not reader.unused_data, "and nothing follows that some readers do not look for"


def test_a_block_that_has_not_changed_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is new goes through the compressor, and nothing is kept for texts to come that the last one had not."""
    fed: list[bytes] = []

    class Watched:
        def __init__(self, *args: Any, **options: Any) -> None:
            self._own = real(*args, **options)
            self.flush = self._own.flush

        def compress(self, data: bytes) -> bytes:
            fed.append(data)
            return self._own.compress(data)

    real = zlib.compressobj
    monkeypatch.setattr(compression.zlib, "compressobj", Watched)
    compressor = Compressor()
    first, second, third = _LONG
    assert gzip.decompress(compressor.compress([first, second])) == first + second
    assert fed == [first, second]
    assert gzip.decompress(compressor.compress([second, third])) == second + third
    assert fed == [first, second, third]
    compressor.compress([first])
    assert fed == [first, second, third, first]


def test_many_like_lines_become_small() -> None:
    """That blocks know nothing of each other costs little."""
    blocks = [b"".join(b'name{task="%d"} 0\n' % number for number in range(at, at + 500)) for at in range(0, 5000, 500)]
    assert len(Compressor().compress(blocks)) < len(b"".join(blocks)) / 6
