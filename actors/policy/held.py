"""The starts under way, and the places that they take: slots of the scheduler, and those of the scopes that count runs."""

from collections.abc import Iterable

from millrace.actors.policy.lines import Order
from millrace.actors.policy.scopes import Scope, Scopes
from millrace.actors.policy.standing import Standing
from millrace.actors.policy.starts import Holding
from millrace.model.rows import Phase, Ready


class Held:
    """See the module.

    Args:
        scopes: what bounds starts.
        standing: the lines that wait for places.
    """

    def __init__(self, scopes: Scopes, standing: Standing) -> None:
        self._scopes = scopes
        self._standing = standing
        self._number = 0
        self.by_task: dict[int, Holding] = {}
        self.busy = 0
        """Starts under way that take a slot."""

    def hold(self, holding: Holding, scopes: tuple[Scope, ...] | None = None) -> None:
        """A start takes its places, also where there is none left."""
        lane = holding.task.lane
        if scopes is None:
            scopes = self._scopes.of(lane, holding.task.bound, self._standing.now)
        holding.scopes, holding.is_lent = scopes, False
        self._number += 1
        holding.number = self._number
        self.by_task[holding.task.id] = holding
        self.busy += 1
        for scope in scopes:
            if scope.bucket is None:
                scope.running += 1
        demands = self._standing.demands
        if demands is not None:
            demands.change(lane.group, running=1)

    def hold_unbounded(self, found: Iterable[tuple[Order, Ready]]) -> list[Holding]:
        """Starts that nothing bounds but the slots, with their orders; where shares are in force, those have been told."""
        by_task, number = self.by_task, self._number
        holdings: list[Holding] = []
        for order, task in found:
            number += 1
            holding = by_task[task.id] = Holding(task, order[0], number=number)
            holdings.append(holding)
        self._number = number
        self.busy += len(holdings)
        return holdings

    def release(self, task_id: int, *, is_undone: bool = False) -> Holding | None:
        """The start is over: its places are free, and where it was undone its tokens come back. None where there was none."""
        holding = self.by_task.pop(task_id, None)
        if holding is not None and not holding.is_lent:
            self._give_back(holding)
        if holding is not None and is_undone and holding.task.phase == Phase.BODY:
            for scope in holding.scopes:
                if scope.bucket is not None:
                    scope.bucket.give_back()
                    self._standing.expose(scope)
        return holding

    def lend(self, task_id: int) -> None:
        """The run waits for another task: its places are free meanwhile."""
        holding = self.by_task.get(task_id)
        if holding is not None and not holding.is_lent:
            holding.is_lent = True
            self._give_back(holding)

    def reclaim(self, task_id: int) -> None:
        """The wait is over: the places are taken again, also where there is none free."""
        holding = self.by_task.get(task_id)
        if holding is not None and holding.is_lent:
            self.hold(holding)  # the scopes that it had may be forgotten, and made anew, meanwhile

    def _give_back(self, holding: Holding) -> None:
        self.busy -= 1
        for scope in holding.scopes:
            if scope.bucket is None:
                scope.running -= 1
                self._standing.expose(scope)
                self._scopes.forget(scope)
        demands = self._standing.demands
        if demands is not None:
            demands.change(holding.task.lane.group, running=-1)

    def recount(self) -> None:
        """All scopes were made anew: what runs is counted in them."""
        for holding in self.by_task.values():
            holding.scopes = self._scopes.of(holding.task.lane, holding.task.bound, self._standing.now)
            if not holding.is_lent:
                for scope in holding.scopes:
                    scope.running += scope.bucket is None
