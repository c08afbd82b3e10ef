"""Events made from what the runtime holds of a task."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, fields, replace
from datetime import UTC, datetime
from typing import Any, get_type_hints

import msgspec
import pytest

from millrace.actors.telling import event_of, news_of
from millrace.model import events
from millrace.model.priority import Priority
from millrace.model.rows import Claim
from millrace.model.statuses import TaskStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
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
    made = event_of(news_of(kind, NOW, CLAIM, effective, None if memo else own, memo=memo))
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
    assert asdict(made) == asdict(built)
    assert isinstance(made.priority, Priority)
    with pytest.raises(AttributeError):
        made.key = "other"  # type: ignore[misc]  # that it is refused is the point


def test_each_reader_has_tags_and_a_memo_of_its_own() -> None:
    """What one of them does with theirs, the others do not see."""
    told = news_of(events.Completed, NOW, CLAIM, memo="[1]")
    mine, yours = event_of(told), event_of(told)
    assert isinstance(mine, events.Completed)
    assert isinstance(yours, events.Completed)
    mine.memo.append(2)
    mine.tags["c"] = "d"  # type: ignore[index]  # a mapping by its type, a dict as `dataclasses.asdict` needs it
    assert (yours.memo, yours.tags) == ([1], {"a": "b"})


def test_an_event_without_tags_has_a_dict_of_none() -> None:
    """The column of a task without tags is empty."""
    made = event_of(news_of(events.Submitted, NOW, msgspec.structs.replace(CLAIM, tags=None)))
    assert isinstance(made, events.Submitted)
    assert made.tags == {}


def test_an_event_of_no_task_is_told_as_it_is() -> None:
    """There is nothing in it to be made anew."""
    told = events.GroupPaused(at=NOW, group="g")
    assert event_of(told) is told


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_is_a_frozen_dataclass(kind: type[events.Event]) -> None:
    """To a reader, to ``dataclasses``, and to a pattern, though it is made in another way."""
    values = {name: number for number, name in enumerate(get_type_hints(kind))}
    event = kind(**values)
    assert [field.name for field in fields(event)] == list(values) == list(kind.__match_args__)
    assert (asdict(event), kind(*values.values())) == (values, event)
    assert repr(event) == f"{kind.__name__}({', '.join(f'{name}={value}' for name, value in values.items())})"
    assert [copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))] == [event] * 3
    assert hash(event) == hash(kind(**values))
    later = replace(event, at=-1)
    assert (later.at, later == event, asdict(later)) == (-1, False, values | {"at": -1})
    with pytest.raises(FrozenInstanceError):
        event.at = NOW  # type: ignore[misc]  # that it is refused is the point
    with pytest.raises(FrozenInstanceError):
        del event.at
    with pytest.raises(TypeError):
        kind()
