"""What a function must be that a task consists of: its body, its finalizer, its cancel hook. Looked at where it is defined.

A function that cannot be called as the runtime calls it would else be noticed by its first run; a finalizer's is after all
children.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any, Final

import msgspec

from millrace.model.errors import InvalidTask
from millrace.model.signature import Namespace, check_type, describe

_PROMISES: Final = (
    (inspect.iscoroutinefunction, "an async function", "call asyncio.run() inside a plain one"),
    (inspect.isasyncgenfunction, "an async generator", "return a value from a plain function"),
    (inspect.isgeneratorfunction, "a generator", "return a list, or spawn children"),
)
"""Functions whose call does none of their work."""


def name_of(fn: object) -> object:
    """The function's name; InvalidTask where it has none, as a partial has not. TypeError: it cannot be called."""
    _check_callable(fn, "task")
    name = getattr(fn, "__name__", None)
    if name is None:
        raise InvalidTask(f"task: expected a function with a name, got {fn!r}; give it one: @domain.task('name')")
    return name


def check_function(fn: object, what: str, leading: Sequence[str], payload: Signature | None = None) -> None:
    """Refuses what cannot serve.

    Args:
        fn: the function.
        what: it is to be, for messages.
        leading: what it is given before the payload, the context first.
        payload: what it is given after that; None where that is what the function itself says.

    Raises:
        TypeError: it cannot be called.
        InvalidTask: a call does none of its work, it does not take the context first, or not what it is given.
    """
    called = _check_callable(fn, what)
    _check_works_when_called(called, what)
    _check_context(called, what)
    if payload is not None:
        _check_takes(called, what, leading, payload)


def _check_callable(fn: object, what: str) -> Callable[..., object]:
    if not callable(fn):
        raise TypeError(f"{what}: expected a function, got {type(fn).__name__}; the decorator goes above a def")
    return fn


def _check_works_when_called(fn: Callable[..., object], what: str) -> None:
    called = (fn, type(fn).__call__)  # of an object that can be called it is its method that says so
    for is_one, kind, instead in _PROMISES:
        if any(is_one(each) for each in called):
            raise InvalidTask(
                f"{what}: expected a plain function, which has done its work when it returns, got {kind}; {instead}"
            )


def _check_context(fn: Callable[..., object], what: str) -> None:
    """Its first parameter is not annotated as payload. One without annotation may be anything."""
    try:
        # Not that of a function it wraps: a wrapper may give that one more than it takes itself.
        first = next(iter(inspect.signature(fn, follow_wrapped=False).parameters.values()), None)
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"{what}: expected a function with a readable signature, got {fn!r}") from error
    if first is None or first.kind is Parameter.VAR_POSITIONAL or first.annotation is Parameter.empty:
        return
    try:
        hint = Namespace(fn).resolve(first.name, first.annotation, what)
    except InvalidTask:  # a name that only type checkers know, as that of the context may be
        return
    if _is_payload(hint, first.name, what):
        raise InvalidTask(
            f"{what}: expected the context as the first parameter, got {first.name}: {describe(hint)}; "
            f"begin with (ctx: Context, {first.name}: {describe(hint)})",
            field=first.name,
        )


def _is_payload(hint: Any, name: str, what: str) -> bool:
    """Whether a type is one of JSON, and of nothing else."""
    if hint is object:
        return False
    try:
        check_type(hint, what=name, task_name=what)
    except InvalidTask:
        return False
    return not isinstance(msgspec.inspect.type_info(hint), msgspec.inspect.AnyType)


def _check_takes(fn: Callable[..., object], what: str, leading: Sequence[str], payload: Signature) -> None:
    """It can be called as it will be: with what is before the payload by position, and with a payload as its body has it."""
    args: list[str] = [*leading]
    kwargs: dict[str, str] = {}
    for name, parameter in payload.parameters.items():
        match parameter.kind:
            case Parameter.VAR_POSITIONAL:
                args.append(f"*{name}")
            case Parameter.VAR_KEYWORD:
                kwargs[f"**{name}"] = name
            case Parameter.KEYWORD_ONLY:
                kwargs[name] = name
            case _:
                args.append(name)
    signature = inspect.signature(fn, follow_wrapped=False)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        takes = ", ".join([*args, *(name if name.startswith("*") else f"{name}=" for name in kwargs)])
        raise InvalidTask(
            f"{what}: expected a function that can be called with ({takes}), got one of {signature}: {error}"
        ) from None
