"""One domain of a scheduler: the scheduler's operations, on its tasks alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from millrace.acting import cancel_where
from millrace.looking import make_filters
from millrace.model.errors import UnknownTask
from millrace.model.events import Event
from millrace.model.filters import Filters
from millrace.model.records import TaskId, TaskRecord
from millrace.model.snapshots import Snapshot
from millrace.model.statuses import TaskStatus
from millrace.operations import at_least, expect_text
from millrace.pausing import pause_scope, resume_scope
from millrace.snapshots import make_snapshot
from millrace.store import looking
from millrace.store.pausing import read_pauses
from millrace.subscription import Subscription

if TYPE_CHECKING:
    from millrace.core import Core


class DomainHandle:
    """Made by ``Scheduler.domain``. Usable from any thread."""

    name: str

    def __init__(self, core: Core, name: str) -> None:
        if expect_text("domain", name) not in core.domains:
            raise UnknownTask(name, core.domains)
        self.name = name
        self._core = core

    # Looking

    def tasks(self, *, status: TaskStatus | Iterable[TaskStatus] | None = None, limit: int = 100) -> list[TaskRecord]:
        """Its active and settled tasks, newest first.

        Args:
            status: one, or any of several.
            limit: how many at most, from 1.

        Raises:
            ValueError: ``limit`` is below 1, or ``status`` is none.
        """
        filters = make_filters(self._core, status=status, domain=self.name)
        runtime = self._core.runtime
        found = looking.read_tasks(runtime.readers(), filters, limit=at_least("limit", limit, 1))
        return [runtime.with_progress(record) for record in found]

    def dead_letters(self, limit: int = 100) -> list[TaskRecord]:
        """Its dead letters that nobody has repeated by hand yet, newest first; at most ``limit``, from 1."""
        return looking.read_dead_letters(self._core.runtime.readers(), self.name, at_least("limit", limit, 1))

    def snapshot(self) -> Snapshot:
        """As ``Scheduler.snapshot``, of its tasks alone: their groups, rates and schedules, and its own flag as ``paused``."""
        return make_snapshot(self._core, self.name)

    def subscribe(self, *, kinds: Iterable[type[Event]] | None = None, maxsize: int = 10_000) -> Subscription:
        """Events of all of its tasks that is committed after this returns; see ``Scheduler.subscribe``."""
        return self._core.scheduler.subscribe(kinds=kinds, domain=self.name, maxsize=maxsize)

    # Pausing and tuning

    def pause(self) -> int:
        """Start nothing of the domain until ``resume()``, also over restarts; its queued tasks, present and future, are PAUSED.

        Running bodies are asked to stop with "paused", and their tasks are PAUSED when they end; what ends otherwise counts.

        Returns:
            How many of its active tasks, queued and running, this newly holds; 0 where it is paused already.
        """
        return pause_scope(self._core.runtime, "domain", self.name)

    def resume(self) -> int:
        """End the domain's pause; a pause of the scheduler or of a task's group stays.

        Returns:
            How many of its active tasks, queued and running, nothing pauses any more; 0 where it was not paused.
        """
        return resume_scope(self._core.runtime, "domain", self.name)

    @property
    def is_paused(self) -> bool:
        """Whether the domain itself is paused, as the store says."""
        pauses = read_pauses(self._core.runtime.readers())
        return any((pause.scope, pause.name) == ("domain", self.name) for pause in pauses)

    @property
    def max_concurrency(self) -> int | None:
        """Bodies and finalizers of the domain that run at once; None for no bound of its own.

        Set at run time, more starts at once and less stops nothing; it holds over restarts until the ``Domain`` itself says
        something else than it did. None takes back what was set: the ``Domain``'s own is in force again. ValueError below 1.
        """
        return self._core.runtime.limits.domains.get(self.name)

    @max_concurrency.setter
    def max_concurrency(self, n: int | None) -> None:
        self._core.runtime.tune("domain", self.name, None if n is None else at_least("max_concurrency", n, 1))

    # Acting

    def cancel_all(self) -> list[TaskId]:
        """Cancel all of its active tasks, in steps; the ids whose cancel was accepted."""
        return cancel_where(self._core.runtime, Filters(domain=self.name), None)

    def __repr__(self) -> str:
        return f"<DomainHandle {self.name!r}>"
