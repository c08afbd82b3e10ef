"""Lanes of the ready queue: tasks that every limit treats alike wait in one line, so the first of a line speaks for all of it.

A lane is named by a number, that of a hash: it is an integer in the index of ready tasks, nothing has to be stored of it, and
it is the same in every process. What bounds a task is read from the task, never from the number: should two lanes ever
share one, their tasks wait for each other, and no limit is exceeded.
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple


class Lane(NamedTuple):
    """One line of the ready queue: what all tasks in it have in common."""

    number: int
    """63 bits, positive."""
    name: str
    group: str | None
    parent_id: int | None
    """The parent, where it bounds its children; else None."""
    priority: int

    @property
    def domain(self) -> str:
        """The domain of its tasks."""
        return self.name.partition("::")[0]


@lru_cache(maxsize=1 << 14)
def make_lane(name: str, group: str | None, parent_id: int | None, priority: int) -> Lane:
    """The lane of tasks of that name, group, bounded parent and priority."""
    text = f"{name}\0{group or ''}\0{parent_id or 0}\0{priority}"
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
    return Lane(number, name, group, parent_id, priority)


def lane_of(name: str, group: str | None, parent_id: int | None, priority: int) -> int:
    """The number of a lane."""
    return make_lane(name, group, parent_id, priority).number
