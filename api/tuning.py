"""The scheduler's properties and methods that change its limits while it runs."""

from __future__ import annotations

from millrace.operations import Operations, at_least


class Tuning(Operations):
    """See the module. From any thread."""

    @property
    def max_concurrency(self) -> int:
        """Bodies and finalizers that run at once. More starts at once; less stops nothing."""
        return self._runtime.slots

    @max_concurrency.setter
    def max_concurrency(self, n: int) -> None:
        self._runtime.tune("slots", "", at_least("max_concurrency", n, 1))

    def register_state(self, value: object) -> None:
        """Add an object that bodies ask for with ``ctx.state``; it replaces the one of its type. Running bodies see it at once."""
        self._core.state.add(value)
