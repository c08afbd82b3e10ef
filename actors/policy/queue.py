"""The ready queue: which task starts next, under all limits, however many wait.

Tasks wait in lines, one a lane (see ``lines``), of which the most urgent end is in memory (``window``). A line stands in the
open, or in the scope that holds it up (``standing``, ``scopes``). Choosing looks at the first of the open lines: where a scope
holds it up, the line moves there and the next is looked at. So each move costs a step in a heap, and nobody stands behind
somebody who cannot start. What starts holds its places until it ends (``held``).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from millrace.actors.policy import window
from millrace.actors.policy.ageing import Ages, Steps
from millrace.actors.policy.held import Held
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Line, Order, Place
from millrace.actors.policy.scopes import Scope, Scopes, blocker
from millrace.actors.policy.standing import Standing
from millrace.actors.policy.starts import Aside, Gate, Holding, Wanting, lacking_slots
from millrace.actors.policy.together import Together
from millrace.actors.policy.window import Page, Window
from millrace.model.lanes import Lane
from millrace.model.limits import Aging
from millrace.model.rows import Phase, Ready


class ReadyQueue:
    """See the module.

    Args:
        limits: in force at first.
        aging: how waiting raises priority; None: not at all.
        now: monotonic seconds.
        gate: asked before each start, after all limits.
        is_gate_open: whether the gate would let through whatever has never crashed.
        preempt_at: tasks of this stored priority and more urgent ones are named by ``wanting``; None: none is.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        aging: Aging | None,
        now: float,
        steady_ms: int,
        gate: Gate,
        is_gate_open: Callable[[], bool] = lambda: False,
        preempt_at: int | None = None,
    ) -> None:
        self._ages = ages = None if aging is None else Ages(aging)
        self._gate = gate
        self._now = now
        self.scopes = scopes = Scopes(limits)
        self._standing = standing = Standing(scopes, urgent_from=None if ages is None else ages.urgent, now=now)
        standing.clear(limits)
        self._held = Held(scopes, standing)
        self._window = Window(scopes, standing, ages=ages, preempt_at=preempt_at)
        self._of_task: dict[int, Line] = {}
        """Where each task in memory stands."""
        self._together = Together(
            scopes, standing, self._held, self._window, of_task=self._of_task, is_gate_open=is_gate_open
        )
        self._steps = Steps(ages, steady_ms, self._of_task)

    def __len__(self) -> int:
        return len(self._of_task)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, here or in the store, and nothing but the slots and limits of its own will bound what comes."""
        return self._window.is_empty and self._standing.demands is None and not self.limits.is_paused

    @property
    def limits(self) -> Limits:
        """What is in force."""
        return self.scopes.limits

    # What is ready

    def at(self, now: float, steady_ms: int) -> None:
        """The time has come to this: tokens and ages follow."""
        self._now = self._standing.now = now
        for scope in self.scopes.due(now):
            self._standing.expose(scope)
        for task_id in self._steps.due(steady_ms):
            line = self._of_task.get(task_id)
            task = None if line is None else line.get(task_id)
            if line is not None and task is not None:
                place = self._steps.place(task)
                # One that was put in twice has two of these: only that which finds its level changed goes on to the next.
                if place[0] != line.order_of(task_id):
                    self._stand(line, task, *place)

    def offer(self, tasks: Iterable[Ready]) -> None:
        """Tasks have become ready, or changed their place. What the horizon of its lane does not cover stays in the store."""
        if self._ages is None:
            tasks = self._together.offer(tasks)
        for task in tasks:
            if task.id in self._held.by_task:
                continue
            line = self._window.line(task.lane)
            if task.bound is not None and task.bound != line.bound:
                self._standing.rebound(line, task.bound)
            before = self._of_task.get(task.id)
            if before is not None and before is not line:
                self._take_out(before, task.id)
            if line.covers(task):
                self._put(line, task)
                if len(line) > 2 * window.MOST_PAGE:
                    for gone in line.trim(window.MOST_PAGE):
                        del self._of_task[gone]
                    self._standing.count_demand(line)
            else:
                self._window.refill(line)

    def found(self, lanes: Iterable[Lane], *, is_last: bool) -> None:
        """Lanes that have ready tasks in the store; with ``is_last`` all have been named, and others come only as they are told."""
        self._window.found(lanes, is_last=is_last)

    def extend(self, lane: Lane, tasks: Sequence[Ready], after: Place, limit: int) -> None:
        """A page that was wanted has come."""
        line = self._window.lines.get(lane.number)
        if line is None or line.horizon != after:
            if line is not None:
                line.is_asked = False
                self._window.want_more(line)
            return
        head = line.order
        line.extend(tasks, limit)
        for task in tasks:
            if task.id not in self._held.by_task:
                if task.bound is not None and task.bound != line.bound:
                    self._standing.rebound(line, task.bound)
                before = self._of_task.get(task.id)
                if before is not None and before is not line:
                    self._take_out(before, task.id)
                self._put(line, task)
        self._standing.count_demand(line)
        if not len(line):
            self._window.want_more(line)
            self._window.gone(line)
        if line.order is not None and line.order != head:
            self._standing.to_open(line)

    def discard(self, task_id: int) -> Ready | None:
        """Take a task out; None where it is not in memory."""
        line = self._of_task.get(task_id)
        return None if line is None else self._take_out(line, task_id)

    def pages(self) -> list[Page]:
        """What is wanted of the store, once."""
        return self._window.pages()

    # Choosing

    def take(self, count: int, on_start: Callable[[Holding], object]) -> list[Holding]:
        """Start what can start, up to a number, in order.

        ``on_start`` hears of each before the next is chosen, but for those that the gate would have let through unseen.
        """
        taken: list[Holding] = []
        while len(taken) < count and len(self._of_task):
            together = self._together.take(count - len(taken))
            if together:
                taken += together
                continue
            task = self.choose()
            if task is None:
                break
            holding = self.start(task)
            on_start(holding)
            taken.append(holding)
        return taken

    def choose(self) -> Ready | None:
        """The task that starts next, left where it is; None where nothing can."""
        if self.limits.is_paused or not self._window.are_lanes_known:
            return None
        while True:
            line = self._standing.best()
            if line is None:
                return None
            task = line.first()
            phase = Phase.FINALIZER if task is None else task.phase
            obstacle: Scope | Aside | None = blocker(self.scopes.of_line(line, self._now), phase, self._now)
            if obstacle is None:
                if task is None:
                    return None  # the next of the line is in the store, and may come before all others
                obstacle = self._gate(task, line.order_of(task.id)[0])
            if obstacle is None:
                return task
            if isinstance(obstacle, Scope):
                self._standing.park(line, obstacle)
            elif task is not None:
                self._take_out(line, task.id)

    def wanting(self) -> list[Wanting]:
        """Tasks that preempt and lack nothing but slots, in the order in which they would start; as many as there are slots."""
        if not self._window.urgent or self.limits.is_paused:
            return []
        slots = self.limits.slots
        found = lacking_slots(
            self._window.urgent.values(), self.scopes, slots=slots, is_full=self._held.busy >= slots, now=self._now
        )
        return [wanting for effective, wanting in found if self._gate(wanting.task, effective) is None]

    def start(self, task: Ready) -> Holding:
        """Take out a task that was chosen: it takes its places and tokens."""
        line = self._of_task[task.id]
        holding = Holding(task, line.order_of(task.id)[0])
        scopes = self.scopes.of_line(line, self._now)
        demands = self._standing.demands
        if demands is not None:
            demands.started(task.lane.group)
        self._held.hold(holding, scopes)
        for scope in scopes:
            if scope.bucket is not None and task.phase == Phase.BODY:
                scope.bucket.take(self._now)
        self._take_out(line, task.id)
        for scope in scopes:
            self._standing.expose(scope, line)
        return holding

    def hold(self, holding: Holding) -> None:
        """A start takes its places, also where there is none left."""
        self._held.hold(holding)

    def release(self, task_id: int, *, is_undone: bool = False) -> Holding | None:
        """The start is over: its places are free, and where it was undone its tokens come back. None where there was none."""
        return self._held.release(task_id, is_undone=is_undone)

    def lend(self, task_id: int) -> None:
        """The run waits for another task: its places are free meanwhile."""
        self._held.lend(task_id)

    def reclaim(self, task_id: int) -> None:
        """The wait is over: the places are taken again, also where there is none free."""
        self._held.reclaim(task_id)

    def effective_of(self, task: Ready) -> int:
        """The effective priority of a task in memory."""
        return self._of_task[task.id].order_of(task.id)[0]

    def holding(self, task_id: int) -> Holding | None:
        """A start under way."""
        return self._held.by_task.get(task_id)

    def holdings(self) -> list[Holding]:
        """All starts under way."""
        return list(self._held.by_task.values())

    @property
    def busy(self) -> int:
        """Starts under way that take a slot."""
        return self._held.busy

    # Changes

    def set_limits(self, limits: Limits) -> None:
        """These are in force: what runs is counted anew, and all that waits is looked at again. Buckets keep their tokens."""
        before = self.limits
        self.scopes.change(limits, self._now)
        lines = list(self._window.lines.values())
        self._standing.clear(limits, self._held.by_task.values(), lines)
        for line in lines:
            line.scopes = None
        self._held.recount()
        for line in lines:
            lane = line.lane
            if before.holds(lane.name, lane.group) and not limits.holds(lane.name, lane.group):
                self._read_anew(line)
            if line.order is not None:
                self._standing.to_open(line)

    def read_all_anew(self) -> None:
        """Forget what waits, but not what is held: the store has it, and may have other tasks than were told.

        All lanes are to be found once more: until they are, one that is new may have tasks in the store.
        """
        self._window.look_again()
        for line in list(self._window.lines.values()):
            self._read_anew(line)
            if line.order is not None:
                self._standing.to_open(line)

    def _read_anew(self, line: Line) -> None:
        """What waits in the line is another than it was: claims were refused meanwhile, and what ages has not aged."""
        for task_id in line.clear():
            del self._of_task[task_id]
        self._standing.count_demand(line)
        self._window.want_more(line)

    def read_lane_anew(self, lane: Lane) -> None:
        """A start of the lane came to nothing, and its task waits still: the store has it."""
        line = self._window.line(lane)
        self._read_anew(line)
        self._standing.to_open(line)

    def reopen(self, scope: Scope) -> None:
        """What a scope holds up by another measure than room is looked at again."""
        self._standing.reopen(scope)

    def next_look(self) -> float | None:
        """Seconds until something that waits may be able to start by the passing of time alone; None: never."""
        wake = self.scopes.next_wake()
        token_s = None if wake is None else wake - self._now
        step_s = self._steps.next_in_s() if self.scopes.pressure.has_waiting() else None
        waits = [wait_s for wait_s in (token_s, step_s) if wait_s is not None]
        return max(0.0, min(waits)) if waits else None

    def reasons(self, room: int) -> frozenset[str]:
        """Why ready work does not start, after so many places were left free: ``BLOCKERS`` of model.families."""
        if self.limits.is_paused:
            return frozenset({"paused"}) if self._standing.has_open() else frozenset()
        found = self.scopes.reasons()
        if room <= 0 and self._standing.has_open():
            found.add("concurrency")
        return frozenset(found)

    def shares(self) -> dict[str, int]:
        """The whole slots of each group with work; nothing where shares are not in force."""
        demands = self._standing.demands
        return {} if demands is None else demands.slots()

    def tokens(self) -> dict[tuple[Literal["task", "group"], str], float]:
        """Tokens in the buckets that have been met."""
        return self.scopes.tokens(self._now)

    # Lines

    def _put(self, line: Line, task: Ready) -> None:
        self._of_task[task.id] = line
        self._stand(line, task, *self._steps.place(task))
        self._standing.count_demand(line)

    def _stand(self, line: Line, task: Ready, order: Order, until_ms: int | None) -> None:
        """The task has this place in the line, until another comes by the passing of time."""
        before = line.order
        line.add(task, order)
        if until_ms is not None:
            self._steps.watch(task.id, until_ms)
        if line.order != before:
            self._standing.to_open(line)

    def _take_out(self, line: Line, task_id: int) -> Ready | None:
        before = line.order
        task = line.remove(task_id)
        if task is None:
            return None
        del self._of_task[task_id]
        self._standing.count_demand(line)
        if line.order != before:
            self._window.lost_first(line)
        else:
            # Also where its only task has gone: the best that can follow stands at the place of that one.
            self._window.refill(line)
        return task
