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
from millrace.store.records import make_record
from millrace.store.writer import SettledRow

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.model.records import TaskRecord


class _Callback(Reply[SettledRow]):
    """A reply that passes itself on when it is answered."""

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[Reply[SettledRow]], None]) -> None:
        super().__init__()
        self._then = then

    def set(self, value: SettledRow) -> bool:
        is_first = super().set(value)
        if is_first:
            self._then(self)
        return is_first

    def fail(self, error: BaseException) -> bool:
        is_first = super().fail(error)
        if is_first:
            self._then(self)
        return is_first


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
        reply = _Callback(lambda answered: self._done.put(partial(self._complete, future, answered, value_of)))
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

    @staticmethod
    def _complete(future: Future[Any], reply: Reply[SettledRow], value_of: Callable[[TaskRecord], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            value = value_of(make_record(reply.result()))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the future's
            future.set_exception(error)
        else:
            future.set_result(value)


class _End:
    """The last entry."""

    def __call__(self) -> None:
        """Nothing."""
