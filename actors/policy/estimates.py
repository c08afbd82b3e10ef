"""How fast bytes go and how far a run may be (behaviour.md, section 23): what is known is carried on into the present."""

from typing import Final, NamedTuple

NEWEST: Final = 0.3
"""The share of the newest sample in a smoothed rate."""
APART_S: Final = 0.01
"""Samples closer than this are one."""
MOST: Final = 0.99
"""An estimate never says that a run is over."""
STILL: Final = 1.0
"""Bytes a second below which nothing moves any more: a rate would only ever come nearer to 0."""


class Rate(NamedTuple):
    """A smoothed rate in bytes a second, as of its last sample."""

    at: float
    done: int
    per_second: float = 0.0


def sample(rate: Rate | None, now: float, done: int) -> Rate:
    """The rate with one more sample; the same one where that comes too soon, and a new one where the count begins anew."""
    if rate is None or done < rate.done:
        return Rate(now, done)
    elapsed = now - rate.at
    if elapsed < APART_S:
        return rate
    present = (done - rate.done) / elapsed
    smoothed = present if not rate.per_second else NEWEST * present + (1.0 - NEWEST) * rate.per_second
    return Rate(now, done, smoothed if smoothed >= STILL or done > rate.done else 0.0)


def eta_s(rate: float, done: int, total: int | None) -> float | None:
    """Seconds that are left; None unless the total is known, something moves and something is left."""
    if total is None or rate <= 0.0 or done >= total:
        return None
    return (total - done) / rate


def by_bytes(done: int | None, total: int | None) -> float | None:
    """How far a task is by its bytes; None where the total is unknown, or nothing."""
    if done is None or not total:
        return None
    return min(1.0, done / total)


def extrapolate(
    mean_s: float | None, elapsed_s: float, reported: float | None = None, reported_after_s: float = 0.0
) -> float | None:
    """How far a run may be by now: from the time that runs take, from its last report, or from both at equal parts.

    Args:
        mean_s: mean duration of runs that ended well; None or 0 where there is none.
        elapsed_s: seconds since the run began.
        reported: its last report, 0 to 1.
        reported_after_s: seconds from its beginning to that report.
    """
    by_mean = 1.0 / mean_s if mean_s else None
    if reported is None:
        return None if by_mean is None else min(MOST, elapsed_s * by_mean)
    by_report = reported / reported_after_s if reported_after_s > 0.0 else None
    paces = [pace for pace in (by_mean, by_report) if pace is not None]
    pace = sum(paces) / len(paces) if paces else 0.0
    return min(MOST, reported + max(0.0, elapsed_s - reported_after_s) * pace)
