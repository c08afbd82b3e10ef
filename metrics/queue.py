"""What the store is asked for at a scrape: how many tasks are in which state, since when the oldest is ready, schedules.

That is one pass over the active tasks, fast for what a queue mostly is. Where it takes longer, as with a million tasks, a
scrape does not wait for it: it takes what was last found, and has the next pass made in a thread of its own, seldom enough
that the passes together take a twentieth of one core.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from millrace.model.errors import MillraceError
from millrace.model.measures import QueueState

log = logging.getLogger("millrace.metrics")

PATIENCE_S: Final = 0.02
"""A pass that takes no longer is made by the scrape itself."""
SHARE: Final = 20
"""After a longer one there is a pause of so many times its length."""


class QueueWatch:
    """See the module. From any thread.

    Args:
        measure: makes a pass.
        monotonic: the clock.
        detach: has something done in a thread of its own.
    """

    def __init__(
        self,
        measure: Callable[[], QueueState],
        *,
        monotonic: Callable[[], float],
        detach: Callable[[Callable[[], None], str], None],
    ) -> None:
        self._measure = measure
        self._monotonic = monotonic
        self._detach = detach
        self._lock = threading.Lock()
        self._state: QueueState | None = None
        self._took_s = 0.0
        self._next_at = 0.0
        self._is_under_way = False

    def look(self) -> QueueState:
        """The queue: as it is, or where a pass takes long as it was a while ago.

        Raises:
            MillraceError: it cannot be read, and never could.
        """
        with self._lock:
            state = self._state
            if state is not None and self._took_s > PATIENCE_S:
                if not self._is_under_way and self._monotonic() >= self._next_at:
                    self._is_under_way = True
                    self._detach(self._pass_beside, "metrics")
                return state
        return self._pass()

    def _pass(self) -> QueueState:
        began = self._monotonic()
        state = self._measure()
        now = self._monotonic()
        with self._lock:
            self._state = state
            self._took_s = now - began
            self._next_at = now + SHARE * self._took_s
        return state

    def _pass_beside(self) -> None:
        try:
            self._pass()
        except MillraceError as error:
            log.debug("the queue cannot be measured now: %s", error)
        finally:
            with self._lock:
                self._is_under_way = False
