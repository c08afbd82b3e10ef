"""Payloads, memos and states: from Python values to canonical JSON text and back by the annotations.

Binding, encoding and decoding run in C (msgspec). msgspec is lenient where a store must not be: it writes NaN as null
and integers of any size. So what was encoded is decoded again and compared with the value, also in C; only where that
does not prove the text faithful (an argument of another type than decoding gives, a long number, deep nesting) the
value is walked by the rules of `json_rules`, which either finds what is wrong or confirms it. A payload of one int
takes about 0.5 µs to bind and encode this way, and 0.4 µs more for its key.

Everything here is immutable after construction and may be used from any thread.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import Parameter
from typing import Any, Final, TypeVar

import msgspec

from millrace.model.errors import InvalidTask, PayloadTooLarge
from millrace.model.json_rules import (
    ENCODER,
    MAX_DEPTH,
    Json,
    RuleBroken,
    canonical,
    has_long_number,
    is_deeper_than,
)
from millrace.model.names import check_key, check_label, check_task_name
from millrace.model.redaction import REDACTED
from millrace.model.signature import Traits, describe, payload_signature, payload_struct, return_type, traits

__all__ = [
    "MemoCodec",
    "PayloadCodec",
    "UndecodablePayload",
    "check_key",
    "check_label",
    "check_task_name",
    "decode_json",
    "encode_json",
]

T = TypeVar("T")

# Text below this many bytes holds neither a number of 19 digits nor, by far, 100 levels.
_TOO_SHORT_TO_BREAK_RULES: Final = 19

_encode: Final = ENCODER.encode


class UndecodablePayload(ValueError):
    """Stored text that the present code cannot decode: the payload of an older version, or a damaged one.

    Args:
        reason: what was expected and what came.
    """

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _TypedJson:
    """Text of one type: encodes under all rules, decodes by the type.

    Args:
        hint: the type.
        has: what its values may have in them.
        walk: the plain form of a value of it; RuleBroken where there is none.
        misfit: turns a decoder's complaint about a value into RuleBroken.
        max_depth: levels of nesting.
    """

    def __init__(
        self,
        hint: Any,
        has: Traits,
        *,
        walk: Callable[[Any], Json],
        misfit: Callable[[Any, Exception], RuleBroken],
        max_depth: int,
    ) -> None:
        self._suspicious = has.suspicious
        self._always_walk = has.has_unordered_sets
        self._walk = walk
        self._misfit = misfit
        self._max_depth = max_depth
        self.decode: Callable[[str | bytes], Any] = msgspec.json.Decoder(hint).decode

    def encode(self, value: object, what: str, max_bytes: int) -> str:
        """Canonical text. Raises RuleBroken and PayloadTooLarge."""
        try:
            data = _encode(value)
            if len(data) <= max_bytes and self._is_faithful(data, value):
                return data.decode()
        except Exception:  # noqa: BLE001  # whatever it is, of msgspec or a foreign `__eq__`: the slow way names it
            data = b""
        if len(data) > max_bytes:
            raise PayloadTooLarge(len(data), max_bytes, what=what)
        return self._encode_walked(value, what, max_bytes)

    def _is_faithful(self, data: bytes, value: object) -> bool:
        """Whether the text is proved right without a walk. May raise anything."""
        if len(data) >= _TOO_SHORT_TO_BREAK_RULES and (has_long_number(data) or is_deeper_than(self._max_depth, data)):
            return False
        if self._always_walk or (self._suspicious and any(part in data for part in self._suspicious)):
            return False
        return bool(self.decode(data) == value)

    def _encode_walked(self, value: object, what: str, max_bytes: int) -> str:
        data = _encode(self._walk(value))
        if len(data) > max_bytes:
            raise PayloadTooLarge(len(data), max_bytes, what=what)
        try:
            self.decode(data)
        except MemoryError:
            raise
        except Exception as error:  # a decoder's, or whatever a class raises from __post_init__
            raise self._misfit(value, error) from error
        return data.decode()


class PayloadCodec:
    """Binds, encodes and decodes the arguments of one body. Built once, when the task is defined.

    Args:
        fn: the body.
        task_name: qualified, for messages.
        skip: how many leading parameters are not payload (the context).
        redact: parameters whose values no message shows.

    Raises:
        InvalidTask: an annotation cannot be resolved or decoded to, or there is no parameter of a name to be redacted.
    """

    names: tuple[str, ...]
    """The parameters, in the order of the signature."""
    has_required: bool
    """Whether there is a parameter that must be given."""
    redact: frozenset[str]
    """Parameters whose values are not shown."""

    def __init__(
        self, fn: Callable[..., object], *, task_name: str, skip: int = 1, redact: Collection[str] = ()
    ) -> None:
        self.task_name = task_name
        self.signature = payload_signature(fn, task_name=task_name, skip=skip)
        parameters = self.signature.parameters
        self.names = tuple(parameters)
        self.redact = frozenset(redact)
        if not self.redact <= parameters.keys():
            unknown = ", ".join(sorted(map(repr, self.redact - parameters.keys())))
            known = ", ".join(parameters) or "none"
            raise InvalidTask(f"{task_name}: redact: expected parameters ({known}), got {unknown}", field="redact")
        self.has_required = any(_is_required(each) for each in parameters.values())
        self._struct = payload_struct(self.signature, task_name=task_name)
        kinds = {each.kind for each in parameters.values()}
        # A Struct takes arguments as a function does, but knows no parameters of these kinds.
        self._binds_directly = kinds <= {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
        self._takes_positions_only = kinds <= {Parameter.POSITIONAL_OR_KEYWORD, Parameter.POSITIONAL_ONLY}
        # Of the parameters, not of the Struct around them, whose `==` compares every field and so proves what they do.
        has = traits(*(each.annotation for each in parameters.values()))
        # One more level than a value may have: the payload's own object.
        self._json = _TypedJson(self._struct, has, walk=self._walk, misfit=self._misfit, max_depth=MAX_DEPTH + 1)

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> msgspec.Struct:
        """The arguments as Python binds them, defaults filled in; an opaque value for the other methods.

        Raises:
            TypeError: they do not fit the body.
        """
        if self._binds_directly:
            try:
                return self._struct(*args, **kwargs)
            except TypeError:  # inspect binds again below, for its message
                return self._bind_slowly(args, kwargs)
        return self._bind_slowly(args, kwargs)

    def _bind_slowly(self, args: Sequence[object], kwargs: Mapping[str, object]) -> msgspec.Struct:
        try:
            # The Struct looks at it again: some Pythons (3.13.0) bind a missing positional-only parameter whose name is
            # among **kwargs.
            return self._struct(**self.signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            reason = f"{error}; after the context it takes ({', '.join(self.names)})"
            raise TypeError(f"{self.task_name}() {reason[:1].lower()}{reason[1:]}") from None

    def encode(self, bound: msgspec.Struct, *, max_bytes: int) -> str:
        """The payload as canonical JSON text: one object from parameter to value, keys sorted, no spaces.

        Raises:
            InvalidTask: a value cannot be encoded, breaks a rule, or does not decode to its parameter's annotation.
            PayloadTooLarge: the text has more than `max_bytes` bytes.
        """
        try:
            return self._json.encode(bound, "payload", max_bytes)
        except RuleBroken as error:
            name = _first_name(error.path)
            if name in self.redact:
                raise InvalidTask(
                    f"{self.task_name}: parameter {name!r}: expected {error.expected}, got {REDACTED}", field=name
                ) from None
            raise InvalidTask(f"{self.task_name}: parameter {error}", field=name) from error.__cause__

    @staticmethod
    def digest(text: str) -> str:
        """Lower-case hex SHA-256 of the text: the key of a payload that has no other."""
        return hashlib.sha256(text.encode()).hexdigest()

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What to call the body with after the context: positional arguments and keyword arguments.

        Raises:
            UndecodablePayload: the text is no payload of this body.
        """
        try:
            return self._arguments(_decoded(self._json.decode, text))
        except UndecodablePayload as error:
            if not self.redact or error.__cause__ is None:
                raise
            path, _ = _complaint(error.__cause__)
            if _first_name(path) in self.redact or not isinstance(error.__cause__, msgspec.MsgspecError):
                raise UndecodablePayload(f"{_first_name(path)}: {REDACTED}".removeprefix(": ")) from None
            raise

    def as_mapping(self, bound: msgspec.Struct) -> dict[str, Any]:
        """The bound values by parameter, in the order of the signature."""
        return {name: getattr(bound, name) for name in self.names}

    def call(self, fn: Callable[..., T], bound: msgspec.Struct) -> T:
        """What `fn` returns when it is called as the body is, without the context. Its exceptions pass."""
        args, kwargs = self._arguments(bound)
        return fn(*args, **kwargs)

    def _arguments(self, values: msgspec.Struct) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._takes_positions_only:
            return msgspec.structs.astuple(values), {}
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            value = getattr(values, name)
            match parameter.kind:
                case Parameter.VAR_POSITIONAL:
                    args.extend(value)
                case Parameter.VAR_KEYWORD:
                    kwargs.update(value)
                case Parameter.KEYWORD_ONLY:
                    kwargs[name] = value
                case _:
                    args.append(value)
        return tuple(args), kwargs

    def _walk(self, bound: msgspec.Struct) -> Json:
        return {name: canonical(value, name) for name, value in self.as_mapping(bound).items()}

    def _misfit(self, bound: msgspec.Struct, error: Exception) -> RuleBroken:
        path, reason = _complaint(error)
        name = _first_name(path) or self._misfitting(bound)
        came = type(getattr(bound, name)).__qualname__
        hint = self.signature.parameters[name].annotation
        return RuleBroken(path or name, describe(hint), f"a value of type {came} ({reason})")

    def _misfitting(self, bound: msgspec.Struct) -> str:
        """The parameter that does not decode, where the decoder did not say: a class of the user's raised, not it."""
        for field in msgspec.structs.fields(self._struct):
            try:
                msgspec.json.decode(_encode(canonical(getattr(bound, field.name), field.name)), type=field.type)
            except Exception:  # noqa: BLE001  # as in `_encode_walked`
                return field.name
        return self.names[-1]


