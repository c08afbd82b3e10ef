"""Payloads of older code, step by step (S-418)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.migration import Step, Unmigratable, migrate

Payload = dict[str, Any]


def note(version: int) -> Step:
    """A step that leaves its number in the payload."""

    def step(payload: Payload) -> Payload:
        return {**payload, "steps": [*payload.get("steps", []), version]}

    return step


@given(st.integers(1, 12), st.integers(1, 12))
def test_every_step_between_once_and_in_order(stored: int, present: int) -> None:
    """S-418: from the stored version to the present one; the same version is not touched, a later one is refused."""
    steps = {version: note(version) for version in range(1, 12)}
    text = '{ "n" : 1 }'
    if stored > present:
        with pytest.raises(Unmigratable, match=rf"version {stored}, this program's task of version {present}"):
            migrate(text, stored, present, steps)
    elif stored == present:
        assert migrate(text, stored, present, steps) == text
    else:
        expected = {"n": 1, "steps": list(range(stored, present))}
        assert json.loads(migrate(text, stored, present, steps)) == expected


@given(st.sets(st.integers(1, 6)), st.integers(1, 6))
def test_a_gap_is_named(known: set[int], stored: int) -> None:
    """S-418: the first step that is missing is the one that the message asks for."""
    steps = {version: note(version) for version in known}
    missing = [version for version in range(stored, 7) if version not in known]
    if missing:
        with pytest.raises(Unmigratable, match=rf"no migrate\({missing[0]}\) leads on to {missing[0] + 1}"):
            migrate("{}", stored, 7, steps)
    else:
        assert json.loads(migrate("{}", stored, 7, steps))["steps"] == list(range(stored, 7))


@pytest.mark.parametrize("text", ["[1]", "null", "7", "{", ""])
def test_what_is_no_payload_reaches_no_step(text: str) -> None:
    """S-416: a damaged row is refused before the application's code sees it."""

    def unreachable(payload: Payload) -> Payload:
        raise AssertionError

    with pytest.raises(Unmigratable, match="no JSON object"):
        migrate(text, 1, 2, {1: unreachable})


@pytest.mark.parametrize("is_secret", [False, True])
def test_what_a_step_says_may_be_secret(is_secret: bool) -> None:
    """S-048: then only the type of its error is quoted; the error itself is chained for a debugger."""

    def fail(payload: Payload) -> Payload:
        raise ValueError("hush")

    with pytest.raises(Unmigratable, match=r"migrate\(1\) raised ValueError") as caught:
        migrate("{}", 1, 2, {1: fail}, is_secret=is_secret)
    assert ("hush" in str(caught.value)) is not is_secret
    assert isinstance(caught.value.__cause__, ValueError)
