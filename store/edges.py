"""Who waits for whom: the statements of the writing connection for dependencies."""

from collections.abc import Iterable, Sequence

import msgspec

from millrace.store.named import Named, chunks, json_text

_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_pairs = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_resolved = msgspec.json.Decoder(list[tuple[int, int, str | None, int | None]]).decode


class EdgeWriter(Named):
    """Named statements about dependencies, in the writer's transaction."""

    def has_edges(self) -> bool:
        """Whether any task waits for another, or for a failed one to be retried."""
        return bool(self._value("has_edges"))

    def insert_edges(self, edges: Sequence[tuple[int, int]]) -> None:
        """Tasks wait for others: (task, dependency)."""
        for part in chunks(edges):
            self._run("insert_edges", edges=json_text(part))

    def delete_edges(self, edges: Sequence[tuple[int, int]]) -> None:
        """They wait no more."""
        for part in chunks(edges):
            self._run("delete_edges", edges=json_text(part))

    def delete_edges_of(self, ids: Sequence[int]) -> None:
        """These tasks wait for nothing any more."""
        for part in chunks(ids):
            self._run("delete_edges_of", ids=json_text(part))

    def move_edges(self, old: Sequence[int], new_id: int) -> None:
        """Who waits for any of the old tasks waits for the new one, once."""
        self._run("move_edges", old=json_text(old), id=new_id)
        self._run("delete_edges_to", ids=json_text(old))

    def select_dependents(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """(task, dependency) of all that wait for any of these."""
        found: list[tuple[int, int]] = []
        for part in chunks(ids):
            found += _decode_pairs(self._value("select_dependents", ids=json_text(part)))
        return found

    def meet_dependencies(self, met: Sequence[tuple[int, int]]) -> list[int]:
        """Count down what tasks wait for, (task, by how many); those that wait for nothing more and are still blocked."""
        freed: list[int] = []
        for part in chunks(met):
            text = json_text(part)
            self._run("meet_dependencies", met=text)
            freed += _decode_ids(self._value("select_unblocked", met=text))
        return freed

    def resolve_dependencies(self, ids: Sequence[int]) -> dict[int, tuple[int, str | None, int | None]]:
        """For each id the newest task in its place, with its status (None: there is none) and, while active, its parent."""
        return {
            asked: (newest, status, parent_id)
            for part in chunks(ids)
            for asked, newest, status, parent_id in _decode_resolved(
                self._value("resolve_dependencies", ids=json_text(part))
            )
        }

    def select_line(self, task_id: int) -> list[int]:
        """A settled task with those that it repeats by hand and those that repeat it."""
        return _decode_ids(self._value("select_line", id=task_id))

    def select_waiters(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """(who waits, for which of these): dependents, and parents for their children."""
        return _decode_pairs(self._value("select_waiters", ids=json_text(list(ids))))

    def select_all_waiters(self, ids: Iterable[int]) -> list[int]:
        """These, and all that wait for them, directly or through others."""
        return _decode_ids(self._value("select_all_waiters", ids=json_text(list(ids))))
