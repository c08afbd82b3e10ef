"""Looking at a store without a scheduler: it only reads, whether another process runs the store or nobody does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Any, Self

from millrace.model.filters import Filters
from millrace.model.measures import FileSizes, QueueState
from millrace.model.pauses import Pause
from millrace.model.records import ChildSummary, TaskId, TaskRecord
from millrace.model.schedule import ScheduleInfo
from millrace.model.statuses import TaskStatus
from millrace.store import checks, looking, records
from millrace.store.connection import check_path, locate
from millrace.store.filesystem import check_place
from millrace.store.measures import measure_files, measure_queue
from millrace.store.ownership import Owner, read_owner
from millrace.store.pausing import read_pauses
from millrace.store.reading import open_to_read, read_version
from millrace.store.series import read_schedules
from millrace.store.snapshots import StoredSnapshot, read_snapshot


@dataclass(frozen=True, slots=True)
class FlowState:
    """What a flow's caller keeps in it."""

    state: Any
    revision: int


class Viewer:
    """See the module. From any thread; ``with Viewer("tasks.db") as viewer:`` closes it.

    Progress is what the store has of it, which its owner writes at most twice a second.

    Args:
        path: of a store that is there.

    Raises:
        StoreError: there is none, it cannot be read, or another version of millrace made it.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._location = locate(path)
        self._readers = open_to_read(self._location)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._readers.close()

    # Tasks

    def task(self, id: TaskId) -> TaskRecord:
        """The record of any task, active or settled; TaskNotFound says whether it never was."""
        return records.read_record(self._readers, id)

    def tasks(self, filters: Filters, *, limit: int, before: TaskId | None = None) -> list[TaskRecord]:
        """Active and settled tasks by every filter, newest first; page with ``before=last.id``."""
        return looking.read_tasks(self._readers, filters, limit=limit, before=before)

    def count(self, filters: Filters) -> int:
        """How many active and settled tasks pass."""
        return looking.count_tasks(self._readers, filters)

    def active_ids(self, filters: Filters) -> Sequence[TaskId]:
        """The ids of all active tasks that pass, ascending."""
        return looking.read_active_ids(self._readers, filters)

    def children(self, parent: TaskId) -> Iterator[TaskRecord]:
        """Every child a task ever had, by id, streamed."""
        return records.read_children(self._readers, parent)

    def child_summary(self, parent: TaskId) -> ChildSummary:
        """One consistent count of the children of a task's present round; TaskNotFound."""
        return records.summarize_children(self._readers, parent, records.read_round(self._readers, parent))

    def dependents(self, id: TaskId) -> list[TaskId]:
        """The active tasks that still wait for a task."""
        return records.read_dependents(self._readers, id)

    def log(self, id: TaskId) -> str | None:
        """What the task's last run has logged, once it has ended; TaskNotFound."""
        return records.read_log(self._readers, id)

    # Beside tasks

    def schedules(self) -> list[ScheduleInfo]:
        """The series that have not ended, by id."""
        return read_schedules(self._readers)

    def find_flow(self, key: str) -> TaskId:
        """The newest flow under a key that is active, else the newest; TaskNotFound."""
        return records.find_flow(self._readers, key)

    def flow(self, id: TaskId) -> FlowState:
        """State and revision of a flow; TaskNotFound."""
        return FlowState(*records.read_flow(self._readers, id))

    def snapshot(self) -> StoredSnapshot:
        """What is active, of one moment."""
        return read_snapshot(self._readers, None)

    def pauses(self) -> list[Pause]:
        """All pauses in force."""
        return read_pauses(self._readers)

    def settled_counts(self) -> dict[TaskStatus, int]:
        """How many tasks of the history have ended in each way, 0 included; by index."""
        return looking.count_settled(self._readers)

    def owner(self) -> Owner | None:
        """Who runs the store now; None: nobody does."""
        return read_owner(self._location)

    # Is it sound?

    def schema_version(self) -> int:
        """The step that the file's schema is at."""
        return read_version(self._readers)

    def check_place(self) -> None:
        """UnsafeFilesystem where locks of the file system are not to be relied on; StoreError where the place will not do else."""
        check_place(self._location)

    def damage(self) -> list[str]:
        """What SQLite finds wrong with the file, at most 10 lines: it reads all of it."""
        return checks.check_pages(self._readers)

    def broken_rules(self) -> dict[str, list[TaskId]]:
        """The rules of every committed state, each with some of the tasks that break it."""
        return checks.check_rules(self._readers)

    def queued_names(self) -> list[str]:
        """The names of the tasks in the queue."""
        return checks.read_names(self._readers)

    def back_up(self, target: str) -> int:
        """Copy the store as of one moment to a new file, also while it is run. Its bytes.

        Raises:
            ValueError: the name is none that a store can have, such as one that is not UTF-8.
            StoreError: there is a file of that name, or it cannot be written.
        """
        return checks.copy_to(self._readers, check_path(target))

    def vacuum(self) -> None:
        """Close, and write the file anew without the room that is free in it. StoreLocked where a process runs it."""
        self.close()
        checks.vacuum(self._location)

    def queue(self) -> QueueState:
        """The active tasks by name and status, and when schedules run: one pass over all of them."""
        return measure_queue(self._readers)

    def sizes(self) -> FileSizes:
        """What the store takes on its disk."""
        return measure_files(self._location)
