"""What a submission can be told, checked: None means not given. Options of options add up, later ones win."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from millrace.context import Context
from millrace.handle import Outcome
from millrace.model.codec import check_key, check_label
from millrace.model.durations import Seconds, datetime_to_ms, to_seconds
from millrace.model.errors import InvalidDependency, InvalidTask
from millrace.model.io import check_io
from millrace.model.names import MAX_NAME_LENGTH, check_group, check_text
from millrace.model.numbers import check_whole
from millrace.model.priority import Priority
from millrace.model.records import IoBudget
from millrace.model.retry import Retry
from millrace.model.schedule import Schedule, check_schedule
from millrace.model.statuses import DependencyPolicy, DuplicatePolicy, TtlFrom
from millrace.model.tags import check_tags, merge_tags
from millrace.operations import expect_member, expect_several

TextOf: TypeAlias = Callable[..., str]
TagsOf: TypeAlias = Callable[..., Mapping[str, str]]
Check: TypeAlias = Callable[[Any], Any]
Member = TypeVar("Member", bound=StrEnum)


class Options(msgspec.Struct, frozen=True):
    """Options of one submission, of a task's definition, or of a domain, checked. Made by ``extended``."""

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
    parent: int | Context | None = None
    """The id or the context of the task under which it is to stand."""
    sibling_of: Context | None = None
    """The context of the task beside which it is to stand."""

    def extended(self, **given: Any) -> Options:
        """These and more, each by its name in ``Task.options``. None is not given; of one that is twice the later counts.

        Only what is given costs anything: with a key of its own, that is done for every submission.

        Raises:
            InvalidTask, ValueError, TypeError: of the wrong type, out of range, or at odds with one another.
        """
        more = {
            name: checked
            for name, value in given.items()
            if value is not None and (checked := _CHECKS[name](value)) is not None
        }
        if "run_at" in more:
            if "run_after" in more:
                raise InvalidTask("expected run_at or run_after, got both; give one of them")
            more |= {"run_at_ms": more.pop("run_at"), "run_after": None}
        elif "run_after" in more:
            more["run_at_ms"] = None
        if "parent" in more and "sibling_of" in more:
            raise InvalidTask("expected parent or sibling_of, got both; give one of them")
        if self.tags and "tags" in more:
            more["tags"] = merge_tags(self.tags, more["tags"])
        return msgspec.structs.replace(self, **more)


NO_OPTIONS: Final = Options()


def check_priority(priority: int) -> Priority:
    """A Priority; ValueError outside 0..255, TypeError where it is no int."""
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority: expected an int in 0..255, got {type(priority).__name__}")
    return Priority(priority)


def check_ttl(ttl: Seconds | None) -> float | None:
    """Seconds from 0, or math.inf for none at all."""
    try:
        return None if ttl is None else to_seconds(ttl, "ttl", allow_inf=True)
    except ValueError as error:
        raise InvalidTask(str(error)) from None


def check_dependencies(dependencies: Iterable[int | Outcome[Any]]) -> tuple[int, ...] | None:
    """Ids in the order in which they were given, each once; None where there are none."""
    given = expect_several("depends_on", dependencies, "ids and outcomes")
    return tuple(dict.fromkeys(map(_dependency, given))) or None


def _dependency(given: object) -> int:
    came = type(given).__name__
    task_id = given.id if isinstance(given, Outcome) else given
    if isinstance(task_id, bool) or not isinstance(task_id, int):
        raise TypeError(f"depends_on: expected the id of a task or the outcome of a submit, got {came}")
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
    if isinstance(given, int):
        check_whole(given, "max_failures", least=0, instead="fail_fast=False tolerates them all", error=InvalidTask)
    return value


def check_child_concurrency(value: int | None) -> int | None:
    """At least 1."""
    if value is None:
        return None
    return check_whole(value, "child_concurrency", least=1, instead="leave it out for no bound", error=InvalidTask)


def check_callable(what: str, value: object) -> None:
    """A callable that gives something from the payload, or none."""
    if value is not None and not callable(value):
        raise TypeError(f"{what}: expected a callable that takes the payload, got {type(value).__name__}")


def _member(what: str, kind: type[Member]) -> Check:
    """One of an enumeration, also by its name."""
    return lambda given: expect_member(what, kind, given)


def _instance(what: str, kind: type) -> Check:
    def check(given: Any) -> Any:
        if not isinstance(given, kind):
            raise TypeError(f"{what}: expected {kind.__name__}, got {type(given).__name__}")
        return given

    return check


def _label(label: Any) -> str:
    if not isinstance(label, str):
        raise InvalidTask(f"label: expected a str, got {type(label).__name__}")
    return check_label(label)


def _parent(parent: Any) -> int | Context:
    if isinstance(parent, Context):
        return parent
    if isinstance(parent, bool) or not isinstance(parent, int):
        raise TypeError(f"parent: expected a task's id or a Context, got {type(parent).__name__}")
    return parent


_CHECKS: Final[Mapping[str, Check]] = {
    "key": check_key,
    "label": _label,
    "priority": lambda given: int(check_priority(given)),
    "group": check_group,
    "tags": check_tags,
    "io": check_io,
    "retry": _instance("retry", Retry),
    "timeout": lambda given: to_seconds(given, "timeout", allow_zero=False, allow_inf=True),
    "run_after": lambda given: to_seconds(given, "run_after"),
    "run_at": lambda given: datetime_to_ms(given, "run_at"),
    "schedule": check_schedule,
    "ttl": check_ttl,
    "ttl_from": _member("ttl_from", TtlFrom),
    "depends_on": check_dependencies,
    "on_dependency_failure": _member("on_dependency_failure", DependencyPolicy),
    "on_duplicate": _member("on_duplicate", DuplicatePolicy),
    "fail_fast": _instance("fail_fast", bool),
    "max_failures": check_max_failures,
    "child_concurrency": check_child_concurrency,
    "executor": lambda given: check_text("executor", given, 1, MAX_NAME_LENGTH),
    "parent": _parent,
    "sibling_of": _instance("sibling_of", Context),
}
"""What each option must be, as a value that has passed: the one place that says so for submissions, tasks and domains."""
