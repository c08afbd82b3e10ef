"""Who waits for whom, as one transaction changes it: what is new, what is dropped, written where a statement has to find it."""

from collections.abc import Iterable, Mapping

from millrace.actors.policy.dependencies import BadEnd
from millrace.store.writer import Writer


class Edges:
    """See the module. Part of a ``Ledger``.

    Args:
        writer: with the transaction open.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._are_there: bool | None = None
        self._new: dict[int, frozenset[int]] = {}
        self._dropped: list[int] = []
        self.replaced: dict[int, int] = {}
        """Tasks that were superseded in this transaction, and by which."""
        self.ended_well: list[int] = []
        self.ended_badly: list[BadEnd] = []
        """What has settled, and whose dependents have not been looked after yet: see ``depending.follow``."""

    def are_there(self) -> bool:
        """Whether any task waits for another: asked once a transaction, so that ends cost nothing more where none does."""
        if self._are_there is None:
            self._are_there = self._writer.edges.has_edges()
        return self._are_there

    def add(self, task_id: int, dependencies: Iterable[int]) -> int:
        """The task waits for these, or for what has taken their place in this transaction; how many that are."""
        wanted: set[int] = set()
        for dependency in dependencies:
            newest = dependency
            while newest in self.replaced:
                newest = self.replaced[newest]
            wanted.add(newest)
        if wanted:
            self._new[task_id] = frozenset(wanted)
            self._are_there = True
        return len(wanted)

    def drop(self, task_id: int) -> None:
        """The task waits for nothing any more."""
        self._new.pop(task_id, None)
        self._dropped.append(task_id)

    def meet(self, met: Mapping[int, int]) -> list[int]:
        """So many dependencies of tasks have settled; those of them that wait for nothing more. After ``Ledger.flush``."""
        return self._writer.edges.meet_dependencies(list(met.items()))

    def write(self) -> None:
        """Write them now."""
        if self._dropped:
            self._writer.edges.delete_edges_of(self._dropped)
            self._dropped = []
        if self._new:
            self._writer.edges.insert_edges([(task_id, one) for task_id, wanted in self._new.items() for one in wanted])
            self._new = {}
