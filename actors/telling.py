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
    own: Mapping[str, Any] | None
    """All fields of ``kind`` that are not in the header, but for the memo. None: there are none."""
    memo: str | None
    """JSON text, of a task that has completed: most events with a field of their own are of these, and need no mapping for it."""


Told = Event | News
"""What feeds hold: events of no task are made where they happen."""


def news_of(
    kind: type[TaskEvent],
    at_ms: int,
    task: Row | Claim | NewRow,
    own: Mapping[str, Any] | None = None,
    effective: int | None = None,
    *,
    memo: str | None = None,
) -> News:
    """An event of a task, as of a commit.

    Args:
        kind: of which class.
        at_ms: the commit's time.
        task: what the header is taken from.
        own: all fields of ``kind`` that are not in the header, but for the memo.
        effective: the effective priority, where it is another than the stored one.
        memo: as JSON text.
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
        memo,
    )


def kind_of(told: Told) -> type[Event]:
    """The class of the event."""
    return told.kind if isinstance(told, News) else type(told)


class _Draft:
    """An event in the making: it gets its class when it has all fields."""


def event_of(told: Told) -> Event:
    """The event itself. Made anew for each reader, who may do with its tags and memo as it likes."""
    if not isinstance(told, News):
        return told
    # A frozen dataclass sets each field by a call of its own, which takes four times as long as this; a test holds the two equal.
    draft: Any = _Draft()
    draft.at = _time_of(told.at_ms)
    draft.task_id = told.task_id
    draft.task_name = told.task_name
    draft.key = told.key
    draft.label = told.label
    draft.parent_id = told.parent_id
    draft.group = told.group
    draft.tags = {} if told.tags is None else decode_tags(told.tags)
    draft.priority = _LEVELS[told.priority]
    draft.effective_priority = _LEVELS[told.effective]
    kind = told.kind
    if kind is Completed:
        draft.memo = memo_of(told.memo)
    elif told.own is not None:
        draft.__dict__.update(told.own)
    draft.__class__ = kind
    event: TaskEvent = draft
    return event


def memo_of(text: str | None) -> Any:
    """A memo from its column."""
    return None if text is None else _decode(text)
