"""The dispatcher: which ready task starts next.

Owns: the slots, the window of ready tasks, the runs under way. All of it is a cache: what is ready is in the store, what
runs is known to the executor.
Talks to: the persistence actor (claims, pages of the queue), the executors (interrupting, giving up), the clock (time-outs).
Never: touches SQLite, runs user code, blocks.
Dies: with its next message after an error; its successor begins from the executor's runs and an empty window.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from millrace.actors.actor import Actor, Loop, Watcher, crash_of
from millrace.actors.clock import Arm
from millrace.actors.mailbox import Mailbox, Reply, Tells
from millrace.actors.policy.admission import Lookahead
from millrace.actors.policy.window import START, Place, Window
from millrace.actors.requests import ClaimHooks, ClaimTasks, FindHooks, GiveUpRetry, PutBack, Refill, Request
from millrace.executors.pool import Executors
from millrace.executors.run import Run
from millrace.model.errors import InterruptReason
from millrace.model.rows import Claim, Phase, Ready

WINDOW: Final = 2048
PAGE: Final = 1024
HOOK_PAGE: Final = 256
RECALL_AFTER_S: Final = 0.05
"""Runs claimed ahead that have not begun by then go back to the queue: their slots are held by longer ones than expected."""
RETRY_ABANDON_S: Final = 1.0
"""Where as many threads are given up as there may be, the next is looked at again after this."""


# Messages


@dataclass(frozen=True, slots=True)
class TasksReady:
    """These can start; with ``is_offer`` they are their supervisors' offers, which no page of the queue has."""

    tasks: tuple[Ready, ...]
    is_offer: bool = False


@dataclass(frozen=True, slots=True)
class PageLoaded:
    """The page of ready tasks that was asked for."""

    tasks: tuple[Ready, ...]
    after: tuple[int, int, int]
    limit: int


@dataclass(frozen=True, slots=True)
class RunsEnded:
    """(task, seconds) of runs that are over; their slots are free."""

    runs: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class ClaimsLost:
    """These were not ready any more; their slots are free."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HooksDue:
    """Cancelled tasks whose hook can run; ``is_page`` where they were asked for, with ``is_last`` at the end of them."""

    ids: tuple[int, ...]
    is_page: bool = False
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class HooksLost:
    """These had no hook due any more."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """(task, run, reason): runs to be asked to stop."""

    runs: tuple[tuple[int, int, InterruptReason], ...]


@dataclass(frozen=True, slots=True)
class RunOverdue:
    """A run has reached its time-out."""

    task_id: int
    run: int


@dataclass(frozen=True, slots=True)
class StopOverdue:
    """A run was asked to stop some time ago: if it still goes on, it is given up."""

    task_id: int
    run: int
    why: str


@dataclass(frozen=True, slots=True)
class ThreadEnded:
    """A run that was given up has ended after all."""

    task_id: int
    run: int


@dataclass(frozen=True, slots=True)
class _RetryOverdue:
    """Timer: a retry has waited for the thread of this run, which was given up, as long as it may."""

    task_id: int
    run: int
    why: str


@dataclass(frozen=True, slots=True)
class Lent:
    """A body waits for another task: it takes no slot meanwhile."""

    task_id: int


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """The wait is over: it takes one again, also where there is none free."""

    task_id: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """These had not been claimed, and are their supervisor's again; the others of the recall have been."""

    ids: tuple[int, ...]
    number: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Offers that their supervisor takes back; those that had not been claimed yet are named in the answer."""

    ids: tuple[int, ...]
    number: int
    """Comes back with the answer: which of its recalls it is the answer to."""
    reply_to: Tells[Recalled]


@dataclass(frozen=True, slots=True)
class SetSlots:
    """How many runs there may be at once."""

    slots: int


@dataclass(frozen=True, slots=True)
class SetDispatching:
    """Start or stop starting; ``reply`` is answered when nothing is claimed that has not begun."""

    is_on: bool
    reply: Reply[None] | None = None


@dataclass(frozen=True, slots=True)
class _Progressed:
    """Timer: have the runs that were claimed ahead begun?"""

    begun_before: int


Message: TypeAlias = (
    TasksReady
    | PageLoaded
    | RunsEnded
    | ClaimsLost
    | HooksDue
    | HooksLost
    | Interrupted
    | RunOverdue
    | StopOverdue
    | ThreadEnded
    | _RetryOverdue
    | Lent
    | Reclaimed
    | Recall
    | SetSlots
    | SetDispatching
    | _Progressed
)


@dataclass(slots=True)
class State:
    """All that the dispatcher knows."""

    slots: int
    is_dispatching: bool = True
    window: Window = field(default_factory=lambda: Window(WINDOW))
    is_page_asked: bool = False
    claimed: set[int] = field(default_factory=set[int])
    """Tasks with a start on its way or under way."""
    last_claimed: Place = START
    """No claim comes after this in the order of starts."""
    ended_count: int = 0
    lookahead: Lookahead = field(default_factory=Lookahead)
    is_watching_lead: bool = False
    suspects: set[int] = field(default_factory=set[int])
    """Claimed tasks that are one crash short of the dead letters."""
    held_back: dict[int, Ready] = field(default_factory=dict[int, Ready])
    """Ready tasks that wait: for a suspect's end, or for a thread that was given up."""
    hooks: list[int] = field(default_factory=list[int])
    hooks_claimed: set[int] = field(default_factory=set[int])
    hook_after: int = 0
    are_more_hooks: bool = True
    is_hook_page_asked: bool = False
    abandoned: dict[int, int] = field(default_factory=dict[int, int])
    """Tasks whose body or finalizer was given up while its thread goes on, with the number of that run."""
    hooks_abandoned: dict[int, int] = field(default_factory=dict[int, int])
    """The same for cancel hooks."""


