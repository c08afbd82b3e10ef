"""The series' own statements: every value in its column, and every read by its index."""

from collections.abc import Iterator

import apsw.ext
import msgspec
import pytest

from millrace.model.rows import SeriesRow
from millrace.store.connection import Location
from millrace.store.opening import open_store
from millrace.store.statements import SQL
from millrace.store.writer import Writer

FULL = SeriesRow(3, "play::a", "k", '{"kind":"every"}', "{}", 1, 1, "paused", 11, 4, 12, 2, 13, 14, 15, "[1,2]")


@pytest.fixture
def writer(location: Location) -> Iterator[Writer]:
    made = Writer(open_store(location))
    yield made
    made.close()


def test_a_series_has_each_value_in_its_column(writer: Writer) -> None:
    """Inserted, read by name and loaded: the order of columns is that of SeriesRow."""
    writer.series.insert(FULL)
    cursor = writer.connection.execute("SELECT * FROM series")
    row = next(cursor)
    names = [column[0] for column in cursor.get_description()]
    assert dict(zip(names, row, strict=True)) == msgspec.structs.asdict(FULL)
    assert writer.series.load([1, 3]) == [FULL]


def test_what_changes_is_written_back(writer: Writer) -> None:
    """All but id, name, key, and where it came from."""
    writer.series.insert(FULL)
    fixed = {"id", "name", "key", "in_code", "holds_key"}
    other = SeriesRow(3, "x", "y", '{"kind":"cron"}', "[]", 0, 0, "active", 21, 22, 23, 1, 24, 25, 26, "[3,4]")
    writer.series.update([other])
    (found,) = writer.series.load([3])
    for name in SeriesRow.__struct_fields__:
        assert getattr(found, name) == getattr(FULL if name in fixed else other, name), name


def test_due_series_are_found_by_their_clock(writer: Writer) -> None:
    """Only active ones that are watched, the earliest first."""
    for at, (state, watch, due) in enumerate(
        [
            ("active", 2, 50),
            ("active", 2, 40),
            ("active", 1, 30),
            ("paused", 2, 10),
            ("active", 0, 10),
            ("active", 2, 60),
        ]
    ):
        writer.series.insert(
            SeriesRow(at + 1, "n", f"k{at}", "{}", "{}", 0, 1, state, watch=watch, next_run_ms=due)  # type: ignore[arg-type]
        )
    assert writer.series.due(2, 50, 10) == [2, 1]
    assert writer.series.due(2, 50, 1) == [2]
    assert (writer.series.next_due(1), writer.series.next_due(2)) == (30, 40)


@pytest.mark.parametrize(
    "name",
    [
        "select_due_series",
        "select_next_due_series",
        "find_series_of_key",
        "select_due_by_wall_clock",
        "select_next_due",
    ],
)
def test_what_is_asked_often_takes_an_index(writer: Writer, name: str) -> None:
    """No read of every delayed task or of every series when the clock rings."""
    plan = str(apsw.ext.query_info(writer.connection, SQL[name], explain_query_plan=True).query_plan)
    assert "SCAN series " not in plan
    assert "SCAN task " not in plan
    assert "INDEX" in plan
