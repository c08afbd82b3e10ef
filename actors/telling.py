"""What is told of tasks: noted at little cost where it happens, and made an event in the thread of who hears it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from millrace.model.durations import ms_to_datetime
from millrace.model.events import Completed, Event, TaskEvent
from millrace.model.priority import LEAST_URGENT, Priority
from millrace.model.rows import Claim, NewRow, Row
from millrace.model.tags import decode_tags

_LEVELS: Final = tuple(Priority(level) for level in range(LEAST_URGENT + 1))
_decode = msgspec.json.Decoder().decode
_time_of = lru_cache(maxsize=64)(ms_to_datetime)
"""All events of a commit have one time."""


class News(msgspec.Struct, gc=False):
    """What an event of a task says, as of a commit. Costs a fifth of the event, and refers to no row, whose payload may be large.

    Nothing in it can be part of a cycle, so the collector need not look at it: a slow reader may keep many.
    """

    kind: type[TaskEvent]
    at_ms: int
    task_id: int
    task_name: str
    key: str
    label: str
    parent_id: int | None
    group: str | None
    tags: str | None
    """JSON text."""
    priority: int
    effective: int
    own: Mapping[str, Any]
    """All fields of ``kind`` that are not in the header; a memo as JSON text."""


Told = Event | News
"""What feeds hold: events of no task are made where they happen."""


def news_of(
    kind: type[TaskEvent], at_ms: int, task: Row | Claim | NewRow, own: Mapping[str, Any], effective: int | None = None
) -> News:
    """An event of a task, as of a commit.

    Args:
        kind: of which class.
        at_ms: the commit's time.
        task: what the header is taken from.
        own: all fields of ``kind`` that are not in the header; a memo as JSON text.
        effective: the effective priority, where it is another than the stored one.
    """
    priority = task.priority
    return News(
        kind,
        at_ms,
        task.id,
        task.name,
        task.key,
        task.label,
        task.parent_id,
        task.grp,
        task.tags,
        priority,
        priority if effective is None else effective,
        own,
    )


def kind_of(told: Told) -> type[Event]:
    """The class of the event."""
    return told.kind if isinstance(told, News) else type(told)


def event_of(told: Told) -> Event:
    """The event itself. Made anew for each reader, who may do with its tags and memo as it likes."""
    if not isinstance(told, News):
        return told
    kind = told.kind
    event = object.__new__(kind)
    # A frozen dataclass sets each field by a call of its own, which takes several times as long; a test holds the two equal.
    fields = event.__dict__
    fields["at"] = _time_of(told.at_ms)
    fields["task_id"] = told.task_id
    fields["task_name"] = told.task_name
    fields["key"] = told.key
    fields["label"] = told.label
    fields["parent_id"] = told.parent_id
    fields["group"] = told.group
    fields["tags"] = {} if told.tags is None else decode_tags(told.tags)
    fields["priority"] = _LEVELS[told.priority]
    fields["effective_priority"] = _LEVELS[told.effective]
    if told.own:
        fields.update(told.own)
        if kind is Completed:
            fields["memo"] = memo_of(told.own["memo"])
    return event


def memo_of(text: str | None) -> Any:
    """A memo from its column."""
    return None if text is None else _decode(text)
