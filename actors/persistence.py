"""The persistence actor: the one writer of the store.

Owns: which requests are done now, put off, kept for another try, or refused.
Talks to: whoever asked (after COMMIT), the dispatcher, the supervisors, the clock, the executors, the subscribers.
Never: runs user code. ``turn`` decides what requests mean, ``commits`` brings that into the store, ``keeping`` knows which of
them can be refused.
Group commit: one turn takes all that waits in the inbox into one transaction, and answers after COMMIT. Where the unexpected
happens the transaction is rolled back and its requests are tried one by one, which isolates the one that is to blame.
Dies: what was not committed is answered with an error or tried again; the successor opens a new connection.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from millrace.actors.actor import Actor, Loop, Watcher, crash_of
from millrace.actors.commits import Commits
from millrace.actors.delivery import Delivery
from millrace.actors.keeping import is_answered, is_kept, refuse, unrecordable
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.others import Others
from millrace.actors.policy.admission import PIPELINE_S
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.patience import Patience
from millrace.actors.pruning import Pruner
from millrace.actors.requests import ClaimTasks, EndPauses, Flush, FollowOthers, PromoteDue, Request
from millrace.actors.times import Times
from millrace.actors.turn import Turn
from millrace.model.catalog import Catalog
from millrace.model.errors import SchedulerStopped, StoreCorrupt, StoreError, StoreMoved
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.store.faults import code_name, is_of_a_rule
from millrace.store.session import Session

log = logging.getLogger("millrace.persistence")

RETRY_AFTER_S: Final = 0.5
"""Pause before what the store could not take is tried again."""


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
        ages: whether waiting raises a task's priority; None: another program runs the store, and knows.
        others: when to look for what other programs have written; None: none can.
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
        ages: bool | None = False,
        others: Others | None = None,
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self._times = times
        self._delivery = delivery
        self._syncs_answers = syncs_answers
        self._pruner = pruner
        self._on_fatal = on_fatal
        self._others = others
        self._commits = Commits(
            open_session=open_session,
            catalog=catalog,
            times=times,
            delivery=delivery,
            code_limits=code_limits,
            pruner=pruner,
            ages=ages,
        )
        self._turn = Turn(
            self._commits,
            delivery=delivery,
            mailbox=mailbox,
            times=times,
            code_limits=code_limits,
            pruner=pruner,
            ages=bool(ages),
        )
        self._kept: list[Request] = []
        self._is_degraded = False
        self._retry_at: float | None = None
        self._fatal: StoreError | None = None
        self._lost: Exception | None = None
        """Why a request of another actor came to nothing. That actor waits for what comes of it: all begin anew, from the store."""
        self._patience: Patience[Request] = Patience(self._may_wait, is_answered)

    def on_start(self) -> None:
        """Open the store, and see what is paused."""
        self._delivery.openings.reset()
        self._commits.open()
        if self._others is not None:
            self._others.begin(self._commits.version())
            self._commits.doubt_limits()  # they may be older than that
        self._delivery.limits_known(self._commits.limits)

    def on_stop(self) -> None:
        """Close it, with all that is committed copied into the file. What is not done yet is left to a successor."""
        for request in [*self._kept, *self._patience.release()]:
            self.mailbox.tell(request)
        self._pruner.fail(SchedulerStopped())
        self._commits.close()

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
            refuse(requests, self._fatal)
            return
        self._carry_out(requests)
        if self._lost is not None:
            raise self._lost
        self._prune()
        self._look_for_others()

    def _carry_out(self, requests: Sequence[Request]) -> None:
        try:
            if requests:
                self._transact(requests)
        except StoreError as error:
            if is_of_a_rule(error):
                self._on_bug(requests, error)
            else:
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
        if isinstance(reply, Reply) and not is_kept(message):
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
        sync_in = self._commits.sync_in() if self._may_write else None
        if sync_in is not None:
            waits.append(sync_in)
        prune_in = self._pruner.due_in() if self._may_write else None
        if prune_in is not None:
            waits.append(prune_in)
        if self._others is not None and self._may_follow:
            waits.append(self._others.due_in(now))
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
        if self._may_write and self._commits.sync_in() == 0.0:
            self._commits.ask_sync()
            self._tell()
        self._prune()
        self._look_for_others()

    def _may_wait(self, request: Request) -> bool:
        """Ends of short runs that nobody awaits, and starts of runs that are claimed ahead: no slot stands idle for them."""
        if isinstance(request, RunOutcome):
            is_short = request.duration_s < PIPELINE_S and request.parent_id is None
            return is_short and not self._delivery.is_watched(request.task_id)
        return isinstance(request, ClaimTasks) and request.is_ahead

    @property
    def _may_write(self) -> bool:
        """Whether to write what nobody asks for now: not before the next try of a store that could not be written."""
        return self._retry_at is None and self._fatal is None

    # Pruning

    def _prune(self) -> None:
        """After the answers: a step where one is due, and more only where what has just settled is more than one takes."""
        try:
            while self._may_write and self._pruner.due_in() == 0.0:
                self._commits.prune()
                if not self._pruner.is_behind:
                    return
        except StoreError as error:
            self._pruner.fail(error)
            self._on_store_error([], error)

    # What other programs write

    @property
    def _may_follow(self) -> bool:
        """Whether it is for this process to act on it: it runs the store, or somebody here waits for the end of a task."""
        others = self._others
        if others is None or self._retry_at is not None or self._fatal is not None:
            return False
        return others.is_owner or self._delivery.has_watchers

    def _look_for_others(self) -> None:
        others = self._others
        if others is None or not self._may_follow or others.due_in(self._times.monotonic()) > 0.0:
            return
        try:
            others.begin_look()
            is_news = others.look(self._commits.version(), self._times.monotonic())
        except StoreError as error:
            self._on_store_error([], error)
            return
        if is_news:
            self._commits.doubt_limits()
            self._carry_out([FollowOthers(), PromoteDue(), EndPauses()] if others.is_owner else [FollowOthers()])
            others.followed(self._times.monotonic())

    # A turn

    def _transact(self, requests: Sequence[Request]) -> None:
        """Decide and commit. Nobody hears of it yet: see ``_tell``."""
        is_synced = self._must_sync(requests)
        began = self._times.monotonic()
        try:
            effects = self._commits.commit(lambda ledger: self._turn.decide(ledger, requests), is_synced=is_synced)
        except BaseException:
            self._turn.rolled_back()
            raise
        effects.observe("commit_duration_seconds", self._times.monotonic() - began)
        effects.observe("commit_batch_size", len(requests))
        self._turn.committed(effects)
        tells_end = effects.tells_end or bool(effects.awaited)
        self._commits.to_tell(effects, is_synced=is_synced or (self._syncs_answers and tells_end))

    def _must_sync(self, requests: Sequence[Request]) -> bool:
        if self._commits.sync_in() == 0.0:
            return True
        if any(isinstance(request, Flush) for request in requests):
            return True
        return self._syncs_answers and any(is_answered(request) for request in requests)

    def _tell(self) -> None:
        """Sync where an answer needs it, tell everybody, and then copy the log into the file where it has grown long.

        A failure in here fails no request: what was asked for is committed, and is told as soon as it is synced.
        """
        try:
            for effects in self._commits.take_told():
                self._delivery.deliver(effects)
                self._turn.told(effects)
            self._commits.after_telling()
        except StoreError as error:
            self._on_store_error([], error)
        else:
            self._note_health()

    # Trouble

    def _on_store_error(self, requests: Sequence[Request], error: StoreError) -> None:
        """Callers hear of it; what nobody can repeat is kept. After a corrupt or moved store nothing is written any more."""
        log.log(logging.DEBUG if self._is_degraded else logging.ERROR, "the store could not be written: %s", error)
        self._is_degraded = True
        self._delivery.count("store_errors", value=code_name(error.code))
        if isinstance(error, (StoreCorrupt, StoreMoved)):
            self._fatal = error
            self._on_fatal(error)
            refuse([*self._kept, *requests], error)
            self._kept = []
            return
        refuse([request for request in requests if not is_kept(request)], error)
        self._keep(requests)
        self._retry_at = self._times.monotonic() + RETRY_AFTER_S
        if not self._commits.after_error(error):
            raise error  # the connection is beyond use: the successor opens another

    def _keep(self, requests: Sequence[Request]) -> None:
        self._kept += [request for request in requests if is_kept(request)]

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
                self._carry_out([unrecordable(request, error)])
