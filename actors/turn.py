"""What one transaction of the persistence actor decides: the order of a turn, and who carries out which request.

Order: ends of runs, then submits, then the rest, then claims and pages. Nobody can tell the difference: what waits in one inbox
together was sent by different threads, or without waiting for an answer.
Requests are decided whole before anything of them is written, so one that is refused leaves nothing and disturbs no other.
A new kind of request gets a line in ``Turn._table``, and its handler in the module that knows its subject: ``controls`` (callers
wait for it), ``claiming`` (the dispatcher asks for it), ``upkeep`` (it comes with time), ``startup``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

from millrace.actors import cancelling, controls, depending, recurring, run_ends
from millrace.actors.claiming import Claiming
from millrace.actors.commits import Commits
from millrace.actors.delivery import Delivery
from millrace.actors.dispatches import RunsEnded
from millrace.actors.effects import Effects
from millrace.actors.ledger import Ledger
from millrace.actors.mailbox import Tells
from millrace.actors.policy.limits import Limits
from millrace.actors.pruning import Pruner
from millrace.actors.requests import (
    AskAncestors,
    Cascade,
    ClaimHooks,
    ClaimTasks,
    EndOfTurn,
    EndPauses,
    ExpireDue,
    FindHooks,
    FindLanes,
    Flush,
    FollowOthers,
    GiveUpRetry,
    PromoteDue,
    Prune,
    PutBack,
    Reconcile,
    Recover,
    Refill,
    RefreshLimits,
    Request,
    ResumePreempted,
    SampleProgress,
    Submit,
    Tune,
    Unwatch,
    Watch,
    WithdrawLost,
)
from millrace.actors.starting import start_ready
from millrace.actors.startup import Startup
from millrace.actors.submits import submit
from millrace.actors.times import Times
from millrace.actors.upkeep import Upkeep
from millrace.model.errors import MillraceError
from millrace.model.families import DIRECTIONS
from millrace.model.io import decode_moved
from millrace.model.outcomes import RunOutcome
from millrace.model.rows import Phase

OWN_STEP: Final = (RunOutcome, Submit, ClaimTasks, Refill, FindLanes)
"""Requests that have a step of the turn of their own, all of a kind together."""
Handler = Callable[[Ledger, Any], None]


class Turn:
    """See the module.

    Args:
        commits: the transactions.
        delivery: who waits and listens.
        mailbox: the persistence actor's own.
        times: the clocks.
        code_limits: the program's own limits, without what was set and paused at run time.
        pruner: keeps the history within its bounds.
        ages: whether waiting raises a task's priority.
    """

    def __init__(
        self,
        commits: Commits,
        *,
        delivery: Delivery,
        mailbox: Tells[Any],
        times: Times,
        code_limits: Callable[[], Limits],
        pruner: Pruner,
        ages: bool,
    ) -> None:
        self._delivery = delivery
        self._pruner = pruner
        self._claiming = Claiming(delivery=delivery, mailbox=mailbox, untold=lambda: commits.untold, ages=ages)
        self._upkeep = Upkeep(delivery=delivery, mailbox=mailbox, times=times, code_limits=code_limits)
        self._startup = Startup(commits, delivery=delivery, code_limits=code_limits, ages=ages)
        self._handlers = self._table()
        self._taken = 0
        """Places for starts that the open transaction has taken."""

    def _table(self) -> dict[type, Handler]:
        claiming, upkeep = self._claiming, self._upkeep
        table: dict[type, Handler] = dict.fromkeys(get_args(controls.Controlled), _control)
        return table | {
            Watch: self._watch,
            Unwatch: self._unwatch,
            AskAncestors: _answer_ancestors,
            Flush: _answer_done,
            EndOfTurn: _answer_done,
            Prune: self._prune,
            Cascade: _cascade,
            GiveUpRetry: _give_up_retry,
            Recover: self._startup.recover,
            ClaimHooks: claiming.claim_hooks,
            FindHooks: claiming.find_hooks,
            PutBack: claiming.put_back,
            Reconcile: claiming.reconcile,
            FollowOthers: claiming.follow_others,
            WithdrawLost: claiming.withdraw_lost,
            PromoteDue: upkeep.promote,
            ExpireDue: upkeep.expire,
            SampleProgress: upkeep.sample,
            RefreshLimits: upkeep.refresh_limits,
            Tune: upkeep.tune,
            EndPauses: upkeep.end_pauses,
            ResumePreempted: upkeep.resume_preempted,
        }

    @property
    def kinds(self) -> set[type]:
        """All requests that a turn can carry out."""
        return {*self._handlers, *OWN_STEP}

    def decide(self, ledger: Ledger, requests: Sequence[Request]) -> None:
        """Carry out the requests of a turn."""
        outcomes = [request for request in requests if isinstance(request, RunOutcome)]
        if outcomes:
            self._end_runs(ledger, outcomes)
            depending.follow(ledger)
            recurring.go_on(ledger)  # before the submits: they find the next run where they meet its key
            if len(outcomes) < len(requests):
                ledger.flush()
        submits = [request for request in requests if isinstance(request, Submit)]
        if submits:
            submit(ledger, submits)
            depending.follow(ledger)
        for request in requests:
            if not isinstance(request, OWN_STEP):
                ledger.flush()
                self._handlers[type(request)](ledger, request)
                depending.follow(ledger)
        if not ledger.effects.cascades:
            self._taken = start_ready(ledger, self._delivery.openings)
        ledger.flush()
        if ledger.effects.cascades:
            # Before the claims: what is cancelled here must not start. What is left is told to the supervisors.
            ledger.effects.cascades += cancelling.cascade(ledger, list(dict.fromkeys(ledger.effects.cascades)))
            depending.follow(ledger)
        recurring.go_on(ledger)
        ledger.flush()
        claims = [request for request in requests if isinstance(request, ClaimTasks)]
        if claims:
            self._claiming.claim(ledger, claims)
        self._find(ledger, requests)

    def _find(self, ledger: Ledger, requests: Sequence[Request]) -> None:
        """Last, so that nothing is found that this turn itself has moved on."""
        for request in requests:
            if isinstance(request, Refill):
                self._claiming.load_pages(ledger, request)
            elif isinstance(request, FindLanes):
                self._claiming.find_lanes(ledger, request)
            elif isinstance(request, PromoteDue):
                self._upkeep.tell_next_due(ledger)

    def rolled_back(self) -> None:
        """A turn came to nothing: the places that it took for starts are free."""
        if self._taken:
            self._delivery.give_back(self._taken)
            self._taken = 0

    def committed(self, effects: Effects) -> None:
        """A turn is committed; nobody has heard of it."""
        self._taken = 0
        self._claiming.committed(effects)

    def told(self, effects: Effects) -> None:
        """Everybody has heard of it."""
        self._upkeep.set_pause_timer(effects)

    # Ends of runs

    def _end_runs(self, ledger: Ledger, outcomes: Sequence[RunOutcome]) -> None:
        late = run_ends.apply_outcomes(ledger, outcomes)
        self._claiming.runs_ended()
        if self._delivery.board.has_reports:
            ledger.effects.ended_runs += [(outcome.task_id, outcome.run) for outcome in outcomes]
        for outcome in late:
            ledger.effects.count("late_outcomes", outcome.name)
        for outcome in outcomes:
            if outcome.abandoned:
                ledger.effects.count("abandoned_runs", outcome.name)
            if outcome.actual_io is not None:
                for direction, moved in zip(DIRECTIONS, decode_moved(outcome.actual_io), strict=True):
                    ledger.effects.count("task_bytes", outcome.name, direction, by=moved)
        going_on = set(ledger.effects.continues)
        ended = tuple(
            (outcome.task_id, outcome.duration_s)
            for outcome in outcomes
            if outcome.task_id not in going_on and not outcome.abandoned
        )
        if not ended:
            return
        if self._delivery.openings.is_open and not any(outcome.phase == Phase.HOOK for outcome in outcomes):
            ledger.effects.freed += ended
        else:
            # Slots are free before the commit: only the executor's threads are meant, and those are.
            self._delivery.slots_free(RunsEnded(ended))

    # Single requests

    def _watch(self, ledger: Ledger, request: Watch) -> None:
        task_id, reply = request.task_id, request.reply
        if ledger.row(task_id) is not None:
            # At once, not after the commit: the task may settle in this very transaction, by a request behind this one.
            self._delivery.watch(task_id, reply)
            return
        row = ledger.writer.load_record(task_id)
        if row is not None:
            ledger.effects.tells_end = True
            ledger.effects.answer(reply, row)
        else:
            ledger.effects.refuse(reply, controls.not_found(ledger, task_id))

    def _unwatch(self, ledger: Ledger, request: Unwatch) -> None:
        del ledger
        self._delivery.unwatch(request.task_id, request.reply)

    def _prune(self, ledger: Ledger, request: Prune) -> None:
        ledger.effects.answers.append(lambda: self._pruner.ask(request.retention, request.reply))


def _control(ledger: Ledger, request: controls.Controlled) -> None:
    try:
        answer: object = controls.carry_out(ledger, request)
    except MillraceError as error:
        ledger.effects.refuse(request.reply, error)
    else:
        ledger.effects.answer(request.reply, answer)


def _answer_ancestors(ledger: Ledger, request: AskAncestors) -> None:
    ledger.effects.answer(request.reply, ledger.writer.ancestors(request.task_id))


def _answer_done(ledger: Ledger, request: Flush | EndOfTurn) -> None:
    ledger.effects.answer(request.reply, None)


def _cascade(ledger: Ledger, request: Cascade) -> None:
    ledger.effects.cascades.extend(cancelling.cascade(ledger, list(request.parents)))


def _give_up_retry(ledger: Ledger, request: GiveUpRetry) -> None:
    run_ends.give_up_retry(ledger, request.task_id, request.why)
