"""The scheduler: what an application makes, starts and submits to."""

from __future__ import annotations

import atexit
import queue
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from types import FrameType, TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from millrace.actors.flows import PREFIX, NewFlow
from millrace.actors.mailbox import Reply
from millrace.actors.requests import OpenFlow, Prune
from millrace.actors.runtime import Runtime, Settings
from millrace.context import Place
from millrace.core import Core
from millrace.flow import Flow
from millrace.handle import Outcome
from millrace.model.codec import check_key, check_task_name, encode_json
from millrace.model.durations import Seconds, to_seconds
from millrace.model.errors import InvalidTask, TaskNotFound
from millrace.model.events import Event
from millrace.model.records import CancelResult, Json, Restarts, TaskId, TaskRecord
from millrace.model.retention import Retention
from millrace.model.retry import Retry
from millrace.model.statuses import TaskStatus
from millrace.options import check_child_concurrency
from millrace.store import records
from millrace.subscription import Subscription
from millrace.task import Domain, Submission, Task

P = ParamSpec("P")
R = TypeVar("R")


class Scheduler:
    """Opens the store, recovers it, and runs tasks between ``start()`` and ``stop()``; usable from any thread.

    ``with Scheduler("tasks.db", domains=[media]) as scheduler:`` starts and stops it. Submitting before ``start()`` queues.

    Args:
        path: the store's file, made where there is none; ":memory:" keeps everything until ``stop()``.
        domains: whose tasks it runs.
        max_concurrency: bodies and finalizers that run at once, at least 1.
        retry: how failed runs are repeated where neither submission, task nor domain says.
        retention: how much of the history is kept; by default the newest 10,000 rows, and as many dead letters.
        progress_interval: seconds between two Progress events of a task at least; None: no such events.
        cancel_timeout: seconds that a body has to end after a cancel, and a cancel hook to run, before it is given up.
        durability: "power" syncs before it acknowledges; "process" at least once a second.
        max_payload: bytes that an encoded payload, memo or flow's state may have.
        restarts: how many failures of the runtime's own actors are put up with.
        max_crashes: a task that was running when the process died so many times in a row goes to the dead letters.
        name: shown in metrics and logs.

    Raises:
        ValueError, TypeError: an argument is not as said. Nothing is opened before the first call that needs the store.
    """

    def __init__(
        self,
        path: str | PathLike[str] = "millrace.db",
        *,
        domains: Iterable[Domain] = (),
        max_concurrency: int = 4,
        retry: Retry | None = None,
        retention: Retention | None = None,
        progress_interval: Seconds | None = 0.5,
        cancel_timeout: Seconds = 30.0,
        durability: Literal["power", "process"] = "power",
        max_payload: int = 1 << 20,
        restarts: Restarts | None = None,
        max_crashes: int = 3,
        name: str = "default",
    ) -> None:
        if durability not in ("power", "process"):
            raise ValueError(f"durability: expected 'power' or 'process', got {durability!r}")
        self.name = name
        settings = Settings(
            max_concurrency=_at_least("max_concurrency", max_concurrency, 1),
            cancel_timeout_s=to_seconds(cancel_timeout, "cancel_timeout"),
            is_power_safe=durability == "power",
            restarts=restarts if restarts is not None else Restarts(),
            max_crashes=_at_least("max_crashes", max_crashes, 1),
            progress_interval_s=None
            if progress_interval is None
            else to_seconds(progress_interval, "progress_interval"),
            retention=_check_retention(retention if retention is not None else Retention()),
        )
        if retry is not None and not isinstance(retry, Retry):
            raise TypeError(f"retry: expected a Retry, got {type(retry).__name__}")
        self._core = Core(
            self,
            path,
            domains=domains,
            retry=retry,
            max_payload=_at_least("max_payload", max_payload, 1),
            settings=settings,
        )
        self._runtime = self._core.runtime
        self._stops_at_exit = False

    # Life

    def start(self) -> Self:
        """Take the store, take up what the last process left, and begin to run tasks. Repeated, it does nothing.

        Raises:
            StoreLocked: another live scheduler, in this process or another, runs this store.
            StoreError: the store cannot be opened.
        """
        self._runtime.start()
        if not self._stops_at_exit:
            self._stops_at_exit = True
            atexit.register(_stop_at_exit, weakref.ref(self._runtime))
        return self

    def stop(self, grace: Seconds = 30.0) -> bool:
        """Start nothing more, wait for what runs, interrupt the rest, close. A second call waits for the first.

        Args:
            grace: seconds that bodies are left alone for; then they are asked to stop.

        Returns:
            Whether all had ended within the grace. What was interrupted is pending again, at no cost.

        Raises:
            RuntimeError: called from a body, which would wait for itself.
        """
        seconds = to_seconds(grace, "grace")
        if self._core.is_body():
            raise RuntimeError("stop() from a body would wait for that body; stop from another thread")
        ended = self._runtime.stop(seconds)
        self._core.futures.stop()
        return ended

    def run(self, grace: Seconds = 30.0) -> None:
        """``start()``, then block until SIGINT or SIGTERM (in the main thread) or ``stop()`` from another thread.

        A first signal drains with ``grace``, a second one stops at once.
        """
        seconds = to_seconds(grace, "grace")
        self.start()
        # A simple queue, as a signal handler may put into it whatever the thread it interrupts is doing.
        happened: queue.SimpleQueue[str] = queue.SimpleQueue()
        signals: list[None] = []

        def on_signal() -> None:
            signals.append(None)
            if len(signals) > 1:
                self._runtime.hurry()
            happened.put("signal")

        def tell_after(wait: Callable[[], object], name: str) -> None:
            def work() -> None:
                try:
                    wait()
                finally:
                    happened.put(name)

            threading.Thread(target=work, name=f"millrace-{name}", daemon=True).start()

        with _Signals(on_signal):
            tell_after(self._runtime.wait_stopped, "stopped")
            if happened.get() == "signal":
                # In another thread: the second signal is handled in this one.
                tell_after(lambda: self.stop(seconds), "drained")
                while happened.get() == "signal":
                    pass
            self.stop(seconds)  # waits for the one under way

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Submitting: returns once durable

    def submit(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Store one task; returns once it is durable.

        Raises:
            TypeError: the arguments do not fit the body. InvalidTask, PayloadTooLarge: a value or option is not as it must be.
            UnknownTask: its domain is not among ``domains``. SchedulerStopped: after ``stop()``.
            StoreError: the store could not be written; CommitUnknown where the disk failed inside the commit.
        """
        outcome: Outcome[R] = self._core.submit(task.call(*args, **kwargs))
        return outcome

    def submit_batch(self, submissions: Iterable[Submission[Any]]) -> list[Outcome[Any]]:
        """Store many in one transaction, all or none. Of two with one key the last counts, the first is DUPLICATE.

        Raises:
            As ``submit``; a note on the error names the entry.
        """
        return self._core.submit_batch(submissions)

    def spawn_child(self, parent: TaskId, submission: Submission[R]) -> Outcome[R]:
        """Add a child to a live parent from outside.

        Raises:
            TaskNotFound: there is no such parent. ParentClosed: it takes no child any more.
        """
        outcomes: list[Outcome[R]] = self._core.spawn(Place(parent), [submission], is_batch=False)
        return outcomes[0]

    # Flows

    def flow(
        self,
        name: str,
        *,
        key: str | None = None,
        state: Json = None,
        fail_fast: bool = True,
        child_concurrency: int | None = None,
    ) -> Flow:
        """The active flow of that name and key as it is, else a new one. Without a key always a new one.

        Args:
            name: what kind of flow it is; its task name is "flow::" and this.
            key: what it is of, unique among active flows of that name.
            state: the caller's own JSON, for a new one.
            fail_fast: whether a failed child fails it.
            child_concurrency: children that may run at once.
        """
        new = NewFlow(
            PREFIX + check_task_name(name, "flow"),
            None if key is None else check_key(key),
            encode_json(state, what="state", max_bytes=self._core.max_payload),
            fail_fast,
            check_child_concurrency(child_concurrency),
        )
        reply: Reply[int] = Reply()
        return Flow(self._core, self._runtime.ask(OpenFlow(new, reply), reply))

    def open_flow(self, key_or_id: str | TaskId) -> Flow:
        """The newest flow that is still active under that key, else the newest; or the flow of that id. TaskNotFound."""
        readers = self._runtime.readers()
        if isinstance(key_or_id, str):
            return Flow(self._core, records.find_flow(readers, key_or_id))
        try:
            records.read_flow(readers, key_or_id)
        except TaskNotFound:
            raise TaskNotFound(key_or_id) from None
        return Flow(self._core, key_or_id)

    # Looking

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
            limit=_at_least("limit", limit, 1),
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
            maxsize=_at_least("maxsize", maxsize, 1),
        )
        self._runtime.await_turn()
        return subscription

    # Acting

    def cancel(self, id: TaskId) -> CancelResult:
        """Cancel a task and everything below it: the intent is recorded first, sticky across restarts, and idempotent.

        Active children of a parent that is terminal already are stopped too.
        """
        return self._core.cancel(id)

    def retry_dead_letter(self, id: TaskId) -> Outcome[Any]:
        """Insert a new task with all that the dead letter's submission had; ``retry_of`` names the old one.

        Raises:
            TaskNotFound: no such task. InvalidTask: it is no dead letter.
        """
        return self._core.repeat(id, dead_letters_only=True)

    def retry(self, id: TaskId) -> Outcome[Any]:
        """The same for every failed end, and for CANCELLED."""
        return self._core.repeat(id, dead_letters_only=False)

    def prune(self, retention: Retention) -> int:
        """Take out of the history, at once, what is beyond these bounds: dead letters and all other rows alike.

        Children of an active task stay. The scheduler's own ``retention`` is not changed.

        Returns:
            How many rows went.
        """
        reply: Reply[int] = Reply()
        return self._runtime.ask(Prune(_check_retention(retention), reply), reply)

    # Tuning at run time

    @property
    def max_concurrency(self) -> int:
        """Bodies and finalizers that run at once. More starts at once; less stops nothing."""
        return self._runtime.slots

    @max_concurrency.setter
    def max_concurrency(self, n: int) -> None:
        self._runtime.set_slots(_at_least("max_concurrency", n, 1))

    def __repr__(self) -> str:
        return f"<Scheduler {self.name!r} on {str(self._core.path)!r}>"


def _at_least(what: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what}: expected an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{what}: expected at least {least}, got {value}")
    return value


def _check_retention(retention: Retention) -> Retention:
    if not isinstance(retention, Retention):
        raise TypeError(f"retention: expected a Retention, got {type(retention).__name__}")
    return retention


def _statuses(status: TaskStatus | Iterable[TaskStatus] | None) -> list[str] | None:
    if status is None:
        return None
    given = [status] if isinstance(status, str) else list(status)
    try:
        return [TaskStatus(one).value for one in given]
    except ValueError as error:
        raise InvalidTask(f"status: expected a TaskStatus, got {error}") from error


class _Signals:
    """SIGINT and SIGTERM for as long as ``run`` blocks, in the main thread only; the old handlers come back."""

    def __init__(self, on_signal: Any) -> None:
        self._on_signal = on_signal
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._on_signal()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _stop_at_exit(runtime: weakref.ref[Runtime]) -> None:
    """A program that ends without ``stop()`` ends as after ``stop(0)``: nothing keeps the interpreter from its exit."""
    alive = runtime()
    if alive is not None:
        alive.stop_at_exit()
