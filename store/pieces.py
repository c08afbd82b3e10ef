"""Statements that are put together: each piece of ``store/sql/pieces.sql`` with each template, when the package is loaded.

A list by nine filters over two tables would be hundreds of statements. What differs is where a statement looks for ids; the
filters are the same in all of them, and one that is not asked for is bound as NULL and costs a test a row.
"""

import re
from collections.abc import Callable
from typing import Final

_HEADER = re.compile(r"^-- (piece|template): (\w+)(?: by (\S+))?\n", re.MULTILINE)

_PASSES: Final = (
    "(:names IS NULL OR {t}.name IN (SELECT value FROM json_each(:names)))"
    " AND (:low IS NULL OR {t}.name >= :low AND {t}.name < :high)"
    " AND (:statuses IS NULL OR {status} IN (SELECT value FROM json_each(:statuses)))"
    " AND (:key IS NULL OR {t}.key = :key)"
    " AND (:grp IS NULL OR {t}.grp = :grp)"
    " AND (:parent IS NULL OR {t}.parent_id = :parent)"
    " AND (:tags IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(:tags) AS wanted WHERE NOT EXISTS ("
    "SELECT 1 FROM tag WHERE tag.k = wanted.value ->> 0 AND tag.v = wanted.value ->> 1 AND tag.task_id = {t}.id)))"
    " AND (:tag_prefix IS NULL OR EXISTS (SELECT 1 FROM json_each({t}.tags) AS own"
    " WHERE substr(own.key, 1, length(:tag_prefix)) = :tag_prefix))"
    " AND (:error IS NULL OR instr({t}.error, :error) > 0)"
    " AND (:created_from IS NULL OR {t}.created_at_ms >= :created_from)"
    " AND (:created_before IS NULL OR {t}.created_at_ms < :created_before)"
    " AND (:unrepeated IS NULL OR NOT EXISTS (SELECT 1 FROM task AS o WHERE o.retry_of = {t}.id)"
    " AND NOT EXISTS (SELECT 1 FROM history AS o WHERE o.retry_of = {t}.id))"
)
"""Whether a row meets every filter that is given; those that the piece has looked for are true once more."""

_STATUS: Final = {"t": "@status(t)", "h": "h.status"}


def compose(text: str, expand: Callable[[str], str]) -> dict[str, str]:
    """The statements that a file of pieces and templates makes, named ``template_piece``.

    Args:
        text: of the file.
        expand: writes out the macros that all statements share.
    """
    parts = _HEADER.split(text)[1:]
    blocks = list(zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True))
    templates = {name: body.strip() for kind, name, _, body in blocks if kind == "template"}
    found: dict[str, str] = {}
    for kind, name, id_column, body in blocks:
        if kind == "piece":
            alias = "t" if name.startswith("active_") else "h"
            passes = _PASSES.format(t=alias, status=_STATUS[alias])
            for template, outline in templates.items():
                statement = outline.replace("@id", id_column).replace("@piece", f"\n{body.strip()}")
                found[f"{template}_{name}"] = expand(statement.replace("@passes", passes))
    return found
