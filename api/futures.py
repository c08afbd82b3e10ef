"""Handles as futures. One thread of its own completes them, so that no callback of a user runs in an actor's thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from millrace.actors.mailbox import Reply
from millrace.actors.requests import Watch

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.model.records import TaskRecord


class _Callback(Reply[str]):
    """A reply that passes itself on when it is answered."""

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[Reply[str]], None]) -> None:
        super().__init__()
        self._then = then

    def set(self, value: str) -> None:
        if not self.is_set:
            super().set(value)
            self._then(self)

    def fail(self, error: BaseException) -> None:
        if not self.is_set:
            super().fail(error)
            self._then(self)


class Futures:
    """The futures of one scheduler. Its thread starts with the first and is a daemon."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def of(self, task_id: int, value_of: Callable[[TaskRecord], Any]) -> Future[Any]:
        """A future of a task's value; cancelling it gives up the waiting only."""
        future: Future[Any] = Future()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="millrace-futures", daemon=True)
                self._thread.start()
        reply = _Callback(lambda answered: self._done.put(partial(self._complete, future, task_id, answered, value_of)))
        self._core.runtime.tell(Watch(task_id, reply))
        return future

    def stop(self) -> None:
        """Complete what is there, then end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._done.put(_End())
            thread.join(5.0)

    def _work(self) -> None:
        while True:
            complete = self._done.get()
            if isinstance(complete, _End):
                return
            complete()

    def _complete(
        self, future: Future[Any], task_id: int, reply: Reply[str], value_of: Callable[[TaskRecord], Any]
    ) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            reply.result()
            value = value_of(self._core.record(task_id))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the future's
            future.set_exception(error)
        else:
            future.set_result(value)


class _End:
    """The last entry."""

    def __call__(self) -> None:
        """Nothing."""
