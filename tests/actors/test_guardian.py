"""The guardian, driven by hand: rest for one, in order, with a pause, until it is one failure too many."""

from collections.abc import Sequence
from typing import Any

import pytest

from millrace.actors.actor import Actor
from millrace.actors.guardian import ActorEnded, Guardian, StartAll, StopAll
from millrace.actors.mailbox import Mailbox, Reply
from millrace.model.errors import SchedulerFailed
from millrace.model.records import Restarts

NAMES = ("first", "second", "third")


class Times:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 0

    def steady_ms(self) -> int:
        return 0


class Loop:
    """Begins nothing."""

    def begin(self, actor: Actor) -> None:
        """The test plays the actor's part."""

    def wait(self, reply: Reply[Any], timeout_s: float | None) -> bool:
        return reply.is_set


class Idle(Actor):
    """An actor that notes what happens to it."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(Mailbox(name), Loop(), lambda actor, error: None)
        self.name = name
        self._log = log

    def launch(self) -> None:
        self._log.append(f"start {self.name}")

    def stop(self, *_: Any, **__: Any) -> Any:
        self._log.append(f"stop {self.name}")

    def receive(self, messages: Sequence[Any]) -> None:
        raise AssertionError


class Stage:
    def __init__(self, restarts: Restarts) -> None:
        self.log: list[str] = []
        self.failures: list[SchedulerFailed] = []
        self.made: dict[str, Idle] = {}
        self.times = Times()
        self.guardian = Guardian(
            Mailbox("guardian"),
            Loop(),
            times=self.times,
            factories=[(name, lambda name=name: self._make(name)) for name in NAMES],  # type: ignore[misc]  # a default binds
            restarts=restarts,
            on_failed=self.failures.append,
            on_restarted=lambda name, error: self.log.append(f"restarted {name}"),
        )
        self.guardian.receive([StartAll(NAMES, Reply())])

    def _make(self, name: str) -> Idle:
        self.made[name] = Idle(name, self.log)
        return self.made[name]

    def end(self, name: str, error: BaseException | None = None) -> None:
        self.guardian.receive([ActorEnded(self.made[name], error)])

    def pass_pause(self) -> None:
        pause = self.guardian.wake_in()
        assert pause is not None
        self.times.now += pause
        self.guardian.wake()


@pytest.fixture
def stage() -> Stage:
    return Stage(Restarts(limit=2, window=60.0))


def test_actors_start_in_order(stage: Stage) -> None:
    """And once: a second wish for the same changes nothing."""
    assert stage.log == ["start first", "start second", "start third"]
    reply: Reply[None] = Reply()
    stage.guardian.receive([StartAll(NAMES, reply)])
    assert len(stage.log) == 3
    assert reply.is_set


def test_what_was_started_after_a_failed_actor_is_replaced_too(stage: Stage) -> None:
    """Once all of it has ended, and after a pause."""
    stage.log.clear()
    stage.end("first", ValueError("injected"))
    assert stage.log == ["restarted first", "stop second", "stop third"]
    stage.pass_pause()
    assert stage.log[3:] == []
    stage.end("third")
    assert stage.log[3:] == []
    stage.end("second")
    assert stage.log[3:] == ["start first", "start second", "start third"]


def test_what_was_started_before_it_goes_on(stage: Stage) -> None:
    """The last is replaced alone."""
    stage.log.clear()
    stage.end("third", SystemExit())
    stage.pass_pause()
    assert stage.log == ["restarted third", "start third"]


def test_one_failure_too_many_ends_the_scheduler(stage: Stage) -> None:
    """With the last error as its cause; nothing is started any more."""
    error = ValueError("the last")
    for _ in range(2):
        stage.end("third", ValueError("injected"))
        stage.pass_pause()
    stage.log.clear()
    stage.end("third", error)
    assert [failed.__cause__ for failed in stage.failures] == [error]
    assert stage.guardian.wake_in() is None
    stage.end("second", ValueError("later"))
    assert stage.log == []
    assert len(stage.failures) == 1


def test_failures_long_apart_are_put_up_with(stage: Stage) -> None:
    """However many."""
    for _ in range(20):
        stage.end("third", ValueError("injected"))
        stage.pass_pause()
        stage.times.now += 31.0
    assert stage.failures == []


def test_a_supervisor_of_a_task_is_counted_and_replaces_itself(stage: Stage) -> None:
    """It is none of the guardian's own: nothing is stopped for it."""
    supervisor = Idle("supervisor-7", stage.log)
    stage.log.clear()
    for _ in range(2):
        stage.guardian.receive([ActorEnded(supervisor, ValueError("injected"))])
    assert stage.log == ["restarted supervisor"] * 2
    stage.guardian.receive([ActorEnded(supervisor, None)])
    assert stage.failures == []
    stage.guardian.receive([ActorEnded(supervisor, ValueError("injected"))])
    assert len(stage.failures) == 1


def test_actors_stop_in_reverse_order_one_after_the_other(stage: Stage) -> None:
    """The answer comes when the last has ended."""
    stage.log.clear()
    reply: Reply[None] = Reply()
    stage.guardian.receive([StopAll(reply)])
    assert stage.log == ["stop third"]
    stage.end("third")
    assert stage.log == ["stop third", "stop second"]
    stage.end("second", ValueError("while it stopped"))
    assert not reply.is_set
    stage.end("first")
    assert stage.log[2:] == ["stop first"]
    assert reply.is_set
    assert stage.guardian.actor_stopped.is_set()


def test_a_stop_during_the_pause_starts_nothing(stage: Stage) -> None:
    """What was to be replaced is not."""
    stage.end("third", ValueError("injected"))
    reply: Reply[None] = Reply()
    stage.guardian.receive([StopAll(reply)])
    stage.log.clear()
    stage.pass_pause()
    stage.end("second")
    stage.end("first")
    assert "start third" not in stage.log
    assert reply.is_set
