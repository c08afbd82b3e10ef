"""What is told of tasks: made in few steps where it happens, and finished in the thread of who hears it."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from millrace.model.durations import ms_to_datetime
from millrace.model.events import Completed, Event, TaskEvent
from millrace.model.priority import LEAST_URGENT, Priority
from millrace.model.rows import Claim, NewRow, Row
from millrace.model.tags import decode_tags

_LEVELS: Final = tuple(Priority(level) for level in range(LEAST_URGENT + 1))
_decode = msgspec.json.Decoder().decode
time_of = lru_cache(maxsize=64)(ms_to_datetime)
"""A time as events carry it: many have the same."""


def news_of(
    kind: type[TaskEvent],
    at: datetime,
    task: Row | Claim | NewRow,
    effective: int | None = None,
    own: Mapping[str, Any] | None = None,
    *,
    memo: str | None = None,
) -> TaskEvent:
    """An event of a task, as of a commit, but that tags and a memo, where it has any, are JSON text until it is read.

    See ``event_of``. It refers to no row, whose payload may be large: a slow reader may keep many.

    Args:
        kind: of which class.
        at: the commit's time.
        task: what the header is taken from.
        effective: the effective priority, where it is another than the stored one.
        own: all fields of ``kind`` that are not in the header, but for the memo.
        memo: as JSON text.
    """
    make: Any = kind
    made: TaskEvent
    level = _LEVELS[task.priority]
    urgency = level if effective is None else _LEVELS[effective]
    tags: Any = task.tags
    if tags is None:
        tags = {}
    parent_id, group = task.parent_id, task.grp
    # Spelled out: to unpack a tuple of the header takes half as long again.
    if kind is Completed:
        made = make(at, task.id, task.name, task.key, task.label, parent_id, group, tags, level, urgency, memo)
    elif own is None:
        made = make(at, task.id, task.name, task.key, task.label, parent_id, group, tags, level, urgency)
    else:
        made = make(at, task.id, task.name, task.key, task.label, parent_id, group, tags, level, urgency, **own)
    return made


def event_of(told: Event) -> Event:
    """The event itself: the one that was told, but that tags and a memo, where it has any, are each reader's own."""
    event: Any = told
    try:
        is_tagged = type(event.tags) is str  # to ask for the event's class first takes longer than all the rest
    except AttributeError:
        return told  # it is of no task
    if type(told) is Completed and told.memo is not None:
        return replace(told, tags=decode_tags(event.tags) if is_tagged else {}, memo=_decode(told.memo))
    return replace(told, tags=decode_tags(event.tags)) if is_tagged else told
