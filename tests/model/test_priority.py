"""Priority: S-074."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.priority import Priority


@pytest.mark.parametrize(
    ("name", "value"), [("REALTIME", 0), ("HIGH", 64), ("NORMAL", 128), ("BACKGROUND", 192), ("IDLE", 255)]
)
def test_named_levels(name: str, value: int) -> None:
    """The five named levels have their numbers, and their name as repr."""
    level = getattr(Priority, name)
    assert type(level) is Priority
    assert level == value
    assert repr(level) == f"Priority.{name}"
    assert repr(Priority(value)) == f"Priority.{name}"


def test_repr_of_other_levels() -> None:
    """A level without a name shows its number; as text every level is its number."""
    assert repr(Priority(42)) == "Priority(42)"
    assert str(Priority.HIGH) == "64"
    assert f"{Priority.HIGH}" == "64"


@given(st.integers())
def test_range(value: int) -> None:
    """0..255 are priorities, every other int is a ValueError."""
    if 0 <= value <= 255:
        assert Priority(value) == value
        assert hash(Priority(value)) == hash(value)
    else:
        with pytest.raises(ValueError, match=r"0\.\.255"):
            Priority(value)


@pytest.mark.parametrize("value", [1.0, "1", None, float("nan")])
def test_other_types(value: object) -> None:
    """What is no integer is a TypeError."""
    with pytest.raises(TypeError, match="priority: expected an int"):
        Priority(value)  # type: ignore[arg-type]  # that is the point


def test_copies() -> None:
    """A priority survives pickling and copying as a Priority."""
    for copied in (pickle.loads(pickle.dumps(Priority.HIGH)), copy.deepcopy(Priority.HIGH)):
        assert type(copied) is Priority
        assert copied == Priority.HIGH
