"""What bodies share: the application's own objects (a pool, a client, a cache), asked for by their type."""

import threading
from collections.abc import Iterable, Mapping
from typing import TypeVar

from millrace.operations import expect_several

T = TypeVar("T")


class States:
    """The objects of one domain or scheduler, the newest of each type. Nothing is copied. From any thread.

    Args:
        values: the first objects; of several of one type the last counts. TypeError where it is one alone.
    """

    def __init__(self, values: Iterable[object] = ()) -> None:
        self._lock = threading.Lock()
        self._by_type: Mapping[type, object] = {}
        """Replaced whole with every change, so that bodies look it up without a lock; the newest is the last."""
        for value in expect_several("state", values, "objects"):
            self.add(value)

    def add(self, value: object) -> None:
        """Another object, in place of the one of its type."""
        with self._lock:
            others = {kind: held for kind, held in self._by_type.items() if kind is not type(value)}
            self._by_type = {**others, type(value): value}

    def find(self, kind: type[T]) -> T | None:
        """The object of exactly that type, else the newest of a type derived from it, else None."""
        held = self._by_type
        if kind in held:
            exact = held[kind]
            return exact if isinstance(exact, kind) else None
        return next((value for value in reversed(list(held.values())) if isinstance(value, kind)), None)

    def kinds(self) -> list[str]:
        """The types of what there is, for messages."""
        return [kind.__qualname__ for kind in self._by_type]
