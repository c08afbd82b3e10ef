"""The scheduler's methods that look: records, lists, counts, events. Each is one consistent read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from millrace.model.errors import InvalidTask
from millrace.model.events import Event
from millrace.model.records import TaskId, TaskRecord
from millrace.model.statuses import TaskStatus
from millrace.operations import Operations, at_least
from millrace.store import records
from millrace.subscription import Subscription
from millrace.task import Task


class Looking(Operations):
    """See the module. From any thread."""

    def task(self, id: TaskId) -> TaskRecord:
        """The record of any task, active or settled; TaskNotFound says whether it never was."""
        return self._core.record(id)

    def find(self, task: Task[..., Any] | str, key: str) -> TaskRecord | None:
        """The active root task with that key, else the newest active child, else the newest settled one, else None."""
        record = records.find_record(self._runtime.readers(), self._core.name_of(task), key)
        return None if record is None else self._runtime.with_progress(record)

    def tasks(
        self,
        *,
        status: TaskStatus | Iterable[TaskStatus] | None = None,
        task: Task[..., Any] | str | None = None,
        parent: TaskId | None = None,
        key: str | None = None,
        limit: int = 100,
        before: TaskId | None = None,
    ) -> list[TaskRecord]:
        """Active and settled tasks by every filter given, newest first; page with ``before=last.id``."""
        found = records.read_tasks(
            self._runtime.readers(),
            statuses=_statuses(status),
            name=None if task is None else self._core.name_of(task),
            parent=parent,
            key=key,
            limit=at_least("limit", limit, 1),
            before=before,
        )
        return [self._runtime.with_progress(record) for record in found]

    def count(
        self,
        *,
        status: TaskStatus | Iterable[TaskStatus] | None = None,
        task: Task[..., Any] | str | None = None,
        parent: TaskId | None = None,
    ) -> int:
        """How many active and settled tasks pass every filter given."""
        return records.count_tasks(
            self._runtime.readers(),
            statuses=_statuses(status),
            name=None if task is None else self._core.name_of(task),
            parent=parent,
        )

    def children(self, parent: TaskId) -> Iterator[TaskRecord]:
        """Every child a task ever had, by id, streamed."""
        return self._core.children(parent)

    def subscribe(
        self,
        *,
        kinds: Iterable[type[Event]] | None = None,
        domain: str | None = None,
        task: Task[..., Any] | str | None = None,
        maxsize: int = 10_000,
    ) -> Subscription:
        """Events of all that is committed after this returns.

        Args:
            kinds: event classes, base classes too; all where left out.
            domain: of task events only this domain's; events of no task come through.
            task: of task events only this task's, in the same way.
            maxsize: events kept for a slow reader, at least 1; the oldest go first, and are counted.
        """
        subscription = Subscription(
            self._runtime.hub,
            kinds=kinds,
            domain=domain,
            task=None if task is None else self._core.name_of(task),
            maxsize=at_least("maxsize", maxsize, 1),
        )
        self._runtime.await_turn()
        return subscription


def _statuses(status: TaskStatus | Iterable[TaskStatus] | None) -> list[str] | None:
    if status is None:
        return None
    given = [status] if isinstance(status, str) else list(status)
    try:
        return [TaskStatus(one).value for one in given]
    except ValueError as error:
        raise InvalidTask(f"status: expected a TaskStatus, got {error}") from error
