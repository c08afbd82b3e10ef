"""What is set at run time: it holds until the program says something else than it did then."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.limits import Limits
from millrace.actors.policy.tuning import Kind, Setting, Value, in_force, set_value, value_of, weight_of, with_value
from millrace.model.limits import RateLimit

CODE = Limits(
    slots=4,
    domains={"play": 2},
    groups={"a": 3},
    default_group=5,
    weights={"a": 7},
    default_weight=2,
    minimums={"a": 1},
    task_rates={"play::body": RateLimit(10.0, 3)},
    group_rates={"a": RateLimit(20.0, 4)},
)
NAMES: dict[Kind, str] = {
    "slots": "",
    "domain": "play",
    "group": "a",
    "weight": "a",
    "minimum": "a",
    "task_rate": "play::body",
    "group_rate": "a",
}
OTHERS: dict[Kind, Value] = {
    "slots": 9,
    "domain": 9,
    "group": 9,
    "weight": 9,
    "minimum": 9,
    "task_rate": RateLimit(9.0, 9),
    "group_rate": RateLimit(9.0, 9),
}
KINDS = sorted(NAMES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["known", "new"])
def test_a_value_that_is_set_is_in_force(kind: Kind, name: str) -> None:
    """S-255, S-281: also of what had none before; everything else stays."""
    key = NAMES[kind] if name == "known" or kind == "slots" else "other"
    limits = with_value(CODE, kind, key, OTHERS[kind])
    assert value_of(limits, kind, key) == OTHERS[kind]
    assert with_value(limits, kind, key, value_of(CODE, kind, key)) == CODE


@pytest.mark.parametrize(
    ("kind", "value"),
    [("domain", 2), ("group", 3), ("weight", None), ("minimum", None), ("task_rate", None), ("group_rate", None)],
)
def test_what_none_comes_to(kind: Kind, value: Value) -> None:
    """S-255, S-266, S-281: a limit is the program's own again, a weight and a minimum the default, a rate none at all."""
    assert set_value(CODE, kind, NAMES[kind], None).value == value


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 5)), max_size=8),
    st.integers(1, 5),
)
def test_a_setting_holds_until_the_program_says_something_else(sets: list[tuple[Kind, int]], slots: int) -> None:
    """S-260: over any restarts with the same program; with another value of the program's, that one holds."""
    stored: dict[Kind, Setting] = {}
    for kind, n in sets:
        value = RateLimit(float(n), n) if kind.endswith("rate") else n
        stored[kind] = set_value(CODE, kind, NAMES[kind], value)
    limits, obsolete = in_force(CODE, stored.values())
    assert obsolete == []
    for kind in KINDS:
        expected = stored[kind].value if kind in stored else value_of(CODE, kind, NAMES[kind])
        assert value_of(limits, kind, NAMES[kind]) == expected
    later, obsolete = in_force(replace(CODE, slots=slots), stored.values())
    is_same = slots == CODE.slots
    assert later.slots == (limits.slots if is_same else slots)
    assert obsolete == ([] if is_same or "slots" not in stored else [stored["slots"]])


def test_a_group_without_a_weight_has_the_default() -> None:
    """S-281."""
    assert (weight_of(CODE, "a"), weight_of(CODE, "b")) == (7, 2)
