"""Token buckets: how fast tasks of one name, or one group, start. S-261 to S-267.

A bucket stores no tokens: it stores when it will be full, as a time and the number of tokens missing since. Tokens are
multiples of 1 / rate from there, never a sum of small steps, so that a million starts later the times are still exact.
"""

from typing import Final

from millrace.model.limits import RateLimit

TOLERANCE_S: Final = 1e-9
"""A token that comes within a nanosecond is there: a wait of exactly its time, added to a float, may end an ulp early."""


class Bucket:
    """One bucket; full at first.

    Args:
        limit: rate and burst.
        now: monotonic seconds, as in all its methods; never less than before.
    """

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._since = now
        self._missing = 0.0
        """Tokens that were missing then; a whole number but after a change."""
        self._taken = 0
        """Tokens taken since."""

    @property
    def limit(self) -> RateLimit:
        """Rate and burst in force."""
        return self._limit

    def available(self, now: float) -> float:
        """Tokens, 0 to burst; fractions count for nothing yet."""
        gained = (now - self._since) * self._limit.rate
        return max(0.0, self._limit.burst - max(0.0, self._missing + self._taken - gained))

    def wait_s(self, now: float) -> float:
        """Seconds until a token is there; 0.0 where one is."""
        wait = self._since + (self._missing + self._taken + 1 - self._limit.burst) / self._limit.rate - now
        return wait if wait > TOLERANCE_S else 0.0

    def take(self, now: float) -> None:
        """Take a token, which must be there: ask ``wait_s`` before."""
        if self.wait_s(now) > 0:
            raise AssertionError("a token is taken that is not there")
        self._refill(now)
        self._taken += 1

    def give_back(self) -> None:
        """A start that a token was taken for just now did not come about."""
        if self._taken:
            self._taken -= 1
        else:  # the limit was changed since: what was taken before is among what was missing then
            self._missing = max(0.0, self._missing - 1)

    def change(self, limit: RateLimit, now: float) -> None:
        """Another limit from now on; tokens are kept as far as they fit (S-266)."""
        tokens = min(self.available(now), float(limit.burst))
        self._limit = limit
        self._since, self._missing, self._taken = now, limit.burst - tokens, 0

    def _refill(self, now: float) -> None:
        """A full bucket begins anew: what would have come meanwhile is not saved up."""
        if self._since + (self._missing + self._taken) / self._limit.rate <= now:
            self._since, self._missing, self._taken = now, 0.0, 0
