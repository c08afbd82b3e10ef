"""What the public classes share: the tasks of a scheduler, its defaults, and the way to its runtime.

``Scheduler``, ``Context``, ``TaskHandle`` and ``Flow`` are faces of this; users never see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import msgspec

from millrace.actors.mailbox import Reply
from millrace.actors.requests import AskAncestors, Cancel, Repeat, Submit, Unwatch, Watch
from millrace.actors.runtime import Runtime
from millrace.actors.settings import Settings
from millrace.actors.stored import RunOver
from millrace.calls import Calls, Interruption, current_run
from millrace.context import Place, undecodable
from millrace.futures import Futures
from millrace.handle import Outcome
from millrace.logs import Capture
from millrace.model.catalog import Traits
from millrace.model.codec import UndecodablePayload
from millrace.model.durations import ms_to_datetime, to_seconds
from millrace.model.errors import InterruptReason, InvalidTask, TaskInterrupted, UnknownTask
from millrace.model.io import NO_IO, decode_io
from millrace.model.limits import RateLimit
from millrace.model.new_tasks import NewTask
from millrace.model.priority import Priority
from millrace.model.records import CancelResult, ChildSummary, TaskId, TaskRecord
from millrace.model.retry import DEFAULT_RETRY, Retry
from millrace.model.rows import Claim, Phase
from millrace.model.statuses import TaskStatus
from millrace.model.tags import decode_tags
from millrace.operations import expect_batch
from millrace.preparing import Preparer, place_of
from millrace.recurrence import code_series
from millrace.registry import Registry
from millrace.store import records
from millrace.store.connection import locate, where_it_is
from millrace.task import Task, expect_submission

if TYPE_CHECKING:
    from millrace.actors.stored import Stored
    from millrace.definition import Definition
    from millrace.executors.run import Run
    from millrace.metrics.readings import Reader
    from millrace.model.durations import Seconds
    from millrace.scheduler import Scheduler
    from millrace.store.writer import SettledRow
    from millrace.task import Domain, Submission


class Core(Registry):
    """See the module. From any thread."""

    def __init__(
        self,
        scheduler: Scheduler,
        path: str,
        *,
        domains: Iterable[Domain],
        state: Iterable[object] = (),
        retry: Retry | None,
        ttl: float | None,
        max_payload: int,
        settings: Settings,
        capture: Capture | None = None,
    ) -> None:
        super().__init__(domains, state)
        self.scheduler = scheduler
        self.path = path
        self.capture = capture
        self.retry = retry if retry is not None else DEFAULT_RETRY
        self.max_payload = max_payload
        self.cancel_timeout_s = settings.cancel_timeout_s
        self._rated: set[str] = set()
        """The tasks whose decorators' rates the runtime has been told of."""
        where = where_it_is(path)
        self.runtime = Runtime(
            lambda: locate(where),
            catalog=self,
            bodies=Calls(self),
            settings=replace(settings, task_rates=self._note_rates),
            code_series=lambda: code_series(self),
            looks_for_others=True,
        )
        self._preparer = Preparer(
            self.domains,
            retry=self.retry,
            ttl=ttl,
            max_payload=max_payload,
            steady_ms=self.runtime.times.steady_ms,
        )
        self.futures = Futures(self)
        self._reader: Reader | None = None
        self._reading = Lock()

    def metrics_reader(self) -> Reader:
        """What reads all that is measured; always the same."""
        from millrace.metrics.readings import Reader  # noqa: PLC0415 - who never asks need not load it

        with self._reading:
            if self._reader is None:
                self._reader = Reader(self.runtime, self.task_names)
            return self._reader

    def traits(self, name: str) -> Traits | None:
        """See ``Catalog``. What this program does not know, another may, which runs the store: it finds out what a task has."""
        known = super().traits(name)
        return known if known is not None or self.runtime.is_owner else UNKNOWN

    # Submitting

    def _note_rates(self) -> dict[str, RateLimit]:
        rates = self.task_rates()
        self._rated.update(rates)
        return rates

    def prepare(self, submission: Submission[Any], place: Place | None = None) -> NewTask:
        """A submission checked, encoded, and with its options resolved.

        Raises:
            InvalidTask, PayloadTooLarge, UnknownTask: nothing is written.
        """
        try:
            new = self._preparer.prepare(submission, place)
        except (InvalidTask, UnknownTask):
            self.runtime.tally.count("submissions", submission.task.name, "invalid")
            raise
        if submission.task.definition.rate_limit is not None and new.name not in self._rated:
            self._rated.add(new.name)
            self.runtime.refresh_limits()
        return new

    @staticmethod
    def call(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submission[Any]:
        """What ``task.call`` makes of its payload; TypeError where it is no task: a submission, a function or a name."""
        given: object = task
        if not isinstance(given, Task):
            raise TypeError(
                f"task: expected a Task, which @domain.task() makes, and then its payload, got {type(given).__name__}; "
                "what task.call(...) makes goes into a batch: submit_batch([...])"
            )
        return task.call(*args, **kwargs)

    def submit(self, submission: Submission[Any]) -> Outcome[Any]:
        """Store one submission, under its parent where its options name one."""
        place = place_of(submission.options)
        if place is not None:
            return self.spawn(place, [submission], is_batch=False)[0]
        new = self.prepare(submission)
        reply: Reply[list[Stored]] = Reply()
        stored = self.runtime.ask(Submit((new,), is_batch=False, reply=reply), reply)
        return self.outcome(stored[0], submission.task.definition)

    def submit_batch(self, submissions: Iterable[Submission[Any]]) -> list[Outcome[Any]]:
        """Store submissions in one transaction, all or none."""
        batch: list[Submission[Any]] = []
        new: list[NewTask] = []
        for at, submission in enumerate(expect_batch(submissions)):
            batch.append(submission)
            try:
                new.append(self.prepare(expect_submission(submission), place_of(submission.options)))
            except (InvalidTask, UnknownTask, TypeError) as error:
                error.add_note(f"entry {at} of the batch; nothing of the batch was stored")
                raise
        if not batch:
            return []
        reply: Reply[list[Stored]] = Reply()
        try:
            stored = self.runtime.ask(Submit(tuple(new), is_batch=True, reply=reply), reply)
        except RunOver as over:
            raise self._late(over) from over
        return [self.outcome(one, submission.task.definition) for one, submission in zip(stored, batch, strict=True)]

    def spawn(self, place: Place, submissions: Sequence[Submission[Any]], *, is_batch: bool) -> list[Outcome[Any]]:
        """Store children of a task, all or none, by way of its supervisor."""
        new: list[NewTask] = []
        for submission in submissions:
            own = place_of(expect_submission(submission).options)
            if own is not None and own.parent_id != place.parent_id:
                raise InvalidTask(
                    f"parent: expected none or {place.parent_id}, which this call spawns under, got {own.parent_id}"
                )
            new.append(self.prepare(submission, place))
        reply: Reply[list[Stored]] = Reply()
        self.runtime.spawn(place.parent_id, Submit(tuple(new), is_batch=is_batch, reply=reply))
        try:
            stored = self.runtime.await_reply(reply)
        except RunOver as over:
            raise self._late(over) from over
        return [
            self.outcome(one, submission.task.definition) for one, submission in zip(stored, submissions, strict=True)
        ]

    def _late(self, over: RunOver) -> BaseException:
        """What a body is told that spawns after its run was given up, or has ended."""
        for run in self.runtime.executors.abandoned():
            if (run.claim.id, run.claim.run) == (over.task_id, over.run):
                return self.interruption(run, run.asked or "shutdown")
        return RuntimeError(f"{over}; use the scheduler's own methods from other threads")

    def outcome(self, stored: Stored, definition: Definition | None) -> Outcome[Any]:
        """The outcome of a stored submission."""
        return Outcome(stored.kind, stored.id, stored.replaced, stored.group_paused, _core=self, _definition=definition)

    # Waiting

    def wait(self, task_id: TaskId, timeout: Seconds | None) -> TaskRecord:
        """See ``TaskHandle.wait``."""
        seconds = None if timeout is None else to_seconds(timeout, "timeout", allow_inf=True)
        if seconds == float("inf"):
            seconds = None
        if seconds == 0.0:
            record = self.record(task_id)
            if record.status.is_terminal:
                return record
            raise TimeoutError(f"task {task_id}: expected it to have ended, it is {record.status}")
        run = current_run(self)
        reply: Reply[SettledRow] = Reply()
        if run is None:
            self._await_end(task_id, reply, seconds)
        else:
            self._await_end_in_body(run, task_id, reply, seconds)
        return records.make_record(reply.result())  # not read again: it may be pruned already

    def _await_end(self, task_id: TaskId, reply: Reply[SettledRow], seconds: float | None) -> None:
        self.runtime.tell(Watch(task_id, reply))
        try:
            self.runtime.await_reply(reply, seconds)
        except TimeoutError:
            self.runtime.tell(Unwatch(task_id, reply))
            raise TimeoutError(
                f"task {task_id}: expected it to end within {seconds:g} s, it is {self.status(task_id)}; wait longer, or cancel it"
            ) from None

    def _await_end_in_body(self, run: Run, task_id: TaskId, reply: Reply[SettledRow], seconds: float | None) -> None:
        """The body's slot is somebody else's while it waits, and being asked to stop ends the wait."""
        ancestors: Reply[list[int]] = Reply()
        if task_id in self.runtime.ask(AskAncestors(run.claim.id, ancestors), ancestors):
            raise RuntimeError(
                f"task {run.claim.id} waits for task {task_id}, which cannot end before it does; "
                "use a finalizer, or child_results"
            )

        def stop(reason: InterruptReason) -> None:
            reply.fail(self.interruption(run, reason))

        self.runtime.lend(run)
        run.listen(stop)
        try:
            self._await_end(task_id, reply, seconds)
        except TaskInterrupted:
            self.runtime.tell(Unwatch(task_id, reply))
            raise
        finally:
            run.unlisten(stop)
            self.runtime.reclaim(run)

    def is_body(self) -> bool:
        """Whether the calling thread executes a run of this scheduler."""
        return current_run(self) is not None

    @staticmethod
    def interruption(run: Run, reason: InterruptReason) -> TaskInterrupted:
        """What a run that was asked to stop raises; known again by the run when it comes out of the body."""
        return Interruption(reason, run)

    # Looking and acting

    def record(self, task_id: TaskId) -> TaskRecord:
        """The record of a task; its progress is live while it runs here."""
        return self.runtime.with_progress(records.read_record(self.runtime.readers(), task_id))

    def log(self, task_id: TaskId) -> str | None:
        """See ``Scheduler.log``."""
        kept = records.read_log(self.runtime.readers(), task_id)
        run = self.runtime.executors.run_of(task_id)
        return kept if run is None or run.log is None else run.log.text()

    def status(self, task_id: TaskId) -> TaskStatus:
        """The status of a task."""
        return records.read_status(self.runtime.readers(), task_id)

    def children(self, parent: TaskId) -> Iterator[TaskRecord]:
        """The children of a task, streamed."""
        return map(self.runtime.with_progress, records.read_children(self.runtime.readers(), parent))

    def child_results(
        self, parent: int, parent_round: int, status: TaskStatus | None
    ) -> Iterator[tuple[int, str, str, str, str, str | None, str | None]]:
        """Settled children of a round, streamed."""
        return records.read_child_results(
            self.runtime.readers(), parent, parent_round, None if status is None else status.value
        )

    @staticmethod
    def expect_task(task: object) -> None:
        """TypeError where it is no task."""
        if not isinstance(task, Task):
            raise TypeError(f"task: expected a Task, which @domain.task() makes, got {type(task).__name__}")

    @staticmethod
    def child_memo(task: Task[..., Any] | None, child_id: int, memo: str | None) -> Any:
        """A child's memo, decoded by its task's return annotation where the task is given."""
        if memo is None:
            return None
        if task is None:
            return PLAIN(memo)
        definition = task.definition
        if definition.final_codec is not None:
            return definition.decode_memo(PLAIN(memo))
        try:
            return definition.memo_codec.decode(memo)
        except UndecodablePayload as error:
            raise undecodable(child_id, error) from error

    def child_summary(self, parent: int, parent_round: int | None = None) -> ChildSummary:
        """One consistent count of a round's children."""
        readers = self.runtime.readers()
        if parent_round is None:
            parent_round = records.read_round(readers, parent)
        return records.summarize_children(readers, parent, parent_round)

    def cancel(self, task_id: TaskId) -> CancelResult:
        """See ``Scheduler.cancel``."""
        reply: Reply[CancelResult] = Reply()
        return self.runtime.ask(Cancel(task_id, reply), reply)

    def repeat(self, task_id: TaskId, *, dead_letters_only: bool) -> Outcome[Any]:
        """See ``Scheduler.retry``."""
        reply: Reply[Stored] = Reply()
        stored = self.runtime.ask(Repeat(task_id, dead_letters_only=dead_letters_only, reply=reply), reply)
        task = self.task_named(self.record(task_id).task_name)
        return self.outcome(stored, None if task is None else task.definition)

    def record_of(self, claim: Claim) -> TaskRecord:
        """The record of a task as it was when a run began."""
        return TaskRecord(
            id=claim.id,
            task_name=claim.name,
            key=claim.key,
            label=claim.label,
            status=TaskStatus.RUNNING if claim.phase <= Phase.BODY else TaskStatus.CANCELLING,
            priority=Priority(claim.priority),
            effective_priority=Priority(claim.priority if claim.effective is None else claim.effective),
            payload=PLAIN(claim.payload),
            memo=None if claim.memo is None else PLAIN(claim.memo),
            parent_id=claim.parent_id,
            group=claim.grp,
            tags=decode_tags(claim.tags),
            fail_fast=bool(claim.fail_fast),
            attempt=1 + claim.retries,
            retries=claim.retries,
            max_retries=claim.max_retries,
            error=claim.error,
            traceback=None,
            created_at=ms_to_datetime(claim.created_at_ms),
            run_at=None if claim.run_at_ms is None else ms_to_datetime(claim.run_at_ms),
            started_at=None if claim.started_at_ms is None else ms_to_datetime(claim.started_at_ms),
            finished_at=None,
            expires_at=None if claim.expires_at_ms is None else ms_to_datetime(claim.expires_at_ms),
            cancel_requested_at=(
                None if claim.cancel_requested_at_ms is None else ms_to_datetime(claim.cancel_requested_at_ms)
            ),
            duration=None,
            expected_io=decode_io(claim.expected_io),
            actual_io=NO_IO,
            progress=None,
            depends_on=() if claim.depends_on is None else tuple(PLAIN(claim.depends_on)),
            retry_of=claim.retry_of,
            schedule_id=claim.series_id,
        )


UNKNOWN: Final = Traits(has_finalizer=True, has_hook=True)
"""Of a task whose code is elsewhere. A finalizer or hook that there turns out not to be ends at once."""

PLAIN = msgspec.json.Decoder().decode
