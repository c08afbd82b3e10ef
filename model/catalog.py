"""What the runtime has to know of a task's code: never the code itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Traits:
    """Which functions a task has besides its body."""

    has_finalizer: bool
    has_hook: bool


class Catalog(Protocol):
    """The tasks that this program can run, by qualified name. Read from the persistence actor's thread."""

    def traits(self, name: str) -> Traits | None:
        """Of the task of that name, or that had it before. None: this program does not know it."""
        ...

    def aliases(self) -> Mapping[str, str]:
        """Names that tasks had before, and the names that they have now."""
        ...
