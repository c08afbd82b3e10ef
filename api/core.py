"""What the public classes share: the tasks of a scheduler, its defaults, and the way to its runtime.

``Scheduler``, ``Context``, ``TaskHandle`` and ``Flow`` are faces of this; users never see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isinf
from os import PathLike
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from millrace.actors.enqueueing import RunOver
from millrace.actors.mailbox import Reply
from millrace.actors.requests import AskAncestors, Cancel, Repeat, Submit, Unwatch, Watch
from millrace.actors.runtime import Runtime, Settings
from millrace.calls import Calls, Interruption, current_run
from millrace.context import Context, Place, undecodable
from millrace.futures import Futures
from millrace.handle import Outcome
from millrace.logs import Capture
from millrace.model.catalog import Traits
from millrace.model.codec import PayloadCodec, UndecodablePayload, check_key, check_label
from millrace.model.durations import due_ms, ms_to_datetime, seconds_to_ms, to_seconds
from millrace.model.errors import InterruptReason, InvalidTask, TaskInterrupted, UnknownTask
from millrace.model.io import NO_IO, decode_io, encode_io
from millrace.model.limits import RateLimit
from millrace.model.priority import Priority
from millrace.model.records import CancelResult, ChildSummary, TaskId, TaskRecord
from millrace.model.retry import DEFAULT_RETRY, Retry
from millrace.model.rows import Claim, Delay, NewTask, Phase
from millrace.model.schedule import encode_schedule
from millrace.model.statuses import DependencyPolicy, DuplicatePolicy, TaskStatus, TtlFrom
from millrace.model.tags import NO_TAGS, check_tags, decode_tags, merge_tags
from millrace.retrying import encode_options
from millrace.state import States
from millrace.store import records
from millrace.store.connection import locate

if TYPE_CHECKING:
    from millrace.actors.enqueueing import Stored
    from millrace.definition import Definition
    from millrace.executors.run import Run
    from millrace.metrics.readings import Reader
    from millrace.model.durations import Seconds
    from millrace.options import Options
    from millrace.scheduler import Scheduler
    from millrace.store.writer import SettledRow
    from millrace.task import Domain, Submission, Task


T = TypeVar("T")

EXECUTORS: Final = ("thread",)
"""What every scheduler runs bodies on."""


class Core:
    """See the module. From any thread."""

    def __init__(
        self,
        scheduler: Scheduler,
        path: str | PathLike[str],
        *,
        domains: Iterable[Domain],
        state: Iterable[object] = (),
        retry: Retry | None,
        ttl: float | None,
        max_payload: int,
        settings: Settings,
        capture: Capture | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.path = path
        self.capture = capture
        self.state = States(state)
        self.retry = retry if retry is not None else DEFAULT_RETRY
        self.ttl = ttl
        self.max_payload = max_payload
        self.executors = EXECUTORS
        self.cancel_timeout_s = settings.cancel_timeout_s
        self._rated: set[str] = set()
        """The tasks whose decorators' rates the runtime has been told of."""
        self.domains: dict[str, Domain] = {}
        for domain in domains:
            if domain.name in self.domains:
                raise ValueError(f"domains: expected each name once, {domain.name!r} came twice")
            self.domains[domain.name] = domain
        self._check_aliases()
        self.runtime = Runtime(
            lambda: locate(path),
            catalog=self,
            bodies=Calls(self),
            settings=replace(settings, task_rates=self.task_rates),
        )
        self.futures = Futures(self)
        self._reader: Reader | None = None
        self._reading = Lock()

    def metrics_reader(self) -> Reader:
        """What reads all that is measured; always the same."""
        from millrace.metrics.readings import Reader  # noqa: PLC0415 - who never asks need not load it

        with self._reading:
            if self._reader is None:
                self._reader = Reader(self.runtime, self._task_names)
            return self._reader

    # The tasks

    def _task_names(self) -> list[str]:
        return [name for domain in self.domains.values() for name in domain.tasks]

    def task_rates(self) -> dict[str, RateLimit]:
        """The rates that decorators give, by the names of their tasks."""
        tasks = [task for domain in self.domains.values() for task in tuple(domain.tasks.values())]
        rates = {task.name: rate for task in tasks if (rate := task.definition.rate_limit) is not None}
        self._rated.update(rates)
        return rates

    def _check_aliases(self) -> None:
        """ValueError where an alias stands for two tasks of different domains; within one it was refused already."""
        owners: dict[str, Task[..., Any]] = {}
        for domain in self.domains.values():
            for alias, task in domain.aliases.items():
                named = self.domains.get(alias.partition("::")[0])
                other = owners.get(alias) or (None if named is None else named.tasks.get(alias))
                if other is not None:
                    raise ValueError(
                        f"domains: expected aliases that no other task has, {alias!r} of {task.name!r} is one of {other.name!r}"
                    )
                owners[alias] = task

    def task_named(self, name: str) -> Task[..., Any] | None:
        """The task of a qualified name, where one of the domains has it, or of a name that it had before."""
        domain = self.domains.get(name.partition("::")[0])
        task = None if domain is None else domain.tasks.get(name)
        if task is not None:
            return task
        return next((domain.aliases[name] for domain in self.domains.values() if name in domain.aliases), None)

    def traits(self, name: str) -> Traits | None:
        """See ``Catalog``."""
        task = self.task_named(name)
        return None if task is None else task.definition.traits

    def aliases(self) -> dict[str, str]:
        """See ``Catalog``. Looked up each time: domains take in tasks while they are served."""
        return {
            alias: task.name
            for domain in self.domains.values()
            if domain.aliases
            for alias, task in domain.aliases.items()
        }

    def name_of(self, task: Task[..., Any] | str) -> str:
        """The qualified name of a task, given as itself, by its name, or by one that it had before."""
        if not isinstance(task, str):
            return task.name
        known = self.task_named(task)
        return task if known is None else known.name

    def names_of(self, task: Task[..., Any] | str) -> tuple[str, ...]:
        """The names under which tasks of a type are stored: its qualified name first."""
        return (self.name_of(task),)

    # Submitting

    def prepare(self, submission: Submission[Any], place: Place | None = None) -> NewTask:
        """A submission checked, encoded, and with its options resolved.

        Raises:
            InvalidTask, PayloadTooLarge, UnknownTask: nothing is written.
        """
        try:
            return self._prepare(submission, place)
        except (InvalidTask, UnknownTask):
            self.runtime.tally.count("submissions", submission.task.name, "invalid")
            raise

    def _prepare(self, submission: Submission[Any], place: Place | None) -> NewTask:
        task = submission.task
        if self.domains.get(task.domain.name) is not task.domain:
            raise UnknownTask(task.name, self.domains)
        definition, options = task.definition, submission.options
        if definition.rate_limit is not None and task.name not in self._rated:
            self._rated.add(task.name)
            self.runtime.refresh_limits()
        defaults, general = definition.defaults, task.domain.defaults
        codec = definition.payload_codec
        payload = codec.encode(submission.bound, max_bytes=self.max_payload)
        key = options.key
        if key is None:
            key = codec.digest(payload) if definition.key is None else self._key(definition, codec, submission.bound)
            explicit = None if definition.key is None else key
        else:
            explicit = key
        retry = options.retry or defaults.retry or general.retry or self.retry
        self._check_executor(task.name, options.executor or defaults.executor)
        schedule = options.schedule or defaults.schedule
        if schedule is not None and place is not None:
            raise InvalidTask(
                f"schedule: expected none on a child, a sibling or a flow's child, got {schedule!r} for {task.name}; submit it"
            )
        ttl_ms, ttl_source = self._time_to_live(options.ttl, defaults.ttl, general.ttl)
        return NewTask(
            name=task.name,
            key=key,
            label=self._label(definition, codec, submission, explicit),
            priority=_first(options.priority, defaults.priority, general.priority),
            payload=payload,
            max_retries=retry.max_retries,
            policy=(options.on_duplicate or defaults.on_duplicate or DuplicatePolicy.SKIP).value,
            fail_fast=_first(options.fail_fast, defaults.fail_fast, True),
            max_failures=_first(options.max_failures, defaults.max_failures),
            child_concurrency=_first(options.child_concurrency, defaults.child_concurrency),
            options=encode_options(options.retry, options.timeout, options.executor),
            run_at_ms=self._due(options),
            delay=Delay.STEADY if options.run_at_ms is None else Delay.WALL,
            schedule=None if schedule is None else encode_schedule(schedule),
            schedule_from="task" if options.schedule is None else "submission",
            parent_id=None if place is None else place.parent_id,
            spawner_id=None if place is None else place.spawner_id,
            spawner_run=None if place is None else place.spawner_run,
            version=definition.version,
            group=options.group or defaults.group or general.group,
            tags=self._tags(definition, general, submission),
            expected_io=encode_io(options.io or defaults.io),
            ttl_ms=ttl_ms,
            ttl_source=ttl_source,
            ttl_first=(options.ttl_from or defaults.ttl_from) is TtlFrom.FIRST_ATTEMPT,
            depends_on=options.depends_on or (),
            on_dependency_failure=(options.on_dependency_failure or DependencyPolicy.CANCEL).value,
        )

    def _time_to_live(
        self, own: float | None, tasks: float | None, domains: float | None
    ) -> tuple[int | None, Literal["own", "domain", "scheduler", "none"]]:
        """Milliseconds and who gave them; None for none at all."""
        given: list[tuple[float | None, Literal["own", "domain", "scheduler"]]] = [
            (own, "own"),
            (tasks, "own"),
            (domains, "domain"),
            (self.ttl, "scheduler"),
        ]
        for seconds, source in given:
            if seconds is not None:
                return None if isinf(seconds) else seconds_to_ms(seconds), source
        return None, "none"

    @staticmethod
    def _key(definition: Definition, codec: PayloadCodec, bound: Any) -> str:
        if definition.key is None:
            raise AssertionError("asked only where there is one")
        try:
            return check_key(codec.call(definition.key, bound))
        except InvalidTask:
            raise
        except Exception as error:
            raise InvalidTask(
                f"task {definition.name}: key: expected a str from its callable, it raised {error!r}"
            ) from error

    @staticmethod
    def _label(definition: Definition, codec: PayloadCodec, submission: Submission[Any], key: str | None) -> str:
        if submission.options.label is not None:
            return submission.options.label or key or definition.name
        if definition.label is None:
            return definition.name if key is None else check_label(key)
        try:
            return check_label(codec.call(definition.label, submission.bound)) or key or definition.name
        except InvalidTask:
            raise
        except Exception as error:
            raise InvalidTask(
                f"task {definition.name}: label: expected a str from its callable, it raised {error!r}"
            ) from error

    def _check_executor(self, name: str, executor: str | None) -> None:
        if executor is not None and executor not in self.executors:
            known = ", ".join(map(repr, self.executors))
            raise InvalidTask(f"task {name}: executor: expected one of {known}, got {executor!r}", field="executor")

    @staticmethod
    def _tags(definition: Definition, general: Options, submission: Submission[Any]) -> dict[str, str] | None:
        """The domain's, the task's and the submission's, later ones win; the parent's come in where it is stored."""
        tags: Mapping[str, str] | None = general.tags
        of_task: Mapping[str, str] | None = definition.defaults.tags
        if definition.tags is not None:
            try:
                of_task = check_tags(definition.payload_codec.call(definition.tags, submission.bound))
            except InvalidTask as error:
                raise InvalidTask(f"task {definition.name}: {error}", field="tags") from error
            except Exception as error:
                raise InvalidTask(
                    f"task {definition.name}: tags: expected a mapping of texts from its callable, it raised {error!r}",
                    field="tags",
                ) from error
        for later in (of_task, submission.options.tags):
            if later:
                tags = merge_tags(tags or NO_TAGS, later)
        return dict(tags) if tags else None

    def find_state(self, kind: type[T], domain: str) -> T:
        """See ``Context.state``."""
        of_domain = self.domains.get(domain)
        if of_domain is None:
            raise UnknownTask(domain, self.domains)
        for state in (of_domain.state, self.state):
            found = state.find(kind)
            if found is not None:
                return found
        raise LookupError(
            f"state: expected an object of type {kind.__qualname__}, domain {domain!r} has "
            f"{', '.join(of_domain.state.kinds()) or 'none'} and the scheduler {', '.join(self.state.kinds()) or 'none'}; "
            "give one to Domain(state=), Scheduler(state=) or register_state"
        )

    def _due(self, options: Options) -> int | None:
        if options.run_after is not None:
            return due_ms(self.runtime.times.steady_ms(), options.run_after, "run_after")
        return options.run_at_ms

    def submit(self, submission: Submission[Any]) -> Outcome[Any]:
        """Store one submission, under its parent where its options name one."""
        place = _place(submission.options)
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
        for at, submission in enumerate(submissions):
            batch.append(submission)
            try:
                new.append(self.prepare(submission, _place(submission.options)))
            except (InvalidTask, UnknownTask) as error:
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
            own = _place(submission.options)
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
            self.runtime.readers(), parent, parent_round, None if status is None else TaskStatus(status).value
        )

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


PLAIN = msgspec.json.Decoder().decode


def _place(options: Options) -> Place | None:
    """Where the options want a submission; None for a root task. A context stands for the run that it is of."""
    if options.sibling_of is not None:
        if options.parent is not None:
            raise InvalidTask("expected parent or sibling_of, got both; give one of them")
        beside: Place = options.sibling_of.beside()
        return beside
    if isinstance(options.parent, Context):
        return options.parent.below()
    return None if options.parent is None else Place(options.parent)


def _first(*values: Any) -> Any:
    """The first that is given."""
    for value in values:
        if value is not None:
            return value
    return None
