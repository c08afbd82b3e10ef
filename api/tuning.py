"""The scheduler's properties and methods that change its limits while it runs."""

from __future__ import annotations

from typing import Any

from millrace.limits import check_names, check_rate
from millrace.model.limits import RateLimit
from millrace.model.names import check_group
from millrace.operations import Operations, at_least
from millrace.task import Task


class Tuning(Operations):
    """See the module. From any thread.

    What is set is in force when the call returns. It is stored, and holds over restarts until the program's own value differs
    from the one that was replaced.
    """

    @property
    def max_concurrency(self) -> int:
        """Bodies and finalizers that run at once. More starts at once; less stops nothing."""
        return self._runtime.limits.slots

    @max_concurrency.setter
    def max_concurrency(self, n: int) -> None:
        self._runtime.tune("slots", "", at_least("max_concurrency", n, 1))

    def set_group_limit(self, group: str, n: int | None) -> None:
        """Let at most ``n`` bodies and finalizers of the group run at once. More starts at once; less stops nothing.

        Args:
            group: 1 to 256 characters.
            n: at least 1 (to stop a group, pause it); None takes back what was set: the limit is ``group_concurrency``'s again,
                else ``default_group_concurrency``.
        """
        self._runtime.tune("group", check_group(group), None if n is None else at_least("n", n, 1))

    def set_group_weight(self, group: str, weight: int | None) -> None:
        """Give the group another share of the slots; GroupWeightChanged where that differs.

        Args:
            group: 1 to 256 characters.
            weight: at least 1; None: ``default_group_weight``.
        """
        self._runtime.tune("weight", check_group(group), None if weight is None else at_least("weight", weight, 1))

    def set_group_min_slots(self, group: str, n: int | None) -> None:
        """Give the group at least ``n`` slots where it has work for them.

        Args:
            group: 1 to 256 characters.
            n: at least 0; None: no minimum.
        """
        self._runtime.tune("minimum", check_group(group), None if n is None else at_least("n", n, 0))

    def set_rate_limit(self, task: Task[..., Any] | str, limit: RateLimit | None) -> None:
        """Bound how fast bodies of a task start. The tokens that its bucket has are kept, up to the new burst.

        Args:
            task: or its qualified name.
            limit: None: no bound at all, also where ``rate_limits`` or the decorator has one.

        Raises:
            ValueError: no domain of the scheduler has that task.
        """
        name = self._core.name_of(task)
        check_names([name], self._core.task_named)
        self._runtime.tune("task_rate", name, None if limit is None else check_rate("limit", limit))

    def set_group_rate_limit(self, group: str, limit: RateLimit | None) -> None:
        """Bound how fast bodies of a group start, all its tasks together. The tokens that its bucket has are kept.

        Args:
            group: 1 to 256 characters.
            limit: None: no bound at all.
        """
        self._runtime.tune("group_rate", check_group(group), None if limit is None else check_rate("limit", limit))

    def register_state(self, value: object) -> None:
        """Add an object that bodies ask for with ``ctx.state``; it replaces the one of its type. Running bodies see it at once."""
        self._core.state.add(value)
