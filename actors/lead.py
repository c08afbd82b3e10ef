"""The lead: starts that are claimed ahead of the free slots, so that no commit is in the way of the next body.

What has not begun can be taken back: for somebody more urgent, or because it waits behind longer runs than was thought.
"""

from collections.abc import Callable, Sequence
from typing import Final

from millrace.actors.clock import Arm
from millrace.actors.dispatches import LeadChecked, Message
from millrace.actors.hooks import HookQueue
from millrace.actors.mailbox import Mailbox, Tells
from millrace.actors.policy.admission import Lookahead
from millrace.actors.policy.lines import Order
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.starts import Holding
from millrace.actors.requests import PutBack, Request
from millrace.executors.pool import Executors
from millrace.model.rows import Claim, Phase

RECALL_AFTER_S: Final = 0.05
"""Runs claimed ahead that have not begun by then go back to the queue: their slots are held by longer ones than expected."""


class Lead:
    """See the module. Of one dispatcher, in its thread.

    Args:
        address: the dispatcher's own mailbox, for timers.
        persistence: takes back what has not begun.
        clock: rings when the lead is to be looked at.
        executors: where runs are.
        queue: what is ready, and what is under way.
        hooks: the queue of cancel hooks.
        free: called with the ids of tasks whose start is undone.
        look: takes note of what has started in lent places.
    """

    def __init__(
        self,
        address: Mailbox[Message],
        *,
        persistence: Tells[Request],
        clock: Tells[Arm],
        executors: Executors,
        queue: ReadyQueue,
        hooks: HookQueue,
        free: Callable[[Sequence[int]], object],
        look: Callable[[], object],
    ) -> None:
        self._address = address
        self._persistence = persistence
        self._clock = clock
        self._executors = executors
        self._queue = queue
        self._hooks = hooks
        self._free = free
        self._look = look
        self._lookahead = Lookahead()
        self._is_watching = False
        self._ended_count = 0
        self._last_claimed: Order = (-1, 0, 0)
        """No claim comes after this in the order of starts."""

    # How far

    def run_ended(self, duration_s: float | None) -> None:
        """A run is over, which has taken so long; None where it was a hook."""
        self._ended_count += 1
        if duration_s is not None:
            self._lookahead.observe(duration_s)

    def ahead(self) -> int:
        """How many starts more than there are slots are worth it."""
        return self._lookahead.ahead(self._queue.limits.slots)

    def claimed(self, holdings: Sequence[Holding]) -> None:
        """These were started."""
        if holdings:
            last = max([(holding.effective, holding.task.phase, holding.task.id) for holding in holdings])
            self._last_claimed = max(self._last_claimed, last)

    # Taking back

    def overtake(self, pick: Callable[[int], list[Holding]]) -> list[Holding]:
        """All room is taken, that for starts ahead too: what is more urgent than those that have not begun takes their room.

        Args:
            pick: starts so many of what can start.
        """
        picked: list[Holding] = []
        queue = self._queue
        while queue.busy > queue.limits.slots and not queue.limits.has_shares:
            task = queue.choose()
            if task is None:
                break
            order = (queue.effective_of(task), task.phase, task.id)
            claim = self._executors.withdraw_after(order) if order < self._last_claimed else None
            if claim is None:
                break
            self.put_back([claim])
            picked += pick(1)
        return picked

    def watch(self) -> None:
        """Starts are ahead of the slots: look in a while whether they have begun."""
        if not self._is_watching:
            self._is_watching = True
            self._clock.tell(Arm(RECALL_AFTER_S, self._address, LeadChecked(self._ended_count)))

    def checked(self, ended_before: int) -> None:
        """Runs were claimed ahead some time ago. Where nothing has ended since, they wait behind long ones: put them back."""
        self._is_watching = False
        if self._queue.busy <= self._queue.limits.slots:
            return
        if self._ended_count == ended_before:
            self._lookahead = Lookahead()
            self.put_back(self._executors.withdraw())
        else:
            self.watch()

    def put_back(self, claims: Sequence[Claim]) -> None:
        """Starts that have not begun are undone. They are ready at once: nothing overtakes them on their way through the store."""
        self._look()
        ids = [claim.id for claim in claims if claim.phase != Phase.HOOK]
        holdings = [self._queue.holding(task_id) for task_id in ids]
        self._free(ids)
        self._queue.offer([holding.task for holding in holdings if holding is not None])
        self._hooks.drop(claim.id for claim in claims if claim.phase == Phase.HOOK)
        if claims:
            self._persistence.tell(PutBack(tuple((claim.id, claim.run) for claim in claims)))
