"""Text of others on a terminal: task names, labels, errors, log lines and file names are data, whoever wrote them."""

import re
import unicodedata
from typing import Final

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What could move a terminal's cursor, end the line, show what follows in another order than it has, or not be printed at all:
control characters, line separators, overrides of the direction of writing, and halves of surrogate pairs, which stand for the
bytes of a file name that are no text."""


def escaped(text: str) -> str:
    """Text that stays on its line, with each of these characters as Python would write it."""
    return CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def escaped_json(text: str) -> str:
    """JSON that says the same."""
    return CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def places(text: str) -> int:
    """How many columns of a terminal a text takes: a character 2 where it is wide (Chinese, emoji), 0 where it joins another."""
    if text.isascii():
        return len(text)
    return sum(
        2
        if unicodedata.east_asian_width(character) in "WF"
        else unicodedata.category(character) not in ("Mn", "Me", "Cf")
        for character in text
    )
