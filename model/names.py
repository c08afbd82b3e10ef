"""The bounds of what a user names things with: task and domain names, groups, keys, labels; and of the errors that are kept."""

from __future__ import annotations

import unicodedata
from typing import Final

from millrace.model.errors import InvalidTask

MAX_KEY_BYTES: Final = 512
MAX_LABEL_LENGTH: Final = 512
MAX_NAME_LENGTH: Final = 128
MAX_GROUP_LENGTH: Final = 256
MAX_TEXT: Final = 64 * 1024
"""Bytes of an error and of a traceback that are kept."""
QUALIFIER: Final = "::"
"""Between a domain's name and a task's, so neither may hold it."""

# Control characters, and the surrogates that no UTF-8 can hold.
_REFUSED_IN_NAMES: Final = frozenset({"Cc", "Cs"})


def check_key(key: object) -> str:
    """An explicit key as it is: 1 to 512 bytes of UTF-8 without NUL. No normal form is applied: keys are their bytes.

    Raises:
        InvalidTask: it is something else.
    """
    if not isinstance(key, str):
        raise InvalidTask(f"key: expected text, got {type(key).__name__}", field="key")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidTask("key: expected text that UTF-8 can hold, got a lone surrogate", field="key") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise InvalidTask(f"key: expected 1 to {MAX_KEY_BYTES} bytes of UTF-8, got {size}", field="key")
    if "\0" in key:
        raise InvalidTask("key: expected text without NUL, got one with NUL", field="key")
    return str.__str__(key)


def check_label(label: object) -> str:
    """A label as it is shown: cut to 512 characters; what cannot be stored (NUL, lone surrogates, as in the names of
    undecodable files) is spelled out. An empty label stays empty: the caller goes on to the next candidate.

    Raises:
        InvalidTask: it is no text.
    """
    if not isinstance(label, str):
        raise InvalidTask(f"label: expected text, got {type(label).__name__}", field="label")
    shown = label[:MAX_LABEL_LENGTH].encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return shown[:MAX_LABEL_LENGTH]


def check_task_name(name: object, what: str = "name") -> str:
    """The name of a task or a domain, not yet qualified: 1 to 128 characters, no control characters, no "::".

    Args:
        name: the name.
        what: how the message calls it.

    Raises:
        InvalidTask: it is something else.
    """
    if not isinstance(name, str):
        raise InvalidTask(f"{what}: expected text, got {type(name).__name__}", field=what)
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise InvalidTask(f"{what}: expected 1 to {MAX_NAME_LENGTH} characters, got {len(name)}", field=what)
    if any(unicodedata.category(character) in _REFUSED_IN_NAMES for character in name):
        raise InvalidTask(f"{what}: expected no control characters, got {name!a}", field=what)
    if QUALIFIER in name:
        raise InvalidTask(f"{what}: expected no {QUALIFIER!r}, got {name!r}", field=what)
    return str.__str__(name)


def check_group(group: object) -> str:
    """The name of a group as it is: 1 to 256 characters.

    Raises:
        InvalidTask: it is something else.
    """
    return check_text("group", group, 1, MAX_GROUP_LENGTH)


def check_text(what: str, text: object, least: int, most: int) -> str:
    """Text of a length within bounds, that the store can hold: without NUL and lone surrogates. It is not changed.

    Args:
        what: how the message calls it; up to a colon, the field.
        text: what was given.
        least: characters that it has at least.
        most: characters that it has at most.

    Raises:
        InvalidTask: it is something else.
    """
    field = what.partition(":")[0]
    if not isinstance(text, str):
        raise InvalidTask(f"{what}: expected text, got {type(text).__name__}", field=field)
    if not least <= len(text) <= most:
        raise InvalidTask(f"{what}: expected {least} to {most} characters, got {len(text)}", field=field)
    if "\0" in text:
        raise InvalidTask(f"{what}: expected text without NUL, got {text!a}", field=field)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidTask(
            f"{what}: expected text that UTF-8 can hold, got a lone surrogate in {text!a}", field=field
        ) from None
    return str.__str__(text)


def storable(text: str) -> str:
    """An error or a traceback as the store can hold it: no NUL, no lone surrogate, no more than ``MAX_TEXT`` bytes."""
    raw = text[:MAX_TEXT].replace("\0", "\\x00").encode("utf-8", "backslashreplace")
    return raw[:MAX_TEXT].decode("utf-8", "ignore")
