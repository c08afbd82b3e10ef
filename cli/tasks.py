"""Tasks as commands show them: as objects for JSON, and as lines."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, Final, cast

from millrace.cli.output import ago, lasting, one_line, styled
from millrace.model.records import TaskRecord
from millrace.model.redaction import REDACTED, redact

HEADS: Final = ("ID", "STATUS", "TASK", "LABEL", "GROUP", "RETRIES", "AGE", "TOOK", "ERROR")
_WIDEST: Final = 48
_UNLISTED: Final = frozenset({"payload", "memo", "traceback"})


def brief(record: TaskRecord) -> dict[str, Any]:
    """A task in a list: all of its record but what can be large."""
    return {one.name: getattr(record, one.name) for one in fields(record) if one.name not in _UNLISTED}


def whole(record: TaskRecord, secret: Collection[str] | None) -> dict[str, Any]:
    """A task by itself, its payload as it may be shown."""
    shown = {one.name: getattr(record, one.name) for one in fields(record)}
    shown["payload"] = visible(record.payload, secret)
    return shown


def visible(payload: Any, secret: Collection[str] | None) -> Any:
    """A payload as it may be shown.

    Args:
        payload: as stored.
        secret: the fields that its task redacts; None: nobody knows, as the program's code is not at hand, so all may be.
    """
    if payload is None:
        return None
    if not isinstance(payload, Mapping):
        return REDACTED
    values = cast("Mapping[str, Any]", payload)
    return redact(values, values if secret is None else secret)


def row(record: TaskRecord) -> tuple[str, ...]:
    """A task as the cells of a line under ``HEADS``."""
    return (
        str(record.id),
        styled(record.status.value),
        one_line(record.task_name, _WIDEST),
        one_line(record.label, _WIDEST),
        one_line(record.group, _WIDEST) or "-",
        f"{record.retries}/{record.max_retries}",
        ago(record.created_at).removesuffix(" ago"),
        lasting(record.duration),
        one_line(record.error, _WIDEST) or "-",
    )
