"""How the dispatcher makes room for the urgent: which runs are asked to stop, and when those that did go on."""

from collections.abc import Callable, Iterable, Sequence

from millrace.actors.mailbox import Tells
from millrace.actors.policy.preempting import (
    GLOBAL,
    Newcomer,
    Occupant,
    choose_victims,
    goes_on,
    patience_ends_in,
)
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.scopes import Scope
from millrace.actors.policy.starts import Holding, Wanting
from millrace.actors.requests import Request, ResumePreempted
from millrace.model.rows import Phase


class Preemption:
    """See the module.

    Args:
        preempt_at: tasks of this stored priority and more urgent ones preempt; None: none does.
        ask: asks the body of a task to stop with "preempted"; False where it is over and the finalizer goes on in its slot.
    """

    def __init__(self, preempt_at: int | None, *, persistence: Tells[Request], ask: Callable[[int], bool]) -> None:
        self._preempt_at = preempt_at
        self._persistence = persistence
        self._ask = ask
        self._asked: dict[int, float] = {}
        """When runs were asked to stop, for whatever reason."""
        self._finalizing: set[int] = set()
        """Tasks whose finalizer was found in the slot of their body."""
        self._paused: list[int] = []
        """Stored priorities of the tasks that were preempted and wait."""
        self.look_in: float | None = None
        """Seconds until somebody else may have to be asked; None: no such time."""

    @property
    def has_paused(self) -> bool:
        """Whether somebody waits for the urgent to have run."""
        return bool(self._paused)

    def asked(self, task_id: int, now: float) -> None:
        """A run was asked to stop."""
        self._asked.setdefault(task_id, now)

    def ended(self, task_id: int) -> None:
        """Its run is over."""
        self._asked.pop(task_id, None)
        self._finalizing.discard(task_id)

    def preempted(self, priorities: Iterable[int]) -> None:
        """Tasks with these priorities have stopped for the urgent, and wait."""
        self._paused.extend(priorities)

    def balance(self, queue: ReadyQueue, now: float) -> None:
        """After the slots were filled: ask runs to stop for who is urgent, and let those go on that did when nobody is."""
        threshold = self._preempt_at
        wanting = queue.wanting() if threshold is not None else ()
        if wanting:
            newcomers = [_newcomer(each, queue) for each in wanting]
            is_done = False
            while not is_done:  # where one of the victims was none, another is looked for in its place
                is_done = self._ask_victims(newcomers, queue, now)
            self.look_in = patience_ends_in([self._occupant(each) for each in queue.holdings()], now)
        else:
            self.look_in = None
        if self._paused and self._may_go_on(queue, is_urgent_waiting=bool(wanting)):
            self._paused.clear()
            self._persistence.tell(ResumePreempted())

    def _ask_victims(self, newcomers: Sequence[Newcomer], queue: ReadyQueue, now: float) -> bool:
        """Ask runs to make room. False where one of them was a finalizer, which makes none."""
        occupants = [self._occupant(holding) for holding in queue.holdings() if not holding.is_lent]
        is_done = True
        for task_id in choose_victims(newcomers, occupants, now):
            self.asked(task_id, now)  # before: one that has not begun is over with that
            if not self._ask(task_id):
                del self._asked[task_id]
                self._finalizing.add(task_id)
                is_done = False
        return is_done

    def _may_go_on(self, queue: ReadyQueue, *, is_urgent_waiting: bool) -> bool:
        return goes_on(
            max(self._paused),
            preempt_at=self._preempt_at,
            is_urgent_waiting=is_urgent_waiting,
            has_free_slot=queue.busy < queue.limits.slots,
            running=[holding.task.priority for holding in queue.holdings() if not holding.is_lent],
        )

    def _occupant(self, holding: Holding) -> Occupant:
        task = holding.task
        scopes = frozenset([GLOBAL, *(_name(scope) for scope in holding.scopes if scope.bucket is None)])
        phase = Phase.FINALIZER if task.id in self._finalizing else Phase(task.phase)
        return Occupant(task.id, task.priority, holding.number, phase, scopes, self._asked.get(task.id))


def _newcomer(wanting: Wanting, queue: ReadyQueue) -> Newcomer:
    full = [_name(scope) for scope in wanting.full]
    if queue.busy >= queue.limits.slots:
        full.append(GLOBAL)
    return Newcomer(wanting.task.id, wanting.task.priority, frozenset(full))


def _name(scope: Scope) -> tuple[str, str | int]:
    kind, name = scope.id
    return (kind.value, name)
