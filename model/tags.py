"""Tags of tasks as the store keeps them: one JSON object of texts, None for none."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})

_decode = msgspec.json.Decoder(dict[str, str]).decode
_encode = msgspec.json.Encoder().encode


def decode_tags(text: str | None) -> Mapping[str, str]:
    """Tags from a row's column."""
    return NO_TAGS if text is None else _decode(text)


def encode_tags(tags: Mapping[str, str] | None) -> str | None:
    """A row's column from tags."""
    return _encode(dict(tags)).decode() if tags else None
