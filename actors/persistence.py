"""The persistence actor: the one writer of the store.

Owns: the writing connection, and who waits for a task's end.
Talks to: whoever asked (after COMMIT), the dispatcher, the supervisors, the clock, the executors, the subscribers.
Never: runs user code; what a request means is decided by the modules it calls, in the transaction it opens for them.
Group commit: one turn takes all that waits in the inbox into one transaction, and answers after COMMIT. Requests are decided
whole before anything of them is written, so one that is refused leaves nothing and disturbs no other; where the unexpected
happens the transaction is rolled back and its requests are tried one by one, which isolates the one that is to blame.
Order in a turn: ends of runs, then submits, then the rest, then claims and pages. Nobody can tell the difference: what waits in
one inbox together was sent by different threads, or without waiting for an answer.
Dies: what was not committed is answered with an error or tried again; the successor opens a new connection.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar, assert_never

from millrace.actors import (
    cancelling,
    controls,
    depending,
    expiring,
    pausing,
    recovering,
    recurring,
    schedules,
    settling,
    tuning,
)
from millrace.actors.actor import Actor, Loop, Watcher, crash_of
from millrace.actors.clock import NextDue, earlier
from millrace.actors.delivery import Delivery
from millrace.actors.dispatches import HooksDue, LanesFound, PageLoaded, RunsEnded
from millrace.actors.effects import Effects
from millrace.actors.enqueueing import Stored, enqueue, tell_batch
from millrace.actors.ledger import Ledger
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.policy.admission import PIPELINE_S
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.patience import Patience
from millrace.actors.pruning import Pruner
from millrace.actors.requests import (
    AskAncestors,
    Cancel,
    CancelFlow,
    CancelMany,
    Cascade,
    ChangeSeries,
    ClaimHooks,
    ClaimTasks,
    EndFlow,
    EndOfTurn,
    EndPauses,
    ExpireDue,
    FindHooks,
    FindLanes,
    Flush,
    GiveUpRetry,
    OpenFlow,
    Pause,
    PromoteDue,
    Prune,
    PutBack,
    Reconcile,
    Recover,
    Refill,
    RefreshLimits,
    Repeat,
    Request,
    Resume,
    ResumePreempted,
    RunNow,
    SampleProgress,
    Submit,
    Tune,
    Unwatch,
    UpdateFlow,
    Watch,
    WithdrawLost,
)
from millrace.actors.ticks import write_sample
from millrace.actors.times import Times
from millrace.model.catalog import Catalog, CodeSeries
from millrace.model.errors import (
    CommitUnknown,
    InternalError,
    MillraceError,
    SchedulerStopped,
    StoreCorrupt,
    StoreError,
    StoreMoved,
)
from millrace.model.families import DIRECTIONS
from millrace.model.io import decode_moved
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Delay
from millrace.store.faults import code_name
from millrace.store.session import Session
from millrace.store.writer import SettledRow

log = logging.getLogger("millrace.persistence")
T = TypeVar("T")

SYNC_EVERY_S: Final = 1.0
"""What nobody waited for is synced at least this often."""
RETRY_AFTER_S: Final = 0.5
"""Pause before what the store could not take is tried again."""
DUE_STEP: Final = 1000
LANES_STEP: Final = 1000

_ANSWERED = (
    Cancel,
    CancelMany,
    Repeat,
    OpenFlow,
    UpdateFlow,
    EndFlow,
    CancelFlow,
    Pause,
    Resume,
    Tune,
    RunNow,
    ChangeSeries,
)
_KEPT = (
    RunOutcome,
    ClaimTasks,
    ClaimHooks,
    PutBack,
    GiveUpRetry,
    Cascade,
    PromoteDue,
    RefreshLimits,
    EndPauses,
    ResumePreempted,
    ExpireDue,
    FindLanes,
    FindHooks,
    Refill,
    Reconcile,
    WithdrawLost,
    SampleProgress,
    Watch,
    Unwatch,
    AskAncestors,
    Flush,
)
"""Requests that nobody can repeat, and waits: where the store cannot take them, they are kept and tried again. They are as many
as there are runs, waits and actors, each of which waits for what comes of its own."""


class Persistence(Actor):
    """See the module.

    Args:
        open_session: opens the store, in the actor's thread.
        catalog: the tasks of this program.
        times: the clocks.
        delivery: takes the effects of a commit to whom they concern.
        code_limits: the program's own limits, without what was set and paused at run time.
        syncs_answers: whether a commit that answers somebody is synced before the answer (durability "power").
        pruner: keeps the history within its bounds.
        on_fatal: told of an error after which the store must not be written any more.
        ages: whether waiting raises a task's priority.
    """

    def __init__(
        self,
        mailbox: Mailbox[Request],
        loop: Loop,
        watcher: Watcher,
        *,
        open_session: Callable[[], Session],
        catalog: Catalog,
        times: Times,
        delivery: Delivery,
        code_limits: Callable[[], Limits],
        syncs_answers: bool,
        pruner: Pruner,
        on_fatal: Callable[[StoreError], None],
        ages: bool = False,
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self._open_session = open_session
        self._catalog = catalog
        self._times = times
        self._delivery = delivery
        self._code_limits = code_limits
        self._limits = code_limits()
        self._are_limits_known = False
        self._pause_timer = pausing.Timer()
        self._syncs_answers = syncs_answers
        self._pruner = pruner
        self._on_fatal = on_fatal
        self._has_aging = ages
        self._store: Session | None = None
        self._kept: list[Request] = []
        self._untold: list[Effects] = []
        """Effects of commits that have to be synced before anybody hears of them."""
        self._is_sync_due = False
        self._is_degraded = False
        self._retry_at: float | None = None
        self._unsynced_since: float | None = None
        self._fatal: StoreError | None = None
        self._lost: Exception | None = None
        """Why a request of another actor came to nothing. That actor waits for what comes of it: all begin anew, from the store."""
        self._at_once: set[int] = set()
        """Tasks with a time to live of 0 that were submitted since a run has last ended. What claims one of these has found a
        slot free: it starts at once, however long the commit and the way here have taken. Any other has had to wait."""
        self._patience: Patience[Request] = Patience(self._may_wait, _has_caller)

    def on_start(self) -> None:
        """Open the store, and see what is paused."""
        self._store = self._open_session()
        with self._store.translated():
            self._know_limits(self._store)
        self._delivery.limits_known(self._limits)

    def on_stop(self) -> None:
        """Close it, with all that is committed copied into the file. What is not done yet is left to a successor."""
        for request in [*self._kept, *self._patience.release()]:
            self.mailbox.tell(request)
        self._pruner.fail(SchedulerStopped())
        if self._store is not None:
            self._store.close()

    def receive(self, messages: Sequence[Request]) -> None:
        """One group: one transaction, then the answers."""
        requests = [*self._kept, *self._patience.take(messages, self._times.monotonic())]
        if requests:
            self._take_up(requests)

    def _take_up(self, requests: Sequence[Request]) -> None:
        """Do these, which are all that is kept and more."""
        self._kept = []
        self._retry_at = None
        if self._fatal is not None:
            self._refuse(requests, self._fatal)
            return
        self._carry_out(requests)
        if self._lost is not None:
            raise self._lost
        self._prune()

    def _carry_out(self, requests: Sequence[Request]) -> None:
        try:
            if requests:
                self._transact(requests)
        except StoreError as error:
            self._on_store_error(requests, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the requests of the group are tried one by one
            self._on_bug(requests, error)
        except BaseException:
            self._keep(requests)  # for the successor
            raise
        else:
            self._tell()

    def fail_message(self, message: Request, error: BaseException) -> None:
        """Answer who waits, but for those whose request the successor takes up."""
        reply = getattr(message, "reply", None)
        if isinstance(reply, Reply) and not isinstance(message, _KEPT):
            reply.fail(crash_of(self.mailbox.name, error))

    def wake_in(self) -> float | None:
        """Until something has to be tried again or synced."""
        now = self._times.monotonic()
        waits: list[float] = []
        put_off_s = self._patience.due_in(now)
        if put_off_s is not None:
            waits.append(put_off_s)
        if self._retry_at is not None:
            waits.append(self._retry_at - now)
        if self._unsynced_since is not None:
            waits.append(self._unsynced_since + SYNC_EVERY_S - now)
        prune_in = self._pruner.due_in() if self._may_prune else None
        if prune_in is not None:
            waits.append(prune_in)
        return max(0.0, min(waits)) if waits else None

    def wake(self) -> None:
        """Do what was put off, try again, sync what nobody has waited for, or prune."""
        now = self._times.monotonic()
        if self._patience:
            self.receive(self._patience.release())
            return
        if self._retry_at is not None and self._retry_at <= now:
            self._take_up(self._kept)
            return
        if self._unsynced_since is not None and self._fatal is None and now - self._unsynced_since >= SYNC_EVERY_S:
            self._is_sync_due = True
            self._tell()
        self._prune()

    def _may_wait(self, request: Request) -> bool:
        """Ends of short runs that nobody awaits, and starts of runs that are claimed ahead: no slot stands idle for them."""
        if isinstance(request, RunOutcome):
            is_short = request.duration_s < PIPELINE_S and request.parent_id is None
            return is_short and not self._delivery.is_watched(request.task_id)
        return isinstance(request, ClaimTasks) and request.is_ahead

    # Pruning

    @property
    def _may_prune(self) -> bool:
        return self._retry_at is None and self._fatal is None

    def _prune(self) -> None:
        """After the answers: a step where one is due, and more only where what has just settled is more than one takes."""
        try:
            while self._may_prune and self._pruner.due_in() == 0.0:
                self._prune_step()
                if not self._pruner.is_behind:
                    return
        except StoreError as error:
            self._pruner.fail(error)
            self._on_store_error([], error)

    def _prune_step(self) -> None:
        store = self._opened()
        try:
            with store.transaction(is_synced=False):
                answers = self._pruner.step(store.writer)
        except BaseException:
            self._pruner.forget()
            raise
        self._note_commit(has_written=store.has_written, is_synced=False)
        self._count_pruned()
        for reply, count in answers:
            reply.set(count)
        with store.translated():
            store.after_commit()

    # One transaction

    def _transact(self, requests: Sequence[Request]) -> None:
        """Decide and commit. Nobody hears of it yet: see ``_tell``."""
        is_synced = self._must_sync(requests)
        began = self._times.monotonic()
        effects = self._commit(lambda ledger: self._decide(ledger, requests), is_synced=is_synced)
        effects.observed.append(("commit_duration_seconds", "", self._times.monotonic() - began))
        effects.observed.append(("commit_batch_size", "", len(requests)))
        self._untold.append(effects)
        self._at_once.update(effects.at_once)
        self._is_sync_due |= is_synced or (self._syncs_answers and (effects.tells_end or bool(effects.awaited)))

    def _commit(self, decide: Callable[[Ledger], None], *, is_synced: bool) -> Effects:
        """One transaction; its effects."""
        store = self._opened()
        try:
            with store.transaction(is_synced=is_synced):
                is_told = self._know_limits(store)
                ledger = Ledger(
                    store.writer,
                    self._catalog,
                    self._times.wall_ms(),
                    self._times.steady_ms(),
                    is_heard=self._delivery.is_heard,
                    hears=self._delivery.hears,
                    unsaid=self._delivery.board.unsaid,
                    limits=self._limits,
                    ages=self._has_aging,
                )
                if not is_told:
                    ledger.set_limits(self._limits)
                decide(ledger)
                recurring.go_on(ledger)
                ledger.flush()
                self._load_continued(ledger)
                self._load_bytes(ledger)
                self._load_awaited(ledger.effects, store)
                self._pruner.note(ledger.effects.settled, ledger.now_ms)
                while self._pruner.is_pressing:
                    self._pruner.step(store.writer)
                ledger.effects.cascades = [
                    parent_id
                    for parent_id in dict.fromkeys(ledger.effects.cascades)
                    if (row := ledger.row(parent_id)) is not None and row.cascade
                ]
        except BaseException:
            self._pruner.forget()
            raise
        self._note_commit(has_written=store.has_written, is_synced=is_synced)
        self._count_pruned()
        self._limits = ledger.limits
        return ledger.effects

    def _know_limits(self, store: Session) -> bool:
        """Read what the store says is set and paused, where that is not sure: at first, and after a commit that may be none.

        Whether it was known.
        """
        was_known, self._are_limits_known = self._are_limits_known, True
        if not was_known:
            self._limits = tuning.load(store.writer, self._code_limits())
        return was_known

    def _tell(self) -> None:
        """Sync where an answer needs it, tell everybody, and then copy the log into the file where it has grown long.

        A failure in here fails no request: what was asked for is committed, and is told as soon as it is synced.
        """
        try:
            if self._is_sync_due and self._unsynced_since is not None:
                self._sync()
            self._is_sync_due = False
            untold, self._untold = self._untold, []
            for effects in untold:
                self._delivery.deliver(effects)
                self._set_pause_timer(effects)
            store = self._opened()
            with store.translated():
                store.after_commit()
        except StoreError as error:
            self._on_store_error([], error)
        else:
            self._note_health()

    def _load_awaited(self, effects: Effects, store: Session) -> None:
        """The rows that callers wait for go with their answers: they may be pruned by the time the callers wake up."""
        for task_id in self._delivery.awaited(effects.settled):
            row = store.writer.load_record(task_id)
            if row is not None:
                effects.awaited[task_id] = row

    def _decide(self, ledger: Ledger, requests: Sequence[Request]) -> None:
        outcomes = [request for request in requests if isinstance(request, RunOutcome)]
        if outcomes:
            self._end_runs(ledger, outcomes)
            depending.follow(ledger)
            recurring.go_on(ledger)  # before the submits: they find the next run where they meet its key
            ledger.flush()
        submits = [request for request in requests if isinstance(request, Submit)]
        if submits:
            self._submit(ledger, submits)
            depending.follow(ledger)
        for request in requests:
            if not isinstance(request, (RunOutcome, Submit, ClaimTasks, Refill, FindLanes)):
                ledger.flush()
                self._control(ledger, request)
                depending.follow(ledger)
        ledger.flush()
        if ledger.effects.cascades:
            # Before the claims: what is cancelled here must not start. What is left is told to the supervisors.
            ledger.effects.cascades += cancelling.cascade(ledger, list(dict.fromkeys(ledger.effects.cascades)))
            depending.follow(ledger)
        recurring.go_on(ledger)
        ledger.flush()
        claims = [request for request in requests if isinstance(request, ClaimTasks)]
        if claims:
            self._claim(ledger, claims)
        self._find(ledger, requests)

    def _find(self, ledger: Ledger, requests: Sequence[Request]) -> None:
        """Last, so that nothing is found that this turn itself has moved on."""
        for request in requests:
            if isinstance(request, Refill):
                self._load_pages(ledger, request)
            elif isinstance(request, FindLanes):
                self._find_lanes(ledger, request.after)
            elif isinstance(request, PromoteDue):
                self._delivery.next_due(ledger.effects, _next_due(ledger))

    def _must_sync(self, requests: Sequence[Request]) -> bool:
        if self._unsynced_since is not None and self._times.monotonic() - self._unsynced_since >= SYNC_EVERY_S:
            return True
        if any(isinstance(request, Flush) for request in requests):
            return True
        return self._syncs_answers and any(isinstance(request, (Submit, *_ANSWERED)) for request in requests)

    def _count_pruned(self) -> None:
        pruned = self._pruner.take_pruned()
        if pruned:
            self._delivery.tally.count("pruned", by=pruned)

    def _note_commit(self, *, has_written: bool, is_synced: bool) -> None:
        """A commit that writes nothing syncs nothing, and needs no sync."""
        if has_written and is_synced:
            self._unsynced_since = None
        elif has_written and self._unsynced_since is None:
            self._unsynced_since = self._times.monotonic()

    def _sync(self) -> None:
        """Sync all commits so far: a commit of its own, that changes something, as SQLite neither writes nor syncs else."""
        store = self._opened()
        with store.transaction(is_synced=True):
            store.writer.add_meta("syncs", 1)
        self._note_commit(has_written=store.has_written, is_synced=True)

    # Requests

    def _end_runs(self, ledger: Ledger, outcomes: Sequence[RunOutcome]) -> None:
        late = settling.apply_outcomes(ledger, outcomes)
        self._at_once.clear()
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
        if ended:
            # Slots are free before the commit: only the executor's threads are meant, and those are.
            self._delivery.slots_free(RunsEnded(ended))

    def _submit(self, ledger: Ledger, submits: Sequence[Submit]) -> None:
        """Submits that do not meet on a key are stored together; the others one after the other."""
        left = list(submits)
        while len(left) > 1:
            together: list[Submit] = []
            later: list[Submit] = []
            taken: set[tuple[str, int | None, str]] = set()
            for request in left:
                keys = {(task.name, task.parent_id, task.key) for task in request.tasks}
                if taken.isdisjoint(keys):
                    taken |= keys
                    together.append(request)
                else:
                    later.append(request)
            self._submit_together(ledger, together)
            left = later
        for request in left:
            self._submit_one(ledger, request)

    def _submit_together(self, ledger: Ledger, submits: Sequence[Submit]) -> None:
        """All in one go; where one of them is refused, nothing is stored yet, and each goes by itself."""
        try:
            stored = enqueue(ledger, [task for request in submits for task in request.tasks])
        except MillraceError:
            for request in submits:
                self._submit_one(ledger, request)
            return
        at = 0
        for request in submits:
            self._stored(ledger, request, stored[at : at + len(request.tasks)])
            at += len(request.tasks)

    def _submit_one(self, ledger: Ledger, request: Submit) -> None:
        try:
            stored = enqueue(ledger, request.tasks)
        except MillraceError as error:
            for task in request.tasks:
                ledger.effects.count("submissions", task.name, "invalid")
            _refuse(ledger.effects, request.reply, error)
        else:
            self._stored(ledger, request, stored)

    @staticmethod
    def _stored(ledger: Ledger, request: Submit, stored: list[Stored]) -> None:
        if request.is_batch:
            tell_batch(ledger, stored)
            ledger.effects.count("batches")
            ledger.effects.observed.append(("batch_size", "", len(stored)))
        _answer(ledger.effects, request.reply, stored)

    def _control(self, ledger: Ledger, request: Request) -> None:  # noqa: C901, PLR0912, PLR0915 - one arm a request
        match request:
            case Watch(task_id, reply):
                self._watch(ledger, task_id, reply)
            case Unwatch(task_id, reply):
                self._delivery.unwatch(task_id, reply)
            case AskAncestors(task_id, reply):
                _answer(ledger.effects, reply, ledger.writer.ancestors(task_id))
            case Recover(max_crashes, reply, code):
                self._recover(ledger, max_crashes, reply, code)
            case Flush(reply) | EndOfTurn(reply):
                _answer(ledger.effects, reply, None)
            case ClaimHooks(ids):
                claims = ledger.writer.claim_hooks(ids)
                ledger.effects.claims += claims
                self._delivery.hooks_lost(ledger.effects, set(ids) - {claim.id for claim in claims})
            case PutBack(runs):
                settling.withdraw(ledger, runs)
            case GiveUpRetry(task_id, why):
                settling.give_up_retry(ledger, task_id, why)
            case FindHooks(after, limit):
                due = ledger.writer.select_hooks(after, limit)
                self._delivery.hooks(ledger.effects, HooksDue(tuple(due), is_page=True, is_last=len(due) < limit))
            case Cascade(parents):
                ledger.effects.cascades.extend(cancelling.cascade(ledger, list(parents)))
            case PromoteDue():
                self._promote(ledger)
            case RefreshLimits():
                tuning.refresh(ledger, self._code_limits())
            case EndPauses(timer):
                self._end_pauses(ledger, timer)
            case ResumePreempted():
                pausing.resume_preempted(ledger)
            case Tune(kind, name, value, reply):
                tuning.tune(ledger, self._code_limits(), kind, name, value)
                _answer(ledger.effects, reply, None)
            case ExpireDue():
                self._expire(ledger)
            case Prune(retention, reply):
                ledger.effects.answers.append(lambda: self._pruner.ask(retention, reply))
            case SampleProgress():
                write_sample(ledger, self._delivery.board)
            case Reconcile():
                self._reconcile(ledger)
            case WithdrawLost(runs):
                settling.withdraw(ledger, set(runs).intersection(self._delivery.unknown_runs(ledger)))
            case (
                Cancel()
                | CancelMany()
                | Repeat()
                | OpenFlow()
                | UpdateFlow()
                | EndFlow()
                | CancelFlow()
                | Pause()
                | Resume()
                | RunNow()
                | ChangeSeries()
            ):
                try:
                    answer: Any = controls.carry_out(ledger, request)
                except MillraceError as error:
                    _refuse(ledger.effects, request.reply, error)
                else:
                    _answer(ledger.effects, request.reply, answer)
            case RunOutcome() | Submit() | ClaimTasks() | Refill() | FindLanes():
                raise AssertionError("handled in its own step of the turn")
            case _:
                assert_never(request)

    def _end_pauses(self, ledger: Ledger, timer: int | None) -> None:
        if self._pause_timer.is_of(timer):
            self._pause_timer.is_over()
            next_end_ms = pausing.end_due(ledger)
            if next_end_ms is not None:
                ledger.effects.note_pause_end(next_end_ms)

    def _set_pause_timer(self, effects: Effects) -> None:
        """After the commit of a pause that ends by itself."""
        if effects.pause_end_ms is None:
            return
        timer = self._pause_timer.set(effects.pause_end_ms, self._times.wall_ms())
        if timer is not None:
            self._delivery.timer(timer.delay_s, self.mailbox, EndPauses(timer.number))

    def _claim(self, ledger: Ledger, requests: Sequence[ClaimTasks]) -> None:
        ids = [task_id for request in requests for task_id in request.ids]
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
            ledger.writer.extend_deadlines(list(at_once), ledger.steady_ms)
        claims = ledger.writer.claim(may_start, ledger.now_ms, ledger.steady_ms, effective)
        ledger.effects.claims += claims
        if len(claims) < len(ids):
            lost = set(ids) - {claim.id for claim in claims}
            expiring.expire_late(ledger, lost)
            self._delivery.claims_lost(ledger.effects, lost)

    def _load_continued(self, ledger: Ledger) -> None:
        if ledger.effects.continues:
            ledger.effects.claims += ledger.writer.load_claimed(ledger.effects.continues)

    @staticmethod
    def _load_bytes(ledger: Ledger) -> None:
        for parent_id in ledger.effects.child_bytes:
            row = ledger.row(parent_id)
            if row is not None:
                ledger.effects.child_bytes[parent_id] = ledger.writer.child_bytes(parent_id, row.round)

    def _load_pages(self, ledger: Ledger, refill: Refill) -> None:
        for page in refill.pages:
            tasks = ledger.writer.select_ready(page.lane, page.after, page.limit, eldest=self._has_aging)
            self._delivery.page(ledger.effects, PageLoaded(page.lane, tuple(tasks), page.after, page.limit))

    def _find_lanes(self, ledger: Ledger, after: int) -> None:
        lanes = ledger.writer.select_lanes(after, LANES_STEP)
        more = lanes[-1].number if len(lanes) == LANES_STEP else None
        self._delivery.page(ledger.effects, LanesFound(tuple(lanes), more))

    def _reconcile(self, ledger: Ledger) -> None:
        # What was claimed a moment ago is not told yet, and will have begun, perhaps ended, when the next turn looks again.
        claims = [claim for effects in (*self._untold, ledger.effects) for claim in effects.claims]
        untold = {claim.id for claim in claims}.union(ledger.effects.continues)
        lost = [(task_id, run) for task_id, run in self._delivery.unknown_runs(ledger) if task_id not in untold]
        if lost:
            ledger.effects.messages.append(lambda: self.mailbox.tell(WithdrawLost(tuple(lost))))
        ledger.effects.interrupts += self._delivery.unasked_runs(ledger)
        self._delivery.settle_watched(ledger)
        self._begin_progress(ledger)
        pausing.resume_preempted(ledger)  # the dispatcher that would have done it is no more

    def _promote(self, ledger: Ledger) -> None:
        recurring.look(ledger, DUE_STEP)
        ledger.flush()
        ids = ledger.writer.promote_due(ledger.steady_ms, DUE_STEP)
        ids += ledger.writer.promote_due(ledger.now_ms, DUE_STEP, by_wall_clock=True)
        ledger.load(ids)
        due = [row for task_id in ids if (row := ledger.row(task_id)) is not None]
        ledger.load(row.parent_id for row in due if row.limited and row.parent_id is not None)
        for row in due:
            row.delayed = 0
            ledger.ready(row)

    def _expire(self, ledger: Ledger) -> None:
        if expiring.sweep(ledger):
            ledger.effects.messages.append(lambda: self.mailbox.tell(ExpireDue()))

    def _watch(self, ledger: Ledger, task_id: int, reply: Reply[SettledRow]) -> None:
        if ledger.row(task_id) is not None:
            # At once, not after the commit: the task may settle in this very transaction, by a request behind this one.
            self._delivery.watch(task_id, reply)
            return
        row = ledger.writer.load_record(task_id)
        if row is not None:
            ledger.effects.tells_end = True
            _answer(ledger.effects, reply, row)
        else:
            _refuse(ledger.effects, reply, controls.not_found(ledger, task_id))

    # Recovery

    def _begin_progress(self, ledger: Ledger) -> None:
        ledger.flush()
        parents = ledger.writer.select_parents()
        below = {p.id: ledger.writer.child_bytes(p.id, p.round) for p in parents if p.has_bytes}
        ledger.effects.answers.append(lambda: self._delivery.board.begin(parents, below))

    def _recover(self, ledger: Ledger, max_crashes: int, reply: Reply[None], code: CodeSeries) -> None:
        """One step: the first takes up the runs; further ones, a transaction each, do what is a page of rows or more."""
        ledger.writer.add_meta("epoch", 1)
        recovering.recover_runs(ledger, max_crashes=max_crashes)
        recovering.resume_cascades(ledger)
        tuning.rename_former(ledger, self._code_limits())
        tuning.forget_obsolete(ledger, self._code_limits())
        pausing.take_up(ledger)
        self._begin_progress(ledger)
        ledger.effects.answers.append(lambda: self._go_on_recovering(reply, code))

    def _go_on_recovering(self, reply: Reply[None], code: CodeSeries) -> None:
        try:
            while self._step(recovering.rename_former):
                pass
            while self._step(recovering.park_unknown):
                pass
            after: int | None = 0
            while after is not None:
                after = self._step(partial(recovering.unpark_known, after=after))
            while self._has_aging and self._step(recovering.let_age):
                pass
            self._step(partial(schedules.follow_code, code=code))
            self._step(recurring.recover)
        except StoreError as error:
            reply.fail(error)
        else:
            reply.set(None)

    def _step(self, work: Callable[[Ledger], T]) -> T:
        """A transaction of its own."""
        results: list[T] = []
        effects = self._commit(lambda ledger: results.append(work(ledger)), is_synced=False)
        self._delivery.deliver(effects)
        return results[0]

    # Trouble

    def _on_store_error(self, requests: Sequence[Request], error: StoreError) -> None:
        """Callers hear of it; what nobody can repeat is kept. After a corrupt or moved store nothing is written any more."""
        log.log(logging.DEBUG if self._is_degraded else logging.ERROR, "the store could not be written: %s", error)
        self._is_degraded = True
        self._are_limits_known = self._are_limits_known and not isinstance(error, CommitUnknown)
        self._delivery.count("store_errors", value=code_name(error.code))
        if isinstance(error, (StoreCorrupt, StoreMoved)):
            self._fatal = error
            self._on_fatal(error)
            self._refuse([*self._kept, *requests], error)
            self._kept = []
            return
        self._refuse([request for request in requests if not isinstance(request, _KEPT)], error)
        self._keep(requests)
        self._retry_at = self._times.monotonic() + RETRY_AFTER_S
        if self._store is not None and not self._store.after_error(error):
            raise error  # the connection is beyond use: the successor opens another

    def _keep(self, requests: Sequence[Request]) -> None:
        self._kept += [request for request in requests if isinstance(request, _KEPT)]

    def _note_health(self) -> None:
        if self._is_degraded:
            self._is_degraded = False
            log.warning("the store is written again")

    def _on_bug(self, requests: Sequence[Request], error: Exception) -> None:
        """Something unexpected: the group is taken apart, so that only the request that is to blame fails."""
        if len(requests) > 1:
            log.error("a group of %d requests failed; trying them one by one", len(requests), exc_info=error)
            for request in requests:
                self._carry_out([request])
            return
        self._delivery.count("internal_errors", value=type(error).__name__)
        for request in requests:
            log.error("request failed: %r", request, exc_info=error)
            reply = getattr(request, "reply", None)
            if isinstance(reply, Reply):
                reply.fail(crash_of(self.mailbox.name, error))
            elif not isinstance(request, RunOutcome):
                self._lost = error
            elif request.kind is not RunKind.UNRUNNABLE:
                # Its task must not stand RUNNING for ever: what cannot be recorded as it was is recorded as a failure.
                self._carry_out([_unrecordable(request, error)])

    def _refuse(self, requests: Sequence[Request], error: StoreError) -> None:
        """An error of its own for each: a raised one carries its traceback, and one in doubt the key to look for."""
        for request in requests:
            reply = getattr(request, "reply", None)
            if isinstance(reply, Reply):
                own = copy.copy(error)
                own.__cause__ = error.__cause__
                if isinstance(own, CommitUnknown) and isinstance(request, Submit) and not request.is_batch:
                    own.key = request.tasks[0].key
                reply.fail(own)

    def _opened(self) -> Session:
        if self._store is None:
            raise InternalError("the persistence actor has no store; please report it")
        self._store.make_ready()
        return self._store


def _unrecordable(outcome: RunOutcome, error: Exception) -> RunOutcome:
    """What stands in for an outcome that could not be recorded: the task is parked, and tried again at the next start."""
    return RunOutcome(
        outcome.task_id,
        outcome.run,
        outcome.phase,
        outcome.name,
        RunKind.UNRUNNABLE,
        error=f"InternalError: the end of its run could not be recorded: {error!r}; please report it",
        duration_s=outcome.duration_s,
        abandoned=outcome.abandoned,
    )


def _next_due(ledger: Ledger) -> NextDue:
    """What the clock waits for next, of tasks and of series."""
    writer, steady, wall = ledger.writer, Delay.STEADY, Delay.WALL
    return NextDue(
        earlier(writer.next_due(), writer.series.next_due(steady)),
        is_exact=True,
        wall_ms=earlier(writer.next_due(by_wall_clock=True), writer.series.next_due(wall)),
    )


def _has_caller(request: Request) -> bool:
    return isinstance(request, (Submit, *_ANSWERED))


def _answer(effects: Effects, reply: Reply[Any], value: object) -> None:
    effects.answers.append(lambda: reply.set(value))


def _refuse(effects: Effects, reply: Reply[Any], error: MillraceError) -> None:
    effects.answers.append(lambda: reply.fail(error))
