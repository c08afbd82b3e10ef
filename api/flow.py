"""Flows: durable parents that are driven from outside a body."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from millrace.actors.mailbox import Reply
from millrace.actors.requests import CancelFlow, EndFlow, UpdateFlow
from millrace.context import Place
from millrace.model.codec import encode_json
from millrace.model.durations import Seconds
from millrace.model.errors import InvalidTask
from millrace.model.names import storable
from millrace.model.records import CancelResult, ChildSummary, Json, TaskId, TaskRecord
from millrace.model.statuses import TaskStatus
from millrace.store import records

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.handle import Outcome
    from millrace.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class _Unset(Enum):
    """Left out, as distinct from None, which is JSON's null."""

    UNSET = "left out"


UNSET: Final = _Unset.UNSET


class Flow:
    """A durable parent without a body: it stays open until finished, failed or cancelled, across restarts.

    ``state`` is the caller's own JSON; ``revision`` grows by one with every change of the flow. A view: each look reads the
    store. Usable from any thread.
    """

    id: TaskId

    def __init__(self, core: Core, flow_id: TaskId) -> None:
        """Made by ``Scheduler.flow`` and ``Scheduler.open_flow``."""
        self.id = flow_id
        self._core = core

    @property
    def status(self) -> TaskStatus:
        """WAITING while it is open, CANCELLING while a cancel winds down, else its end."""
        return self._core.status(self.id)

    @property
    def state(self) -> Json:
        """The caller's own JSON, as last written."""
        return records.read_flow(self._core.runtime.readers(), self.id)[0]

    @property
    def revision(self) -> int:
        """1, and one more with every change and with the end."""
        return records.read_flow(self._core.runtime.readers(), self.id)[1]

    def spawn(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Store a child of the flow.

        Raises:
            ParentClosed: a cancel was requested, or the flow has ended or is finishing.
        """
        submission = self._core.call(task, args, kwargs)
        outcomes: list[Outcome[R]] = self._core.spawn(Place(self.id), [submission], is_batch=False)
        return outcomes[0]

    def update(self, state: Json, *, expected_revision: int | None = None) -> int:
        """Replace the state; the new revision.

        Args:
            state: JSON within the scheduler's ``max_payload``.
            expected_revision: write only where this is the present one; None always writes.

        Raises:
            RevisionConflict: another writer was first; nothing is written. ParentClosed: the flow has settled.
        """
        if expected_revision is not None and (
            isinstance(expected_revision, bool) or not isinstance(expected_revision, int)
        ):
            raise TypeError(f"expected_revision: expected an int, got {type(expected_revision).__name__}")
        reply: Reply[int] = Reply()
        return self._core.runtime.ask(UpdateFlow(self.id, self._encode(state), expected_revision, reply), reply)

    def finish(self, memo: Json = None, *, state: Json = UNSET) -> None:
        """No more children: COMPLETED once those under way have settled. Repeated, it does nothing.

        Raises:
            ParentClosed: it was cancelled or has failed.
        """
        text = encode_json(memo, what="memo", max_bytes=self._core.max_payload)
        reply: Reply[None] = Reply()
        self._core.runtime.ask(EndFlow(self.id, "finish", text, self._encode_given(state), reply), reply)

    def fail(self, error: str, *, state: Json = UNSET) -> None:
        """Cancel the children, then end FAILED with this error.

        Raises:
            ParentClosed: its end is decided already.
        """
        given: object = error
        if not isinstance(given, str) or not given:
            came = "an empty one" if given == "" else type(given).__name__
            raise InvalidTask(f"error: expected a text that says why, got {came}", field="error")
        reply: Reply[None] = Reply()
        self._core.runtime.ask(EndFlow(self.id, "fail", storable(error), self._encode_given(state), reply), reply)

    def cancel(self, *, state: Json = UNSET) -> CancelResult:
        """Cancel the flow and its children, writing the state in the transaction that records the cancel.

        No expected revision is needed, and a concurrent update does not lose the cancel.
        """
        reply: Reply[CancelResult] = Reply()
        return self._core.runtime.ask(CancelFlow(self.id, self._encode_given(state), reply), reply)

    def wait(self, timeout: Seconds | None = None) -> TaskRecord:
        """Wait for the terminal record; TimeoutError."""
        return self._core.wait(self.id, timeout)

    def summary(self) -> ChildSummary:
        """One consistent count of the children."""
        return self._core.child_summary(self.id)

    def _encode(self, state: Json) -> str:
        return encode_json(state, what="state", max_bytes=self._core.max_payload)

    def _encode_given(self, state: Any) -> str | None:
        return None if state is UNSET else self._encode(state)

    def __repr__(self) -> str:
        return f"<Flow {self.id}>"