class MemoCodec:
    """Encodes what a body returns, and decodes it, by the return annotation; plain JSON where there is none.

    Args:
        fn: the body (or finalizer).
        task_name: qualified, for messages.

    Raises:
        InvalidTask: the annotation cannot be resolved or decoded to.
    """

    def __init__(self, fn: Callable[..., object], *, task_name: str) -> None:
        self.task_name = task_name
        self._hint = return_type(fn, task_name=task_name)
        self._json = _whole(self._hint, "memo")

    def encode(self, value: object, *, max_bytes: int) -> str:
        """Canonical JSON text of a memo.

        Raises:
            InvalidTask: as for a payload; the message says "memo".
            PayloadTooLarge: the text has more than `max_bytes` bytes.
        """
        try:
            return self._json.encode(value, "memo", max_bytes)
        except RuleBroken as error:
            raise InvalidTask(f"{self.task_name}: memo {error}", field="memo") from error.__cause__

    def decode(self, text: str) -> Any:
        """A memo by the return annotation.

        Raises:
            UndecodablePayload: the text does not fit it.
        """
        return _decoded(self._json.decode, text)

    @staticmethod
    def decode_plain(text: str) -> Json:
        """A memo as plain JSON.

        Raises:
            UndecodablePayload: the text is no JSON.
        """
        return decode_json(text)


