"""What the runtime has to know of a task's code: never the code itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from millrace.model.new_tasks import NewTask


@dataclass(frozen=True, slots=True)
class Traits:
    """Which functions a task has besides its body."""

    has_finalizer: bool
    has_hook: bool


@dataclass(frozen=True, slots=True)
class CodeSeries:
    """The series that tasks have by their decorators."""

    domains: frozenset[str] = frozenset()
    """Whose tasks this program has: what it does not know of other domains says nothing."""
    schedules: Mapping[str, str] = field(default_factory=dict[str, str])
    """The JSON texts of the schedules, by task name."""
    submissions: tuple[NewTask, ...] = ()
    """Those of tasks whose payload need not be given: they begin with the start."""


class Catalog(Protocol):
    """The tasks that this program can run, by qualified name. Read from the persistence actor's thread."""

    def traits(self, name: str) -> Traits | None:
        """Of the task of that name, or that had it before. None: this program does not know it."""
        ...

    def aliases(self) -> Mapping[str, str]:
        """Names that tasks had before, and the names that they have now."""
        ...
