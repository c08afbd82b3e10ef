r"""Paths as text.

A file name is any bytes but NUL and "/"; JSON is text. So a path is written like this:

- a byte that is no UTF-8 is `\xNN`, two lower-case hex digits;
- a backslash is two backslashes;
- all else stands for itself.

`to_path(to_text(p)) == p` for every path. For a terminal, `to_line` writes control characters as `\xNN` too (a name may
hold a newline or an escape sequence), and `to_path` reads that as well.
"""

import os
import re
from typing import Final

from millrace.cli.controls import CONTROL

_ESCAPE: Final = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def to_text(path: str) -> str:
    """The text form of a path as Python's `os` functions give it."""
    # The one case that matters for speed: in every file system encoding that Python supports, ASCII is ASCII.
    if "\\" not in path and path.isascii():
        return path
    return os.fsencode(path).replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def to_path(text: str) -> str:
    """What `to_text` or `to_line` was given.

    Raises:
        ValueError: `text` has a backslash that begins no escape.
    """
    if "\\" not in text and text.isascii():
        return text
    encoded = text.encode("utf-8")
    if b"\\" in _ESCAPE.sub(b"", encoded):
        raise ValueError(f"expected \\\\ or \\xNN after a backslash of a path, got {text!r}")
    return os.fsdecode(_ESCAPE.sub(_unescape, encoded))


def to_line(text: str) -> str:
    """A text form that stays on its line and does nothing to a terminal, from that of `to_text`."""
    return CONTROL.sub(lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode()), text)


def _unescape(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    return b"\\" if digits is None else bytes.fromhex(digits.decode("ascii"))
