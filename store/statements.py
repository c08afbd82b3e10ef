"""The SQL of the store, by name. A statement's text stands in ``store/sql`` and nowhere else."""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from millrace.store.pieces import compose

_COLUMNS: Final = (
    "id, name, key, label, status, priority, payload, memo, parent_id, fail_fast, retries, max_retries, error, traceback, "
    "created_at_ms, run_at_ms, started_at_ms, finished_at_ms, cancel_requested_at_ms, duration_s, progress, retry_of, grp, "
    "tags, effective, expires_at_ms, depends_on, series_id, expected_io, actual_io, bytes_done, bytes_total"
)
"""The columns of a task as ``store.records.make_record`` takes them; ``@active(t)`` and ``@settled(h)`` in a statement."""

_IS_PAUSED: Final = (
    "(EXISTS (SELECT 1 FROM pause WHERE scope = 'group' AND pause.name = {t}.grp)"
    " OR EXISTS (SELECT 1 FROM pause WHERE scope = 'domain'"
    " AND pause.name = substr({t}.name, 1, instr({t}.name, '::') - 1)))"
)
"""Whether its group or its domain is paused; ``@is_paused(t)`` in a statement.

Queued tasks of these are stored as pending: what is paused stands in the table of pauses alone, so that flags and tasks always
agree and pausing a million tasks writes one row.
"""
_STATUS: Final = f"CASE WHEN {{t}}.status = 'pending' AND {_IS_PAUSED} THEN 'paused' ELSE {{t}}.status END"
"""The status of a row of the queue as callers see it; ``@status(t)`` in a statement."""

_PAUSED_SINCE: Final = (
    "ifnull((SELECT min(since_ms) FROM pause WHERE scope = 'scheduler' OR (scope = 'group' AND pause.name = {t}.grp)"
    " OR (scope = 'domain' AND pause.name = substr({t}.name, 1, instr({t}.name, '::') - 1))), :now)"
)
"""Since when the task has been paused by what pauses it still, else ``:now``; ``@paused_since(t)`` in a statement."""

_KEY_SALT: Final = "(SELECT v FROM meta WHERE k = 'key_salt')"
"""What keys are hashed with in this store; ``@key_salt()`` in a statement."""

_MACROS: Final = {"is_paused": _IS_PAUSED, "status": _STATUS, "paused_since": _PAUSED_SINCE, "key_salt": _KEY_SALT}
_MACRO = re.compile(r"@(active|settled|is_paused|status|paused_since|key_salt)\((\w*)\)")
_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """The statements of one file: each begins with ``-- name: verb_object``."""
    parts = _HEADER.split(expand(text))[1:]
    return {name: compact(body).removesuffix(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def compact(text: str) -> str:
    """The same without lines of comment and indentation: SQLite is asked for a statement by its text, at 1 µs a kilobyte."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def expand(text: str) -> str:
    """The same with its macros written out."""
    return _MACRO.sub(_write_out, text)


def _write_out(macro: re.Match[str]) -> str:
    """A macro's SQL, of a table under an alias or, without one, of the table ``task`` or ``history`` itself."""
    what, alias = macro[1], macro[2]
    if what in _MACROS:
        return _MACROS[what].format(t=alias or "task")
    prefix = f"{alias}." if alias else ""
    columns = {name: f"{prefix}{name}" for name in _COLUMNS.split(", ")}
    if what == "active":
        columns["status"] = _STATUS.format(t=alias or "task")
        columns["finished_at_ms"] = "NULL"
    return ", ".join(columns.values())


def load() -> Mapping[str, str]:
    """All statements by name; ValueError where a name stands twice."""
    found: dict[str, str] = {}
    for entry in sorted(files("millrace.store").joinpath("sql").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            text = entry.read_text(encoding="utf-8")
            for name, body in (parse(text) | compose(text, expand)).items():
                if name in found:
                    raise ValueError(f"two statements are named {name}")
                found[name] = body
    return MappingProxyType(found)


SQL = load()
