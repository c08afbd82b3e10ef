"""Pauses against a model of them: what is shown, what is counted, what goes on, and how old the tasks get.

No actors and no threads: each turn is one transaction on a real store, as the persistence actor makes it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from invariants import check

from millrace.actors import pausing, run_ends
from millrace.actors.ledger import Ledger
from millrace.actors.policy.limits import Limits
from millrace.actors.telling import event_of
from millrace.model import events
from millrace.model.catalog import Traits
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.pauses import Scope
from millrace.model.rows import NewRow
from millrace.store.connection import locate
from millrace.store.session import Session
from millrace.store.statements import SQL

SCOPES: list[tuple[Scope, str]] = [
    ("scheduler", ""),
    ("domain", "play"),
    ("domain", "player"),
    ("group", "a"),
    ("group", "b"),
]
TOLD = (events.Paused, events.Preempted, events.Resumed)


class Tasks:
    """The program's tasks: plain ones."""

    def traits(self, name: str) -> Traits | None:
        return Traits(has_finalizer=False, has_hook=False)

    def aliases(self) -> dict[str, str]:
        return {}


@dataclass
class Task:
    """What the model knows of a task."""

    id: int
    domain: str
    group: str | None
    status: str = "pending"
    """"pending", "running", "preempted" or "stopped" (by a pause)."""
    run: int = 0
    age_ms: int = 0
    """Time that it was ready and nothing paused it, up to its first start."""

    def is_of(self, scope: Scope, name: str) -> bool:
        """Whether a pause of this scope applies to it."""
        return {"scheduler": True, "domain": self.domain == name, "group": self.group == name}[scope]


class PauseMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.location = locate(":memory:")
        self.session = Session(self.location, upgrade=True)
        self.now_ms = 1_700_000_000_000
        self.limits = Limits(slots=1)
        self.tasks: dict[int, Task] = {}
        self.pauses: dict[tuple[Scope, str], int | None] = {}
        self.heard: list[events.Event] = []
        self.expected: list[tuple[type[events.Event], int]] = []

    def teardown(self) -> None:
        self.session.close()
        self.location.discard()

    @contextmanager
    def turn(self) -> Iterator[Ledger]:
        """One transaction."""
        with self.session.transaction(is_synced=False):
            writer = self.session.writer
            ledger = Ledger(writer, Tasks(), self.now_ms, self.now_ms, is_heard=True, limits=self.limits)
            yield ledger
            ledger.flush()
        self.limits = ledger.limits
        self.heard += map(event_of, ledger.effects.events)

    # The model

    def is_held(self, task: Task) -> bool:
        return any(task.is_of(*each) for each in self.pauses)

    def free(self, scope: Scope, name: str) -> int:
        """How many tasks of the scope nothing pauses."""
        return sum(task.is_of(scope, name) and not self.is_held(task) for task in self.tasks.values())

    def lift(self, scope: Scope, name: str) -> int:
        """The end of a pause; how many tasks of it nothing pauses any more."""
        del self.pauses[scope, name]
        for task in self.tasks.values():
            if task.status == "stopped" and not self.is_held(task):
                self.go_on(task)
        return self.free(scope, name)

    def go_on(self, task: Task) -> None:
        task.status = "pending"
        self.expected.append((events.Resumed, task.id))

    # Rules

    @rule(domain=st.sampled_from(["play", "player"]), group=st.sampled_from([None, "a", "b"]))
    def submit(self, domain: str, group: str | None) -> None:
        """A task comes, that is ready at once."""
        task = Task(len(self.tasks) + 1, domain, group)
        self.tasks[task.id] = task
        with self.turn() as ledger:
            row = NewRow(
                id=ledger.new_id(),
                name=f"{domain}::body",
                key=str(task.id),
                label="",
                status="pending",
                phase=1,
                priority=7,
                payload="{}",
                created_at_ms=self.now_ms,
                grp=group,
                lane=0,
                ages=1,
                ready_ms=self.now_ms,
                holds_key=task.id % 2,
            )
            ledger.insert(row)

    @rule(ms=st.integers(1, 50))
    def wait(self, ms: int) -> None:
        """Time passes."""
        self.now_ms += ms
        for task in self.tasks.values():
            if task.status == "pending" and not self.is_held(task):
                task.age_ms += ms

    @rule(scope=st.sampled_from(SCOPES), until_s=st.none() | st.integers(1, 100))
    def pause(self, scope: tuple[Scope, str], until_s: int | None) -> None:
        """Something is paused, perhaps once more."""
        expected = 0 if scope in self.pauses else self.free(*scope)
        self.pauses[scope] = None if until_s is None else self.now_ms + until_s
        with self.turn() as ledger:
            assert pausing.pause(ledger, *scope, self.pauses[scope]) == expected

    @rule(scope=st.sampled_from(SCOPES))
    def resume(self, scope: tuple[Scope, str]) -> None:
        """Something is resumed, perhaps what is not paused."""
        expected = self.lift(*scope) if scope in self.pauses else 0
        with self.turn() as ledger:
            assert pausing.resume(ledger, *scope) == expected

    @rule()
    def end_due(self) -> None:
        """The pauses whose time has come end."""
        timed = {each: until for each, until in self.pauses.items() if until is not None}
        for each in [each for each, until in timed.items() if until <= self.now_ms]:
            self.lift(*each)
        later = [until for until in timed.values() if until > self.now_ms]
        with self.turn() as ledger:
            assert pausing.end_due(ledger) == min(later, default=None)

    @rule(data=st.data())
    @precondition(lambda self: any(task.status == "pending" for task in self.tasks.values()))
    def start(self, data: st.DataObject) -> None:
        """Some tasks are to start; those that nothing pauses do."""
        pending = [task.id for task in self.tasks.values() if task.status == "pending"]
        wanted = data.draw(st.lists(st.sampled_from(pending), min_size=1, unique=True))
        with self.turn() as ledger:
            may_start = pausing.startable(ledger, wanted)
            started = {claim.id for claim in ledger.writer.starts.claim(may_start, self.now_ms, self.now_ms)}
        assert started == {task_id for task_id in wanted if not self.is_held(self.tasks[task_id])}
        for task_id in started:
            self.tasks[task_id].status = "running"
            self.tasks[task_id].run += 1

    @rule(data=st.data(), reason=st.sampled_from(["paused", "preempted", "shutdown"]))
    @precondition(lambda self: any(task.status == "running" for task in self.tasks.values()))
    def stop(self, data: st.DataObject, reason: str) -> None:
        """A body that was asked to stop has ended."""
        task = data.draw(st.sampled_from([task for task in self.tasks.values() if task.status == "running"]))
        is_held = self.is_held(task)
        if reason == "shutdown":
            task.status = "pending"
        else:
            told = events.Preempted if reason == "preempted" else events.Paused
            self.expected.append((told, task.id))
            task.status = "stopped" if is_held or reason == "paused" else "preempted"
            if task.status == "stopped" and not is_held:
                self.go_on(task)
        outcome = RunOutcome(task.id, task.run, 1, f"{task.domain}::body", RunKind.INTERRUPTED, asked=reason)
        with self.turn() as ledger:
            assert run_ends.apply_outcomes(ledger, [outcome]) == []

    @rule()
    def resume_preempted(self) -> None:
        """Nothing more urgent is in the way any more."""
        for task in self.tasks.values():
            if task.status == "preempted":
                task.status = "stopped"
                if not self.is_held(task):
                    self.go_on(task)
        with self.turn() as ledger:
            pausing.resume_preempted(ledger)

    @rule()
    def restart(self) -> None:
        """The process ends well, and the next one begins with what the store says."""
        self.limits = pausing.load(self.session.writer, Limits(slots=1))
        self.end_due_and_preempted()

    def end_due_and_preempted(self) -> None:
        for each in [each for each, until in self.pauses.items() if until is not None and until <= self.now_ms]:
            self.lift(*each)
        for task in self.tasks.values():
            if task.status == "preempted":
                task.status = "stopped"
                if not self.is_held(task):
                    self.go_on(task)
        with self.turn() as ledger:
            pausing.take_up(ledger)

    # What holds after each turn

    @invariant()
    def statuses_are_the_models(self) -> None:
        """S-109, S-110, S-113: flags and tasks agree."""
        connection = self.session.writer.connection
        for task in self.tasks.values():
            is_shown = any(task.is_of(*each) for each in self.pauses if each[0] != "scheduler")
            shown = {"pending": "paused" if is_shown else "pending", "running": "running"}.get(task.status, "paused")
            assert connection.execute(SQL["select_status"], {"id": task.id}).get == shown
            assert self.limits.holds(f"{task.domain}::body", task.group) == self.is_held(task)

    @invariant()
    def ages_are_the_models(self) -> None:
        """S-117: a task that has never started is as old as the time that it was ready in no pause."""
        fresh = [task for task in self.tasks.values() if not task.run]
        rows = {row.id: row for row in self.session.writer.load_rows([task.id for task in fresh])}
        for task in fresh:
            if not self.is_held(task):
                assert rows[task.id].ready_ms == self.now_ms - task.age_ms

    @invariant()
    def events_are_the_models(self) -> None:
        """S-120: each task hears of what stopped it, and of its end, once."""
        told = [(type(event), event.task_id) for event in self.heard if isinstance(event, TOLD)]
        assert sorted(told, key=repr) == sorted(self.expected, key=repr)

    @invariant()
    def invariants_hold(self) -> None:
        """The store keeps its own rules."""
        assert check(self.session.writer.connection, structure=False) == []


pytestmark = pytest.mark.timeout(3600)  # with the long profile
TestPauses = PauseMachine.TestCase
TestPauses.settings = settings(
    max_examples=settings.default.max_examples * 2,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
