"""The SQL of the store, by name. A statement's text stands in ``store/sql`` and nowhere else."""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """The statements of one file: each begins with ``-- name: verb_object``."""
    parts = _HEADER.split(text)[1:]
    return {name: body.strip().removesuffix(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}


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
