"""The short ways through the ready queue: many tasks offered, or started, in one go.

They do just what is done one by one, and only where nothing can come between: no limit, no gate, nothing in the store.
"""

from collections.abc import Callable, Iterable

from millrace.actors.policy import window
from millrace.actors.policy.demands import Demands
from millrace.actors.policy.held import Held
from millrace.actors.policy.lines import Line, Order
from millrace.actors.policy.scopes import Scopes
from millrace.actors.policy.standing import Standing
from millrace.actors.policy.starts import Holding
from millrace.actors.policy.window import Window
from millrace.model.rows import Ready


class Together:
    """See the module.

    Args:
        scopes: what bounds starts.
        standing: where lines stand.
        held: the starts under way.
        in_memory: the lines.
        of_task: where each task in memory stands.
        is_gate_open: whether the gate would let through whatever has never crashed.
    """

    def __init__(
        self,
        scopes: Scopes,
        standing: Standing,
        held: Held,
        in_memory: Window,
        *,
        of_task: dict[int, Line],
        is_gate_open: Callable[[], bool],
    ) -> None:
        self._scopes = scopes
        self._standing = standing
        self._held = held
        self._window = in_memory
        self._of_task = of_task
        self.is_gate_open = is_gate_open

    def offer(self, tasks: Iterable[Ready]) -> list[Ready]:
        """Take what is new to lines that nothing is missing from and nothing bounds. The others are returned. Not with ages."""
        held, of_task, most = self._held.by_task, self._of_task, window.MOST_PAGE
        others: list[Ready] = []
        grown: dict[int, Line] = {}
        line: Line | None = None
        for task in tasks:
            if line is None or line.lane is not task.lane:
                line = grown[task.lane.number] = self._window.line(task.lane)
            if task.bound is not None or not line.is_complete or len(line) > most or task.id in of_task:
                others.append(task)
            elif task.id not in held:
                of_task[task.id] = line
                before = line.order
                line.add(task, (task.priority, task.phase, task.id))
                if line.order != before:
                    self._standing.to_open(line)
        for line in grown.values():
            self._standing.count_demand(line)
        return others

    def take(self, count: int) -> list[Holding]:
        """Start some of the first, up to so many; none: who comes first is to be looked at one by one."""
        if self._scopes.limits.is_paused or not self._window.are_lanes_known:
            return []
        demands = self._standing.demands
        if demands is not None:
            return self._take_in_turn(count, demands)
        line = self._standing.best()
        if line is None or self._scopes.of_line(line, self._standing.now) or not self.is_gate_open():
            return []
        found = line.take(count, self._standing.others_from())
        if not found:
            return []
        for _, task in found:
            del self._of_task[task.id]
        holdings = self._held.hold_unbounded(found)
        self._window.lost_first(line)
        return holdings

    def _take_in_turn(self, count: int, demands: Demands) -> list[Holding]:
        """Where groups have shares: one start each time, while nothing else bounds the line of the next."""
        found: list[tuple[Order, Ready]] = []
        is_open = self.is_gate_open()
        while is_open and len(found) < count:
            line = self._standing.best()
            one = [] if line is None or self._scopes.of_line(line, self._standing.now) else line.take(1, None)
            if line is None or not one:
                break
            demands.start(line)
            del self._of_task[one[0][1].id]
            found += one
            self._window.lost_first(line)
        return self._held.hold_unbounded(found)
