"""Tags of tasks: what they may be, how they are inherited, and how the store keeps them (one JSON object, None for none)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, cast

import msgspec

from millrace.model.errors import InvalidTask
from millrace.model.names import check_text

MAX_TAGS: Final = 32
MAX_TAG_KEY_LENGTH: Final = 64
MAX_TAG_VALUE_LENGTH: Final = 256
NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})

_decode = msgspec.json.Decoder(dict[str, str]).decode
_encode = msgspec.json.Encoder().encode


def check_tags(tags: object) -> dict[str, str]:
    """Tags as they are given, in a dict of their own: texts, keys of 1 to 64 characters, values of 0 to 256, at most 32.

    Raises:
        InvalidTask: they are something else.
    """
    if not isinstance(tags, Mapping):
        raise InvalidTask(f"tags: expected a mapping of texts, got {type(tags).__name__}", field="tags")
    given = cast("Mapping[object, object]", tags)
    checked = {
        check_text("tags: key", key, 1, MAX_TAG_KEY_LENGTH): check_text(
            f"tags: value of {key!r}", value, 0, MAX_TAG_VALUE_LENGTH
        )
        for key, value in given.items()
    }
    return _counted(checked)


def merge_tags(inherited: Mapping[str, str], own: Mapping[str, str] | None) -> dict[str, str]:
    """Both; of one key the own value. Neither mapping is changed.

    Raises:
        InvalidTask: there are more than 32 together.
    """
    return _counted({**inherited, **own} if own else dict(inherited))


def _counted(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MAX_TAGS:
        raise InvalidTask(
            f"tags: expected at most {MAX_TAGS} on a task, inherited ones included, got {len(tags)}: "
            f"{', '.join(sorted(tags))}",
            field="tags",
        )
    return tags


def decode_tags(text: str | None) -> dict[str, str]:
    """Tags from a row's column: a dict, as ``dataclasses.asdict`` and pickle copy what records and events hold."""
    return {} if text is None else _decode(text)


def encode_tags(tags: Mapping[str, str] | None) -> str | None:
    """A row's column from tags."""
    return _encode(dict(tags)).decode() if tags else None
