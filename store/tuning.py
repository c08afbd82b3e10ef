"""What was set at run time, as JSON texts: what they mean is not known here."""

from typing import NamedTuple

from millrace.store.named import Named
from millrace.store.statements import SQL


class TunedRow(NamedTuple):
    """A value set at run time, and the program's own that it replaced."""

    kind: str
    name: str
    value: str
    replaced: str


class TuningWriter(Named):
    """Named statements about tuning, in the writer's transaction."""

    def load(self) -> list[TunedRow]:
        """All that was set."""
        return [TunedRow(*row) for row in self._cursor.execute(SQL["select_tuning"])]

    def put(self, row: TunedRow) -> None:
        """Set a value, also once more."""
        self._run("put_tuning", **row._asdict())

    def delete(self, kind: str, name: str) -> None:
        """The program's own value is in force again."""
        self._run("delete_tuning", kind=kind, name=name)

    def rename(self, kind: str, name: str, present: str) -> bool:
        """Move what was set for one name to another, unless that has a setting of its own. False where nothing was set."""
        self._run("rename_tuning", kind=kind, name=name, present=present)
        return self._changes() > 0
