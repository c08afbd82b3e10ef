"""What a scheduler can run, and what its bodies share: its domains, their tasks by every name, and its state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from millrace.model.catalog import Traits
from millrace.model.errors import UnknownTask
from millrace.model.limits import RateLimit
from millrace.state import States
from millrace.task import Task

if TYPE_CHECKING:
    from millrace.task import Domain

T = TypeVar("T")


class Registry:
    """See the module. Domains take in tasks while they are served, so nothing is copied out of them. From any thread.

    Args:
        domains: whose tasks there are.
        state: objects for bodies whose domain has none.

    Raises:
        ValueError: two domains of one name, or tasks of two domains that share a name.
    """

    def __init__(self, domains: Iterable[Domain], state: Iterable[object]) -> None:
        self.domains: dict[str, Domain] = {}
        for domain in domains:
            if domain.name in self.domains:
                raise ValueError(f"domains: expected each name once, {domain.name!r} came twice")
            self.domains[domain.name] = domain
        self._check_aliases()
        self.state = States(state)

    def _check_aliases(self) -> None:
        """ValueError where an alias stands for two tasks of different domains; within one it was refused already."""
        owners: dict[str, Task[..., Any]] = {}
        for domain in self.domains.values():
            for alias, task in domain.aliases.items():
                named = self.domains.get(alias.partition("::")[0])
                other = owners.get(alias) or (None if named is None else named.tasks.get(alias))
                if other is not None:
                    raise ValueError(
                        f"domains: expected aliases that no other task has, {alias!r} of {task.name!r} is one of {other.name!r}"
                    )
                owners[alias] = task

    def task_names(self) -> list[str]:
        """The qualified names of all tasks that there are by now."""
        return [name for domain in self.domains.values() for name in domain.tasks]

    def task_rates(self) -> dict[str, RateLimit]:
        """The rates that decorators give, by the names of their tasks."""
        tasks = [task for domain in self.domains.values() for task in domain.tasks.values()]
        return {task.name: rate for task in tasks if (rate := task.definition.rate_limit) is not None}

    def task_named(self, name: str) -> Task[..., Any] | None:
        """The task of a qualified name, where one of the domains has it, or of a name that it had before."""
        domain = self.domains.get(name.partition("::")[0])
        task = None if domain is None else domain.tasks.get(name)
        if task is not None:
            return task
        return next((domain.aliases[name] for domain in self.domains.values() if name in domain.aliases), None)

    def traits(self, name: str) -> Traits | None:
        """See ``Catalog``."""
        task = self.task_named(name)
        return None if task is None else task.definition.traits

    def aliases(self) -> dict[str, str]:
        """See ``Catalog``. Looked up each time: domains take in tasks while they are served."""
        return {
            alias: task.name
            for domain in self.domains.values()
            if domain.aliases
            for alias, task in domain.aliases.items()
        }

    def name_of(self, task: Task[..., Any] | str) -> str:
        """The qualified name of a task, given as itself, by its name, or by one that it had before."""
        if not isinstance(task, str):
            given: object = task
            if not isinstance(given, Task):
                raise TypeError(f"task: expected a Task or its qualified name, got {type(given).__name__}")
            return task.name
        known = self.task_named(task)
        return task if known is None else known.name

    def names_of(self, task: Task[..., Any] | str) -> tuple[str, ...]:
        """The names under which tasks of a type are stored: its qualified name, and until a start those it had before."""
        name = self.name_of(task)
        return (name, *(alias for alias, present in self.aliases().items() if present == name))

    def find_state(self, kind: type[T], domain: str) -> T:
        """See ``Context.state``."""
        of_domain = self.domains.get(domain)
        if of_domain is None:
            raise UnknownTask(domain, self.domains)
        for state in (of_domain.state, self.state):
            found = state.find(kind)
            if found is not None:
                return found
        raise LookupError(
            f"state: expected an object of type {kind.__qualname__}, domain {domain!r} has "
            f"{', '.join(of_domain.state.kinds()) or 'none'} and the scheduler {', '.join(self.state.kinds()) or 'none'}; "
            "give one to Domain(state=), Scheduler(state=) or register_state"
        )
