"""The ready queue: which task starts next, under all limits, however many wait.

Tasks wait in lines, one a lane (see ``lines``); a line waits in the open, or in the scope that holds it up (see ``scopes``).
Choosing looks at the first of the open lines: where a scope holds it up, the line moves there and the next is looked at. So a
line is looked at again only when what held it up has changed, each move costs a step in a heap, and nobody stands behind
somebody who cannot start. While a scope has room the most urgent line that waits in it is in the open; the others follow one by
one.

With fair shares the open lines stand by group, and the group is chosen before the line.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from millrace.actors.policy.ageing import Ages
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import Bin, Line, Order, Place, Watch
from millrace.actors.policy.scopes import Kind, Scope, Scopes, blocker
from millrace.actors.policy.shares import FairShares
from millrace.model.lanes import Lane
from millrace.model.limits import Aging
from millrace.model.rows import Phase, Ready

WINDOW: Final = 2048
"""Ready tasks in memory, over all lanes; and at least ``LEAST_PAGE`` of each lane that has so many."""
MOST_PAGE: Final = 1024
LEAST_PAGE: Final = 16

_ALL: Final = object()
"""The one share where groups have none."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a lane that is wanted of the store."""

    lane: Lane
    after: Place
    limit: int


@dataclass(slots=True)
class Holding:
    """A start, from its claim to its end: what it takes of the limits."""

    task: Ready
    effective: int
    scopes: tuple[Scope, ...] = ()
    is_lent: bool = False
    number: int = 0
    """Its place in the order of starts."""


@dataclass(frozen=True, slots=True)
class Wanting:
    """An urgent task that lacks nothing but slots, and the scopes that have none; beside those of the scheduler."""

    task: Ready
    full: tuple[Scope, ...]


class Aside:
    """The verdict that a task cannot start, and that whoever says so keeps it until it can."""


