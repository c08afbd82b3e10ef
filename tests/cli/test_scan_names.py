"""Any path can be written as text and read back."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.cli.scan.names import to_line, to_path, to_text

paths = st.binary(max_size=60).filter(lambda path: b"\0" not in path).map(os.fsdecode)


@given(paths)
def test_round_trip(path: str) -> None:
    """Text and line form lead back to the path, and the text is JSON."""
    text = to_text(path)
    assert to_path(text) == path
    assert to_path(to_line(text)) == path
    assert json.loads(json.dumps(text).encode("utf-8")) == text
    text.encode("utf-8")


@given(paths, paths)
def test_distinct(one: str, other: str) -> None:
    """Two paths have two texts."""
    assert (to_text(one) == to_text(other)) == (one == other)


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        (b"/usr/bin", "/usr/bin", "/usr/bin"),
        ("/grüß".encode(), "/grüß", "/grüß"),
        (b"caf\xe9", "caf\\xe9", "caf\\xe9"),
        (b"a\\xe9", "a\\\\xe9", "a\\\\xe9"),
        (b"a\nb\x1b[2J", "a\nb\x1b[2J", "a\\x0ab\\x1b[2J"),
        (b"\xc2\x85", "\x85", "\\xc2\\x85"),
    ],
)
def test_forms(path: bytes, text: str, line: str) -> None:
    """Bytes that are no UTF-8 and backslashes are escaped; control characters only in a line."""
    assert to_text(os.fsdecode(path)) == text
    assert to_line(text) == line


@pytest.mark.parametrize("text", ["\\", "a\\n", "\\x1", "\\xE9", "\\\\\\"])
def test_no_text_of_a_path(text: str) -> None:
    """A backslash that begins no escape is refused."""
    with pytest.raises(ValueError, match="expected"):
        to_path(text)
