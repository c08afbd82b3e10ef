"""Which names have series of their own: those of registered tasks, at most 200. So no label grows with what is submitted."""

from collections.abc import Iterable
from typing import Final

from millrace.model.families import domain_of

MOST_NAMES: Final = 200
OTHER: Final = "__other__"


class Names:
    """The task names of a program, as labels.

    Args:
        registered: qualified names, in the order in which they were declared; the first 200 have series of their own.
    """

    def __init__(self, registered: Iterable[str]) -> None:
        names = list(dict.fromkeys(registered))
        self._domains = dict.fromkeys([*(domain_of(name) for name in names), "flow"])
        self._tasks = {name: (domain_of(name), name) for name in names[:MOST_NAMES]}
        self.tasks = tuple(self._tasks.values())
        """(domain, task) of all that have series from the start."""
        self.domains = tuple(self._domains)

    def task(self, name: str) -> tuple[str, str]:
        """The labels domain and task of a task name."""
        return self._tasks.get(name) or (self.domain(name), OTHER)

    def domain(self, name: str) -> str:
        """The label domain of a task name."""
        domain = domain_of(name)
        return domain if domain in self._domains else OTHER