ASIDE: Final = Aside()
Gate = Callable[[Ready, int], Scope | Aside | None]
"""Asked last, with the effective priority: a scope that holds the task's line up, ``ASIDE``, or None where it may start."""


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
        self.scopes = Scopes(limits)
        self._ages = None if aging is None else Ages(aging)
        urgent = None if self._ages is None else self._ages.urgent
        self._urgent_from = -1 if urgent is None else urgent
        self._gate = gate
        self._is_gate_open = is_gate_open
        self._started = 0
        self._preempt_at = -1 if preempt_at is None else preempt_at
        self._urgent: dict[int, Line] = {}
        """Lines of tasks that preempt."""
        self._now = now
        self._steady_ms = steady_ms
        self._lines: dict[int, Line] = {}
        self._of_task: dict[int, Line] = {}
        """Where each task in memory stands."""
        self._open: dict[object, Bin] = {}
        self._held: dict[int, Holding] = {}
        self._busy = 0
        self._steps: list[tuple[int, int]] = []
        """(steady ms, task): when the effective priority of a task in memory changes next."""
        self._hungry: dict[int, Line] = {}
        """Lines of which more is wanted of the store."""
        self._are_lanes_known = False
        self._looks = 0
        """Looks for all lanes that are under way besides the first."""
        self._shares: FairShares | None = None
        self._demands: dict[str | None, list[int]] = {}
        """Of each group: runs, and ready tasks in memory."""
        self._able: set[str | None] = set()
        """Groups with a line in the open."""
        self._past_share = Watch()
        """Lines in the open whose first is past ``aging.urgent``; some have left, or changed, since."""
        self._set_shares(limits)

    def __len__(self) -> int:
        return len(self._of_task)

    @property
    def limits(self) -> Limits:
        """What is in force."""
        return self.scopes.limits

    # What is ready

    def at(self, now: float, steady_ms: int) -> None:
        """The time has come to this: tokens and ages follow."""
        self._now, self._steady_ms = now, steady_ms
        for scope in self.scopes.due(now):
            self._expose(scope)
        while self._steps and self._steps[0][0] <= steady_ms:
            _, task_id = heapq.heappop(self._steps)
            line = self._of_task.get(task_id)
            task = None if line is None else line.get(task_id)
            # One that was put in twice has two of these: only that which finds its level changed goes on to the next.
            if line is not None and task is not None and self._order_of(task) != line.order_of(task_id):
                self._put(line, task)

    def offer(self, tasks: Iterable[Ready]) -> None:
        """Tasks have become ready, or changed their place. What the horizon of its lane does not cover stays in the store."""
        if self._ages is None and self._shares is None:
            tasks = self._offer_together(tasks)
        for task in tasks:
            if task.id in self._held:
                continue
            line = self._line(task.lane)
            if task.bound is not None and task.bound != line.bound:
                self._rebound(line, task.bound)
            before = self._of_task.get(task.id)
            if before is not None and before is not line:
                self._take_out(before, task.id)
            if line.covers(task):
                self._put(line, task)
                if len(line) > 2 * MOST_PAGE:
                    for gone in line.trim(MOST_PAGE):
                        del self._of_task[gone]
                    self._count_demand(line)
            elif self._is_low(line):
                self._want_more(line)

    def _offer_together(self, tasks: Iterable[Ready]) -> list[Ready]:
        """The short way: tasks that are new to lines which nothing is missing from and nothing bounds. The others are returned."""
        held, of_task = self._held, self._of_task
        others: list[Ready] = []
        line: Line | None = None
        for task in tasks:
            if line is None or line.lane is not task.lane:
                line = self._line(task.lane)
            if task.bound is not None or not line.is_complete or len(line) > MOST_PAGE:
                others.append(task)
            elif task.id not in held:
                if task.id in of_task:
                    others.append(task)
                    continue
                of_task[task.id] = line
                before = line.order
                line.add(task, (task.priority, task.phase, task.id))
                if line.order != before:
                    self._to_open(line)
        return others

    def found(self, lanes: Iterable[Lane], *, is_last: bool) -> None:
        """Lanes that have ready tasks in the store; with ``is_last`` all have been named, and others come only as they are told."""
        for lane in lanes:
            line = self._line(lane)
            if not line.is_complete and not len(line):
                self._want_more(line)
        if is_last and self._are_lanes_known:
            self._looks -= 1
        self._are_lanes_known |= is_last

    def extend(self, lane: Lane, tasks: Sequence[Ready], after: Place, limit: int) -> None:
        """A page that was wanted has come."""
        line = self._lines.get(lane.number)
        if line is None or line.horizon != after:
            if line is not None:
                line.is_asked = False
                self._want_more(line)
            return
        head = line.order
        line.extend(tasks, limit)
        for task in tasks:
            if task.id not in self._held:
                if task.bound is not None and task.bound != line.bound:
                    self._rebound(line, task.bound)
                before = self._of_task.get(task.id)
                if before is not None and before is not line:
                    self._take_out(before, task.id)
                self._put(line, task)
        self._count_demand(line)
        if not len(line):
            line.bin = None
            self._want_more(line)
            self._gone(line)
        if line.order is not None and line.order != head:
            self._to_open(line)

    def discard(self, task_id: int) -> Ready | None:
        """Take a task out; None where it is not in memory."""
        line = self._of_task.get(task_id)
        return None if line is None else self._take_out(line, task_id)

    def pages(self) -> list[Page]:
        """What is wanted of the store, once."""
        if not self._hungry:
            return []
        limit = max(LEAST_PAGE, min(MOST_PAGE, WINDOW // len(self._lines)))
        wanted: list[Page] = []
        for line in self._hungry.values():
            if not line.is_asked and not line.is_complete:
                line.is_asked = True
                wanted.append(Page(line.lane, line.horizon, limit))
        self._hungry.clear()
        return wanted

    # Choosing

    def take(self, count: int, on_start: Callable[[Holding], object]) -> list[Holding]:
        """Start what can start, up to a number, in order.

        ``on_start`` hears of each before the next is chosen, but for those that the gate would have let through unseen.
        """
        taken: list[Holding] = []
        while len(taken) < count and len(self._of_task):
            together = self._take_together(count - len(taken))
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

    def _take_together(self, count: int) -> list[Holding]:
        """The short way: starts from the first line while nothing bounds it, and no other comes before."""
        if self._shares is not None or self.limits.is_paused or not self._are_lanes_known:
            return []
        line = self._best()
        if line is None or self._scopes_of(line) or not self._is_gate_open():
            return []
        found = line.take(count, self._open[_ALL].others_from())
        if not found:
            return []
        holdings: list[Holding] = []
        for order, task in found:
            self._started += 1
            holding = self._held[task.id] = Holding(task, order[0], number=self._started)
            del self._of_task[task.id]
            holdings.append(holding)
        self._busy += len(holdings)
        self._lost_some(line)
        return holdings

    def choose(self) -> Ready | None:
        """The task that starts next, left where it is; None where nothing can."""
        if self.limits.is_paused or not self._are_lanes_known:
            return None
        while True:
            line = self._best()
            if line is None:
                return None
            task = line.first()
            phase = Phase.FINALIZER if task is None else task.phase
            obstacle: Scope | Aside | None = blocker(self._scopes_of(line), phase, self._now)
            if obstacle is None:
                if task is None:
                    return None  # the next of the line is in the store, and may come before all others
                obstacle = self._gate(task, _order(line)[0])
            if obstacle is None:
                return task
            if isinstance(obstacle, Scope):
                self._park(line, obstacle)
            elif task is not None:
                self._take_out(line, task.id)

    def wanting(self) -> list[Wanting]:
        """Tasks that preempt and lack nothing but slots, in the order in which they would start; as many as there are slots."""
        if not self._urgent or self.limits.is_paused:
            return []
        slots = self.limits.slots
        found: list[tuple[Order, Wanting]] = []
        for line in self._urgent.values():
            scopes = self._scopes_of(line)
            full = tuple(scope for scope in scopes if scope.bucket is None and not scope.has_room(self._now))
            if any(scope.is_paused for scope in full) or (not full and self._busy < slots):
                continue
            has_tokens = all(scope.has_room(self._now) for scope in scopes if scope.bucket is not None)
            for order, task in line.firsts(slots):
                if has_tokens or task.phase == Phase.FINALIZER:
                    found.append((order, Wanting(task, full)))
        found.sort(key=lambda each: each[0])
        return [wanting for order, wanting in found[:slots] if self._gate(wanting.task, order[0]) is None]

    def start(self, task: Ready) -> Holding:
        """Take out a task that was chosen: it takes its places and tokens."""
        line = self._of_task[task.id]
        order = line.order
        holding = Holding(task, order[0] if order is not None else task.priority)
        scopes = self._scopes_of(line)
        if self._shares is not None:
            self._shares.started(task.lane.group)
        self.hold(holding, scopes)
        for scope in scopes:
            if scope.bucket is not None and task.phase == Phase.BODY:
                scope.bucket.take(self._now)
        self._take_out(line, task.id)
        for scope in scopes:
            self._expose(scope, line)
        return holding

    def hold(self, holding: Holding, scopes: tuple[Scope, ...] | None = None) -> None:
        """A start takes its places, also where there is none left."""
        lane = holding.task.lane
        if scopes is None:
            scopes = self.scopes.of(lane, holding.task.bound, self._now)
        holding.scopes, holding.is_lent = scopes, False
        self._started += 1
        holding.number = self._started
        self._held[holding.task.id] = holding
        self._busy += 1
        for scope in scopes:
            if scope.bucket is None:
                scope.running += 1
        if self._shares is not None:
            self._demand(lane.group, running=1)

    def release(self, task_id: int, *, is_undone: bool = False) -> Holding | None:
        """The start is over: its places are free, and where it was undone its tokens come back. None where there was none."""
        holding = self._held.pop(task_id, None)
        if holding is not None and not holding.is_lent:
            self._give_back(holding)
        if holding is not None and is_undone and holding.task.phase == Phase.BODY:
            for scope in holding.scopes:
                if scope.bucket is not None:
                    scope.bucket.give_back()
                    self._expose(scope)
        return holding

    def lend(self, task_id: int) -> None:
        """The run waits for another task: its places are free meanwhile."""
        holding = self._held.get(task_id)
        if holding is not None and not holding.is_lent:
            holding.is_lent = True
            self._give_back(holding)

    def reclaim(self, task_id: int) -> None:
        """The wait is over: the places are taken again, also where there is none free."""
        holding = self._held.get(task_id)
        if holding is not None and holding.is_lent:
            self.hold(holding)  # the scopes that it had may be forgotten, and made anew, meanwhile

    def _give_back(self, holding: Holding) -> None:
        self._busy -= 1
        for scope in holding.scopes:
            if scope.bucket is None:
                scope.running -= 1
                self._expose(scope)
                self.scopes.forget(scope)
        if self._shares is not None:
            self._demand(holding.task.lane.group, running=-1)

    def effective_of(self, task: Ready) -> int:
        """The effective priority of a task in memory."""
        order = self._of_task[task.id].order_of(task.id)
        return order[0]

    def holding(self, task_id: int) -> Holding | None:
        """A start under way."""
        return self._held.get(task_id)

    def holdings(self) -> list[Holding]:
        """All starts under way."""
        return list(self._held.values())

    @property
    def busy(self) -> int:
        """Starts under way that take a slot."""
        return self._busy

    # Changes

    def set_limits(self, limits: Limits) -> None:
        """These are in force: what runs is counted anew, and all that waits is looked at again. Buckets keep their tokens."""
        before = self.limits
        self.scopes.change(limits, self._now)
        self._open.clear()
        self._past_share = Watch()
        self._set_shares(limits)
        for line in self._lines.values():
            line.scopes = None
        for holding in self._held.values():
            holding.scopes = self.scopes.of(holding.task.lane, holding.task.bound, self._now)
            if not holding.is_lent:
                for scope in holding.scopes:
                    scope.running += scope.bucket is None
        for line in list(self._lines.values()):
            lane = line.lane
            if before.holds(lane.name, lane.group) and not limits.holds(lane.name, lane.group):
                self._read_anew(line)
            if line.order is not None:
                self._to_open(line)

    def read_all_anew(self) -> None:
        """Forget what waits, but not what is held: the store has it, and may have other tasks than were told.

        All lanes are to be found once more: until they are, one that is new may have tasks in the store.
        """
        self._looks += 1
        for line in list(self._lines.values()):
            self._read_anew(line)
            if line.order is not None:
                self._to_open(line)

    def _read_anew(self, line: Line) -> None:
        """What waits in the line is another than it was: claims were refused meanwhile, and what ages has not aged."""
        for task_id in line.clear():
            del self._of_task[task_id]
        self._count_demand(line)
        self._want_more(line)

    def read_lane_anew(self, lane: Lane) -> None:
        """A start of the lane came to nothing, and its task waits still: the store has it."""
        line = self._line(lane)
        self._read_anew(line)
        self._to_open(line)

    def reopen(self, scope: Scope) -> None:
        """What a scope holds up by another measure than room is looked at again."""
        bins, scope.bins = scope.bins, {}
        self.scopes.frees(scope)
        for found in bins.values():
            line = found.first()
            while line is not None:
                self._to_open(line)
                line = found.first()

    def next_look(self) -> float | None:
        """Seconds until something that waits may be able to start by the passing of time alone; None: never."""
        waits: list[float] = []
        wake = self.scopes.next_wake()
        if wake is not None:
            waits.append(wake - self._now)
        if self._steps and self.scopes.pressure.has_waiting():
            waits.append((self._steps[0][0] - self._steady_ms) / 1000)
        return max(0.0, min(waits)) if waits else None

    def reasons(self, room: int) -> frozenset[str]:
        """Why ready work does not start, after so many places were left free: ``BLOCKERS`` of model.families."""
        if self.limits.is_paused:
            return frozenset({"paused"}) if self._has_open() else frozenset()
        found = self.scopes.reasons()
        if room <= 0 and self._has_open():
            found.add("concurrency")
        return frozenset(found)

    def shares(self) -> dict[str, int]:
        """The whole slots of each group with work; nothing where shares are not in force."""
        shares = self._shares
        if shares is None:
            return {}
        return {group: shares.slots_of(group) or 0 for group in self._demands if group is not None}

    def tokens(self) -> dict[tuple[Literal["task", "group"], str], float]:
        """Tokens in the buckets that have been met."""
        return {
            ("task" if kind is Kind.TASK_RATE else "group", str(name)): scope.bucket.available(self._now)
            for (kind, name), scope in self.scopes.items()
            if scope.bucket is not None
        }

    # Lines

    def _line(self, lane: Lane) -> Line:
        line = self._lines.get(lane.number)
        if line is None:
            ages = self._ages
            line = Line(
                lane,
                ages=ages is not None,
                floor=lane.priority if ages is None else ages.floor(lane.priority),
                is_complete=self._are_lanes_known and not self._looks,
            )
            self._lines[lane.number] = line
            if lane.priority <= self._preempt_at:
                self._urgent[lane.number] = line
            if not line.is_complete:
                self._count_demand(line)
                self._to_open(line)
                self._want_more(line)
        return line

    def _forget(self, line: Line) -> None:
        if not len(line) and line.is_complete:
            del self._lines[line.lane.number]
            self._hungry.pop(line.lane.number, None)
            self._urgent.pop(line.lane.number, None)
            if line.scopes is not None:
                self.scopes.unref(line.scopes)

    def _want_more(self, line: Line) -> None:
        if not line.is_complete and not line.is_asked:
            self._hungry[line.lane.number] = line

    def _scopes_of(self, line: Line) -> tuple[Scope, ...]:
        if line.scopes is None:
            line.scopes = self.scopes.of(line.lane, line.bound, self._now)
            self.scopes.ref(line.scopes)
        return line.scopes

    def _rebound(self, line: Line, bound: int) -> None:
        """The parent lets another number of children run at once."""
        line.bound = bound
        scope = self.scopes.find(Kind.PARENT, line.lane.parent_id or 0)
        if scope is not None and scope.limit != bound:
            scope.limit = bound
            self._expose(scope)

    def _put(self, line: Line, task: Ready) -> None:
        before = line.order
        self._of_task[task.id] = line
        line.add(task, self._order_of(task))
        self._watch_step(task)
        if self._shares is not None:
            self._count_demand(line)
        if line.order != before:
            self._to_open(line)

    def _order_of(self, task: Ready) -> Order:
        ages = self._ages
        if ages is None:
            return (task.priority, task.phase, task.id)
        effective, _ = ages.level(task.priority, max(0, self._steady_ms - task.since_ms))
        return (effective, task.phase, task.id)

    def _watch_step(self, task: Ready) -> None:
        """Have the task put at its new place when its effective priority changes."""
        if self._ages is None:
            return
        _, step_ms = self._ages.level(task.priority, max(0, self._steady_ms - task.since_ms))
        if step_ms is not None:
            heapq.heappush(self._steps, (self._steady_ms + step_ms, task.id))

    def _take_out(self, line: Line, task_id: int) -> Ready | None:
        before = line.order
        task = line.remove(task_id)
        if task is None:
            return None
        del self._of_task[task_id]
        if self._shares is not None:
            self._count_demand(line)
        if line.order != before:
            self._lost_some(line)
        elif self._is_low(line):
            # Also where its only task has gone: the best that can follow stands at the place of that one.
            self._want_more(line)
        return task

    def _lost_some(self, line: Line) -> None:
        """The first of the line is another, or there is none."""
        if line.order is None:
            line.bin = None
            self._gone(line)
            return
        self._to_open(line)
        if self._is_low(line):
            self._want_more(line)

    def _gone(self, line: Line) -> None:
        """Nothing is left of the line: it may have stood in the open for others that wait for the same."""
        scopes = line.scopes or ()
        self._forget(line)
        for scope in scopes:
            self._expose(scope, line)

    def _is_low(self, line: Line) -> bool:
        """Whether the store has more of the line, and little of it is here."""
        left = len(line) * 4
        return not line.is_complete and (left < LEAST_PAGE or left < min(MOST_PAGE, WINDOW // len(self._lines)))

    # Bins

    def _share(self, line: Line) -> object:
        return _ALL if self._shares is None else line.lane.group

    def _to_open(self, line: Line) -> None:
        share = self._share(line)
        found = self._open.get(share)
        if found is None:
            found = self._open[share] = Bin()
        found.push(line)
        if self._shares is None:
            return
        if line.order is not None and line.order[0] <= self._urgent_from:
            self._past_share.note(line)
        if line.lane.group not in self._able:
            self._able.add(line.lane.group)
            self._demand(line.lane.group)

    def _park(self, line: Line, scope: Scope) -> None:
        """The scope holds the line up. Where it stood for others that wait in a scope with room, the next of those comes."""
        scope.park(line, self._share(line))
        self.scopes.fills(scope)
        if scope.bucket is not None:
            self.scopes.put_off[scope.id[0]] += 1
            self.scopes.wake_later(scope, self._now)
        for other in line.scopes or ():
            if other is not scope:
                self._expose(other, line)

    def _expose(self, scope: Scope, line: Line | None = None) -> None:
        """While the scope has room, the most urgent line that waits in it is in the open; with ``line`` only of that share."""
        if not scope.bins:
            return
        if not scope.has_room(self._now):
            self.scopes.fills(scope)
            if scope.bucket is not None and scope.has_waiting():
                self.scopes.wake_later(scope, self._now)  # one of them has taken the token that woke it
            return
        self.scopes.frees(scope)
        for share in [self._share(line)] if line is not None else list(scope.bins):
            found = scope.bins.get(share)
            first = None if found is None else found.first()
            if first is not None:
                self._to_open(first)
            elif found is not None:
                del scope.bins[share]

    def _best(self) -> Line | None:
        if self._shares is None:
            found = self._open.get(_ALL)
            return None if found is None else found.first()
        line = self._past_share.first(self._is_open)
        if line is not None:
            return line
        while True:
            picked = self._shares.pick()
            if picked is None:
                return None
            group = picked[1]
            found = self._open.get(group)
            line = None if found is None else found.first()
            if line is not None:
                return line
            self._shut(group)

    def _shut(self, group: object) -> None:
        """Nothing of the group is in the open."""
        self._open.pop(group, None)
        if self._shares is not None and (group is None or isinstance(group, str)):
            self._able.discard(group)
            self._demand(group)

    def _has_open(self) -> bool:
        while self._open:
            share, found = next(iter(self._open.items()))
            if found.first() is not None:
                return True
            self._shut(share)
        return False

    def _is_open(self, line: Line) -> bool:
        return line.bin is not None and line.bin is self._open.get(self._share(line))

    # Shares

    def _set_shares(self, limits: Limits) -> None:
        """Make the shares anew: they are in force while a weight or minimum is set."""
        if not limits.has_shares:
            self._shares = None
            return
        if self._shares is None:
            self._shares = FairShares(limits.slots, limits.default_weight, limits.weights, limits.minimums)
        else:
            self._shares.configure(limits.slots, limits.default_weight, limits.weights, limits.minimums)
        self._demands = {}
        self._able = set()
        for holding in self._held.values():
            self._demand(holding.task.lane.group, running=int(not holding.is_lent))
        for line in self._lines.values():
            line.demand = 0
            self._count_demand(line)

    def _count_demand(self, line: Line) -> None:
        """Tell the shares of a line that has changed. One with more in the store has plenty to do, however little is here."""
        if self._shares is not None:
            demand = len(line) if line.is_complete else max(len(line), self.limits.slots)
            change, line.demand = demand - line.demand, demand
            if change:
                self._demand(line.lane.group, ready=change)

    def _demand(self, group: str | None, *, running: int = 0, ready: int = 0) -> None:
        """Tell the shares how much a group has to do, where it matters: more than all slots is as good as just so many."""
        shares = self._shares
        if shares is None:
            return
        limits = self.limits
        entry = self._demands.get(group)
        if entry is None:
            entry = self._demands[group] = [0, 0]
        entry[0] += running
        entry[1] += ready
        limit = None if group is None else limits.groups.get(group, limits.default_group)
        is_paused = group is not None and group in limits.paused_groups
        ready = 0 if is_paused else min(entry[1], limits.slots)
        shares.set_demand(group, entry[0], ready, limit, is_able=group in self._able)
        if entry == [0, 0]:
            del self._demands[group]


def _order(line: Line) -> Order:
    if line.order is None:
        raise AssertionError("an empty line is in no bin")
    return line.order
