"""The scheduler's methods that submit: tasks, children of live parents, flows. Each returns once what it wrote is durable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from millrace.actors.flows import PREFIX, NewFlow
from millrace.actors.mailbox import Reply
from millrace.actors.requests import OpenFlow
from millrace.context import Place
from millrace.flow import Flow
from millrace.handle import Outcome
from millrace.model.codec import check_key, check_task_name, encode_json
from millrace.model.records import Json, TaskId
from millrace.model.tags import NO_TAGS, check_tags
from millrace.operations import Operations, expect_bool, expect_id
from millrace.options import check_child_concurrency
from millrace.store import records
from millrace.task import Submission, Task

P = ParamSpec("P")
R = TypeVar("R")


class Submitting(Operations):
    """See the module. From any thread."""

    def submit(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Store one task; returns once it is durable.

        Raises:
            TypeError: no task, or the arguments do not fit the body. InvalidTask, PayloadTooLarge: a value or option is not
            as it must be. UnknownTask: its domain is not among ``domains``. SchedulerStopped: after ``stop()``.
            StoreError: the store could not be written; CommitUnknown where the disk failed inside the commit.
        """
        outcome: Outcome[R] = self._core.submit(self._core.call(task, args, kwargs))
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
        outcomes: list[Outcome[R]] = self._core.spawn(Place(expect_id(parent, "parent")), [submission], is_batch=False)
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
        tags: Mapping[str, str] = NO_TAGS,
    ) -> Flow:
        """The active flow of that name and key as it is, else a new one. Without a key always a new one.

        Args:
            name: what kind of flow it is; its task name is "flow::" and this.
            key: what it is of, unique among active flows of that name.
            state: the caller's own JSON, for a new one.
            fail_fast: whether a failed child fails it.
            child_concurrency: children that may run at once.
            tags: of a new one; its children inherit them.
        """
        new = NewFlow(
            PREFIX + check_task_name(name, "flow"),
            None if key is None else check_key(key),
            encode_json(state, what="state", max_bytes=self._core.max_payload),
            expect_bool("fail_fast", fail_fast),
            check_child_concurrency(child_concurrency),
            check_tags(tags) or None,
        )
        reply: Reply[int] = Reply()
        return Flow(self._core, self._runtime.ask(OpenFlow(new, reply), reply))

    def open_flow(self, key_or_id: str | TaskId) -> Flow:
        """The newest flow that is still active under that key, else the newest; or the flow of that id. TaskNotFound."""
        readers = self._runtime.readers()
        if isinstance(key_or_id, str):
            return Flow(self._core, records.find_flow(readers, key_or_id))
        records.read_flow(readers, expect_id(key_or_id, "key_or_id"))
        return Flow(self._core, key_or_id)
