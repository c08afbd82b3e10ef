"""The scheduler's methods that look: records, lists, counts, events. Each is one consistent read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millrace.model.errors import TaskNotFound
from millrace.model.events import Event
from millrace.model.filters import Filters
from millrace.model.metrics import MetricsSnapshot
from millrace.model.records import TaskId, TaskRecord
from millrace.model.snapshots import Snapshot
from millrace.model.stats import TypeStats, sum_up
from millrace.model.statuses import TaskStatus
from millrace.model.tags import NO_TAGS
from millrace.operations import Operations, at_least, expect_id, expect_member, expect_several, expect_text
from millrace.snapshots import make_snapshot
from millrace.store import looking, outcomes, records
from millrace.store.connection import MEMORY
from millrace.subscription import Subscription
from millrace.task import Task

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.metrics.readings import Reader


class Looking(Operations):
    """See the module. From any thread."""

    def task(self, id: TaskId) -> TaskRecord:
        """The record of any task, active or settled; TaskNotFound says whether it never was."""
        return self._core.record(expect_id(id))

    def find(self, task: Task[..., Any] | str, key: str) -> TaskRecord | None:
        """The active root task with that key, else the newest active child, else the newest settled one, else None."""
        record = looking.find_record(self._runtime.readers(), self._core.names_of(task), expect_text("key", key))
        return None if record is None else self._runtime.with_progress(record)

    def tasks(
        self,
        *,
        status: TaskStatus | Iterable[TaskStatus] | None = None,
        task: Task[..., Any] | str | None = None,
        domain: str | None = None,
        group: str | None = None,
        parent: TaskId | None = None,
        tags: Mapping[str, str] | None = None,
        tag_prefix: str | None = None,
        key: str | None = None,
        limit: int = 100,
        before: TaskId | None = None,
    ) -> list[TaskRecord]:
        """Active and settled tasks by every filter given, newest first; page with ``before=last.id``.

        Args:
            status: one, or any of several.
            task: itself or its qualified name; names it had before count too.
            domain: its name.
            group: its name.
            parent: the id of the parent.
            key: exactly this one.
            tags: all of these pairs. Empty, it filters nothing.
            tag_prefix: how the key of some tag begins, case-sensitive. Empty, it filters nothing.
            limit: how many at most, from 1.
            before: only tasks with a lower id.

        Raises:
            ValueError: ``limit`` is below 1, or ``status`` is none.
        """
        filters = make_filters(
            self._core,
            status=status,
            task=task,
            domain=domain,
            group=group,
            parent=parent,
            tags=tags,
            tag_prefix=tag_prefix,
            key=key,
        )
        found = looking.read_tasks(
            self._runtime.readers(),
            filters,
            limit=at_least("limit", limit, 1),
            before=None if before is None else expect_id(before, "before"),
        )
        return [self._runtime.with_progress(record) for record in found]

    def count(
        self,
        *,
        status: TaskStatus | Iterable[TaskStatus] | None = None,
        task: Task[..., Any] | str | None = None,
        domain: str | None = None,
        group: str | None = None,
        parent: TaskId | None = None,
        tags: Mapping[str, str] | None = None,
        tag_prefix: str | None = None,
    ) -> int:
        """How many active and settled tasks pass every filter given; each is as in ``tasks``."""
        filters = make_filters(
            self._core,
            status=status,
            task=task,
            domain=domain,
            group=group,
            parent=parent,
            tags=tags,
            tag_prefix=tag_prefix,
        )
        return looking.count_tasks(self._runtime.readers(), filters)

    def tag_values(self, key: str, *, domain: str | None = None) -> Mapping[str, int]:
        """How many tasks, active and settled, have each value of a tag: most first, ties by value."""
        return looking.read_tag_values(self._runtime.readers(), expect_text("key", key), _text("domain", domain))

    def tag_keys(self, prefix: str = "", *, domain: str | None = None) -> list[str]:
        """The keys of the tags of active and settled tasks that begin so, sorted."""
        return looking.read_tag_keys(self._runtime.readers(), expect_text("prefix", prefix), _text("domain", domain))

    def dependencies(self, id: TaskId) -> list[TaskId]:
        """What a task depends on, as its submission declared it; nothing where there is no such task, or no more."""
        try:
            return list(self._core.record(expect_id(id)).depends_on)
        except TaskNotFound:
            return []

    def dependents(self, id: TaskId) -> list[TaskId]:
        """The active tasks that still wait for a task, ascending; none where there is no such task."""
        return records.read_dependents(self._runtime.readers(), expect_id(id))

    def children(self, parent: TaskId) -> Iterator[TaskRecord]:
        """Every child a task ever had, by id, streamed."""
        return self._core.children(expect_id(parent, "parent"))

    def metrics(self) -> MetricsSnapshot:
        """What was counted since this scheduler was made, and the gauges as they are now: see ``MetricsSnapshot`` for the names.

        Never raises and opens nothing: before ``start()`` and after ``stop()`` what would have to be read of the store is
        left out. At a moment's reading ``runs_started_total`` less ``runs_finished_total`` is ``running``.
        """
        from millrace.metrics.snapshot import snapshot  # noqa: PLC0415 - who never asks need not load it

        return snapshot(self.__metrics__().read())

    def __metrics__(self) -> Reader:
        """For `millrace.metrics`: what reads this scheduler."""
        return self._core.metrics_reader()

    def __task__(self, name: str) -> Task[..., Any] | None:
        """For `millrace.cli`: the task of a qualified name, or of one that it had before."""
        return self._core.task_named(name)

    def __is_in_memory__(self) -> bool:
        """For `millrace.cli`: whether its store ends with it."""
        return self._core.path == MEMORY

    def log(self, id: TaskId) -> str | None:
        """What the task's last run has logged, a line a message at least: live while it runs here. None: nothing.

        Not a field of the record: it may have 64 KiB, which a list of a hundred records should not have to carry. The first
        line says how many older ones were dropped, where some were.

        Raises:
            TaskNotFound: there is no such task, or no more.
        """
        return self._core.log(expect_id(id))

    def snapshot(self) -> Snapshot:
        """Everything a dashboard shows: what is in the store as one read saw it, with the progress and limits of this moment.

        Before ``start()`` nothing runs and nothing is measured: pressure is 0 and buckets are full.

        Raises:
            StoreError: the store could not be read; a failed read is no empty queue.
        """
        return make_snapshot(self._core)

    def stats(self, task: Task[..., Any] | str) -> TypeStats:
        """What the newest 1,000 tasks of a type that ended COMPLETED, FAILED or DEAD_LETTER were like; zeros without any.

        Args:
            task: itself or its qualified name; names it had before count too.
        """
        return sum_up(outcomes.read_past_runs(self._runtime.readers(), self._core.names_of(task)))

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

        Raises:
            TypeError, ValueError: an argument is not as said. SchedulerStopped: after ``stop()``, as nothing would end it.
        """
        subscription = Subscription(
            self._runtime.hub,
            kinds=kinds,
            domain=_text("domain", domain),
            task=None if task is None else self._core.name_of(task),
            maxsize=at_least("maxsize", maxsize, 1),
        )
        try:
            self._runtime.await_turn()
        except BaseException:
            subscription.close()
            raise
        return subscription


