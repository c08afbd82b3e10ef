"""What every group of the scheduler's methods stands on: its core and its runtime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from millrace.model.numbers import check_whole

if TYPE_CHECKING:
    from millrace.actors.runtime import Runtime
    from millrace.core import Core


T = TypeVar("T")


class Operations:
    """Base of the classes that `Scheduler` is made of, one for each subject. It sets both attributes."""

    _core: Core
    _runtime: Runtime


def at_least(what: str, value: int, least: int) -> int:
    """The value, where it is an int that is not below a bound; else TypeError, ValueError."""
    return check_whole(value, what, least=least, most=None)


def expect_batch(submissions: Iterable[T]) -> Iterable[T]:
    """The value, where it can be gone through; else TypeError: one submission is no batch."""
    given: object = submissions
    if not isinstance(given, Iterable):
        raise TypeError(
            f"submissions: expected an iterable of what task.call(...) makes, got {type(given).__name__}; put it in a list"
        )
    return submissions


def expect_bool(what: str, value: object) -> bool:
    """The value, where it is a bool; else TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{what}: expected bool, got {type(value).__name__}")
    return value


def expect_id(task_id: object, what: str = "id") -> int:
    """A task's id; TypeError. One from a URL or a command line is text still, and would be found nowhere."""
    if isinstance(task_id, bool) or not isinstance(task_id, int):
        raise TypeError(f"{what}: expected the id of a task, an int, got {type(task_id).__name__}")
    return task_id


def expect_text(what: str, value: object) -> str:
    """The value, where it is text; else TypeError. Any other would equal nothing, which looks as if there were nothing."""
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected text, got {type(value).__name__}")
    return value