def encode_json(value: object, *, what: str, max_bytes: int) -> str:
    """Canonical text of any value that JSON can stand for (a Flow's state or memo).

    Args:
        value: the value; it comes back as plain JSON.
        what: how messages call it.
        max_bytes: of the text.

    Raises:
        InvalidTask: it cannot be encoded or breaks a rule.
        PayloadTooLarge: the text has more than `max_bytes` bytes.
    """
    try:
        return _PLAIN.encode(value, what, max_bytes)
    except RuleBroken as error:
        raise InvalidTask(f"{what}: {error}", field=what) from error.__cause__


def decode_json(text: str) -> Json:
    """Plain JSON.

    Raises:
        UndecodablePayload: the text is no JSON.
    """
    return _decoded(_PLAIN.decode, text)


# Decoders' complaints


def _decoded(decode: Callable[[str], T], text: str) -> T:
    try:
        return decode(text)
    except MemoryError:
        raise
    except Exception as error:  # a decoder's, or whatever a class raises from __post_init__
        path, reason = _complaint(error)
        raise UndecodablePayload(f"{path}: {reason}" if path else reason) from error


_COMPLAINT: Final = re.compile(
    r"(?P<reason>.*?)(?: - at (?:`(?P<part>key|index)[^`]*` in )?`\$\.?(?P<path>.*)`)?", re.DOTALL
)


def _complaint(error: BaseException) -> tuple[str, str]:
    """Where (as Python writes it, "" for the whole) and why a decoder complains."""
    if not isinstance(error, msgspec.MsgspecError):
        return "", f"{type(error).__name__}: {error}"
    found = _COMPLAINT.fullmatch(str(error))
    if found is None:
        return "", str(error)
    return found["path"] or "", found["reason"].replace("`", "")


def _first_name(path: str) -> str:
    return re.split(r"[.\[{ ]", path, maxsplit=1)[0]


def _is_required(parameter: Parameter) -> bool:
    by_name = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return parameter.kind in by_name and parameter.default is Parameter.empty


def _whole(hint: Any, what: str) -> _TypedJson:
    """Text of one value that is no payload."""

    def misfit(value: object, error: Exception) -> RuleBroken:
        path, reason = _complaint(error)
        return RuleBroken(path or what, describe(hint), f"a value of type {type(value).__qualname__} ({reason})")

    return _TypedJson(hint, traits(hint), walk=lambda value: canonical(value, what), misfit=misfit, max_depth=MAX_DEPTH)


_PLAIN: Final = _whole(Any, "value")
