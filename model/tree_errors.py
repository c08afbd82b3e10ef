"""What a caller gets where a task or a change has no place in a tree: a part of `errors`, which all others import it from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millrace.model.base_error import MillraceError

if TYPE_CHECKING:
    from millrace.model.statuses import TaskStatus


class NoParent(MillraceError):
    """A sibling was asked for by a task that has no parent; nothing was stored.

    Args:
        id: the task that asked.
        task_name: its qualified name.
    """

    id: int
    task_name: str

    def __init__(self, id: int, task_name: str) -> None:
        super().__init__(
            f"task {id} ({task_name}): expected a task with a parent, it has none; use spawn_child, "
            "or submit for a root task"
        )
        self.id = id
        self.task_name = task_name


class ParentClosed(MillraceError):
    """A child was refused: its parent is terminal, finished as a flow, or its cancel was requested.

    So is what would change a flow whose end is decided.

    Args:
        parent_id: the parent, or the flow.
        status: the parent's status (CANCELLING after a cancel).
        is_change: True where it was the flow itself that was to be changed.
    """

    parent_id: int
    status: TaskStatus

    def __init__(self, parent_id: int, status: TaskStatus, *, is_change: bool = False) -> None:
        super().__init__(
            f"flow {parent_id}: expected one whose end is not decided, it is {status}; open a new one with Scheduler.flow"
            if is_change
            else f"parent {parent_id}: expected one that takes children, it is {status}; submit it as a root task "
            "or leave it out"
        )
        self.parent_id = parent_id
        self.status = status


class InvalidDependency(MillraceError):
    """A task cannot depend on what does not exist, was pruned or has failed already; nothing was stored.

    Args:
        dependency: id of the task that was to be depended on.
        status: its status, None where there is no such task (any more).
    """

    dependency: int
    status: TaskStatus | None

    def __init__(self, dependency: int, status: TaskStatus | None = None) -> None:
        found = "no such task, or it was pruned" if status is None else str(status)
        super().__init__(
            f"depends_on {dependency}: expected a task that is active or completed, found {found}; "
            "leave it out, or use DependencyPolicy.IGNORE where its end does not matter"
        )
        self.dependency = dependency
        self.status = status


class CyclicDependency(InvalidDependency):
    """The task would wait for itself.

    Args:
        cycle: ids along the circle, in the order in which each waits for the next.
    """

    cycle: tuple[int, ...]

    def __init__(self, cycle: Sequence[int]) -> None:
        self.cycle = tuple(cycle)
        circle = " -> ".join(str(id) for id in (*self.cycle, *self.cycle[:1]))
        super(InvalidDependency, self).__init__(
            f"depends_on: expected tasks that do not wait for this one, got the circle {circle}; leave one of them out"
        )
        self.dependency = self.cycle[0]
        self.status = None


class RevisionConflict(MillraceError):
    """`Flow.update` found another revision than the caller had read; nothing was written.

    Args:
        expected: the revision that the caller gave.
        actual: the one in the store.
    """

    expected: int
    actual: int

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(
            f"flow: expected revision {expected}, found {actual}: somebody else was first; "
            "read the state and update again"
        )
        self.expected = expected
        self.actual = actual
