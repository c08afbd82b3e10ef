"""What the dispatcher asks of the store: starts, given back or reconciled where one is lost, and what could start next."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from millrace.actors import expiring, pausing, recovering, run_ends
from millrace.actors.delivery import Delivery
from millrace.actors.dispatches import HooksDue, LanesFound, PageLoaded
from millrace.actors.effects import Effects
from millrace.actors.ledger import Ledger
from millrace.actors.mailbox import Tells
from millrace.actors.requests import (
    ClaimHooks,
    ClaimTasks,
    FindHooks,
    FindLanes,
    FollowOthers,
    PutBack,
    Reconcile,
    Refill,
    WithdrawLost,
)
from millrace.actors.startup import begin_progress

LANES_STEP: Final = 1000


class Claiming:
    """See the module.

    Args:
        delivery: tells the dispatcher, and knows which runs are under way.
        mailbox: the persistence actor's own.
        untold: effects of commits that nobody has heard of yet.
        ages: whether waiting raises a task's priority.
    """

    def __init__(
        self, *, delivery: Delivery, mailbox: Tells[Any], untold: Callable[[], Iterable[Effects]], ages: bool
    ) -> None:
        self._delivery = delivery
        self._mailbox = mailbox
        self._untold = untold
        self._has_aging = ages
        self._at_once: set[int] = set()
        """Tasks with a time to live of 0 that were submitted since a run has last ended. What claims one of these has found a
        slot free: it starts at once, however long the commit and the way here have taken. Any other has had to wait."""

    def committed(self, effects: Effects) -> None:
        """These tasks can start, by the claim that their submit brings about."""
        self._at_once.update(effects.at_once)

    def runs_ended(self) -> None:
        """A slot that is found free from now on may be one of these runs'."""
        self._at_once.clear()

    # Starts

    def claim(self, ledger: Ledger, requests: Sequence[ClaimTasks]) -> None:
        """Start these; the dispatcher hears of those that could not start."""
        ledger.effects.claim_requests += len(requests)
        # One that two dispatchers ask for, as the first is no more, starts once.
        ids = list(dict.fromkeys(task_id for request in requests for task_id in request.ids))
        effective: dict[int, int] | None = None
        if self._has_aging:
            effective = {
                task_id: priority
                for request in requests
                for task_id, priority in zip(request.ids, request.effective or (), strict=False)
            }
        may_start = ids if not ledger.limits.has_pauses else pausing.startable(ledger, ids)
        at_once = self._at_once.intersection(may_start)
        if at_once:
            ledger.writer.starts.extend_deadlines(list(at_once), ledger.steady_ms)
        claims = ledger.writer.starts.claim(may_start, ledger.now_ms, ledger.steady_ms, effective)
        ledger.forget()
        ledger.effects.claims += claims
        if len(claims) < len(ids):
            lost = set(ids) - {claim.id for claim in claims}
            expiring.expire_late(ledger, lost)
            self._delivery.claims_lost(ledger.effects, lost)

    def claim_hooks(self, ledger: Ledger, request: ClaimHooks) -> None:
        """Start these cancel hooks."""
        claims = ledger.writer.starts.claim_hooks(request.ids)
        ledger.forget()
        ledger.effects.claims += claims
        self._delivery.hooks_lost(ledger.effects, set(request.ids) - {claim.id for claim in claims})

    def put_back(self, ledger: Ledger, request: PutBack) -> None:
        """These starts have not begun."""
        run_ends.withdraw(ledger, request.runs)

    # Where an actor was replaced

    def reconcile(self, ledger: Ledger, request: Reconcile) -> None:
        """Let a new dispatcher and the executors know what the last one's mail would have told."""
        del request
        # What was claimed a moment ago is not told yet, and will have begun, perhaps ended, when the next turn looks again.
        claims = [claim for effects in (*self._untold(), ledger.effects) for claim in effects.claims]
        untold = {claim.id for claim in claims}.union(ledger.effects.continues)
        lost = [(task_id, run) for task_id, run in self._delivery.unknown_runs(ledger) if task_id not in untold]
        if lost:
            ledger.effects.messages.append(lambda: self._mailbox.tell(WithdrawLost(tuple(lost))))
        ledger.effects.interrupts += self._delivery.unasked_runs(ledger)
        self._delivery.settle_watched(ledger)
        begin_progress(ledger, self._delivery.board)
        pausing.resume_preempted(ledger)  # the dispatcher that would have done it is no more

    def follow_others(self, ledger: Ledger, request: FollowOthers) -> None:
        """Let the dispatcher, the executors and who waits know what another program's commits would have told, had it been here.

        A scheduler that is not started has but those who wait.
        """
        del request
        self._delivery.settle_watched(ledger)
        recovering.resume_cascades(ledger)
        ledger.effects.interrupts += self._delivery.unasked_runs(ledger)
        self._delivery.read_anew(ledger.effects)

    def withdraw_lost(self, ledger: Ledger, request: WithdrawLost) -> None:
        """Those that still nobody knows of go back."""
        run_ends.withdraw(ledger, set(request.runs).intersection(self._delivery.unknown_runs(ledger)))

    # What could start next

    def load_pages(self, ledger: Ledger, request: Refill) -> None:
        """Ready tasks, a page a lane."""
        for page in request.pages:
            tasks = ledger.writer.starts.select_ready(page.lane, page.after, page.limit, eldest=self._has_aging)
            self._delivery.page(ledger.effects, PageLoaded(page.lane, tuple(tasks), page.after, page.limit))

    def find_lanes(self, ledger: Ledger, request: FindLanes) -> None:
        """A page of the lanes that have ready tasks."""
        lanes = ledger.writer.starts.select_lanes(request.after, LANES_STEP)
        more = lanes[-1].number if len(lanes) == LANES_STEP else None
        self._delivery.page(ledger.effects, LanesFound(tuple(lanes), more, request.by))

    def find_hooks(self, ledger: Ledger, request: FindHooks) -> None:
        """A page of tasks whose cancel hook is due."""
        due = ledger.writer.starts.select_hooks(request.after, request.limit)
        message = HooksDue(tuple(due), is_page=True, is_last=len(due) < request.limit)
        self._delivery.hooks(ledger.effects, message)
