"""What all parts of the writer share: named statements on one cursor, and rows as JSON texts."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import apsw
import msgspec

from millrace.store.statements import SQL

CHUNK: Final = 1000
"""Rows a statement takes at once: bounds the JSON text, not the transaction."""

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


def json_text(value: object) -> str:
    """The value as statements take it."""
    return _encode(value).decode()


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, as many at once as a statement takes."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


class Named:
    """Named statements on the writing connection. Used by the persistence actor's thread.

    Args:
        cursor: the writer's.
    """

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor

    def _run(self, statement: str, /, **bindings: Any) -> None:
        self._cursor.execute(SQL[statement], bindings)

    def _value(self, statement: str, /, **bindings: Any) -> Any:
        return self._cursor.execute(SQL[statement], bindings).get

    def _changes(self) -> int:
        """Rows that the last statement has written."""
        return self._cursor.connection.changes()
