"""How new rows travel: what rows have in common once for all of them, the rest a row."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec.structs import astuple

from millrace.model.rows import NewRow

# Floats are of its own: a number that a dictionary takes for equal would do for another column type, as 1 does for 1.0.
_OWN: Final = NewRow.__struct_fields__.index("max_failures") + 1
_SHARED: Final = NewRow.__struct_fields__[_OWN:]


def by_shared(rows: Iterable[NewRow]) -> Iterator[tuple[dict[str, Any], list[tuple[Any, ...]]]]:
    """Rows with the same shared columns, those by name; each row as the columns of its own, in the order of `NewRow`."""
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        values = astuple(row)
        groups.setdefault(values[_OWN:], []).append(values[:_OWN])
    for shared, own in groups.items():
        yield dict(zip(_SHARED, shared, strict=True)), own
