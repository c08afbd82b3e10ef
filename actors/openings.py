"""Places for starts that the dispatcher lends to the persistence actor while nothing waits.

A task that becomes ready then has nobody before it, so that it starts in the very transaction that makes it ready, and its end
frees its place for the next: the dispatcher is not woken, and no start costs a transaction of its own. What has started and
ended meanwhile waits here, in order, until the dispatcher looks.
The places are taken back as soon as anything has to wait: order and limits are the dispatcher's business then.

The only thing that two actors share beside mailboxes, hence the lock. It belongs to the runtime, and outlives both.
"""

import threading
from collections.abc import Sequence
from typing import Final, TypeAlias

from millrace.actors.policy.admission import PIPELINE_S
from millrace.model.rows import Ready

MOST_NEWS: Final = 64
"""The dispatcher is woken for so many: it learns from ends how far ahead of the slots starts are worth it."""

Ended: TypeAlias = tuple[int, float]
"""A run that is over: its task, and the seconds it took."""
News: TypeAlias = Ready | Ended


class Openings:
    """See the module."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._room = 0
        self._ahead = 0
        self._is_watched = False
        self._taken = 0
        self._claims = 0
        self._news: list[News] = []
        self._told = 0

    @property
    def is_open(self) -> bool:
        """Whether nothing waits, as far as the dispatcher knows."""
        return self._is_open

    # The dispatcher's side

    def begin(self) -> int:
        """A new dispatcher takes over, which reads from the executor what runs; the number of the last news of ready tasks."""
        with self._lock:
            self._is_open = False
            self._news = []
            return self._told

    def open(self, room: int, ahead: int, heard: int) -> None:
        """Nothing waits.

        Args:
            room: slots that are free, fewer than none where starts are ahead of them.
            ahead: how many starts may be, while bodies are short.
            heard: the number of the last news of ready tasks that the dispatcher has heard; where later ones are on their way,
                somebody waits after all.
        """
        with self._lock:
            self._is_open = heard == self._told
            self._room = room
            self._ahead = ahead
            self._is_watched = room < 0

    def claiming(self) -> None:
        """Starts are about to be asked for: until they have begun, nobody passes them."""
        with self._lock:
            self._claims += 1

    def close(self) -> tuple[Sequence[News], int]:
        """Take the places back: what has started and ended, in order, and how many places starts not told of yet will take."""
        with self._lock:
            self._is_open = False
            news, self._news = self._news, []
            return news, self._taken

    # The persistence actor's side

    def take(self, wanted: int, freed: Sequence[Ended]) -> int:
        """Take places, up to so many, for starts of the open transaction, which frees some itself; how many were there."""
        with self._lock:
            if not self._is_open or self._claims:
                return 0
            if any(duration_s > PIPELINE_S for _, duration_s in freed):
                self._ahead = 0  # as the dispatcher will see it: see ``Lookahead``
            count = min(wanted, self._room + self._ahead + len(freed))
            if count <= 0:
                return 0
            self._room -= count
            self._taken += count
            return count

    def give_back(self, count: int) -> bool:
        """The transaction was rolled back; whether the dispatcher has to be told to look."""
        with self._lock:
            self._room += count
            self._taken -= count
            return not self._is_open

    def record(self, freed: Sequence[Ended], started: Sequence[Ready]) -> bool:
        """The transaction is committed; whether the dispatcher has to be told to look. Before the starts reach the executor."""
        with self._lock:
            self._room += len(freed)
            self._taken -= len(started)
            self._news += freed
            self._news += started
            # The dispatcher watches starts ahead of the slots, and recalls them where the bodies before them turn out to be long.
            is_ahead = self._room < 0 and not self._is_watched
            return not self._is_open or is_ahead or len(self._news) >= MOST_NEWS

    def claimed(self, count: int) -> None:
        """So many requests for starts have been carried out, and what has started has begun."""
        with self._lock:
            self._claims = max(0, self._claims - count)

    def note_ready(self) -> int:
        """The dispatcher is about to be told of tasks that are ready, which have to wait till then; the number of the news."""
        with self._lock:
            self._is_open = False
            self._told += 1
            return self._told

    def shut(self) -> None:
        """Something is about to change for which the dispatcher counted the places: no more starts before it has looked."""
        with self._lock:
            self._is_open = False

    def reset(self) -> None:
        """A new persistence actor takes over; the dispatcher will be a new one, too."""
        with self._lock:
            self._is_open = False
            self._taken = self._claims = 0
            self._news = []
