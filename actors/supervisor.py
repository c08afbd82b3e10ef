"""The supervisor of one parent task: its children's lifecycle.

Owns: which of a bounded parent's children are offered to the dispatcher, and the way of an end down to them. Never holds
its children's rows: what it knows is at most as many ids as may run at once.
Talks to: the persistence actor (spawns, further cancels, which child is next), the dispatcher (offers).
Sleeps: after a while without mail, its thread ends; the next message wakes it, with what it knew.
The verdicts themselves (one failure too many, the last child's end, what follows) are the rules of ``policy.ends``, applied in
the transaction that settles the child: so a parent never waits without an active child, whenever the process dies.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

from millrace.actors.actor import Actor, Loop, Watcher, crash_of
from millrace.actors.dispatcher import Recall, Recalled, TasksReady
from millrace.actors.mailbox import Mailbox, Tells
from millrace.actors.requests import Cascade, FindOffers, Request, Submit
from millrace.model.rows import Ready


@dataclass(frozen=True, slots=True)
class Spawn:
    """Children to be stored, by a body or from outside."""

    submit: Submit


@dataclass(frozen=True, slots=True)
class ChildrenReady:
    """Children of a bounded parent that can start."""

    tasks: tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class ChildrenLeft:
    """Children of a bounded parent that take no slot any more."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChildReturned:
    """A child of a bounded parent that had lent its place takes one again, also where there is none free."""

    child_id: int


@dataclass(frozen=True, slots=True)
class OffersFound:
    """The most urgent children that wait, the parent's bound, and the children that have a start."""

    tasks: tuple[Ready, ...]
    asked: int
    limit: int | None
    executing: tuple[int, ...]
    question: int


@dataclass(frozen=True, slots=True)
class TellChildren:
    """The parent's end is decided: its active children have to be told."""


@dataclass(frozen=True, slots=True)
class OfferAgain:
    """What is known counts no more: the dispatcher is a new one, or the parent's new round has another bound."""


Message: TypeAlias = (
    Spawn | ChildrenReady | ChildrenLeft | ChildReturned | OffersFound | TellChildren | OfferAgain | Recalled
)


@dataclass(slots=True)
class State:
    """What outlives the supervisor's thread."""

    limit: int | None = None
    """Children that may run at once; None until the store has been asked."""
    out: dict[int, Ready | None] = field(default_factory=dict[int, Ready | None])
    """Children that take a place: offered, or running."""
    recalled: set[int] = field(default_factory=set[int])
    """Those whose offer is being taken back: they are not offered anew before that is done."""
    recall: int = 0
    """The number of the last recall: with its answer, all are done."""
    has_backlog: bool = True
    """Whether the store may have children that wait for a place."""
    is_asking: bool = False
    question: int = 0
    """The number of the last question to the store: only its answer counts."""


