"""Statements that are put together of pieces and templates."""

import re

import apsw
import pytest

from millrace.store.connection import Location
from millrace.store.opening import open_store
from millrace.store.pieces import compose
from millrace.store.statements import SQL

TEXT = """-- why there are pieces

-- piece: active_one by t.id
-- a comment of the piece
FROM task AS t WHERE t.grp = :grp

-- piece: settled_one by h.seq
FROM history AS h WHERE TRUE

-- template: pick
-- a comment of the template
SELECT @id @piece
    AND @passes
"""


def test_each_piece_is_put_into_each_template() -> None:
    """With the ids of its own table, and the filters on its own rows; macros are written out in the end."""
    made = compose(TEXT, lambda sql: sql.replace("@status(t)", "SHOWN"))
    assert sorted(made) == ["pick_active_one", "pick_settled_one"]
    active, settled = made["pick_active_one"], made["pick_settled_one"]
    assert active.startswith(
        "-- a comment of the template\nSELECT t.id \n-- a comment of the piece\nFROM task AS t WHERE t.grp = :grp"
    )
    assert "SHOWN IN (SELECT value FROM json_each(:statuses))" in active
    assert "h.status IN (SELECT value FROM json_each(:statuses))" in settled
    assert "t." not in settled.partition("AND (:low")[2].replace("dict.", "")
    assert "@" not in active + settled


def test_a_file_without_pieces_makes_nothing() -> None:
    """The files of named statements are read the other way."""
    assert compose("-- name: select_one\nSELECT 1;\n", str) == {}


ORDERED = (
    "active_any", "settled_any", "active_child", "active_grouped", "settled_grouped", "active_tagged", "settled_tagged",
    "active_running", "active_blocked", "active_waiting", "active_cancelling", "active_parked", "active_paused",
)  # fmt: skip


@pytest.mark.parametrize("piece", ORDERED)
def test_an_ordered_piece_is_read_in_order(location: Location, piece: str) -> None:
    """S-341: a page comes off its index as it lies there, newest first: nothing is sorted, so nothing more is read."""
    store = open_store(location)
    bindings = dict.fromkeys(re.findall(r":(\w+)", SQL[f"page_{piece}"]))
    try:
        plan = [row[3] for row in store.execute("EXPLAIN QUERY PLAN " + SQL[f"page_{piece}"], bindings)]
    except apsw.Error as error:
        raise AssertionError(SQL[f"page_{piece}"]) from error
    finally:
        store.close()
    assert not any("ORDER BY" in step for step in plan), plan
