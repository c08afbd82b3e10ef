"""What a body's signature says about its payload: parameters, their types, and a msgspec Struct that binds them.

The Struct has one field a parameter. `*args` is one field with a tuple, `**kwargs` one with a dict, so that a payload
is one flat object however the body is written.
"""

from __future__ import annotations

import copy
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from functools import partial
from inspect import Parameter, Signature
from typing import Any, Final, cast

import msgspec

from millrace.model.errors import InvalidTask

_BY_POSITION: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)

# Types without a decoder of their own that stand for any plain JSON.
_ANYTHING: Final = (object, typing.Any)


class Traits(typing.NamedTuple):
    """What is to be known of a type before its encoded form is trusted without a look at the value.

    Args:
        suspicious: parts of a text that equality alone does not acquit. An infinite Decimal equals itself; a class
            whose `==` is its own, or leaves fields out, may hide a NaN that was written as null.
        has_unordered_sets: it has sets whose members may have no total order, so that msgspec writes them in any.
    """

    suspicious: tuple[bytes, ...]
    has_unordered_sets: bool


def payload_signature(fn: Callable[..., object], *, task_name: str, skip: int) -> Signature:
    """The signature of `fn` without its first `skip` parameters, with resolved annotations: `Any` where there is none.

    A parameter that defaults to None may be None, whatever its annotation says.

    Raises:
        InvalidTask: there are fewer parameters, an annotation cannot be resolved, or JSON cannot be decoded to it.
    """
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"{task_name}: expected a function with a readable signature, got {fn!r}") from error
    names = Namespace(fn)
    payload = _without_leading(parameters, skip, task_name)
    return Signature([_resolved(parameter, names, task_name) for parameter in payload])


def return_type(fn: Callable[..., object], *, task_name: str) -> Any:
    """The resolved return annotation, `Any` where there is none.

    Raises:
        InvalidTask: it cannot be resolved, or JSON cannot be decoded to it.
    """
    annotation = inspect.signature(fn).return_annotation
    if annotation is Signature.empty:
        return Any
    hint = Namespace(fn).resolve("return", annotation, task_name)
    if hint in (typing.NoReturn, typing.Never):
        return Any
    check_type(hint, what="return", task_name=task_name)
    return hint


def payload_struct(signature: Signature, *, task_name: str) -> type[msgspec.Struct]:
    """A Struct type with the payload's parameters as fields: those by position first, in order, then the others.

    Raises:
        InvalidTask: the parameters cannot be fields.
    """
    by_position = [_field(each) for each in signature.parameters.values() if each.kind in _BY_POSITION]
    by_name = [_field(each) for each in signature.parameters.values() if each.kind not in _BY_POSITION]
    # A payload with a field that the body does not take (any more) must not lose it silently.
    define = partial(msgspec.defstruct, forbid_unknown_fields=True)
    try:
        if not by_name:
            return define("Payload", by_position)
        base = define("PayloadByName", by_name, kw_only=True)
        return define("Payload", by_position, bases=(base,)) if by_position else base
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidTask(f"{task_name}: its parameters cannot be the fields of a payload: {error}") from error


def check_type(hint: Any, *, what: str, task_name: str) -> None:
    """Refuses a type that no JSON can be decoded to.

    Raises:
        InvalidTask: naming `what` (a parameter, or "return") and the type.
    """
    try:
        msgspec.json.Decoder(hint)
        unknown = [node.cls for node in _nodes(hint) if isinstance(node, msgspec.inspect.CustomType)]
        raw = any(isinstance(node, (msgspec.inspect.RawType, msgspec.inspect.ExtType)) for node in _nodes(hint))
    except Exception as error:  # whatever a foreign class raises while its fields are looked up
        reason = str(error)
        if "union" in reason:
            reason += "; give the classes of a union tags: msgspec.Struct with tag=True"
        raise InvalidTask(f"{task_name}: {what}: cannot decode {describe(hint)}: {reason}", field=what) from error
    unknown = [cls for cls in unknown if cls not in _ANYTHING]
    if unknown or raw:
        culprit = describe(unknown[0]) if unknown else "msgspec.Raw"
        raise InvalidTask(
            f"{task_name}: {what}: expected a type that JSON can be decoded to (dataclass, TypedDict, Struct, "
            f"list, dict, datetime, ...), got {culprit} in {describe(hint)}",
            field=what,
        )


def traits(*hints: Any) -> Traits:
    """What types that `check_type` accepts have in them, all together."""
    nodes = [node for hint in hints for node in _nodes(hint)]
    sets = [node for node in nodes if isinstance(node, (msgspec.inspect.SetType, msgspec.inspect.FrozenSetType))]
    suspicious: tuple[bytes, ...] = ()
    if any(isinstance(node, (msgspec.inspect.StructType, msgspec.inspect.DataclassType)) for node in nodes):
        suspicious = (b"null", b'NaN"', b'Infinity"')
    elif any(isinstance(node, msgspec.inspect.DecimalType) for node in nodes):
        suspicious = (b'Infinity"',)
    return Traits(
        suspicious=suspicious,
        has_unordered_sets=any(not _is_ordered(node.item_type) for node in sets),
    )


