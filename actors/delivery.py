"""Commit, then tell: takes the effects of a commit to everybody whom they concern. Called in the persistence actor's thread.

What it knows (who waits for which task) outlives the actor: it belongs to the runtime.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from millrace.actors import halting
from millrace.actors.clock import Arm, NextDue
from millrace.actors.dispatches import (
    ClaimsLost,
    HooksDue,
    HooksLost,
    Interrupted,
    LanesFound,
    LookForNews,
    PageLoaded,
    ReadAnew,
    RunsEnded,
    TasksPreempted,
    TasksReady,
)
from millrace.actors.effects import CountKey, Effects
from millrace.actors.hub import Hub
from millrace.actors.ledger import Ledger
from millrace.actors.mailbox import Reply, Tells
from millrace.actors.means import Means
from millrace.actors.openings import Openings
from millrace.actors.policy.limits import Limits
from millrace.actors.progress import Board
from millrace.actors.supervisor import TellChildren
from millrace.actors.supervisors import Supervisors
from millrace.actors.tally import Tally
from millrace.executors.pool import Executors
from millrace.model.errors import InterruptReason
from millrace.model.events import Event
from millrace.store.writer import SettledRow


class Delivery:
    """See the module.

    Args:
        dispatcher, clock: their mailboxes.
        on_limits: told of limits and pauses that a commit has changed, before anybody is answered.
        hub: the subscribers.
        board: the progress of what is under way.
        means: what completed runs took.
        tally: what is counted.
    """

    def __init__(
        self,
        *,
        dispatcher: Tells[Any],
        clock: Tells[Any],
        hub: Hub,
        board: Board,
        means: Means,
        tally: Tally,
        on_limits: Callable[[Limits], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._hub = hub
        self._on_limits = on_limits
        self.board = board
        self.means = means
        self.tally = tally
        self.openings = Openings()
        self._supervisors: Supervisors | None = None
        self._executors: Executors | None = None
        self._watchers: dict[int, list[Reply[SettledRow]]] = {}

    def connect(self, supervisors: Supervisors, executors: Executors) -> None:
        """From now on starts and children's news have a place to go: the scheduler has started."""
        self._supervisors = supervisors
        self._executors = executors

    def disconnect(self) -> None:
        """The scheduler has stopped."""
        self._supervisors = None
        self._executors = None

    @property
    def is_heard(self) -> bool:
        """Whether anybody subscribes to events."""
        return self._hub.is_heard

    def limits_known(self, limits: Limits) -> None:
        """What the store says is set and paused."""
        self._on_limits(limits)

    def hears(self, kind: type[Event]) -> bool:
        """Whether anybody wants events of this class."""
        return self._hub.hears(kind)

    # After a commit

    def deliver(self, effects: Effects) -> None:
        """Tell everybody, subscribers first (S-332): whoever is answered finds the events of this commit told, its progress known,
        and what it stops stopped.
        """
        executors = self._executors
        stopped = frozenset[tuple[int, int]]() if executors is None else halting.hold_back(effects, executors)
        self.board.committed(effects)
        if effects.counts or effects.observed:
            self.tally.add(effects.counts, effects.observed)  # first: whoever is answered finds it counted
        if effects.completed:
            self.means.add(effects.completed)
        if effects.limits is not None:
            self.openings.shut()
            self._on_limits(effects.limits)
        if effects.events:
            self._hub.publish(effects.events)
        for answer in effects.answers:
            answer()
        if effects.awaited:
            self._tell_watchers(effects.awaited)
        if executors is not None:
            self._tell_runtime(effects, executors, stopped)

    def _tell_runtime(self, effects: Effects, executors: Executors, stopped: frozenset[tuple[int, int]]) -> None:
        """Starts and news of tasks, for a scheduler that has started; one that has not reads all of it from the store then."""
        if (effects.freed or effects.started) and self.openings.record(effects.freed, effects.started):
            self._dispatcher.tell(LookForNews())
        if effects.claims:
            executors.begin(effects.claims, held=stopped)
        if effects.claim_requests:
            self.openings.claimed(effects.claim_requests)
        if effects.interrupts:
            self._dispatcher.tell(Interrupted(tuple(effects.interrupts)))
        if effects.ready:
            self._dispatcher.tell(TasksReady(tuple(effects.ready), self.openings.note_ready()))
        if effects.preempted:
            self._dispatcher.tell(TasksPreempted(tuple(effects.preempted)))
        if effects.hooks:
            self._dispatcher.tell(HooksDue(tuple(effects.hooks)))
        if effects.next_due_ms is not None or effects.next_wall_ms is not None:
            self._clock.tell(NextDue(effects.next_due_ms, wall_ms=effects.next_wall_ms))
        self._tell_supervisors(effects)
        for message in effects.messages:
            message()

    def _tell_watchers(self, rows: Mapping[int, SettledRow]) -> None:
        for task_id, row in rows.items():
            for reply in self._watchers.pop(task_id, ()):
                reply.set(row)

    def _tell_supervisors(self, effects: Effects) -> None:
        supervisors = self._supervisors
        if supervisors is None:
            return
        for parent_id in effects.cascades:
            supervisors.tell(parent_id, TellChildren())

    # Answers to actors, told after the commit

    def page(self, effects: Effects, message: PageLoaded | LanesFound) -> None:
        """A page of ready tasks, or of their lanes, for the dispatcher."""
        effects.messages.append(lambda: self._dispatcher.tell(message))

    def claims_lost(self, effects: Effects, ids: Iterable[int]) -> None:
        """Claims that found their task not ready."""
        effects.messages.append(lambda: self._dispatcher.tell(ClaimsLost(tuple(ids))))

    def hooks_lost(self, effects: Effects, ids: Iterable[int]) -> None:
        """Claims that found no hook due."""
        lost = tuple(ids)
        if lost:
            effects.messages.append(lambda: self._dispatcher.tell(HooksLost(lost)))

    def hooks(self, effects: Effects, message: HooksDue) -> None:
        """A page of tasks with a hook due."""
        effects.messages.append(lambda: self._dispatcher.tell(message))

    def next_due(self, effects: Effects, message: NextDue) -> None:
        """The time at which the next delayed task is due."""
        effects.messages.append(lambda: self._clock.tell(message))

    def timer(self, delay_s: float, to: Tells[Any], message: object) -> None:
        """The clock is to send this in a while."""
        self._clock.tell(Arm(delay_s, to, message))

    def slots_free(self, message: RunsEnded) -> None:
        """Runs are over, told before the commit."""
        self._dispatcher.tell(message)

    def give_back(self, count: int) -> None:
        """Places that the dispatcher had lent were taken for nothing."""
        if self.openings.give_back(count):
            self._dispatcher.tell(LookForNews())

    # Who waits

    def watch(self, task_id: int, reply: Reply[SettledRow]) -> None:
        """The reply is answered with the settled row."""
        waiting = self._watchers.setdefault(task_id, [])
        if reply not in waiting:  # it is, where a group was rolled back and is tried again
            waiting.append(reply)

    def is_watched(self, task_id: int) -> bool:
        """Whether somebody waits for the end of the task."""
        return task_id in self._watchers

    def unwatch(self, task_id: int, reply: Reply[SettledRow]) -> None:
        """The caller has given up."""
        waiting = [other for other in self._watchers.get(task_id, ()) if other is not reply]
        if waiting:
            self._watchers[task_id] = waiting
        else:
            self._watchers.pop(task_id, None)

    @property
    def has_watchers(self) -> bool:
        """Whether somebody waits for the end of any task."""
        return bool(self._watchers)

    def read_anew(self, effects: Effects) -> None:
        """The dispatcher is to look into the store again."""
        if self._executors is not None:
            effects.messages.append(lambda: self._dispatcher.tell(ReadAnew()))

    def awaited(self, settled: Iterable[tuple[int, str]]) -> list[int]:
        """Those whose end is somebody's answer."""
        watchers = self._watchers
        return [task_id for task_id, _ in settled if task_id in watchers] if watchers else []

    def fail_watchers(self, error: BaseException) -> None:
        """Nobody's task will end any more: the scheduler stops."""
        watchers, self._watchers = self._watchers, {}
        for replies in watchers.values():
            for reply in replies:
                reply.fail(error)

    # For reconciliation and metrics

    def settle_watched(self, ledger: Ledger) -> None:
        """Those who wait for a task that has ended, and have not heard of it, hear of it with this commit."""
        if self._watchers:
            ended = ledger.writer.load_settled(list(self._watchers))
            rows = {task_id: ledger.writer.load_record(task_id) for task_id in ended}
            ledger.effects.awaited |= {task_id: row for task_id, row in rows.items() if row is not None}

    def unknown_runs(self, ledger: Ledger) -> list[tuple[int, int]]:
        """(task, run) that the store has as started and no executor knows of: their claim was lost with an actor."""
        executors = self._executors
        ids = ledger.writer.starts.select_executing()
        ledger.load(ids)
        rows = [row for task_id in ids if (row := ledger.row(task_id)) is not None]
        return [(row.id, row.run) for row in rows if executors is None or not executors.is_running(row.id, row.run)]

    def unasked_runs(self, ledger: Ledger) -> list[tuple[int, int, InterruptReason]]:
        """(task, run, reason) of runs whose task's end is decided, and that nobody has asked to stop."""
        runs = [] if self._executors is None else [run for run in self._executors.runs() if run.asked is None]
        ledger.load(run.claim.id for run in runs)
        found: list[tuple[int, int, InterruptReason]] = []
        for run in runs:
            row = ledger.row(run.claim.id)
            if row is not None and row.closing is not None and row.run == run.claim.run:
                reasons: dict[str, InterruptReason] = {"cancelled": "cancelled", "superseded": "superseded"}
                found.append((row.id, row.run, reasons.get(row.closing, "child_failed")))
        return found

    def count(self, counter: str, name: str = "", value: str = "") -> None:
        """One more of something that no commit counts."""
        self.tally.count(counter, name, value)

    def counts(self) -> defaultdict[CountKey, float]:
        """All that was counted so far: (counter, name, value) to how often."""
        return self.tally.counts()
