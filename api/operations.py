"""What every group of the scheduler's methods stands on: its core and its runtime."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from millrace.model.errors import InvalidTask
from millrace.model.numbers import check_whole

if TYPE_CHECKING:
    from millrace.actors.runtime import Runtime
    from millrace.core import Core


T = TypeVar("T")
Member = TypeVar("Member", bound=StrEnum)


class Operations:
    """Base of the classes that `Scheduler` is made of, one for each subject. It sets both attributes."""

    _core: Core
    _runtime: Runtime


def at_least(what: str, value: int, least: int) -> int:
    """The value, where it is an int that is not below a bound; else TypeError, ValueError."""
    return check_whole(value, what, least=least, most=None)


def expect_several(what: str, values: Iterable[T], of: str) -> Iterable[T]:
    """The value, where it can be gone through; else TypeError: one alone is not several, nor is a text its letters."""
    given: object = values
    if isinstance(given, (str, bytes)) or not (isinstance(given, Iterable) or hasattr(given, "__getitem__")):
        raise TypeError(
            f"{what}: expected an iterable of {of}, got {type(given).__name__}; put a single one into a list"
        )
    return values


def expect_batch(submissions: Iterable[T]) -> Iterable[T]:
    """The value, where it can be gone through; else TypeError: one submission is no batch."""
    return expect_several("submissions", submissions, "what task.call(...) makes")


def expect_member(what: str, kind: type[Member], given: Any) -> Member:
    """One of an enumeration, also by its text; else InvalidTask."""
    try:
        return kind(given)
    except ValueError:
        names = ", ".join(repr(str(known)) for known in kind)
        raise InvalidTask(f"{what}: expected one of {names}, got {given!r}", field=what) from None


def expect_type(what: str, value: object) -> None:
    """TypeError where the value is no class."""
    if not isinstance(value, type):
        raise TypeError(f"{what}: expected a class, got {type(value).__name__}")


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
