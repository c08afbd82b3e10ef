"""How new rows travel: what rows have in common once for all of them, the rest a row."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec.structs import astuple

from millrace.model.keys import hash_key
from millrace.model.rows import NewRow

# Floats are of its own: a number that a dictionary takes for equal would do for another column type, as 1 does for 1.0.
_OWN: Final = NewRow.__struct_fields__.index("max_failures") + 1
_SHARED: Final = NewRow.__struct_fields__[_OWN:]


def by_shared(rows: Iterable[NewRow], key_salt: int) -> Iterator[tuple[dict[str, Any], list[tuple[Any, ...]]]]:
    """Rows with the same shared columns, those by name; each row as its own columns, as `NewRow` has them, and its key's number."""
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        values = astuple(row)
        numbered = (*values[:_OWN], hash_key(key_salt, row.name, row.key))
        groups.setdefault(values[_OWN:], []).append(numbered)
    for shared, own in groups.items():
        yield dict(zip(_SHARED, shared, strict=True)), own