class Dispatcher(Actor):
    """See the module.

    Args:
        persistence: takes the claims.
        clock: rings at time-outs.
        executors: where runs are.
        slots: runs at once.
        cancel_timeout_s: how long a run that was asked to stop for good may take.
        max_crashes: a task one crash short of this starts only while no other such task runs.
    """

    def __init__(
        self,
        mailbox: Mailbox[Message],
        loop: Loop,
        watcher: Watcher,
        *,
        persistence: Tells[Request],
        clock: Tells[Arm],
        executors: Executors,
        slots: int,
        cancel_timeout_s: float,
        max_crashes: int,
        is_dispatching: bool,
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self._address = mailbox
        self._persistence = persistence
        self._clock = clock
        self._executors = executors
        self._cancel_timeout_s = cancel_timeout_s
        self._max_crashes = max_crashes
        self._state = State(slots=slots, is_dispatching=is_dispatching)

    def on_start(self) -> None:
        """Begin with the runs that are under way; what is ready comes page by page."""
        state = self._state
        self._executors.resize(state.slots)  # the last change may have died with the dispatcher before this one
        for run in self._executors.runs():
            if not run.waits:  # one that waits has lent its slot
                state.claimed.add(run.claim.id)
            if self._is_suspect(run.claim.crashes):
                state.suspects.add(run.claim.id)
            self._guard(run)
        for run in self._executors.hook_runs():
            state.hooks_claimed.add(run.claim.id)
            self._guard(run)
        for run in self._executors.abandoned():
            self._note_abandoned(run.claim)
        self._fill()

    def _guard(self, run: Run) -> None:
        """Set the timers of a run anew: the clock that held them may have died with the dispatcher before this one."""
        claim = run.claim
        if run.asked is not None and claim.phase != Phase.HOOK:
            why = self._why(run.asked)
            self._clock.tell(Arm(self._cancel_timeout_s, self._address, StopOverdue(claim.id, claim.run, why)))
        timeout_s = self._executors.timeout_left_s(run)
        if timeout_s is not None:
            self._clock.tell(Arm(timeout_s, self._address, RunOverdue(claim.id, claim.run)))

    def _why(self, reason: str) -> str:
        return f"asked to stop ({reason}); its thread did not stop within {self._cancel_timeout_s:g} s"

    def receive(self, messages: Sequence[Message]) -> None:
        """Take note of everything, then fill the slots once."""
        for message in messages:
            self._handle(message)
        self._fill()

    def fail_message(self, message: Message, error: BaseException) -> None:
        """Answer who waits."""
        if isinstance(message, SetDispatching) and message.reply is not None:
            message.reply.fail(crash_of(self.mailbox.name, error))

    def _handle(self, message: Message) -> None:  # noqa: C901, PLR0912 - one arm a message
        match message:
            case TasksReady(tasks, is_offer):
                self._state.window.offer(tasks, is_kept=is_offer)
            case RunsEnded(runs):
                self._on_runs_ended(runs)
            case PageLoaded(tasks, after, limit):
                self._on_page_loaded(tasks, after, limit)
            case ClaimsLost(ids):
                self._free(ids)
            case HooksDue():
                self._on_hooks_due(message)
            case HooksLost(ids):
                self._state.hooks_claimed.difference_update(ids)
            case Interrupted(runs):
                self._on_interrupted(runs)
            case RunOverdue(task_id, run):
                self._on_run_overdue(task_id, run)
            case StopOverdue():
                self._on_stop_overdue(message)
            case ThreadEnded(task_id, run):
                self._on_thread_ended(task_id, run)
            case _RetryOverdue():
                self._on_retry_overdue(message)
            case Lent(task_id):
                self._state.claimed.discard(task_id)
            case Reclaimed(task_id):
                if task_id not in self._state.abandoned:
                    self._state.claimed.add(task_id)
            case Recall():
                self._on_recall(message)
            case SetSlots(slots):
                self._state.slots = slots
                self._executors.resize(slots)
            case SetDispatching(is_on, reply):
                self._on_set_dispatching(is_on, reply)
            case _Progressed(begun_before):
                self._on_progressed(begun_before)
            case _:
                assert_never(message)

    def _on_page_loaded(self, tasks: Sequence[Ready], after: tuple[int, int, int], limit: int) -> None:
        """A page that another dispatcher asked for, or that the window has outgrown, says nothing of what comes before it."""
        self._state.is_page_asked = False
        if after == self._state.window.horizon:
            self._state.window.extend(tasks, limit)

    # Slots

    def _on_runs_ended(self, runs: Iterable[tuple[int, float]]) -> None:
        state = self._state
        for task_id, duration_s in runs:
            state.ended_count += 1
            if task_id in state.hooks_claimed:
                state.hooks_claimed.discard(task_id)
                continue
            state.lookahead.observe(duration_s)
            self._free((task_id,))

    def _free(self, ids: Iterable[int]) -> None:
        state = self._state
        state.claimed.difference_update(ids)
        for task_id in ids:
            if task_id in state.suspects:
                state.suspects.discard(task_id)
                self._release_held_back()

    def _release_held_back(self) -> None:
        state = self._state
        waiting = [task for task_id, task in state.held_back.items() if task_id not in state.abandoned]
        for task in waiting:
            del state.held_back[task.id]
        state.window.offer(waiting, is_kept=True)

    # Filling

    def _fill(self) -> None:
        """Claim what can start now, and ask for the next page where the window runs low."""
        state = self._state
        if not state.is_dispatching:
            return
        lead = state.lookahead.ahead(state.slots)
        room = state.slots + lead - len(state.claimed)
        if len(state.window):
            picked = self._pick(room) if room > 0 else self._overtake()
            if picked:
                state.claimed.update(picked)
                self._persistence.tell(ClaimTasks(tuple(picked), is_ahead=lead >= 4 * state.slots))
                if lead and not state.is_watching_lead:
                    self._watch_lead()
        if state.window.is_low and not state.is_page_asked:
            state.is_page_asked = True
            self._persistence.tell(Refill(state.window.horizon, PAGE))
        self._fill_hooks()

    def _overtake(self) -> list[int]:
        """All room is taken, that for starts ahead too: what is more urgent than those that have not begun takes their room."""
        state = self._state
        picked: list[int] = []
        while len(state.claimed) + len(picked) > state.slots:
            first = state.window.peek()
            if first is None or (first.priority, first.phase, first.id) >= state.last_claimed:
                break
            claim = self._executors.withdraw_after((first.priority, first.phase, first.id))
            if claim is None:
                break
            self._put_back([claim])
            picked += self._pick(1)
        return picked

    def _pick(self, room: int) -> list[int]:
        state = self._state
        picked: list[int] = []
        while len(picked) < room:
            task = state.window.pop()
            if task is None:
                break
            if task.id in state.claimed:
                continue
            if task.id in state.abandoned:
                self._hold_for_thread(task)
                continue
            if self._is_suspect(task.crashes):
                if state.suspects:
                    state.held_back[task.id] = task
                    continue
                state.suspects.add(task.id)
            picked.append(task.id)
            state.last_claimed = max(state.last_claimed, (task.priority, task.phase, task.id))
        return picked

    def _is_suspect(self, crashes: int) -> bool:
        """One death of the process more, and it is a dead letter."""
        return 0 < crashes >= self._max_crashes - 1

    def _watch_lead(self) -> None:
        self._state.is_watching_lead = True
        self._clock.tell(Arm(RECALL_AFTER_S, self._address, _Progressed(self._state.ended_count)))

    def _on_progressed(self, ended_before: int) -> None:
        """Runs were claimed ahead some time ago. Where nothing has ended since, they wait behind long ones: put them back."""
        state = self._state
        state.is_watching_lead = False
        if state.ended_count == ended_before and len(state.claimed) > state.slots:
            state.lookahead = Lookahead()
            self._put_back(self._executors.withdraw())
        elif len(state.claimed) > state.slots:
            self._watch_lead()

    def _put_back(self, claims: Sequence[Claim]) -> None:
        bodies = [claim for claim in claims if claim.phase != Phase.HOOK]
        self._free([claim.id for claim in bodies])
        self._state.hooks_claimed.difference_update(claim.id for claim in claims if claim.phase == Phase.HOOK)
        if claims:
            self._persistence.tell(PutBack(tuple((claim.id, claim.run) for claim in claims)))

    def _on_recall(self, message: Recall) -> None:
        taken = tuple(task_id for task_id in message.ids if self._state.window.discard(task_id))
        message.reply_to.tell(Recalled(taken, message.number))

    def _on_set_dispatching(self, is_on: bool, reply: Reply[None] | None) -> None:
        self._state.is_dispatching = is_on
        if not is_on:
            self._put_back(self._executors.withdraw())
        if reply is not None:
            reply.set(None)

    # Hooks

    def _on_hooks_due(self, message: HooksDue) -> None:
        state = self._state
        known = state.hooks_claimed.union(state.hooks)
        fresh = [task_id for task_id in message.ids if task_id not in known]
        if message.is_page:
            state.is_hook_page_asked = False
            state.hooks.extend(fresh)
            state.are_more_hooks = not message.is_last
        elif len(state.hooks) < HOOK_PAGE:
            state.hooks.extend(fresh)
        else:
            state.are_more_hooks = True

    def _fill_hooks(self) -> None:
        state = self._state
        room = state.slots - len(state.hooks_claimed)
        if room > 0 and state.hooks:
            # A hook whose earlier run was given up waits for that thread, whose end has it asked for again.
            due = [task_id for task_id in state.hooks if task_id not in state.hooks_abandoned]
            taken, state.hooks = due[:room], due[room:]
            if taken:
                state.hooks_claimed.update(taken)
                self._persistence.tell(ClaimHooks(tuple(taken)))
        if not state.hooks and state.are_more_hooks and not state.is_hook_page_asked:
            state.is_hook_page_asked = True
            self._persistence.tell(FindHooks(0, HOOK_PAGE))

    # Stopping runs

    def _on_interrupted(self, runs: Iterable[tuple[int, int, InterruptReason]]) -> None:
        for task_id, run, reason in runs:
            if self._executors.withdraw_one(task_id, run):
                self._put_back_one(task_id, run)
            elif self._executors.interrupt(task_id, run, reason):
                overdue = StopOverdue(task_id, run, self._why(reason))
                self._clock.tell(Arm(self._cancel_timeout_s, self._address, overdue))

    def _put_back_one(self, task_id: int, run: int) -> None:
        self._free((task_id,))
        self._persistence.tell(PutBack(((task_id, run),)))

    def _on_run_overdue(self, task_id: int, run: int) -> None:
        """A body or finalizer is asked to stop and has a while to do so; a hook has had its time, and is given up."""
        hook_s = self._executors.hook_timeout_s(task_id, run)
        if hook_s is not None:
            self._on_stop_overdue(StopOverdue(task_id, run, f"it did not end within {hook_s:g} s"))
            return
        timeout_s = self._executors.interrupt_overdue(task_id, run)
        if timeout_s is not None:
            grace_s = min(5.0, self._cancel_timeout_s)
            why = f"TimeoutError: timed out after {timeout_s:g} s; its thread did not stop"
            self._clock.tell(Arm(grace_s, self._address, StopOverdue(task_id, run, why)))

    def _on_stop_overdue(self, message: StopOverdue) -> None:
        """Give the run up, unless as many as there are slots are given up already: then it keeps its slot, and is asked again."""
        state = self._state
        if len(state.abandoned) + len(state.hooks_abandoned) >= state.slots:
            if self._executors.is_running(message.task_id, message.run):
                self._clock.tell(Arm(RETRY_ABANDON_S, self._address, message))
            return
        run = self._executors.run_of(message.task_id)
        outcome = self._executors.abandon(message.task_id, message.run, message.why)
        if run is not None and outcome is not None:
            self._note_abandoned(run.claim)
            self._persistence.tell(outcome)
            if run.claim.phase == Phase.HOOK:
                state.hooks_claimed.discard(message.task_id)
            else:
                self._free((message.task_id,))

    def _note_abandoned(self, claim: Claim) -> None:
        is_hook = claim.phase == Phase.HOOK
        (self._state.hooks_abandoned if is_hook else self._state.abandoned)[claim.id] = claim.run

    def _on_thread_ended(self, task_id: int, run: int) -> None:
        state = self._state
        if state.hooks_abandoned.get(task_id) == run:
            del state.hooks_abandoned[task_id]
            state.are_more_hooks = True
        if state.abandoned.get(task_id) == run:
            del state.abandoned[task_id]
            self._offer_held_back(task_id)

    # Tasks that wait for a thread that was given up

    def _hold_for_thread(self, task: Ready) -> None:
        """The task's last run was given up and its thread goes on: nothing of it starts beside that.

        Where the run was out of time, this is its retry, and waits as long as a run may take.
        """
        state = self._state
        state.held_back[task.id] = task
        run = state.abandoned[task.id]
        timeout_s = self._executors.abandoned_timeout_s(task.id, run)
        if timeout_s is not None:
            why = f"its thread did not stop within {timeout_s:g} s after the retry was due"
            self._clock.tell(Arm(timeout_s, self._address, _RetryOverdue(task.id, run, why)))

    def _on_retry_overdue(self, message: _RetryOverdue) -> None:
        state = self._state
        if state.abandoned.get(message.task_id) == message.run and message.task_id in state.held_back:
            del state.held_back[message.task_id]
            self._persistence.tell(GiveUpRetry(message.task_id, message.why))

    def _offer_held_back(self, task_id: int) -> None:
        task = self._state.held_back.pop(task_id, None)
        if task is not None:
            self._state.window.offer((task,), is_kept=True)
