"""What is measured of an open store: its queue, its schedules, its files. From any thread, on a reader's connection."""

import os
from pathlib import Path

import apsw

from millrace.model.measures import FileSizes, QueueCount, QueueState, ScheduleTimes
from millrace.store.connection import Location
from millrace.store.readers import Readers
from millrace.store.statements import SQL


def measure_queue(readers: Readers) -> QueueState:
    """One pass over the active tasks, some 0.7 s for a million of them, and a look at each schedule."""
    with readers.borrow() as connection:
        counts = [QueueCount(*row) for row in connection.execute(SQL["measure_queue"])]
        schedules = [ScheduleTimes(*row) for row in connection.execute(SQL["measure_schedules"])]
    return QueueState(counts, schedules)


def measure_files(location: Location) -> FileSizes:
    """What the store takes, and what is left.

    Raises:
        OSError: the store's file is gone.
    """
    try:
        log = Path(location.wal_path).stat().st_size
    except FileNotFoundError:
        log = 0  # as long as nobody has the store open
    disk = os.statvfs(location.directory)
    return FileSizes(Path(location.real_path).stat().st_size, log, disk.f_bavail * disk.f_frsize)


def sqlite_versions() -> tuple[str, str]:
    """Of SQLite and of apsw."""
    return apsw.sqlite_lib_version(), apsw.apsw_version()