def make_filters(
    core: Core,
    *,
    status: TaskStatus | Iterable[TaskStatus] | None = None,
    task: Task[..., Any] | str | None = None,
    domain: str | None = None,
    group: str | None = None,
    parent: TaskId | None = None,
    tags: Mapping[str, str] | None = None,
    tag_prefix: str | None = None,
    key: str | None = None,
) -> Filters:
    """What a caller asks for, as the store takes it."""
    return Filters(
        statuses=_statuses(status),
        names=None if task is None else core.names_of(task),
        domain=_text("domain", domain),
        group=_text("group", group),
        parent=None if parent is None else expect_id(parent, "parent"),
        tags=_pairs(tags),
        tag_prefix=_text("tag_prefix", tag_prefix) or "",
        key=_text("key", key),
    )


def _text(what: str, value: str | None) -> str | None:
    return None if value is None else expect_text(what, value)


def _pairs(tags: Mapping[str, str] | None) -> Mapping[str, str]:
    given: object = NO_TAGS if tags is None else tags
    if not isinstance(given, Mapping):
        raise TypeError(f"tags: expected a mapping of texts, got {type(given).__name__}")
    for key, value in given.items():
        expect_text("tags: key", key)
        expect_text(f"tags: value of {key!r}", value)
    return given


def _statuses(status: TaskStatus | Iterable[TaskStatus] | None) -> frozenset[str] | None:
    if status is None:
        return None
    given = [status] if isinstance(status, str) else expect_several("status", status, "TaskStatus")
    return frozenset(expect_member("status", TaskStatus, one).value for one in given)
