"""The dispatcher: which ready task starts next.

Owns: the slots, the queue of ready tasks and all limits on it (``policy.queue``), the runs under way. All of it is a cache: what is
ready is in the store, what runs is known to the executor.
Parts: ``lead`` (starts ahead of slots), ``openings``, ``under_way``, ``gating``, ``preemption``, ``overdue`` (stops), ``hooks``.
Talks to: the persistence actor (claims, pages of the queue), the executors (interrupting, giving up), the clock (time-outs).
Never: touches SQLite, runs user code, blocks.
Dies: with its next message after an error; its successor begins from the executor's runs and an empty queue.
"""

from collections.abc import Iterable, Sequence
from typing import assert_never

from millrace.actors.actor import Actor, Loop, Watcher, crash_of
from millrace.actors.clock import Arm
from millrace.actors.dispatches import (
    ClaimsLost,
    HooksDue,
    HooksLost,
    Interrupted,
    LanesFound,
    LeadChecked,
    Lent,
    LookForNews,
    Measure,
    Message,
    PageLoaded,
    ReadAnew,
    Reclaimed,
    RefillThreads,
    RetryOverdue,
    RunOverdue,
    RunsEnded,
    SetDispatching,
    SetLimits,
    StopOverdue,
    TasksPreempted,
    TasksReady,
    ThreadEnded,
)
from millrace.actors.gating import Gating
from millrace.actors.hooks import HookQueue
from millrace.actors.lead import Lead
from millrace.actors.mailbox import Mailbox, Reply, Tells
from millrace.actors.openings import Openings
from millrace.actors.overdue import Overdue
from millrace.actors.policy.gate import IoGate
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.pressure import Pressure
from millrace.actors.policy.queue import ReadyQueue
from millrace.actors.policy.scopes import Kind, Scope
from millrace.actors.policy.starts import Aside, Holding
from millrace.actors.preemption import Preemption
from millrace.actors.requests import ClaimTasks, FindLanes, Refill, Request
from millrace.actors.sampler import Readings
from millrace.actors.settings import DispatchSettings
from millrace.actors.tally import Tally
from millrace.actors.times import Times
from millrace.actors.under_way import UnderWay
from millrace.executors.pool import Executors
from millrace.model.rows import Ready


