"""Payload fields that are not to be seen: in their place stands the same text everywhere but in the body and the record."""

from collections.abc import Collection, Mapping
from typing import Any, Final

REDACTED: Final = "***"


def redact(values: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """The payload as it may be shown."""
    return {name: REDACTED if name in fields else value for name, value in values.items()}