class Supervisor(Actor):
    """See the module.

    Args:
        parent_id: the task whose children these are.
        state: what its predecessor knew.
        sleep_after: seconds without mail after which it may sleep.
        may_sleep: asked when there has been no mail for a while; True where the thread may end.
    """

    def __init__(
        self,
        mailbox: Mailbox[Message],
        loop: Loop,
        watcher: Watcher,
        *,
        parent_id: int,
        state: State,
        persistence: Tells[Request],
        dispatcher: Tells[Any],
        sleep_after: Callable[[], float],
        may_sleep: Callable[["Supervisor"], bool],
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self._address = mailbox
        self.parent_id = parent_id
        self._state = state
        self._persistence = persistence
        self._dispatcher = dispatcher
        self._sleep_after = sleep_after
        self._may_sleep = may_sleep

    def on_start(self) -> None:
        """A successor of one that failed may have no mail that would wake it."""
        if self._state.limit is None and self._state.recalled:
            self._recall(tuple(self._state.recalled))
        self._look_for_offers()

    def receive(self, messages: Sequence[Message]) -> None:  # noqa: C901 - one arm a message
        """Handle the batch, then offer what there is room for."""
        for message in messages:
            match message:
                case Spawn(submit):
                    self._on_spawn(submit)
                case ChildrenReady(tasks):
                    self._on_children_ready(tasks)
                case ChildrenLeft(ids):
                    for child_id in ids:
                        self._state.out.pop(child_id, None)
                case ChildReturned(child_id):
                    self._state.out[child_id] = None
                case OffersFound():
                    self._on_offers_found(message)
                case TellChildren():
                    self._persistence.tell(Cascade((self.parent_id,)))
                case OfferAgain():
                    self._on_offer_again()
                case Recalled(ids, number):
                    self._on_recalled(ids, number)
                case _:
                    assert_never(message)
        self._look_for_offers()

    def fail_message(self, message: Message, error: BaseException) -> None:
        """Answer who waits."""
        if isinstance(message, Spawn):
            message.submit.reply.fail(crash_of(self.mailbox.name, error))

    def wake_in(self) -> float | None:
        """It sleeps when nothing has come for a while."""
        return self._sleep_after()

    def wake(self) -> None:
        """Nothing has come."""
        if self._may_sleep(self):
            self.actor_stopped.set()

    # Spawning

    def _on_spawn(self, submit: Submit) -> None:
        self._persistence.tell(submit)

    # Offering

    def _on_children_ready(self, tasks: Sequence[Ready]) -> None:
        state = self._state
        if state.limit is None:
            state.has_backlog = (
                True  # nothing is known yet, or it had no bound before: the store is asked for all of it
            )
            return
        offered: list[Ready] = []
        for task in tasks:
            if task.id in state.recalled:
                state.has_backlog = True  # found again once it is known what became of the offer
                continue
            if task.id in state.out or len(state.out) < state.limit:
                state.out[task.id] = task
                offered.append(task)
            else:
                state.has_backlog = True
                self._make_room_for(task)
        if offered:
            self._dispatcher.tell(TasksReady(tuple(offered), is_offer=True))

    def _make_room_for(self, task: Ready) -> None:
        """A more urgent child than one that is offered: take that offer back, if it has not started."""
        state = self._state
        offered = [other for other in state.out.values() if other is not None and other.id not in state.recalled]
        if offered:
            least = max(offered)
            if task < least:
                self._recall((least.id,))

    def _recall(self, ids: Iterable[int]) -> None:
        state = self._state
        state.recalled.update(ids)
        state.recall += 1
        self._dispatcher.tell(Recall(tuple(ids), state.recall, self._address))

    def _on_recalled(self, ids: Sequence[int], number: int) -> None:
        state = self._state
        state.has_backlog |= bool(ids)
        for child_id in ids:
            state.out.pop(child_id, None)
        if number == state.recall:
            state.recalled.clear()

    def _on_offer_again(self) -> None:
        """The dispatcher is another: what it has not been offered by now comes back, and the store is asked for the rest."""
        state = self._state
        state.limit, state.has_backlog, state.is_asking = None, True, False
        state.recalled.update(state.out)
        state.out.clear()
        if state.recalled:
            self._recall(tuple(state.recalled))

    def _look_for_offers(self) -> None:
        state = self._state
        if state.is_asking or not state.has_backlog or (state.limit is None and state.recalled):
            return
        room = 1 if state.limit is None else state.limit - len(state.out)
        if room > 0:
            state.is_asking, state.has_backlog = True, False
            state.question += 1
            self._persistence.tell(FindOffers(self.parent_id, tuple(state.out), room, state.question))

    def _on_offers_found(self, message: OffersFound) -> None:
        state = self._state
        if message.question != state.question or not state.is_asking:
            return
        state.is_asking = False
        if message.limit is None:
            state.has_backlog = False  # the parent has no bound, or is gone
            return
        if state.limit is None:
            state.out = dict.fromkeys(message.executing)
        state.limit = message.limit
        offered = [task for task in message.tasks if task.id not in state.out][: max(0, state.limit - len(state.out))]
        state.has_backlog |= len(message.tasks) >= message.asked
        for task in offered:
            state.out[task.id] = task
        if offered:
            self._dispatcher.tell(TasksReady(tuple(offered), is_offer=True))
