"""The dispatcher's queue of cancel hooks: outside all limits, at most as many at once as there are slots."""

from collections.abc import Iterable
from typing import Final

from millrace.actors.dispatches import HooksDue
from millrace.actors.mailbox import Tells
from millrace.actors.requests import ClaimHooks, FindHooks, Request

PAGE: Final = 256


class HookQueue:
    """Hooks that are due, a page of them; the store has the rest.

    Args:
        persistence: takes the claims.
    """

    def __init__(self, persistence: Tells[Request]) -> None:
        self._persistence = persistence
        self._due: list[int] = []
        self.claimed: set[int] = set()
        self.abandoned: dict[int, int] = {}
        """Tasks whose hook was given up while its thread goes on, with the number of that run."""
        self.are_more = True
        self._is_page_asked = False

    def offer(self, message: HooksDue) -> None:
        """Hooks have become due, or a page of them has come."""
        known = self.claimed.union(self._due)
        fresh = [task_id for task_id in message.ids if task_id not in known]
        if message.is_page:
            self._is_page_asked = False
            self._due.extend(fresh)
            self.are_more = not message.is_last
        elif len(self._due) < PAGE:
            self._due.extend(fresh)
        else:
            self.are_more = True

    def end(self, task_id: int) -> bool:
        """A run is over: whether it was a hook."""
        if task_id in self.claimed:
            self.claimed.discard(task_id)
            return True
        return False

    def drop(self, ids: Iterable[int]) -> None:
        """These claims came to nothing."""
        self.claimed.difference_update(ids)

    def look_again(self) -> None:
        """Others may be due than were told."""
        self.are_more = True

    def thread_ended(self, task_id: int, run: int) -> None:
        """A hook that was given up has ended: it is looked for again."""
        if self.abandoned.get(task_id) == run:
            del self.abandoned[task_id]
            self.are_more = True

    def fill(self, slots: int) -> None:
        """Claim what there is room for."""
        room = slots - len(self.claimed)
        if room > 0 and self._due:
            # A hook whose earlier run was given up waits for that thread, whose end has it asked for again.
            due = [task_id for task_id in self._due if task_id not in self.abandoned]
            taken, self._due = due[:room], due[room:]
            if taken:
                self.claimed.update(taken)
                self._persistence.tell(ClaimHooks(tuple(taken)))
        if not self._due and self.are_more and not self._is_page_asked:
            self._is_page_asked = True
            self._persistence.tell(FindHooks(0, PAGE))
