"""Keys of active tasks, and who holds them: the statements of the writing connection for it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw
import msgspec

from millrace.model.keys import hash_key
from millrace.store.named import CHUNK, Named, json_text

_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_holders = msgspec.json.Decoder(tuple[int | None, list[tuple[int, int, int]]]).decode
_decode_found = msgspec.json.Decoder(list[tuple[int, int, str, int]]).decode

KeyScope = tuple[str, int, int, str]
"""Task name, parent id or 0, round of the parent, key: within it a key is unique among active tasks."""


class Holders(NamedTuple):
    """Who has the keys that were asked for, by their places: at most one holds a key, others may wind down under it."""

    next_id: int
    holders: dict[int, int]
    winding: dict[int, set[int]]


class Spawned(NamedTuple):
    """A child that a run of its spawner has made."""

    id: int
    status: str
    run: int
    """The number of that run."""


class KeyWriter(Named):
    """Named statements about keys, in the writer's transaction.

    Args:
        cursor: the writer's.
        salt: what keys are hashed with in this store.
    """

    def __init__(self, cursor: apsw.Cursor, salt: int) -> None:
        super().__init__(cursor)
        self._salt = salt

    def find_holders(self, scopes: Sequence[KeyScope]) -> Holders:
        """Which active tasks have these keys, and which id comes next."""
        holders: dict[int, int] = {}
        winding: dict[int, set[int]] = {}
        next_id: int | None = None
        for start in range(0, len(scopes), CHUNK):
            text = self._value("find_holders", keys=self._numbered(scopes[start : start + CHUNK]))
            next_id, found = _decode_holders(text)
            for place, task_id, is_winding in found:
                if is_winding:
                    winding.setdefault(start + place, set()).add(task_id)
                else:
                    holders[start + place] = task_id
        return Holders(next_id or 1, holders, winding)

    def has_held(self) -> bool:
        """Whether any task waits for a cancelled one of its key."""
        return bool(self._value("has_held"))

    def find_held(self, scopes: Sequence[KeyScope]) -> list[int]:
        """The tasks that wait for a cancelled one under these keys."""
        return _decode_ids(self._value("find_held", keys=self._numbered(scopes)))

    def find_spawned(self, scopes: Sequence[KeyScope], *, spawner: int, round_run: int, run: int) -> dict[int, Spawned]:
        """The newest that earlier runs of the spawner's round spawned under each key, by its place in ``scopes``.

        A key under which this run has spawned itself is left out: within one run a key can be used again on purpose.
        """
        found: dict[int, list[Spawned]] = {}
        for start in range(0, len(scopes), CHUNK):
            text = self._value(
                "find_spawned",
                keys=self._numbered(scopes[start : start + CHUNK]),
                spawner=spawner,
                round_run=round_run,
                run=run,
            )
            for place, task_id, status, spawned_in in _decode_found(text):
                found.setdefault(start + place, []).append(Spawned(task_id, status, spawned_in))
        return {place: max(children) for place, children in found.items() if all(one.run != run for one in children)}

    def _numbered(self, scopes: Iterable[KeyScope]) -> str:
        """As statements take them: the number comes last, by which the index finds the key."""
        return json_text([(*scope, hash_key(self._salt, scope[0], scope[3])) for scope in scopes])
