"""The series of recurring tasks in the store: what the writer does with them, and the list that users read."""

from collections.abc import Sequence

import apsw
import msgspec

from millrace.model.durations import ms_to_datetime
from millrace.model.rows import SeriesRow
from millrace.model.schedule import ScheduleInfo, decode_schedule
from millrace.store.named import Named, json_text
from millrace.store.readers import Readers
from millrace.store.statements import SQL

_decode_series = msgspec.json.Decoder(list[SeriesRow]).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode


class SeriesTable(Named):
    """Named statements on the writing connection, in the writer's transaction. Used by the persistence actor's thread."""

    def load(self, ids: Sequence[int]) -> list[SeriesRow]:
        """The series among these ids."""
        return _decode_series(self._value("load_series", ids=json_text(ids)))

    def insert(self, series: SeriesRow) -> None:
        """A new series."""
        self._run("insert_series", series=json_text([series]))

    def update(self, series: Sequence[SeriesRow]) -> None:
        """Write these back."""
        self._run("update_series", series=json_text(series))

    def delete(self, series_id: int) -> None:
        """Forget a series."""
        self._run("delete_series", id=series_id)

    def forget_ended(self, name: str, key: str) -> None:
        """Forget that series of a key were ended."""
        self._run("delete_ended_series", name=name, key=key)

    def of_key(self, name: str, key: str) -> int | None:
        """The series that has a key."""
        found: int | None = self._value("find_series_of_key", name=name, key=key)
        return found

    def of_task(self, task_id: int) -> int | None:
        """The id of the series that has this id, or of which the task is a run; it may have ended."""
        if not -(1 << 63) <= task_id < 1 << 63:
            return None  # SQLite has no such integer
        found: int | None = self._value("find_series_of_task", id=task_id)
        return found

    def of_code(self) -> list[int]:
        """Those that follow their task's decorator, ended ones too."""
        return _decode_ids(self._value("select_series_of_code"))

    def due(self, watch: int, now: int, limit: int) -> list[int]:
        """Those whose due time has come by a clock, the earliest first."""
        return _decode_ids(self._value("select_due_series", watch=watch, now=now, limit=limit))

    def next_due(self, watch: int) -> int | None:
        """When the next is to be looked at, by a clock."""
        due: int | None = self._value("select_next_due_series", watch=watch)
        return due

    def late_runs(self, before: int) -> list[int]:
        """Runs whose time is before a moment, and that have not begun."""
        return _decode_ids(self._value("select_late_runs", before=before))


def read_schedules(readers: Readers) -> list[ScheduleInfo]:
    """The series that have not ended, by id."""
    with readers.borrow() as connection:
        return list_schedules(connection)


def list_schedules(connection: apsw.Connection) -> list[ScheduleInfo]:
    """The same in a read that is under way."""
    return [
        ScheduleInfo(
            series_id,
            name,
            key,
            decode_schedule(schedule),
            None if next_ms is None else ms_to_datetime(next_ms),
            None if last_ms is None else ms_to_datetime(last_ms),
            runs,
            skipped,
            bool(paused),
        )
        for series_id, name, key, schedule, next_ms, last_ms, runs, skipped, paused in connection.execute(
            SQL["list_series"]
        )
    ]
