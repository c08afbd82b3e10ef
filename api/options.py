"""What a submission can be told, checked: None means not given. Options of options add up, later ones win."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar

from millrace.handle import Outcome
from millrace.model.codec import check_key, check_label
from millrace.model.durations import Seconds, datetime_to_ms, to_seconds
from millrace.model.errors import InvalidDependency, InvalidTask
from millrace.model.io import check_io
from millrace.model.names import MAX_NAME_LENGTH, check_group, check_text
from millrace.model.priority import Priority
from millrace.model.records import IoBudget
from millrace.model.retry import Retry
from millrace.model.schedule import Schedule, check_schedule
from millrace.model.statuses import DependencyPolicy, DuplicatePolicy, TtlFrom
from millrace.model.tags import check_tags, merge_tags

TextOf: TypeAlias = Callable[..., str]
TagsOf: TypeAlias = Callable[..., Mapping[str, str]]
Member = TypeVar("Member", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one submission, or of a task's definition."""

    key: str | None = None
    label: str | None = None
    priority: int | None = None
    group: str | None = None
    tags: Mapping[str, str] | None = None
    io: IoBudget | None = None
    retry: Retry | None = None
    timeout: float | None = None
    run_after: float | None = None
    run_at_ms: int | None = None
    schedule: Schedule | None = None
    ttl: float | None = None
    ttl_from: TtlFrom | None = None
    depends_on: tuple[int, ...] | None = None
    on_dependency_failure: DependencyPolicy | None = None
    on_duplicate: DuplicatePolicy | None = None
    fail_fast: bool | None = None
    max_failures: int | float | None = None
    child_concurrency: int | None = None
    executor: str | None = None
    parent: Any = None
    """The id or the context of the task under which it is to stand."""
    sibling_of: Any = None
    """The context of the task beside which it is to stand."""

    def merged(self, later: "Options") -> "Options":
        """These, and what the later ones say."""
        given = {field.name: value for field in fields(later) if (value := getattr(later, field.name)) is not None}
        both = replace(self, **given)
        if "run_after" in given and "run_at_ms" not in given:
            both = replace(both, run_at_ms=None)
        if "run_at_ms" in given and "run_after" not in given:
            both = replace(both, run_after=None)
        if self.tags and later.tags:
            both = replace(both, tags=merge_tags(self.tags, later.tags))
        return both


NO_OPTIONS: Final = Options()


def check_options(
    *,
    key: str | None = None,
    label: str | None = None,
    priority: int | None = None,
    group: str | None = None,
    tags: Mapping[str, str] | None = None,
    io: IoBudget | None = None,
    retry: Retry | None = None,
    timeout: Seconds | None = None,
    run_after: Seconds | None = None,
    run_at: datetime | None = None,
    schedule: Schedule | None = None,
    ttl: Seconds | None = None,
    ttl_from: TtlFrom | None = None,
    depends_on: Iterable[int | Outcome[Any]] = (),
    on_dependency_failure: DependencyPolicy | None = None,
    on_duplicate: DuplicatePolicy | None = None,
    fail_fast: bool | None = None,
    max_failures: float | None = None,
    child_concurrency: int | None = None,
    executor: str | None = None,
) -> Options:
    """Options in the types and ranges that the store takes.

    Raises:
        InvalidTask, ValueError, TypeError: of the wrong type, out of range, or at odds with one another.
    """
    if run_after is not None and run_at is not None:
        raise InvalidTask("expected run_at or run_after, got both; give one of them")
    return Options(
        key=None if key is None else check_key(key),
        label=None if label is None else check_label(_text("label", label)),
        priority=None if priority is None else int(check_priority(priority)),
        group=None if group is None else check_group(group),
        tags=None if tags is None else check_tags(tags),
        io=None if io is None else check_io(io),
        retry=_instance("retry", retry, Retry),
        timeout=None if timeout is None else to_seconds(timeout, "timeout", allow_zero=False, allow_inf=True),
        run_after=None if run_after is None else to_seconds(run_after, "run_after"),
        run_at_ms=None if run_at is None else datetime_to_ms(run_at, "run_at"),
        schedule=check_schedule(schedule),
        ttl=check_ttl(ttl),
        ttl_from=check_ttl_from(ttl_from),
        depends_on=check_dependencies(depends_on),
        on_dependency_failure=check_dependency_policy(on_dependency_failure),
        on_duplicate=None if on_duplicate is None else check_policy(on_duplicate),
        fail_fast=_instance("fail_fast", fail_fast, bool),
        max_failures=check_max_failures(max_failures),
        child_concurrency=check_child_concurrency(child_concurrency),
        executor=None if executor is None else check_text("executor", executor, 1, MAX_NAME_LENGTH),
    )


