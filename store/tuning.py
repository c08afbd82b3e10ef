"""What was set at run time, as JSON texts: what they mean is not known here."""

from typing import NamedTuple

import apsw

from millrace.store.statements import SQL


class TunedRow(NamedTuple):
    """A value set at run time, and the program's own that it replaced."""

    kind: str
    name: str
    value: str
    replaced: str


class TuningWriter:
    """Named statements about tuning, in the writer's transaction.

    Args:
        cursor: the writer's.
    """

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor

    def load(self) -> list[TunedRow]:
        """All that was set."""
        return [TunedRow(*row) for row in self._cursor.execute(SQL["select_tuning"])]

    def put(self, row: TunedRow) -> None:
        """Set a value, also once more."""
        self._cursor.execute(SQL["put_tuning"], row._asdict())

    def delete(self, kind: str, name: str) -> None:
        """The program's own value is in force again."""
        self._cursor.execute(SQL["delete_tuning"], {"kind": kind, "name": name})

    def rename(self, kind: str, name: str, present: str) -> bool:
        """Move what was set for one name to another, unless that has a setting of its own. False where nothing was set."""
        self._cursor.execute(SQL["rename_tuning"], {"kind": kind, "name": name, "present": present})
        return self._cursor.connection.changes() > 0
