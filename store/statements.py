"""The SQL of the store, by name. A statement's text stands in ``store/sql`` and nowhere else."""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

_COLUMNS: Final = (
    "id, name, key, label, status, priority, payload, memo, parent_id, fail_fast, retries, max_retries, error, traceback, "
    "created_at_ms, run_at_ms, started_at_ms, finished_at_ms, cancel_requested_at_ms, duration_s, progress, retry_of, grp, "
    "tags, effective, expires_at_ms, depends_on, series_id, expected_io, actual_io, bytes_done, bytes_total"
)
"""The columns of a task as ``store.records.make_record`` takes them; ``@active(t)`` and ``@settled(h)`` in a statement."""

_MACRO = re.compile(r"@(active|settled)\((\w*)\)")
_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """The statements of one file: each begins with ``-- name: verb_object``."""
    parts = _HEADER.split(_MACRO.sub(_write_columns, text))[1:]
    return {name: body.strip().removesuffix(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _write_columns(macro: re.Match[str]) -> str:
    """A task's columns, of a table under an alias or none; an active one has not finished."""
    prefix = f"{macro[2]}." if macro[2] else ""
    names = _COLUMNS.split(", ")
    return ", ".join(
        "NULL" if macro[1] == "active" and name == "finished_at_ms" else f"{prefix}{name}" for name in names
    )


def load() -> Mapping[str, str]:
    """All statements by name; ValueError where a name stands twice."""
    found: dict[str, str] = {}
    for entry in sorted(files("millrace.store").joinpath("sql").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            for name, body in parse(entry.read_text(encoding="utf-8")).items():
                if name in found:
                    raise ValueError(f"two statements are named {name}")
                found[name] = body
    return MappingProxyType(found)


SQL = load()
