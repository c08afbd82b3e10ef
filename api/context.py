"""Inside a task: what a body is given as its first argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from millrace.logs import TaskLogger
from millrace.model.durations import Seconds, to_seconds
from millrace.model.errors import InterruptReason, NoParent, ParentClosed, PermanentError, TaskInterrupted
from millrace.model.io import check_bytes
from millrace.model.numbers import check_whole
from millrace.model.records import ChildResult, ChildSummary, TaskId, TaskRecord
from millrace.model.rows import Phase
from millrace.model.statuses import TaskStatus
from millrace.operations import expect_batch, expect_member, expect_text, expect_type

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.executors.run import Run
    from millrace.handle import Outcome
    from millrace.scheduler import Scheduler
    from millrace.task import Submission, Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Place(NamedTuple):
    """Where in the tree a submission goes, and the run that puts it there."""

    parent_id: int
    spawner_id: int | None = None
    spawner_run: int | None = None


class Context:
    """What a body is given: its own record, progress, cancellation, children, shared state.

    Usable from any thread while the run lasts.
    """

    __slots__ = ("_core", "_log", "_monotonic", "_record", "_run")

    def __init__(self, core: Core, run: Run) -> None:
        """Made by the runtime, one a run."""
        self._core = core
        self._run = run
        self._monotonic = core.runtime.times.monotonic
        self._record: TaskRecord | None = None
        self._log: TaskLogger | None = None

    @property
    def id(self) -> TaskId:
        """The task's id."""
        return self._run.claim.id

    @property
    def record(self) -> TaskRecord:
        """The task's record at the start of this run."""
        if self._record is None:
            self._record = self._core.record_of(self._run.claim)
        return self._record

    @property
    def log(self) -> TaskLogger:
        """A standard logger with this task bound: ``millrace.task.DOMAIN.TASK``, records with ``task_id``, ``task_name``, ``run``.

        Levels and handlers are the application's. What passes its level is kept with the run, for ``Scheduler.log``.
        """
        if self._log is None:
            self._log = TaskLogger(self._run)
        return self._log

    @property
    def attempt(self) -> int:
        """1 on the first run, one more with each retry."""
        return self._run.claim.retries + 1

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that runs this."""
        return self._core.scheduler

    # Cancellation is cooperative

    @property
    def cancelled(self) -> bool:
        """Whether this run was asked to stop."""
        return self._run.asked is not None

    def check_cancelled(self) -> None:
        """A point at which this run can be stopped.

        Raises:
            TaskInterrupted: it was asked to stop.
        """
        if self._run.asked is not None:
            raise self._interruption(self._run.asked)

    def wait_cancelled(self, timeout: Seconds) -> bool:
        """Sleep that a request to stop wakes up: True where this run is to stop."""
        return self._run.wait_asked(to_seconds(timeout, "timeout"))

    # Progress and IO

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Report how far this run is: 0.0 to 1.0 (cut to it; NaN is ignored). Costs under a microsecond.

        Raises:
            TaskInterrupted: this run was given up. RuntimeError: it is over. TypeError: no number, or no text.
        """
        run = self._run
        if run.is_abandoned or run.has_ended:
            self._check_alive()
        if message is not None:
            expect_text("message", message)
        try:
            is_number = not isnan(fraction)
        except TypeError:
            raise TypeError(f"fraction: expected a number from 0.0 to 1.0, got {type(fraction).__name__}") from None
        if is_number:
            run.fraction = 0.0 if fraction < 0.0 else 1.0 if fraction > 1.0 else float(fraction)
            run.reported_at = self._monotonic()
        if message is not None:
            run.message = message
        if not run.is_fresh:
            self._core.runtime.progress.note(run)

    def track(self, items: Iterable[T], total: int | None = None, message: str | None = None) -> Iterator[T]:
        """Iterate with progress and a point to stop at each step.

        Args:
            items: yielded as they are.
            total: how many there are, where ``len`` does not tell.
            message: shown with the progress.

        Raises:
            TypeError, ValueError: an argument is not as said; at once.
        """
        given: object = items
        if not isinstance(given, Iterable) and not hasattr(given, "__getitem__"):
            raise TypeError(f"items: expected an iterable, got {type(given).__name__}")
        if message is not None:
            expect_text("message", message)
        if total is None:
            total = len(items) if isinstance(items, Sized) else None
        else:
            check_whole(total, "total", least=0, most=None)
        return self._tracked(items, total, message)

    def _tracked(self, items: Iterable[T], count: int | None, message: str | None) -> Iterator[T]:
        for done, item in enumerate(items, 1):
            self.check_cancelled()
            yield item
            if count:
                self.progress(done / count, message)
        self.check_cancelled()
        self.progress(1.0, message)

    def set_bytes_total(self, total: int) -> None:
        """Say how many bytes this run is to do in all; the last call counts. From any thread of the body.

        A task without a report of its own is as far as its bytes are. Under a parent it weighs as much as it has bytes.

        Args:
            total: bytes, 0 or more.

        Raises:
            TaskInterrupted: this run was given up. RuntimeError: it is over. TypeError, ValueError: no such number of bytes.
        """
        run = self._run
        if run.is_abandoned or run.has_ended:
            self._check_alive()
        run.expect_bytes(check_bytes(total, "set_bytes_total"))
        if not run.is_fresh:
            self._core.runtime.progress.note(run)

    def add_bytes(self, n: int) -> None:
        """Say that so many more bytes are done. From any thread of the body; costs under a microsecond.

        Args:
            n: bytes since the last call, 0 or more.

        Raises:
            TaskInterrupted: this run was given up. RuntimeError: it is over. TypeError, ValueError: no such number of bytes.
        """
        run = self._run
        if run.is_abandoned or run.has_ended:
            self._check_alive()
        run.add_bytes(check_bytes(n, "add_bytes"))
        if not run.is_fresh:
            self._core.runtime.progress.note(run)

    def record_io(self, *, disk_read: int = 0, disk_write: int = 0, net_rx: int = 0, net_tx: int = 0) -> None:
        """Add to what this run has moved: it is compared with the task's ``io`` while it runs, and kept as ``actual_io``.

        From any thread of the body. A run that records nothing says nothing: it does not count as one that moved nothing.

        Args:
            disk_read: bytes read from disk since the last call, 0 or more, as all of these.
            disk_write: bytes written to disk.
            net_rx: bytes received.
            net_tx: bytes sent.

        Raises:
            TaskInterrupted: this run was given up. RuntimeError: it is over. TypeError, ValueError: no such number of bytes.
        """
        self._check_alive()
        self._run.record_io(
            (
                check_bytes(disk_read, "disk_read"),
                check_bytes(disk_write, "disk_write"),
                check_bytes(net_rx, "net_rx"),
                check_bytes(net_tx, "net_tx"),
            )
        )

    # Children: each call returns once the children are durable

    def spawn_child(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Store a child of this task.

        Raises:
            ParentClosed: this task's end is decided. TypeError, InvalidTask, UnknownTask: as ``Scheduler.submit``.
        """
        outcomes: list[Outcome[R]] = self._spawn(self.below(), [self._core.call(task, args, kwargs)], is_batch=False)
        return outcomes[0]

    def spawn_children(self, submissions: Iterable[Submission[R]]) -> list[Outcome[R]]:
        """Store children of this task in one transaction, all or none."""
        return self._spawn(self.below(), list(expect_batch(submissions)), is_batch=True)

    def spawn_sibling(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Store a task under this task's own parent.

        Raises:
            NoParent: it has none. ParentClosed: the parent's end is decided.
        """
        outcomes: list[Outcome[R]] = self._spawn(self.beside(), [self._core.call(task, args, kwargs)], is_batch=False)
        return outcomes[0]

    def spawn_siblings(self, submissions: Iterable[Submission[R]]) -> list[Outcome[R]]:
        """Store tasks under this task's own parent in one transaction, all or none."""
        return self._spawn(self.beside(), list(expect_batch(submissions)), is_batch=True)

    def submit(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Store a root task of the same scheduler, with its own domain's defaults."""
        self._check_alive()
        return self._core.scheduler.submit(task, *args, **kwargs)

    def child_results(
        self, task: Task[..., R] | None = None, *, status: TaskStatus | None = None
    ) -> Iterator[ChildResult[R]]:
        """The settled children of the present round, in the order of their commits.

        Streamed from the store: memory does not grow with their number. Ends after the last that had settled by then.

        Args:
            task: only children of this type, their memos decoded by its return annotation; else memos are plain JSON.
            status: only children that ended so.

        Raises:
            PermanentError: a memo does not decode. TypeError, InvalidTask: an argument is not as said; at once.
        """
        if task is not None:
            self._core.expect_task(task)
        if status is not None:
            status = expect_member("status", TaskStatus, status)
        return self._child_results(task, status)

    def _child_results(self, task: Task[..., R] | None, status: TaskStatus | None) -> Iterator[ChildResult[R]]:
        claim = self._run.claim
        for child_id, name, key, label, ended, memo, error in self._core.child_results(claim.id, claim.round, status):
            if task is None or name == task.name:
                is_well = ended == TaskStatus.COMPLETED.value
                value = self._core.child_memo(task, child_id, memo) if is_well else None
                yield ChildResult(child_id, name, key, label, TaskStatus(ended), value, None if is_well else error)

    def child_summary(self) -> ChildSummary:
        """One consistent count of the children of the present round."""
        claim = self._run.claim
        return self._core.child_summary(claim.id, claim.round)

    def state(self, kind: type[T], *, domain: str | None = None) -> T:
        """The application's object of that type: the one given to the task's domain, else to the scheduler. Not a copy.

        Args:
            kind: its type; where there is none of exactly that, the newest of a type derived from it.
            domain: another domain, by its name, in place of the task's own.

        Raises:
            LookupError: there is none. UnknownTask, which is one: the scheduler has no such domain.
            TypeError: an argument is not as said.
        """
        expect_type("kind", kind)
        if domain is not None:
            expect_text("domain", domain)
        return self._core.find_state(kind, self._run.claim.name.partition("::")[0] if domain is None else domain)

    # For the runtime

    def below(self) -> Place:
        """Where children of this task are stored."""
        return self._place(self.id)

    def beside(self) -> Place:
        """Where siblings of this task are stored; NoParent."""
        claim = self._run.claim
        if claim.parent_id is None:
            raise NoParent(claim.id, claim.name)
        return self._place(claim.parent_id)

    def _place(self, parent_id: int) -> Place:
        """A place for what this run spawns: not after its end, nor from the cancel hook."""
        self._check_alive()
        claim = self._run.claim
        if claim.phase == Phase.HOOK:
            raise ParentClosed(claim.id, TaskStatus.CANCELLING)
        return Place(parent_id, claim.id, claim.run)

    def _spawn(self, place: Place, submissions: list[Submission[Any]], *, is_batch: bool) -> list[Outcome[Any]]:
        if not submissions:
            return []
        return self._core.spawn(place, submissions, is_batch=is_batch)

    def _check_alive(self) -> None:
        """A run that was given up or is over must not write any more."""
        if self._run.is_abandoned:
            raise self._interruption(self._run.asked or "shutdown")
        if self._run.has_ended:
            raise RuntimeError(
                f"the run of task {self.id} is over, and so is its context; use ctx.scheduler's own methods from other threads"
            )

    def _interruption(self, reason: InterruptReason) -> TaskInterrupted:
        return self._core.interruption(self._run, reason)


def undecodable(child_id: int, error: Exception) -> PermanentError:
    """The error for a child's memo that does not fit its type."""
    return PermanentError(f"child {child_id}: expected a memo of its task's return type, got another: {error}")
