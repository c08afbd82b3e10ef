"""Names of tasks: those that this program does not know, and former ones. The statements of the writing connection for it."""

from collections.abc import Sequence

import msgspec

from millrace.model.rows import Renamed
from millrace.store.named import Named, json_text

_decode_renamed = msgspec.json.Decoder(list[Renamed]).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_named = msgspec.json.Decoder(list[tuple[int, str]]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode


class NameWriter(Named):
    """Named statements about names, in the writer's transaction."""

    def select_names(self) -> list[str]:
        """The task names in the queue."""
        return _decode_names(self._value("select_names"))

    def select_to_park(self, name: str, limit: int) -> list[int]:
        """Pending tasks of a name."""
        return _decode_ids(self._value("select_to_park", name=name, limit=limit))

    def select_parked(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Parked tasks by id, with their names."""
        return _decode_named(self._value("select_parked", after=after, limit=limit))

    def select_named(self, name: str, present: str, limit: int) -> list[Renamed]:
        """Active tasks of a former name, as they get their present one."""
        return _decode_renamed(self._value("select_named", name=name, present=present, limit=limit))

    def rename_tasks(self, name: str, tasks: Sequence[tuple[int, int, int]]) -> None:
        """Give active tasks a name: (id, lane, whether it holds its key no more) of each."""
        self._run("rename_tasks", name=name, tasks=json_text(tasks))

    def rename_settled(self, name: str, present: str, limit: int) -> int:
        """Give settled tasks of a former name the present one; how many."""
        self._run("rename_settled", name=name, present=present, limit=limit)
        return self._changes()

    def rename_series(self, name: str, present: str) -> None:
        """The same for series, but for those whose key a series of the present name has."""
        self._run("rename_series", name=name, present=present)
