"""What a submit gives back: ``Outcome`` and ``TaskHandle``."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from millrace.model.durations import Seconds
from millrace.model.errors import MillraceError, TaskCancelled, TaskExpired, TaskFailed
from millrace.model.records import TaskId, TaskRecord
from millrace.model.statuses import SubmitKind, TaskStatus

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.definition import Definition

R = TypeVar("R")


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What became of a submission. ``id`` is the new task where there is one, else the task that holds the key."""

    kind: SubmitKind
    id: TaskId
    replaced: TaskId | None = None
    group_paused: bool = False
    _core: Core | None = field(default=None, repr=False, compare=False)
    _definition: Definition | None = field(default=None, repr=False, compare=False)

    @property
    def handle(self) -> TaskHandle[R]:
        """A handle of the task."""
        if self._core is None:
            raise MillraceError("this outcome was made by hand: only one that a submit gave leads to its task")
        return TaskHandle(self._core, self.id, self._definition)

    def wait(self, timeout: Seconds | None = None) -> TaskRecord:
        """The terminal record, once there is one. See ``TaskHandle.wait``."""
        return self.handle.wait(timeout)

    def result(self, timeout: Seconds | None = None) -> R:
        """The memo, once the task has completed. See ``TaskHandle.result``."""
        return self.handle.result(timeout)


class TaskHandle(Generic[R]):
    """A task of a scheduler, by its id. Usable from any thread, bodies included."""

    id: TaskId

    def __init__(self, core: Core, task_id: TaskId, definition: Definition | None) -> None:
        """Made by ``Outcome.handle``."""
        self.id = task_id
        self._core = core
        self._definition = definition

    def record(self) -> TaskRecord:
        """The record as it is now; TaskNotFound."""
        return self._core.record(self.id)

    def status(self) -> TaskStatus:
        """The status as it is now; TaskNotFound."""
        return self._core.status(self.id)

    def wait(self, timeout: Seconds | None = None) -> TaskRecord:
        """Wait for the terminal record.

        A body that waits lends its slot for as long, so that waiting never blocks what it waits for.

        Args:
            timeout: seconds; None waits for as long as it takes, 0 looks once.

        Raises:
            TimeoutError: it did not end in time.
            TaskInterrupted: the body that waits was asked to stop.
            RuntimeError: a body waits for its own task or for one above it, which would never end.
            SchedulerStopped: the scheduler stopped meanwhile.
        """
        return self._core.wait(self.id, timeout)

    def result(self, timeout: Seconds | None = None) -> R:
        """Wait for the memo, decoded by the body's return annotation.

        Raises:
            TaskCancelled: it ended cancelled or superseded. TaskExpired: its time to live was over.
            TaskFailed: it ended badly otherwise.
            TimeoutError, TaskInterrupted, RuntimeError, SchedulerStopped: as ``wait``.
        """
        return cast("R", self._value(self.wait(timeout)))

    def future(self) -> Future[R]:
        """The same value or exception as a future. Cancelling the future gives up the waiting, not the task.

        A body that waits for a future keeps its slot meanwhile, as nobody knows of it; ``wait`` and ``result`` lend it.
        """
        return self._core.futures.of(self.id, self._value)

    def cancel(self) -> bool:
        """Cancel the task; whether the cancel was accepted."""
        return self._core.cancel(self.id).accepted

    def children(self) -> Iterator[TaskRecord]:
        """Every child the task ever had, by id, streamed."""
        return self._core.children(self.id)

    def _value(self, record: TaskRecord) -> Any:
        if record.status is TaskStatus.COMPLETED:
            return record.memo if self._definition is None else self._definition.decode_memo(record.memo)
        raise failure(record)

    def __repr__(self) -> str:
        return f"<TaskHandle {self.id}>"


def failure(record: TaskRecord) -> TaskFailed:
    """The error of a task that did not complete."""
    if record.status in (TaskStatus.CANCELLED, TaskStatus.SUPERSEDED):
        return TaskCancelled(record)
    return TaskExpired(record) if record.status is TaskStatus.EXPIRED else TaskFailed(record)
