"""How a submission becomes what is stored: checked, encoded, and each option from the first that gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isinf
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from millrace.context import Context, Place
from millrace.model.codec import PayloadCodec, check_key, check_label
from millrace.model.durations import due_ms, seconds_to_ms
from millrace.model.errors import InvalidTask, UnknownTask
from millrace.model.io import encode_io
from millrace.model.new_tasks import NewTask
from millrace.model.retry import Retry
from millrace.model.rows import Delay
from millrace.model.schedule import encode_schedule
from millrace.model.statuses import DependencyPolicy, DuplicatePolicy, TtlFrom
from millrace.model.tags import check_tags, merge_tags
from millrace.retrying import encode_options

if TYPE_CHECKING:
    from millrace.definition import Definition
    from millrace.options import Options
    from millrace.task import Domain, Submission, Task

EXECUTORS: Final = ("thread",)
"""What every scheduler runs bodies on."""


class Preparer:
    """See the module. Options come from the submission, else its task, else the domain, else here. From any thread.

    Args:
        domains: those whose tasks can be submitted, by name.
        retry: how failed runs are repeated.
        ttl: seconds within which a run must start; None for any time.
        max_payload: bytes that an encoded payload may have.
        steady_ms: the clock that delays are counted by.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        *,
        retry: Retry,
        ttl: float | None,
        max_payload: int,
        steady_ms: Callable[[], int],
    ) -> None:
        self._domains = domains
        self._retry = retry
        self._ttl = ttl
        self._max_payload = max_payload
        self._steady_ms = steady_ms

    def prepare(self, submission: Submission[Any], place: Place | None) -> NewTask:
        """The submission as it is stored, at a place in a tree or as a root task.

        Raises:
            InvalidTask, PayloadTooLarge, UnknownTask: nothing is written.
        """
        task, options = submission.task, submission.options
        if self._domains.get(task.domain.name) is not task.domain:
            raise UnknownTask(task.name, self._domains)
        common = self._common(task)
        if common.schedule is not None and place is not None:
            raise InvalidTask(
                f"schedule: expected none on a child, a sibling or a flow's child, got one for {task.name}; submit it",
                field="schedule",
            )
        definition = task.definition
        codec = definition.payload_codec
        payload = codec.encode(submission.bound, max_bytes=self._max_payload)
        key = explicit = options.key
        if definition.key is not None and key is None:
            key = explicit = self._key(definition, codec, submission.bound)
        return msgspec.structs.replace(
            common,
            key=codec.digest(payload) if key is None else key,
            label=self._label(definition, codec, submission, explicit),
            payload=payload,
            run_at_ms=self._due(options),
            tags=common.tags if definition.tags is None else self._tags(task, submission),
            parent_id=None if place is None else place.parent_id,
            spawner_id=None if place is None else place.spawner_id,
            spawner_run=None if place is None else place.spawner_run,
        )

    def _common(self, task: Task[..., Any]) -> NewTask:
        """What all submissions of one view of a task have in common: looked up once, as nothing of it ever changes.

        With options at three levels that is most of what a submission says; the rest takes a third of the time.
        """
        if task.common is None or task.common[0] is not self:
            task.common = (self, self._resolve(task))
        return task.common[1]

    def _resolve(self, task: Task[..., Any]) -> NewTask:
        options, defaults, general = task.own_options, task.definition.defaults, task.domain.defaults
        retry = options.retry or defaults.retry or general.retry or self._retry
        self._check_executor(task.name, options.executor or defaults.executor)
        schedule = options.schedule or defaults.schedule
        ttl_ms, ttl_source = self._time_to_live(options.ttl, defaults.ttl, general.ttl)
        return NewTask(
            name=task.name,
            key="",
            label="",
            priority=_first(options.priority, defaults.priority, general.priority),
            payload="",
            max_retries=retry.max_retries,
            policy=(options.on_duplicate or defaults.on_duplicate or DuplicatePolicy.SKIP).value,
            fail_fast=_first(options.fail_fast, defaults.fail_fast, True),
            max_failures=_first(options.max_failures, defaults.max_failures),
            child_concurrency=_first(options.child_concurrency, defaults.child_concurrency),
            options=encode_options(options.retry, options.timeout, options.executor),
            delay=Delay.STEADY if options.run_at_ms is None else Delay.WALL,
            schedule=None if schedule is None else encode_schedule(schedule),
            schedule_from="task" if options.schedule is None else "submission",
            version=task.definition.version,
            group=options.group or defaults.group or general.group,
            tags=None if task.definition.tags is not None else _merged(general.tags, defaults.tags, options.tags),
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
            (self._ttl, "scheduler"),
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

    @staticmethod
    def _check_executor(name: str, executor: str | None) -> None:
        if executor is not None and executor not in EXECUTORS:
            known = ", ".join(map(repr, EXECUTORS))
            raise InvalidTask(f"task {name}: executor: expected one of {known}, got {executor!r}", field="executor")

    @staticmethod
    def _tags(task: Task[..., Any], submission: Submission[Any]) -> dict[str, str] | None:
        """With those that the task's callable gives."""
        definition = task.definition
        if definition.tags is None:
            raise AssertionError("asked only where there is one")
        try:
            of_task = check_tags(definition.payload_codec.call(definition.tags, submission.bound))
        except InvalidTask as error:
            raise InvalidTask(f"task {definition.name}: {error}", field="tags") from error
        except Exception as error:
            raise InvalidTask(
                f"task {definition.name}: tags: expected a mapping of texts from its callable, it raised {error!r}",
                field="tags",
            ) from error
        return _merged(task.domain.defaults.tags, of_task, submission.options.tags)

    def _due(self, options: Options) -> int | None:
        if options.run_after is not None:
            return due_ms(self._steady_ms(), options.run_after, "run_after")
        return options.run_at_ms


def place_of(options: Options) -> Place | None:
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


def _merged(*levels: Mapping[str, str] | None) -> dict[str, str] | None:
    """The domain's, the task's and the submission's, later ones win; the parent's come in where the task is stored."""
    tags: dict[str, str] = {}
    for level in levels:
        tags = merge_tags(tags, level)
    return tags or None
