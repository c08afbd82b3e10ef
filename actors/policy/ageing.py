"""How waiting makes a task more urgent: S-268 to S-270. In whole milliseconds, so that nothing is gained a moment early."""

import heapq
from collections.abc import Container, Iterator
from typing import Final

from millrace.actors.policy import lines
from millrace.actors.policy.lines import Order
from millrace.model.durations import seconds_to_ms, to_seconds
from millrace.model.limits import Aging
from millrace.model.rows import Ready


class Ages:
    """Effective priorities by what has been waited. Its times are integers from the first: it is asked at every step of a task.

    Args:
        aging: what is configured.
    """

    def __init__(self, aging: Aging) -> None:
        self._grace_ms = seconds_to_ms(to_seconds(aging.grace, "grace"))
        # An interval below a nanosecond is rounded to nothing by ``seconds_to_ms``; time goes by the millisecond here.
        self._interval_ms = max(1, seconds_to_ms(to_seconds(aging.interval, "interval")))
        self.ceiling: Final = int(aging.ceiling)
        self.urgent: Final = None if aging.urgent is None else int(aging.urgent)

    def floor(self, priority: int) -> int:
        """The most urgent that a task of this stored priority becomes."""
        return min(int(priority), self.ceiling)

    def level(self, priority: int, waited_ms: int) -> tuple[int, int | None]:
        """The priority that decides dispatch and throttle, and in how many milliseconds it changes if the task goes on to wait.

        Args:
            priority: the stored one.
            waited_ms: how long it has been ready (S-269).

        Returns:
            The effective priority, a plain int, as it goes into statements; None in place of the time: it changes no more.
        """
        ceiling = self.ceiling
        if priority <= ceiling:
            return int(priority), None
        steps = max(0, waited_ms - self._grace_ms) // self._interval_ms
        effective = int(priority) - steps
        if effective <= ceiling:
            return ceiling, None
        return effective, self._grace_ms + (steps + 1) * self._interval_ms - waited_ms


class Steps:
    """Where the tasks in memory stand in the order of starts, and which of them have come to another place as time went by.

    Args:
        ages: how waiting raises priority; None: not at all.
        steady_ms: the steady clock.
        in_memory: the tasks in memory, by id.
    """

    def __init__(self, ages: Ages | None, steady_ms: int, in_memory: Container[int] = ()) -> None:
        self._ages = ages
        self._steady_ms = steady_ms
        self._in_memory = in_memory
        self._count = 0
        self._most = lines.STALE
        self._tasks: dict[int, list[int]] = {}
        """By steady ms, tasks in memory whose effective priority changes then: many were submitted in one moment."""
        self._times: list[int] = []
        """A heap of these."""

    def __len__(self) -> int:
        return self._count

    def place(self, task: Ready) -> tuple[Order, int | None]:
        """The task's place by now, and when that changes by the steady clock; None: never."""
        ages = self._ages
        if ages is None:
            return (task.priority, task.phase, task.id), None
        effective, step_ms = ages.level(task.priority, max(0, self._steady_ms - task.since_ms))
        return (effective, task.phase, task.id), None if step_ms is None else self._steady_ms + step_ms

    def watch(self, task_id: int, at_ms: int) -> None:
        """Tell of the task then, once."""
        found = self._tasks.get(at_ms)
        if found is None:
            found = self._tasks[at_ms] = []
            heapq.heappush(self._times, at_ms)
        found.append(task_id)
        self._count += 1
        if self._count > self._most:
            self._clear()

    def _clear(self) -> None:
        """Forget those that have left memory since: most tasks start long before they become more urgent."""
        here = {
            at_ms: [one for one in dict.fromkeys(ids) if one in self._in_memory] for at_ms, ids in self._tasks.items()
        }
        self._tasks = {at_ms: ids for at_ms, ids in here.items() if ids}
        self._times = sorted(self._tasks)
        self._count = sum(map(len, self._tasks.values()))
        self._most = 2 * self._count + lines.STALE

    def due(self, steady_ms: int) -> Iterator[int]:
        """It is so late: the tasks that were watched and have reached their next step. Some have left since."""
        self._steady_ms = steady_ms
        while self._times and self._times[0] <= steady_ms:
            due = self._tasks.pop(heapq.heappop(self._times))
            self._count -= len(due)
            yield from due

    def next_in_s(self) -> float | None:
        """Seconds until the next step; None: there is none."""
        return (self._times[0] - self._steady_ms) / 1000 if self._times else None
