"""The loop of an actor: batches, wake-ups, and an end that leaves nobody waiting."""

import random
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from millrace.actors.actor import Actor, ThreadLoop
from millrace.actors.mailbox import Mailbox, Reply

WAIT_S = 60.0
ERRORS: list[type[BaseException]] = [
    ValueError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    MemoryError,
    RecursionError,
]


class Asked(Exception):
    """What callers of a failed actor get."""


class Echo(Actor):
    """Answers each reply with a number, or dies."""

    def __init__(self, mailbox: Mailbox[Any], watcher: Any, *, wakes_in: float | None = None) -> None:
        super().__init__(mailbox, ThreadLoop(), watcher)
        self.batches: list[list[Any]] = []
        self.was_woken = threading.Event()
        self._wakes_in = wakes_in

    def receive(self, messages: Sequence[Any]) -> None:
        self.batches.append(list(messages))
        for message in messages:
            if isinstance(message, Reply):
                message.set(len(self.batches))
            elif isinstance(message, BaseException):
                raise message

    def fail_message(self, message: Any, error: BaseException) -> None:
        if isinstance(message, Reply):
            message.fail(Asked(error))

    def wake_in(self) -> float | None:
        return self._wakes_in

    def wake(self) -> None:
        self._wakes_in = None
        self.was_woken.set()


class Watch:
    """Hears of the ends of actors."""

    def __init__(self) -> None:
        self.ends: list[BaseException | None] = []
        self.ended = threading.Event()

    def __call__(self, actor: Actor, error: BaseException | None) -> None:
        self.ends.append(error)
        self.ended.set()


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_an_actor_raises_ends_it_alone(error: type[BaseException]) -> None:
    """Its watcher hears of it, who waits is answered, and another actor goes on."""
    boxes: list[Mailbox[Any]] = [Mailbox("one"), Mailbox("other")]
    watches = [Watch(), Watch()]
    actors = [Echo(box, watch) for box, watch in zip(boxes, watches, strict=True)]
    before, behind, elsewhere = Reply[int](), Reply[int](), Reply[int]()
    for message in (before, error("injected"), behind):
        boxes[0].tell(message)
    for actor in actors:
        actor.launch()
    assert watches[0].ended.wait(WAIT_S)
    assert [type(end) for end in watches[0].ends] == [error]
    assert before.wait(WAIT_S)
    assert behind.wait(WAIT_S)
    with pytest.raises(Asked):
        behind.result()
    boxes[1].tell(elsewhere)
    assert elsewhere.wait(WAIT_S)
    actors[1].stop()
    assert watches[1].ended.wait(WAIT_S)
    assert watches[1].ends == [None]


def test_a_successor_takes_over_the_mail() -> None:
    """What had not been taken out when the actor died."""
    box: Mailbox[Any] = Mailbox("box")
    watch = Watch()
    box.tell(ValueError("injected"))
    first = Echo(box, watch)
    first.launch()
    assert watch.ended.wait(WAIT_S)
    reply: Reply[int] = Reply()
    box.tell(reply)
    second = Echo(box, Watch())
    second.launch()
    assert reply.wait(WAIT_S)
    second.stop()


def test_mail_before_a_stop_is_handled() -> None:
    """And the stop is answered after it."""
    box: Mailbox[Any] = Mailbox("box")
    watch = Watch()
    actor = Echo(box, watch)
    replies: list[Reply[int]] = [Reply() for _ in range(5)]
    for reply in replies:
        box.tell(reply)
    actor.stop()
    actor.launch()
    assert watch.ended.wait(WAIT_S)
    assert all(reply.is_set for reply in replies)
    actor.stop()  # nothing, where it has ended already


def test_it_wakes_up_at_its_own_time() -> None:
    """Without any mail; with none, it waits for ever."""
    actor = Echo(Mailbox("box"), Watch(), wakes_in=0.01)
    actor.launch()
    assert actor.was_woken.wait(WAIT_S)
    assert actor.batches == []
    actor.stop()


def test_a_failing_start_is_an_end() -> None:
    """The watcher hears of it, which pykka alone would not tell."""

    class Unborn(Echo):
        def on_start(self) -> None:
            raise SystemExit("injected")

    watch = Watch()
    Unborn(Mailbox("box"), watch).launch()
    assert watch.ended.wait(WAIT_S)
    assert isinstance(watch.ends[0], SystemExit)


@pytest.mark.parametrize("wanted", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_thousands_of_failures_leave_no_caller_hanging(wanted: int) -> None:
    """Reliability B4: each of many callers is answered, by an actor that dies of every other batch."""
    chance = random.Random(0)
    box: Mailbox[Any] = Mailbox("box")
    current: list[Echo] = []
    crashes = [0]
    is_over = threading.Event()

    def replace(actor: Actor, error: BaseException | None) -> None:
        if error is not None:
            crashes[0] += 1
            if crashes[0] == wanted:
                is_over.set()
            begin()

    def begin() -> None:
        current[:] = [Echo(box, replace)]
        current[0].launch()

    begin()
    pending: list[Reply[int]] = []
    while not is_over.is_set():
        for _ in range(chance.randrange(1, 4)):
            pending.append(Reply())
            box.tell(pending[-1])
        box.tell(chance.choice(ERRORS)("injected"))
        if len(pending) > 100:
            for reply in pending:
                assert reply.wait(WAIT_S)
            pending.clear()
    for reply in pending:
        assert reply.wait(WAIT_S)
    box.tell(None)
    last: Reply[int] = Reply()
    box.tell(last)
    assert last.wait(WAIT_S)
    current[0].stop()
