"""Events made from what the runtime holds of a task."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from millrace.actors.telling import event_of, news_of
from millrace.model import events
from millrace.model.priority import Priority
from millrace.model.rows import Claim
from millrace.model.statuses import TaskStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
OWN: list[tuple[type[events.TaskEvent], dict[str, Any]]] = [
    (events.Submitted, {}),
    (events.Completed, {"memo": [1]}),
    (events.Failed, {"error": "no", "will_retry": True, "retry_after": 1.0}),
    (events.ChildSettled, {"child_id": 9, "child_status": TaskStatus.FAILED, "done": 1, "total": 2}),
]
CLAIM = Claim(
    id=7,
    run=1,
    phase=1,
    phase_runs=1,
    name="play::work",
    key="k",
    label="shown",
    priority=9,
    payload="[]",
    memo=None,
    parent_id=3,
    parent_round=1,
    round=1,
    round_run=0,
    limited=0,
    fail_fast=1,
    retries=0,
    max_retries=0,
    crashes=0,
    options=None,
    error=None,
    created_at_ms=0,
    run_at_ms=None,
    started_at_ms=0,
    cancel_requested_at_ms=None,
    child_total=0,
    grp="g",
    tags='{"a":"b"}',
)


@pytest.mark.parametrize(("kind", "own"), OWN)
@pytest.mark.parametrize("effective", [None, 4])
def test_an_event_is_as_its_constructor_makes_it(
    kind: type[events.TaskEvent], own: dict[str, Any], effective: int | None
) -> None:
    """Equal, with the same hash of its parts and text, all fields there, and as frozen."""
    memo = "[1]" if "memo" in own else None
    made = event_of(news_of(kind, NOW_MS, CLAIM, None if memo else own, effective, memo=memo))
    assert isinstance(made, kind)
    built = kind(
        at=NOW,
        task_id=7,
        task_name="play::work",
        key="k",
        label="shown",
        parent_id=3,
        group="g",
        tags={"a": "b"},
        priority=Priority(9),
        effective_priority=Priority(9 if effective is None else 4),
        **own,
    )
    assert (made, repr(made)) == (built, repr(built))
    assert set(vars(made)) == {field.name for field in fields(kind)}
    assert isinstance(made.priority, Priority)
    with pytest.raises(AttributeError):
        made.key = "other"  # type: ignore[misc]  # that it is refused is the point
