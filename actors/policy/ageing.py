"""How waiting makes a task more urgent: S-268 to S-270. In whole milliseconds, so that nothing is gained a moment early."""

from typing import Final

from millrace.model.durations import seconds_to_ms, to_seconds
from millrace.model.limits import Aging


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