def check_priority(priority: int) -> Priority:
    """A Priority; ValueError outside 0..255, TypeError where it is no int."""
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority: expected an int in 0..255, got {type(priority).__name__}")
    return Priority(priority)


def check_policy(policy: DuplicatePolicy) -> DuplicatePolicy:
    """A DuplicatePolicy, also by its name."""
    return _member("on_duplicate", policy, DuplicatePolicy)


def check_ttl(ttl: Seconds | None) -> float | None:
    """Seconds from 0, or math.inf for none at all."""
    try:
        return None if ttl is None else to_seconds(ttl, "ttl", allow_inf=True)
    except ValueError as error:
        raise InvalidTask(str(error)) from None


def check_ttl_from(start: TtlFrom | None) -> TtlFrom | None:
    """A TtlFrom, also by its name."""
    return None if start is None else _member("ttl_from", start, TtlFrom)


def check_dependency_policy(policy: DependencyPolicy | None) -> DependencyPolicy | None:
    """A DependencyPolicy, also by its name."""
    return None if policy is None else _member("on_dependency_failure", policy, DependencyPolicy)


def check_dependencies(dependencies: Iterable[int | Outcome[Any]]) -> tuple[int, ...] | None:
    """Ids in the order in which they were given, each once; None where there are none."""
    if isinstance(dependencies, (str, bytes)) or not isinstance(dependencies, Iterable):
        raise TypeError(
            f"depends_on: expected an iterable of ids and outcomes, got {type(dependencies).__name__}; "
            "put a single one into a list"
        )
    return tuple(dict.fromkeys(map(_dependency, dependencies))) or None


def _dependency(given: object) -> int:
    task_id = given.id if isinstance(given, Outcome) else given
    if isinstance(task_id, bool) or not isinstance(task_id, int):
        raise TypeError(f"depends_on: expected the id of a task or the outcome of a submit, got {type(given).__name__}")
    if not 0 < task_id < 1 << 63:
        raise InvalidDependency(task_id)  # no store has such an id
    return task_id


def check_max_failures(value: float | None) -> int | float | None:
    """A number of failed children from 0, or a share of them in 0.0..1.0."""
    if value is None:
        return None
    given: object = value
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"max_failures: expected an int or a float, got {type(given).__name__}")
    if isinstance(given, float) and (math.isnan(given) or not 0.0 <= given <= 1.0):
        raise InvalidTask(f"max_failures: expected a share in 0.0..1.0, got {given!r}; an int is a number of children")
    if given < 0 or (isinstance(given, int) and given >= 1 << 53):
        raise InvalidTask(f"max_failures: expected 0 or more, got {given!r}")
    return value


def check_child_concurrency(value: int | None) -> int | None:
    """At least 1."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"child_concurrency: expected an int, got {type(value).__name__}")
    if not 1 <= value < 1 << 53:
        raise InvalidTask(f"child_concurrency: expected at least 1, got {value!r}; leave it out for no bound")
    return value


def check_callable(what: str, value: object) -> None:
    """A callable that gives something from the payload, or none."""
    if value is not None and not callable(value):
        raise TypeError(f"{what}: expected a callable that takes the payload, got {type(value).__name__}")


def _member(what: str, given: str, kind: type[Member]) -> Member:
    try:
        return kind(given)
    except ValueError:
        names = ", ".join(repr(str(known)) for known in kind)
        raise InvalidTask(f"{what}: expected one of {names}, got {given!r}") from None


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidTask(f"{what}: expected a str, got {type(value).__name__}")
    return value


def _instance(what: str, value: Any, kind: type) -> Any:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{what}: expected {kind.__name__}, got {type(value).__name__}")
    return value
