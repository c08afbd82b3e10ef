"""How waiting makes a task more urgent: S-268 to S-270. In whole milliseconds, so that nothing is gained a moment early."""

from math import floor

from millrace.model.durations import ms_to_seconds, seconds_to_ms, to_seconds
from millrace.model.limits import Aging


def effective(aging: Aging | None, priority: int, waited_s: float) -> int:
    """The priority that decides dispatch and throttle, as a plain int: it goes into statements.

    Args:
        aging: None: waiting changes nothing.
        priority: the stored one.
        waited_s: seconds spent ready (S-269).
    """
    if aging is None or priority <= aging.ceiling:
        return int(priority)
    return max(int(aging.ceiling), int(priority) - _steps(aging, _whole_ms(waited_s)))


def next_step_in(aging: Aging | None, priority: int, waited_s: float) -> float | None:
    """Seconds until the effective priority changes if the task goes on to wait; None: it will not."""
    if aging is None or effective(aging, priority, waited_s) <= aging.ceiling:
        return None
    grace_ms, interval_ms = _times_ms(aging)
    waited_ms = _whole_ms(waited_s)
    return ms_to_seconds(grace_ms + (_steps(aging, waited_ms) + 1) * interval_ms - waited_ms)


def _steps(aging: Aging, waited_ms: int) -> int:
    grace_ms, interval_ms = _times_ms(aging)
    return max(0, waited_ms - grace_ms) // interval_ms


def _times_ms(aging: Aging) -> tuple[int, int]:
    """An interval below a nanosecond is rounded to nothing by ``seconds_to_ms``; time goes by the millisecond here."""
    return seconds_to_ms(to_seconds(aging.grace, "grace")), max(
        1, seconds_to_ms(to_seconds(aging.interval, "interval"))
    )


def _whole_ms(seconds: float) -> int:
    """The milliseconds that have passed whole; the float's own error is rounded off first (1.001 s are 1001 ms)."""
    return floor(round(seconds * 1000, 6))
