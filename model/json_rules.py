"""What may be stored as JSON, and in which one form.

Refused, anywhere in a value: NaN and infinities (also of Decimals), integers outside -2^63..2^63-1, lone surrogates,
arrays and objects nested deeper than 100, objects whose keys coincide once they are text, and what no JSON stands for.

`canonical` is the exact and slow way: it walks a value and either returns its plain form or says where it breaks a
rule. `has_long_number` and `is_deeper_than` look at encoded text and cost next to nothing: they say where the slow way
is needed.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final, TypeAlias, cast

import msgspec

Json: TypeAlias = Any
"""None, bool, int, float, str, or a list of these, or a dict from str to these."""

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
MAX_DEPTH: Final = 100
"""Arrays and objects inside one another, counted in one value: a parameter's, a memo, a state."""

_MINUTE: Final = timedelta(minutes=1)


class RuleBroken(ValueError):
    """A value that is not accepted.

    Args:
        path: where in the value, as Python would write it: `n[3].size`.
        expected: what would be accepted there.
        came: what is there, by its type only: values may be secrets.
    """

    def __init__(self, path: str, expected: str, came: str) -> None:
        super().__init__(f"{path!r}: expected {expected}, got {came}")
        self.path = path
        self.expected = expected
        self.came = came


def exact_builtin(value: object) -> str | int | float:
    """A str, int or float in place of a value of a class derived from it: what msgspec's encoders call for such types.

    Raises:
        NotImplementedError: it is none of these.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise NotImplementedError(type(value).__name__)


ENCODER: Final = msgspec.json.Encoder(order="sorted", enc_hook=exact_builtin)
"""Writes canonical text of plain values, from any thread. Alone it keeps no rule: it writes NaN as null."""


# Looking at text

_NINETEEN_DIGITS: Final = b"0" * 19
_DIGITS_AS_ZERO: Final = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def has_long_number(text: bytes) -> bool:
    """True where 19 digits follow one another, so that an integer may be out of range (or a string only looks so).

    Translating and searching is two passes in C, a third of the time that a regular expression takes.
    """
    return _NINETEEN_DIGITS in text.translate(_DIGITS_AS_ZERO)


def is_deeper_than(limit: int, text: bytes) -> bool:
    """True where JSON text nests more than `limit` arrays and objects. Exact; bounded in time and without recursion."""
    if len(text) <= 2 * limit or text.count(b"[") + text.count(b"{") <= limit:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(text.split(b'"')[::2])
    skeleton = outside_strings.translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(limit):  # each pass takes away exactly the innermost level
        skeleton = skeleton.replace(b"[]", b"")
    return bool(skeleton)


# Walking a value


def canonical(value: object, path: str, depth: int = 0) -> Json:
    """The plain JSON form of any value that JSON can stand for, the same for equal contents in every process.

    Args:
        value: anything.
        path: how messages call it.
        depth: arrays and objects around it.

    Raises:
        RuleBroken: it, or something in it, is not accepted.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, enum.Enum):
        return canonical(value.value, path, depth)
    for kind, convert in _BY_TYPE:
        if isinstance(value, kind):
            return convert(value, path, depth)
    return _object(value, path, depth)


def _text(value: str, path: str, _depth: int) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RuleBroken(path, "text that UTF-8 can hold", "text with a lone surrogate") from None
    return text


def _integer(value: int, path: str, _depth: int) -> int:
    number = int.__int__(value)
    if not INT_MIN <= number <= INT_MAX:
        raise RuleBroken(path, "an integer in -2^63..2^63-1", f"one of {number.bit_length()} bits")
    return number


def _real(value: float, path: str, _depth: int) -> float:
    number = float.__float__(value)
    if not isfinite(number):
        raise RuleBroken(path, "a finite number", str(number))
    return number


def _decimal(value: Decimal, path: str, _depth: int) -> str:
    if not value.is_finite():
        raise RuleBroken(path, "a finite number", f"Decimal {value}")
    return str(value)


def _moment(value: datetime, path: str, depth: int) -> Json:
    """ISO 8601 has no offset finer than a minute, and msgspec would drop the seconds: such a time is stored in UTC."""
    offset = value.utcoffset()
    if offset is None or not offset % _MINUTE:
        return _object(value, path, depth)
    try:
        return _object(value.astimezone(UTC), path, depth)
    except OverflowError:
        raise RuleBroken(path, "a time in the years 1 to 9999 UTC", "one outside") from None


