"""Which rows of the history go (behaviour.md, section 26): decided page by page, from the earliest settled on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from millrace.model.rows import OldRow

STEP: Final = 500
"""Rows that go at a time."""
MAX_OVER: Final = 1000
"""Rows that the history may have over its bound for a moment."""
DELAY_S: Final = 0.5
"""Seconds that rows over the bound may wait for more of them, so that they go together."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a page of rows.

    ``after`` is the place up to which all is decided, ``next_row`` the first row that stays because it is within the
    bounds; None where the page ended before one.
    """

    doomed: tuple[int, ...]
    held_by: frozenset[int]
    """Active tasks whose children, or dependencies, stay for now, though they are beyond the bounds."""
    counted: int
    """Decided rows that were of those counted (from ``border`` on)."""
    after: int
    next_row: OldRow | None


def judge(page: Sequence[OldRow], *, after: int, border: int, excess: int, before_ms: int | None) -> Verdict:
    """Decide over a page of rows, earliest settled first.

    Args:
        page: rows after the place ``after``, without a gap.
        after: what comes up to here is decided already.
        border: rows before this place are too many, whatever their number.
        excess: of the rows from ``border`` on, how many are too many.
        before_ms: rows that finished before this are too old; None: no row is.
    """
    doomed: list[int] = []
    held_by: set[int] = set()
    counted = 0
    for row in page:
        is_counted = row.seq >= border
        is_over = not is_counted or counted < excess
        is_old = before_ms is not None and row.finished_at_ms < before_ms
        if not (is_over or is_old) or len(doomed) == STEP:
            return Verdict(tuple(doomed), frozenset(held_by), counted, after, row)
        counted += is_counted
        after = row.seq
        if row.holder is None:
            doomed.append(row.seq)
        else:
            held_by.add(row.holder)
    return Verdict(tuple(doomed), frozenset(held_by), counted, after, None)