def describe(hint: Any) -> str:
    """A type as an annotation shows it."""
    return inspect.formatannotation(hint)


# Parameters


def _without_leading(parameters: list[Parameter], skip: int, task_name: str) -> list[Parameter]:
    leading = [each for each in parameters if each.kind in _BY_POSITION][:skip]
    if len(leading) == skip:
        return parameters[skip:]
    if any(each.kind is Parameter.VAR_POSITIONAL for each in parameters):
        return parameters[len(leading) :]  # *args takes the context too
    raise InvalidTask(
        f"{task_name}: expected a function that takes the context first, got one with {len(leading)} parameters"
    )


def _resolved(parameter: Parameter, names: Namespace, task_name: str) -> Parameter:
    name = parameter.name
    if name.startswith("__"):
        raise InvalidTask(f"{task_name}: expected parameters without two leading underscores, got {name!r}", field=name)
    if parameter.annotation is Parameter.empty:
        return parameter.replace(annotation=Any)
    hint = names.resolve(name, parameter.annotation, task_name)
    if hint is object:
        hint = Any
    if parameter.default is None and hint is not Any:
        hint = typing.Optional[hint]  # noqa: UP045  # the hint may be a string-like form that has no `|`
    check_type(hint, what=name, task_name=task_name)
    return parameter.replace(annotation=hint)


def _field(parameter: Parameter) -> tuple[str, Any] | tuple[str, Any, Any]:
    name, hint, default = parameter.name, parameter.annotation, parameter.default
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return name, types.GenericAlias(tuple, (hint, ...)), ()
    if parameter.kind is Parameter.VAR_KEYWORD:
        no_others: Any = msgspec.field(default_factory=dict[str, Any])
        return name, types.GenericAlias(dict, (str, hint)), no_others
    if default is Parameter.empty:
        return name, hint
    if default is None or isinstance(default, (bool, int, float, str, bytes)):
        return name, hint, default
    # Not the default itself: a body that changes what it was given would change it for the runs that follow.
    return name, hint, msgspec.field(default_factory=partial(copy.deepcopy, default))


# Annotations


class Namespace:
    """The names that a function's annotations may use: its module's, its closure's, its type parameters."""

    def __init__(self, fn: Callable[..., object]) -> None:
        inner = inspect.unwrap(fn)
        while isinstance(inner, partial):
            inner = inspect.unwrap(inner.func)
        if not hasattr(inner, "__globals__") and not isinstance(inner, type):
            inner = inspect.unwrap(type(inner).__call__)  # an object that can be called
        self._globals: dict[str, Any] = getattr(inner, "__globals__", {})
        self._locals = dict(_closure(inner))
        self._locals.update((each.__name__, each) for each in getattr(inner, "__type_params__", ()))

    def resolve(self, name: str, annotation: object, task_name: str) -> Any:
        """An annotation, which may be text, as a type. One at a time, so that `ctx` may be annotated with a name that
        only type checkers know.
        """
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints = typing.get_type_hints(holder, self._globals, self._locals, include_extras=True)
        except Exception as error:  # an annotation is code, which may raise anything
            raise InvalidTask(
                f"{task_name}: {name}: expected an annotation that can be resolved where the task is defined, "
                f"got {annotation!r}: {error}",
                field=name,
            ) from error
        return hints[name]


def _closure(fn: object) -> Iterator[tuple[str, object]]:
    code, cells = getattr(fn, "__code__", None), getattr(fn, "__closure__", None) or ()
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


# The parts of a type


def _nodes(hint: Any) -> Iterator[msgspec.inspect.Type]:
    """A type's description by msgspec and all within it, each once: types may contain themselves."""
    seen: set[int] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(hint)]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.Type):
            yield node
        waiting.extend(_parts(node))


def _parts(node: msgspec.inspect.Type | msgspec.inspect.Field) -> Iterator[Any]:
    for name in node.__struct_fields__:
        value: object = getattr(node, name)
        parts = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        yield from (part for part in parts if isinstance(part, (msgspec.inspect.Type, msgspec.inspect.Field)))


_ORDERED: Final = (
    msgspec.inspect.NoneType,
    msgspec.inspect.BoolType,
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
    msgspec.inspect.StrType,
    msgspec.inspect.BytesType,
    msgspec.inspect.DateTimeType,
    msgspec.inspect.DateType,
    msgspec.inspect.TimeType,
    msgspec.inspect.TimeDeltaType,
    msgspec.inspect.UUIDType,
    msgspec.inspect.DecimalType,
    msgspec.inspect.EnumType,
    msgspec.inspect.LiteralType,
)


def _is_ordered(item: msgspec.inspect.Type) -> bool:
    """Whether members of this type have one order, or refuse to be compared (then the encoder refuses, too)."""
    if isinstance(item, msgspec.inspect.UnionType):
        return all(_is_ordered(each) for each in item.types)
    if isinstance(item, msgspec.inspect.Metadata):
        return _is_ordered(item.type)
    return isinstance(item, _ORDERED)
