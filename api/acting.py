"""The scheduler's methods that act on tasks there are: cancel, repeat, prune."""

from __future__ import annotations

from typing import Any

from millrace.actors.mailbox import Reply
from millrace.actors.requests import Prune
from millrace.handle import Outcome
from millrace.model.records import CancelResult, TaskId
from millrace.model.retention import Retention
from millrace.operations import Operations


class Acting(Operations):
    """See the module. From any thread."""

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
        return self._runtime.ask(Prune(check_retention(retention), reply), reply)


def check_retention(retention: Retention) -> Retention:
    """The value, where it is a Retention; else TypeError."""
    if not isinstance(retention, Retention):
        raise TypeError(f"retention: expected a Retention, got {type(retention).__name__}")
    return retention
