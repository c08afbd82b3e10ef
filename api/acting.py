"""The scheduler's methods that act on tasks there are: cancel, repeat, prune."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from millrace.actors.mailbox import Reply
from millrace.actors.requests import CancelMany, Prune
from millrace.handle import Outcome
from millrace.looking import make_filters
from millrace.model.filters import Filters
from millrace.model.records import CancelResult, TaskId, TaskRecord
from millrace.model.retention import Retention
from millrace.operations import Operations, expect_id
from millrace.store import looking
from millrace.task import Task

if TYPE_CHECKING:
    from millrace.actors.runtime import Runtime

STEP: Final = 500
"""Tasks that one transaction of ``cancel_where`` cancels, beside what is below them."""


class Acting(Operations):
    """See the module. From any thread."""

    def cancel(self, id: TaskId) -> CancelResult:
        """Cancel a task and everything below it: the intent is recorded first, sticky across restarts, and idempotent.

        Active children of a parent that is terminal already are stopped too.
        """
        return self._core.cancel(expect_id(id))

    def cancel_where(
        self,
        *,
        predicate: Callable[[TaskRecord], bool] | None = None,
        domain: str | None = None,
        task: Task[..., Any] | str | None = None,
        group: str | None = None,
        tags: Mapping[str, str] | None = None,
        tag_prefix: str | None = None,
    ) -> list[TaskId]:
        """Cancel the active tasks that meet every condition, each as ``cancel`` does, in steps.

        What is submitted meanwhile is not looked at. A step is a transaction of its own: a crash between two leaves
        what is cancelled cancelled, and the rest as it was.

        Args:
            predicate: told a task's record, whether to cancel it; called in this thread, between the steps.
            domain: of this domain; without it, of all.
            task: of this type, given as itself or by its qualified name.
            group: of this group.
            tags: with all of these pairs.
            tag_prefix: with a tag whose key begins so.

        Returns:
            The ids whose cancel was accepted, ascending. What is cancelled only for being below one of them is not named.

        Raises:
            ValueError: there is no condition at all.
            BaseException: what the predicate raises; what was cancelled before stays so.
        """
        filters = make_filters(self._core, domain=domain, task=task, group=group, tags=tags, tag_prefix=tag_prefix)
        if predicate is None and filters == Filters():
            raise ValueError(
                "cancel_where: expected at least one condition, got none; to cancel everything, say so by "
                "predicate=lambda record: True"
            )
        return cancel_where(self._runtime, filters, predicate)

    def __cancel__(self, filters: Filters) -> list[TaskId]:
        """For `millrace.cli`: ``cancel_where`` by all filters there are."""
        return cancel_where(self._runtime, filters, None)

    def retry_dead_letter(self, id: TaskId) -> Outcome[Any]:
        """Insert a new task with all that the dead letter's submission had; ``retry_of`` names the old one.

        Raises:
            TaskNotFound: no such task. InvalidTask: it is no dead letter.
        """
        return self._core.repeat(expect_id(id), dead_letters_only=True)

    def retry(self, id: TaskId) -> Outcome[Any]:
        """The same for every failed end, and for CANCELLED."""
        return self._core.repeat(expect_id(id), dead_letters_only=False)

    def prune(self, retention: Retention) -> int:
        """Take out of the history, at once, what is beyond these bounds: dead letters and all other rows alike.

        Children of an active task stay. The scheduler's own ``retention`` is not changed.

        Returns:
            How many rows went.
        """
        reply: Reply[int] = Reply()
        return self._runtime.ask(Prune(check_retention(retention), reply), reply)


def cancel_where(runtime: Runtime, filters: Filters, predicate: Callable[[TaskRecord], bool] | None) -> list[TaskId]:
    """Cancel the active tasks that pass; their ids are read once, at the beginning."""
    accepted: list[TaskId] = []
    ids = looking.read_active_ids(runtime.readers(), filters)
    for start in range(0, len(ids), STEP):
        step = ids[start : start + STEP].tolist()
        if predicate is not None:
            # A child that this call has cancelled with its parent is asked about like any other.
            found = looking.read_records(runtime.readers(), step)
            step = [one.id for one in found if predicate(runtime.with_progress(one))]
        if step:
            reply: Reply[list[int]] = Reply()
            done = runtime.ask(CancelMany(tuple(step), reply), reply)
            accepted += done
    return accepted


def check_retention(retention: Retention) -> Retention:
    """The value, where it is a Retention; else TypeError."""
    if not isinstance(retention, Retention):
        raise TypeError(f"retention: expected a Retention, got {type(retention).__name__}")
    return retention