class Dispatcher(Actor):
    """See the module.

    Args:
        persistence: takes the claims.
        clock: rings at time-outs.
        executors: where runs are.
        openings: lends places for starts while nothing waits.
        times: the clocks.
        tally: counts why ready work does not start, and for how long.
        limits: in force at first.
        settings: what does not change.
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
        openings: Openings,
        times: Times,
        tally: Tally,
        limits: Limits,
        settings: DispatchSettings,
        is_dispatching: bool,
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self._address = mailbox
        self._persistence = persistence
        self._clock = clock
        self._executors = executors
        self._openings = openings
        self._sign = object()
        """By which it knows the answers to its own questions."""
        self._starting = 0
        """Starts in lent places of which only their number is known so far."""
        self._heard = 0
        """The number of the last news of ready tasks."""
        self._times = times
        self._tally = tally
        self._reasons: frozenset[str] = frozenset()
        """Why ready work does not start."""
        self._settings = settings
        self._is_dispatching = is_dispatching
        self._queue = ReadyQueue(
            limits,
            aging=settings.aging,
            now=times.monotonic(),
            steady_ms=times.steady_ms(),
            gate=self._hold_up,
            is_gate_open=lambda: self._gating.is_open(self._now),
            preempt_at=settings.preempt_at,
        )
        self._now = times.monotonic()
        self._look_at: float | None = None
        """When something that waits may be able to start by the passing of time alone."""
        self._hooks = HookQueue(persistence)
        self._lead = Lead(
            mailbox,
            persistence=persistence,
            clock=clock,
            executors=executors,
            queue=self._queue,
            hooks=self._hooks,
            free=self._undo,
            look=self._take_back_openings,
        )
        self._overdue = Overdue(
            mailbox,
            persistence=persistence,
            clock=clock,
            executors=executors,
            hooks=self._hooks,
            cancel_timeout_s=settings.cancel_timeout_s,
            free=lambda task_id: self._free((task_id,)),
            offer=self._queue.offer,
        )
        self._gating = Gating(
            executors,
            self._overdue,
            pressure=Pressure(settings.throttle),
            io=IoGate(settings.bandwidth_limit, is_on=settings.has_resources),
            means=settings.means,
            max_crashes=settings.max_crashes,
        )
        self._preemption = Preemption(settings.preempt_at, persistence=persistence, ask=self._preempt)
        self._runs = UnderWay(
            persistence=persistence,
            executors=executors,
            times=times,
            queue=self._queue,
            hooks=self._hooks,
            overdue=self._overdue,
            gating=self._gating,
            preemption=self._preemption,
            free=self._undo,
        )

    def on_start(self) -> None:
        """Begin with the runs that are under way; what is ready comes lane by lane."""
        self._heard = self._openings.begin()
        self._executors.begin_in_turn(is_on=self._queue.limits.has_shares)
        self._executors.resize(self._slots)  # the last change may have died with the dispatcher before this one
        self._runs.take_over()
        self._persistence.tell(FindLanes(by=self._sign))
        self._fill()

    def _on_lanes_found(self, page: LanesFound) -> None:
        """Nothing starts before all lanes are known: then claims of the dispatcher before this one have begun or are lost."""
        if page.by is not self._sign:
            return
        self._queue.found(page.lanes, is_last=page.after is None)
        if page.after is not None:
            self._persistence.tell(FindLanes(page.after, self._sign))
            return
        self._runs.complete()

    @property
    def _slots(self) -> int:
        return self._queue.limits.slots

    @property
    def _taken(self) -> int:
        """Starts under way that take a slot, or a place ahead of them."""
        return self._queue.busy + self._starting

    def receive(self, messages: Sequence[Message]) -> None:
        """Take note of everything, then fill the slots once."""
        self._now = self._times.monotonic()
        self._queue.at(self._now, self._times.steady_ms())
        if self._look_at is not None and self._look_at <= self._now:
            self._gating.look_again(self._queue)
        self._take_back_openings()
        for message in messages:
            self._handle(message)
        self._fill()

    def wake_in(self) -> float | None:
        """Until time alone may let something start: no timer of the clock's, whose thread would have to wake up, too."""
        return None if self._look_at is None else max(0.0, self._look_at - self._times.monotonic())

    def wake(self) -> None:
        """It may by now."""
        self.receive(())

    def fail_message(self, message: Message, error: BaseException) -> None:
        """Answer who waits."""
        if isinstance(message, (SetDispatching, Measure)) and message.reply is not None:
            message.reply.fail(crash_of(self.mailbox.name, error))

    def _handle(self, message: Message) -> None:  # noqa: C901, PLR0912 - one arm a message
        match message:
            case TasksReady(tasks, number):
                self._heard = number
                self._queue.offer(tasks)
            case LookForNews():
                self._take_back_openings()
            case RunsEnded(runs):
                self._on_runs_ended(runs)
            case PageLoaded(lane, tasks, after, limit):
                self._queue.extend(lane, tasks, after, limit)
            case LanesFound():
                self._on_lanes_found(message)
            case ClaimsLost(ids):
                self._on_claims_lost(ids)
            case HooksDue():
                self._hooks.offer(message)
            case HooksLost(ids):
                self._hooks.drop(ids)
            case ReadAnew():
                self._read_anew()
            case Interrupted(runs):
                self._runs.interrupt(runs)
            case RunOverdue(task_id, run):
                self._overdue.run_overdue(task_id, run, self._slots)
            case StopOverdue():
                self._overdue.stop_overdue(message, self._slots)
            case ThreadEnded(task_id, run):
                self._overdue.thread_ended(task_id, run)
            case RetryOverdue():
                self._overdue.retry_overdue(message)
            case Lent(task_id):
                self._queue.lend(task_id)
            case Reclaimed(task_id):
                self._queue.reclaim(task_id)
            case SetLimits(limits):
                self._on_limits(limits)
            case RefillThreads():
                self._executors.resize(self._slots)
            case SetDispatching(is_on, reply):
                self._on_set_dispatching(is_on, reply)
            case Measure(reply):
                reply.set(self._gating.measure(self._queue, self._now))
            case LeadChecked(ended_before):
                self._lead.checked(ended_before)
            case TasksPreempted(priorities):
                self._preemption.preempted(priorities)
            case Readings():
                self._gating.read(self._queue, message, self._now)
            case _:
                assert_never(message)

    def _read_anew(self) -> None:
        self._queue.read_all_anew()
        self._hooks.look_again()
        self._persistence.tell(FindLanes(by=self._sign))

    # Places lent

    def _take_back_openings(self) -> None:
        """Nothing starts without the queue from now on; what has started and ended since the last turn is taken note of."""
        news, self._starting = self._openings.close()
        for one in news:
            if not isinstance(one, Ready):
                self._on_runs_ended((one,))
            elif self._queue.holding(one.id) is None:
                self._queue.discard(one.id)
                holding = Holding(one, one.priority)
                self._queue.hold(holding)
                self._gating.started(holding)
                self._lead.claimed((holding,))

    def _lend_openings(self, lead: int) -> None:
        """While nothing waits, what becomes ready starts without being asked for here."""
        if not self._queue.is_idle or self._preemption.has_paused:
            return
        if self._gating.is_open(self._now) and not self._gating.reasons():
            self._openings.open(self._slots - self._taken, lead, self._heard)

    # Slots

    def _on_runs_ended(self, runs: Iterable[tuple[int, float]]) -> None:
        for task_id, duration_s in runs:
            is_hook = self._hooks.end(task_id)
            self._lead.run_ended(None if is_hook else duration_s)
            if not is_hook:
                self._free((task_id,))
                self._runs.ended(task_id)

    def _free(self, ids: Iterable[int], *, is_undone: bool = False) -> None:
        for task_id in ids:
            self._queue.release(task_id, is_undone=is_undone)
            self._gating.ended(self._queue, task_id)
            self._preemption.ended(task_id)

    def _undo(self, ids: Iterable[int]) -> None:
        """These starts were taken back."""
        self._take_back_openings()  # a start in a lent place is in the executor before it is known here
        self._free(ids, is_undone=True)

    def _on_claims_lost(self, ids: Iterable[int]) -> None:
        lanes = [holding.task.lane for task_id in ids if (holding := self._queue.holding(task_id)) is not None]
        self._undo(ids)
        for lane in dict.fromkeys(lanes):
            if self._queue.limits.holds(lane.name, lane.group):
                self._queue.read_lane_anew(lane)  # refused by a pause, which tells nobody of its tasks when it ends

    def _on_limits(self, limits: Limits) -> None:
        before = self._queue.limits
        self._queue.set_limits(limits)
        if limits.has_shares != before.has_shares:
            self._executors.begin_in_turn(is_on=limits.has_shares)
        if limits.slots != before.slots:
            self._executors.resize(limits.slots)
        self._runs.pause(before)

    # Filling

    def _fill(self) -> None:
        """Claim what can start now, and ask for more of the queue where little of it is here."""
        self._look_at = None
        if not self._is_dispatching:
            self._count_reasons(frozenset())
            return
        lead = self._lead.ahead()
        room = self._slots + lead - self._taken
        picked = self._pick(room) if room > 0 else self._lead.overtake(self._pick)
        if picked:
            self._claim(picked, is_ahead=lead >= 4 * self._slots)
        if self._taken > self._slots:
            self._lead.watch()
        self._preemption.balance(self._queue, self._now)
        pages = self._queue.pages()
        if pages:
            self._persistence.tell(Refill(tuple(pages)))
        self._look_later()
        self._hooks.fill(self._slots)
        self._count_reasons(self._queue.reasons(self._slots + lead - self._taken) | self._gating.reasons())
        self._lend_openings(lead)

    def _count_reasons(self, reasons: frozenset[str]) -> None:
        """Have the seconds count for these from now on."""
        if reasons != self._reasons:
            self._reasons = reasons
            self._tally.go_on("dispatch_blocked_seconds", reasons)
        put_off = self._queue.scopes.put_off
        if put_off:
            for kind, count in put_off.items():
                self._tally.count("rate_limited", value="task" if kind is Kind.TASK_RATE else "group", by=count)
            put_off.clear()

    def _claim(self, picked: Sequence[Holding], *, is_ahead: bool) -> None:
        ids = tuple(holding.task.id for holding in picked)
        ages = self._settings.aging is not None
        effective = tuple(holding.effective for holding in picked) if ages else None
        self._openings.claiming()
        self._persistence.tell(ClaimTasks(ids, effective, is_ahead=is_ahead))

    def _pick(self, room: int) -> list[Holding]:
        picked = self._queue.take(room, self._gating.started)
        self._lead.claimed(picked)
        return picked

    def _hold_up(self, task: Ready, effective: int) -> Scope | Aside | None:
        return self._gating.hold_up(self._queue, task, effective, self._now)

    def _preempt(self, task_id: int) -> bool:
        return self._runs.preempt(task_id)

    def _look_later(self) -> None:
        """Where time alone may let something start, look again then."""
        waits = (self._queue.next_look(), self._gating.due_in(self._now), self._preemption.look_in)
        wait_s = min((wait for wait in waits if wait is not None), default=None)
        self._look_at = None if wait_s is None else self._now + wait_s

    def _on_set_dispatching(self, is_on: bool, reply: Reply[None] | None) -> None:
        self._is_dispatching = is_on
        if not is_on:
            self._lead.put_back(self._executors.withdraw())
        if reply is not None:
            reply.set(None)