def _time_of_day(value: time, path: str, depth: int) -> Json:
    if (value.utcoffset() or timedelta()) % _MINUTE:
        raise RuleBroken(path, "a time with an offset of whole minutes", f"one of {value.utcoffset()}")
    return _object(value, path, depth)


def _array(value: Iterable[object], path: str, depth: int) -> list[Json]:
    _check_depth(path, depth)
    return [canonical(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]


def _set(value: set[Any] | frozenset[Any], path: str, depth: int) -> list[Json]:
    """The members in an order that no hash decides: their own where they have one, else that of their text."""
    _check_depth(path, depth)
    members = [(member, canonical(member, f"{path}{{}}", depth + 1)) for member in value]
    if not any(isinstance(plain, (list, dict)) for _, plain in members):
        try:
            return [plain for _, plain in sorted(members, key=_member)]
        except TypeError:  # of several types: they have no order of their own
            return sorted((plain for _, plain in members), key=ENCODER.encode)
    # Arrays come from tuples and frozensets; the order of the latter is partial, so sorting by it is not one order.
    return sorted((plain for _, plain in members), key=ENCODER.encode)


def _member(pair: tuple[Any, Json]) -> Any:
    return pair[0]


def _mapping(value: Mapping[object, object], path: str, depth: int) -> dict[str, Json]:
    _check_depth(path, depth)
    plain: dict[str, Json] = {}
    for key, item in value.items():
        name = _key(key, path)
        if name in plain:
            raise RuleBroken(path, "keys that differ as text", f"two that are {type(key).__name__} and another type")
        plain[name] = canonical(item, f"{path}[{name!r}]", depth + 1)
    return plain


def _key(key: object, path: str) -> str:
    """An object's key as text: strings as they are, numbers and the like as JSON writes them."""
    plain = canonical(key, f"{path} (a key)", MAX_DEPTH)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return ENCODER.encode(plain).decode()
    raise RuleBroken(path, "keys that are text or numbers", f"one of type {type(key).__name__}")


def _object(value: object, path: str, depth: int) -> Json:
    """Everything else that msgspec knows: dataclasses, structs and attrs classes by their fields, the rest as text."""
    try:
        shape: Json = msgspec.to_builtins(value, str_keys=True, enc_hook=exact_builtin)
    except RecursionError:
        raise _too_deep(path) from None
    except (TypeError, ValueError, NotImplementedError):
        raise RuleBroken(path, "a value that JSON can stand for", f"type {type(value).__qualname__}") from None
    if isinstance(shape, dict):
        _check_depth(path, depth)
        return _fields(value, cast("dict[str, Json]", shape), path, depth)
    if isinstance(value, msgspec.Struct):  # with array_like=True: a tag, if it has one, and the fields in order
        _check_depth(path, depth)
        names = value.__struct_fields__
        items = [canonical(getattr(value, name), f"{path}.{name}", depth + 1) for name in names]
        return [*shape[: len(shape) - len(names)], *items]
    return shape


def _fields(value: object, shape: dict[str, Json], path: str, depth: int) -> dict[str, Json]:
    """The shape says which keys are written (tags, renamed and omitted fields); the values are walked one by one."""
    attributes = dict.fromkeys(shape)
    if isinstance(value, msgspec.Struct):
        kind = type(value)
        attributes.update(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    else:
        attributes.update((name, name) for name in shape)
    plain: dict[str, Json] = {}
    for key, tag in shape.items():
        attribute = attributes[key]
        plain[key] = (
            tag if attribute is None else canonical(getattr(value, attribute), f"{path}.{attribute}", depth + 1)
        )
    return plain


def _check_depth(path: str, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _too_deep(path)


def _too_deep(path: str) -> RuleBroken:
    where = re.match(r"[^.\[{]*", path)
    return RuleBroken(where.group() if where else path, f"at most {MAX_DEPTH} levels of nesting", "more")


_BY_TYPE: Final[tuple[tuple[Any, Callable[[Any, str, int], Json]], ...]] = (
    (str, _text),
    (int, _integer),
    (float, _real),
    (dict, _mapping),
    ((list, tuple), _array),
    ((set, frozenset), _set),
    (datetime, _moment),
    (time, _time_of_day),
    (Decimal, _decimal),
)
"""In the order of how often they occur; Enums (an IntEnum is an int) and bools come before them."""
