"""Deadlines as tables and properties (S-208..S-210, S-320)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.deadlines import EXPIRING, age_s, deadline, is_late, why_expired
from millrace.model.durations import MAX_MS
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Phase, Row

NOW = 1_000_000


def submission(ttl_ms: int | None, source: Any, *, first: bool = False) -> NewTask:
    return NewTask("a::b", "k", "l", None, "{}", 0, "skip", ttl_ms=ttl_ms, ttl_source=source, ttl_first=first)


def row(**given: Any) -> Row:
    """A row of which only what is given matters."""
    fields: dict[str, Any] = dict.fromkeys(Row.__struct_fields__)
    fields |= {"status": "pending", "phase": Phase.BODY, "executing": 0, "created_at_ms": NOW - 500}
    return Row(**(fields | given))


@pytest.mark.parametrize(
    ("ttl_ms", "source", "first", "parent", "expected"),
    [
        (None, "none", False, None, (None, False, None)),
        (None, "none", False, 7, (None, False, 7)),
        (10, "own", False, None, (10, False, NOW + 10)),
        (10, "own", False, 7, (10, False, NOW + 10)),
        (None, "own", False, 7, (None, False, None)),
        (10, "domain", False, 7, (None, False, 7)),
        (10, "domain", False, None, (10, False, NOW + 10)),
        (10, "scheduler", True, None, (10, True, None)),
        (10, "scheduler", True, 7, (None, False, 7)),
        (None, "domain", True, None, (None, False, None)),
        (0, "own", False, None, (0, False, NOW)),
        (MAX_MS, "own", False, None, (MAX_MS, False, MAX_MS)),
    ],
)
def test_whose_deadline_a_submission_has(
    ttl_ms: int | None, source: str, *, first: bool, parent: int | None, expected: tuple[Any, ...]
) -> None:
    """S-209: the submission's or the task's, the parent's, the domain's, the scheduler's; math.inf of its own is none at all."""
    assert deadline(submission(ttl_ms, source, first=first), parent, NOW) == expected


@given(
    status=st.sampled_from(["blocked", "pending", "paused", "parked", "running", "waiting", "cancelling"]),
    phase=st.sampled_from(list(Phase)),
    executing=st.integers(0, 1),
    closing=st.sampled_from([None, "failed", "cancelled"]),
    expires=st.none() | st.integers(NOW - 2, NOW + 2),
)
def test_only_what_waits_for_its_body_is_late(
    status: str, phase: Phase, *, executing: int, closing: str | None, expires: int | None
) -> None:
    """S-210, S-211: what runs, waits for children or a finalizer, or winds down, never is; it may start in its last millisecond."""
    one = row(status=status, phase=phase, executing=executing, closing=closing, expires_at_ms=expires)
    waits = status in EXPIRING and phase == Phase.BODY and not executing and closing is None
    assert is_late(one, NOW) is (waits and expires is not None and expires < NOW)


@pytest.mark.parametrize(
    ("ttl_ms", "expires", "age"),
    [(200, NOW - 100, 0.3), (None, NOW - 100, 0.5), (None, None, 0.5), (100, NOW + 200, 0.0)],
)
def test_the_age_of_what_expires(ttl_ms: int | None, expires: int | None, age: float) -> None:
    """S-320: since its clock began: with the first start, or with the submit, as for one that has its parent's deadline."""
    assert age_s(row(ttl_ms=ttl_ms, expires_at_ms=expires), NOW) == age


def test_why_it_has_expired() -> None:
    """The error says whose time it was."""
    assert why_expired(row(ttl_ms=1500)) == "expired: no run had begun within its time to live of 1.5 s"
    assert "parent" in why_expired(row(ttl_ms=None))
