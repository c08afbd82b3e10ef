"""The history as its pruning sees it, shelf by shelf: the statements of the writing connection for it."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from millrace.model.rows import OldRow
from millrace.store.named import Named, json_text

_decode_released = msgspec.json.Decoder(list[tuple[int, int, int | None]]).decode
_decode_old = msgspec.json.Decoder(list[OldRow]).decode
_decode_measure = msgspec.json.Decoder(tuple[int, int | None]).decode

Shelf = Literal["others", "dead_letters", "all"]
"""Rows of the history that are counted together: dead letters, all others, or all alike."""
Released = Literal["children", "dependencies"]
"""What a task holds in the history until it settles itself."""
_RELEASED: Final[dict[Released, str]] = {
    "children": "select_released",
    "dependencies": "select_released_dependencies",
}
_SUFFIX: Final[dict[Shelf, str]] = {"others": "", "dead_letters": "_dead_letters", "all": "_of_all"}


class ShelfWriter(Named):
    """Named statements about pruning, in the writer's transaction."""

    def data_version(self) -> int:
        """A number that changes when another connection has written."""
        version: int = self._value("select_data_version")
        return version

    def measure_newest(self, shelf: Shelf, limit: int) -> tuple[int, int | None]:
        """How many rows a shelf has, up to ``limit``, and the place of the first of those newest ones."""
        return _decode_measure(self._value("measure_newest" + _SUFFIX[shelf], limit=limit))

    def select_oldest(self, shelf: Shelf, after: int, limit: int) -> list[OldRow]:
        """The rows of a shelf after a place, earliest settled first."""
        return _decode_old(self._value("select_oldest" + _SUFFIX[shelf], after=after, limit=limit))

    def select_released(
        self, holder: int, what: Released, after: tuple[int, int], until: tuple[int, int], limit: int
    ) -> list[tuple[int, int, int | None]]:
        """(round, place, who holds it now) of the rows that a settled task held: of its children, or of what it depended on,
        which are of no round. From after a (round, place) on, up to the places of dead letters and of others.
        """
        text = self._value(
            _RELEASED[what],
            holder=holder,
            round=after[0],
            seq=after[1],
            dead_letters=until[0],
            others=until[1],
            limit=limit,
        )
        return _decode_released(text)

    def prune(self, rows: Sequence[int]) -> None:
        """Delete rows of the history by their places, with all that hangs on them, and count them."""
        text = json_text(rows)
        self._run("delete_flows", rows=text)
        self._run("delete_tags", rows=text)
        self._run("prune_rows", rows=text)
        self._run("add_meta", k="pruned", n=len(rows))
