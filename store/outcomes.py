"""Reading how the tasks of a name have ended lately."""

from collections.abc import Sequence
from typing import Final

import msgspec

from millrace.model.io import decode_io
from millrace.model.stats import PastRun
from millrace.model.statuses import TaskStatus
from millrace.store.looking import reading
from millrace.store.readers import Readers
from millrace.store.records import holdable
from millrace.store.statements import SQL

RUNS: Final = 1000
"""Newest runs of a task that statistics are made of."""
_ENDS: Final = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.DEAD_LETTER)


def read_past_runs(readers: Readers, names: Sequence[str]) -> list[PastRun]:
    """The newest 1,000 tasks of these names that ended COMPLETED, FAILED or DEAD_LETTER."""
    with readers.borrow() as connection, reading(connection):
        newest: list[int] = []
        for name in names:
            for status in _ENDS:
                asked = {"name": holdable(name), "status": status.value, "limit": RUNS}
                newest += (seq for (seq,) in connection.execute(SQL["select_newest_ends"], asked))
        places = msgspec.json.encode(sorted(newest, reverse=True)[:RUNS]).decode()
        found = connection.execute(SQL["select_past_runs"], {"places": places})
        return [PastRun(TaskStatus(status), duration_s, decode_io(io)) for status, duration_s, io in found]


def read_newest_completed(readers: Readers, limit: int) -> dict[str, list[tuple[float, str | None]]]:
    """Of each task name in the history its newest completed runs, oldest first: seconds, and IO as it is stored."""
    with readers.borrow() as connection, reading(connection):
        found: dict[str, list[tuple[float, str | None]]] = {}
        for name, duration_s, io in connection.execute(SQL["select_newest_completed"], {"limit": limit}):
            found.setdefault(name, []).append((duration_s, io))
        return found
