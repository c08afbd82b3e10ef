"""Making events of tasks from what the runtime holds of them: their header in one place, and at little cost."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from millrace.model.events import TaskEvent
from millrace.model.priority import LEAST_URGENT, Priority
from millrace.model.rows import Claim, NewRow, Row
from millrace.model.tags import decode_tags

E = TypeVar("E", bound=TaskEvent)

_LEVELS: Final = tuple(Priority(level) for level in range(LEAST_URGENT + 1))


def make_event(
    kind: type[E], at: datetime, task: Row | Claim | NewRow, own: Mapping[str, Any], effective: int | None = None
) -> E:
    """An event of a task, as of a commit.

    Args:
        kind: of which class.
        at: the commit's time.
        task: what the header is taken from.
        own: all fields of ``kind`` that are not in the header.
        effective: the effective priority, where it is another than the stored one.
    """
    event = object.__new__(kind)
    # A frozen dataclass sets each field by a call of its own, which takes several times as long; a test holds the two equal.
    event.__dict__.update(
        own,
        at=at,
        task_id=task.id,
        task_name=task.name,
        key=task.key,
        label=task.label,
        parent_id=task.parent_id,
        group=task.grp,
        tags=decode_tags(task.tags),
        priority=_LEVELS[task.priority],
        effective_priority=_LEVELS[task.priority if effective is None else effective],
    )
    return event
