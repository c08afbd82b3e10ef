"""Payloads of older code: brought up to the present version of a task, one step a version, each time that they are to run."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

Step: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns a payload of one version into one of the next."""

MAX_VERSION: Final = 1 << 31

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Unmigratable(ValueError):
    """A payload that this program cannot bring to the version of its code; the message says why."""


def migrate(text: str, stored: int, present: int, steps: Mapping[int, Step], *, is_secret: bool = False) -> str:
    """The payload as the present version takes it. The text that was stored stays as it is.

    Args:
        text: the stored payload, a JSON object.
        stored: the version of the code that submitted it.
        present: the version of this program's code.
        steps: by the version that they start from; the application's own functions.
        is_secret: messages quote nothing that a step says.

    Raises:
        Unmigratable: the payload is of a later version, a step is missing or raises, or gives no payload.
    """
    if stored > present:
        raise Unmigratable(
            f"its payload is of version {stored}, this program's task of version {present}; run it with code of that version"
        )
    if stored == present:
        return text
    try:
        payload = _decode(text)
    except msgspec.MsgspecError as error:
        raise Unmigratable(f"its payload is no JSON object: {error}") from error
    for version in range(stored, present):
        payload = _apply(steps, version, payload, is_secret=is_secret)
    try:
        return _encode(payload).decode()
    except Exception as error:  # whatever a step put into it
        raise Unmigratable(f"the migrated payload is no JSON: {_described(error, is_secret=is_secret)}") from error


def _apply(steps: Mapping[int, Step], version: int, payload: dict[str, Any], *, is_secret: bool) -> dict[str, Any]:
    step = steps.get(version)
    if step is None:
        raise Unmigratable(f"its payload is of version {version}, and no migrate({version}) leads on to {version + 1}")
    try:
        result: object = step(payload)
    except BaseException as error:  # also SystemExit: it is the application's code, and ends no thread
        raise Unmigratable(f"migrate({version}) raised {_described(error, is_secret=is_secret)}") from error
    if not isinstance(result, dict):
        raise Unmigratable(f"migrate({version}): expected a dict, got {type(result).__name__}; return the payload")
    return result


def _described(error: BaseException, *, is_secret: bool) -> str:
    return type(error).__name__ if is_secret else repr(error)
