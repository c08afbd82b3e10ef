"""Limits as one value: what of it is paused."""

import pytest

from millrace.actors.policy.limits import Limits
from millrace.model.pauses import Scope

SCOPES: list[tuple[Scope, str]] = [("scheduler", ""), ("domain", "play"), ("group", "a")]


@pytest.mark.parametrize(
    ("scope", "name", "held"),
    [
        ("scheduler", "", {("play::body", None), ("play::body", "a"), ("other::body", "a"), ("player::body", None)}),
        ("domain", "play", {("play::body", None), ("play::body", "a")}),
        ("group", "a", {("play::body", "a"), ("other::body", "a")}),
    ],
)
def test_a_pause_holds_its_scope_and_nothing_else(scope: Scope, name: str, held: set[tuple[str, str | None]]) -> None:
    """S-109, S-110: a group spans all domains; names are compared whole."""
    limits = Limits(slots=1).with_pause(scope, name)
    tasks = [("play::body", None), ("play::body", "a"), ("other::body", "a"), ("player::body", None)]
    assert {task for task in tasks if limits.holds(*task)} == held
    assert limits.has_pauses
    assert limits.pauses(scope, name)


@pytest.mark.parametrize(("scope", "name"), SCOPES)
def test_a_pause_that_is_lifted_leaves_the_others(scope: Scope, name: str) -> None:
    """S-113: each pause is one of its own."""
    limits = Limits(slots=1)
    for each in SCOPES:
        limits = limits.with_pause(*each)
    limits = limits.without_pause(scope, name)
    assert [each for each in SCOPES if limits.pauses(*each)] == [each for each in SCOPES if each != (scope, name)]
    for each in SCOPES:
        limits = limits.without_pause(*each)
    assert limits == Limits(slots=1)
