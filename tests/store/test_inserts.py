"""New rows are parted by what they share, and lose nothing by it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, astuple

from millrace.model.keys import hash_key
from millrace.model.rows import NewRow
from millrace.store.inserts import by_shared

SALT = -7
ROWS = st.lists(
    st.builds(
        NewRow,
        id=st.integers(1, 9),
        key=st.just("k"),
        label=st.just(""),
        payload=st.none(),
        priority=st.integers(0, 2),
        lane=st.integers(0, 2),
        max_failures=st.sampled_from([None, 0, 1, 0.0, 1.0]),
        name=st.sampled_from(["a", "b"]),
        status=st.just("pending"),
        phase=st.just(1),
        created_at_ms=st.integers(0, 2),
        ready_ms=st.none() | st.integers(0, 1),
    ),
    max_size=12,
)


def typed(row: NewRow) -> list[tuple[type, Any]]:
    """Its values with their types: SQLite tells 1 from 1.0, which Python takes for equal."""
    return [(type(value), value) for value in astuple(row)]


@given(ROWS)
def test_each_row_comes_out_as_it_went_in(rows: list[NewRow]) -> None:
    """Each once, with each value; and none is parted from another that shares its columns."""
    groups = list(by_shared(rows, SALT))
    fields = NewRow.__struct_fields__
    out = [NewRow(**dict(zip(fields, own[:-1], strict=False)), **shared) for shared, owns in groups for own in owns]
    assert sorted(map(typed, out), key=repr) == sorted(map(typed, rows), key=repr)
    assert len({tuple(shared.values()) for shared, _ in groups}) == len(groups)
    assert all(own[-1] == hash_key(SALT, shared["name"], own[1]) for shared, owns in groups for own in owns)


def test_a_share_of_failures_is_not_a_number_of_them() -> None:
    """1.0 and 1 are equal to a dictionary, and mean all children and one child."""
    values: dict[str, Any] = {
        "label": "",
        "payload": None,
        "priority": 1,
        "lane": 1,
        "name": "a",
        "status": "pending",
        "phase": 1,
    }
    rows = [NewRow(id=at, key="k", max_failures=limit, created_at_ms=0, **values) for at, limit in enumerate((1, 1.0))]
    (only,) = by_shared(rows, SALT)
    shared, own = only
    assert "max_failures" not in shared
    assert [asdict(row)["max_failures"] for row in rows] == [entry[-2] for entry in own]
    assert [type(entry[-2]) for entry in own] == [int, float]
