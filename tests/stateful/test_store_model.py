"""The store's side of the runtime against a model: submits, ends of runs, cancels and crashes, one turn after the other.

No actors and no threads: each turn is one transaction on a real store, as the persistence actor makes it. After each,
every row says what the model says, and the store's invariants hold.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from typing import Any, TypeVar

import apsw
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from invariants import check
from store_model import MAX_CRASHES, End, Entry, Model, Refused, Task

from millrace.actors import cancelling, depending, expiring, recovering, repeating, run_ends
from millrace.actors.enqueueing import enqueue
from millrace.actors.ledger import Ledger
from millrace.actors.policy.lines import START
from millrace.actors.telling import event_of
from millrace.model import events
from millrace.model.catalog import Traits
from millrace.model.errors import InvalidDependency, InvalidTask, ParentClosed
from millrace.model.new_tasks import NewTask
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Claim
from millrace.store.connection import locate
from millrace.store.session import Session

T = TypeVar("T")
NAMES = ["play::leaf", "play::final", "play::hook"]
PHASES = {"finalizer": 0, "body": 1, "children": 2, "tail": 3, "hook": 4}
TERMINAL = (
    *(events.Completed, events.Failed, events.DeadLettered, events.Cancelled, events.Superseded, events.Expired),
    events.DependencyFailed,
)


class Tasks:
    """The program's tasks: one without anything, one with a finalizer, one with a cancel hook."""

    def traits(self, name: str) -> Traits | None:
        return Traits(has_finalizer=name == "play::final", has_hook=name == "play::hook")

    def aliases(self) -> dict[str, str]:
        return {}


ENTRIES = st.builds(
    Entry,
    name=st.sampled_from(NAMES),
    key=st.sampled_from("ab"),
    policy=st.sampled_from(["skip", "skip", "supersede", "reject", "allow"]),
    priority=st.sampled_from([None, 10, 128, 200]),
    parent=st.none() | st.integers(0, 30),
    payload=st.integers(0, 1),
    fail_fast=st.booleans(),
    max_retries=st.integers(0, 2),
    after=st.just(()) | st.lists(st.integers(0, 30), max_size=2).map(tuple),
    on_failure=st.sampled_from(["cancel", "fail", "ignore"]),
    ttl=st.none() | st.none() | st.integers(0, 20),
)
ENDS: st.SearchStrategy[End] = st.sampled_from(["returned", "returned", "retry", "failed", "interrupted", "shutdown"])


class StoreMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.location = locate(":memory:")
        self.session = Session(self.location, upgrade=True)
        self.now_ms = 1_700_000_000_000
        self.claims: dict[int, Claim] = {}
        self.heard: list[events.Event] = []
        self.model = Model(is_heard=False)

    def teardown(self) -> None:
        self.session.close()
        self.location.discard()

    @initialize(is_heard=st.booleans())
    def listen(self, is_heard: bool) -> None:
        self.model = Model(is_heard=is_heard)
        self.model.now = self.now_ms

    # One turn

    @contextmanager
    def turn(self) -> Iterator[Ledger]:
        """A transaction: what is decided in it, then what that closes, told downwards."""
        with self.session.transaction(is_synced=False):
            writer = self.session.writer
            ledger = Ledger(writer, Tasks(), self.now_ms, self.now_ms, is_heard=self.model.is_heard)
            yield ledger
            depending.follow(ledger)
            ledger.flush()
            while ledger.effects.cascades:
                closed, ledger.effects.cascades = ledger.effects.cascades, []
                ledger.effects.cascades += cancelling.cascade(ledger, closed)  # which may have closed more
                depending.follow(ledger)
            ledger.flush()
            for claim in writer.starts.load_claimed(ledger.effects.continues):
                self.claims[claim.id] = claim
        self.heard += map(event_of, ledger.effects.events)

    def in_turn(self, decide: Callable[[Ledger], T]) -> T:
        """What a turn gives; where it refuses, what it had expired before is committed."""
        with self.turn() as ledger:
            try:
                result = decide(ledger)
            except (ParentClosed, InvalidTask, InvalidDependency) as error:
                refusal = error
            else:
                return result
        raise refusal

    def refused_by_both(self, by_model: Callable[[], Any], by_store: Callable[[], Any]) -> Any:
        """What both say, or that both refuse."""
        try:
            expected = by_model()
        except Refused:
            with pytest.raises((ParentClosed, InvalidTask, InvalidDependency)):
                by_store()
            return None
        assert by_store() == expected
        return expected

    def executing(self, *, hooks: bool = False) -> list[Task]:
        return [task for task in self.model.active if task.is_executing and (task.phase == "hook") is hooks]

    def drawn(self, data: st.DataObject, among: list[Task]) -> list[Task]:
        """One to three of them."""
        ids = st.lists(st.sampled_from([task.id for task in among]), min_size=1, max_size=3, unique=True)
        return [self.model.tasks[task_id] for task_id in data.draw(ids)]

    # Rules

    @rule(entries=st.lists(ENTRIES, min_size=1, max_size=3))
    def submit(self, entries: list[Entry]) -> None:
        """A submit, or a batch: the outcomes are the model's."""
        known = list(self.model.tasks)
        entries = [self.after_known(entry, known) for entry in entries]
        places = [
            None if entry.parent is None or not known else known[-1 - entry.parent % len(known)] for entry in entries
        ]
        self.submit_to_both([replace(entry, parent=place) for entry, place in zip(entries, places, strict=True)])

    @staticmethod
    def after_known(entry: Entry, known: list[int]) -> Entry:
        """Its dependencies among the tasks that there are, the newest first."""
        after = [known[-1 - place % len(known)] for place in entry.after] if known else []
        return replace(entry, after=tuple(dict.fromkeys(after)))

    @precondition(lambda self: self.model.active)
    @rule(data=st.data(), entry=ENTRIES)
    def submit_again(self, data: st.DataObject, entry: Entry) -> None:
        """A submit in the scope of an active task."""
        holder = self.drawn(data, self.model.active)[0]
        parent = None if holder.parent is None else holder.parent.id
        entry = self.after_known(entry, list(self.model.tasks))
        self.submit_to_both([replace(entry, name=holder.entry.name, key=holder.entry.key, parent=parent)])

    def submit_to_both(self, placed: list[Entry]) -> None:
        """The model and the store give the same outcomes, or both refuse."""

        def store() -> list[tuple[str, int, int | None]]:
            stored = self.in_turn(lambda ledger: enqueue(ledger, [_new(entry) for entry in placed]))
            return [(one.kind.value, one.id, one.replaced) for one in stored]

        self.refused_by_both(lambda: self.model.submit(placed), store)

    @rule(count=st.integers(1, 3))
    def start(self, count: int) -> None:
        """The most urgent ready tasks start."""
        chosen = self.model.ready()[:count]
        with self.turn() as ledger:
            lanes = ledger.writer.starts.select_lanes(0, 1000)
            ready = sorted(entry for lane in lanes for entry in ledger.writer.starts.select_ready(lane, START, 1000))
            assert [entry.id for entry in ready] == [task.id for task in self.model.ready()]
            claims = ledger.writer.starts.claim([task.id for task in chosen], self.now_ms, self.now_ms)
            expiring.expire_late(ledger, [task.id for task in chosen if task.id not in {claim.id for claim in claims}])
        in_time = [task for task in chosen if not self.model.is_late(task)]
        for task in in_time:
            self.model.start(task)
        self.model.expire_late(chosen)
        self.model.finish([])
        self.claims |= {claim.id: claim for claim in claims}
        assert {claim.id: (claim.run, claim.phase) for claim in claims} == {
            task.id: (task.run, PHASES[task.phase]) for task in in_time
        }

    @rule(ms=st.integers(1, 20))
    def sweep(self, ms: int) -> None:
        """Time passes, and what is late expires."""
        self.model.now = self.now_ms = self.now_ms + ms
        with self.turn() as ledger:
            assert not expiring.sweep(ledger)
        self.model.sweep()

    @precondition(lambda self: self.executing())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Some runs end, in one commit."""
        chosen = self.drawn(data, self.executing())
        ends = [(task, data.draw(ENDS)) for task in chosen]
        outcomes = [self.outcome(task, end) for task, end in ends]
        with self.turn() as ledger:
            assert run_ends.apply_outcomes(ledger, outcomes) == []
        self.model.finish(ends)

    @precondition(lambda self: self.executing())
    @rule()
    def finish_all_well(self) -> None:
        """All that runs returns, in one commit."""
        ends: list[tuple[Task, End]] = [(task, "returned") for task in self.executing()]
        with self.turn() as ledger:
            assert run_ends.apply_outcomes(ledger, [self.outcome(task, end) for task, end in ends]) == []
        self.model.finish(ends)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), end=ENDS)
    def finish_late(self, data: st.DataObject, end: End) -> None:
        """The outcome of a run that is not the current one is dropped."""
        claim = self.claims[data.draw(st.sampled_from(sorted(self.claims)))]
        task = self.model.tasks[claim.id]
        kind = RunKind.RETURNED if end == "returned" else RunKind.FAILED
        run = claim.run - 1 if task.is_executing else claim.run
        late = RunOutcome(claim.id, run, claim.phase, claim.name, kind, error="late")
        with self.turn() as ledger:
            assert run_ends.apply_outcomes(ledger, [late]) == [late]

    @rule()
    def start_hooks(self) -> None:
        """All cancel hooks that are due start."""
        due = [task for task in self.model.active if task.phase == "hook" and not task.is_executing]
        with self.turn() as ledger:
            found = ledger.writer.starts.select_hooks(0, 100)
            claims = ledger.writer.starts.claim_hooks(found)
        assert found == [task.id for task in due]
        for task in due:
            self.model.start_hook(task)
        self.claims |= {claim.id: claim for claim in claims}

    @precondition(lambda self: self.executing(hooks=True))
    @rule(data=st.data())
    def finish_hooks(self, data: st.DataObject) -> None:
        """Some hooks end, in one commit."""
        chosen = self.drawn(data, self.executing(hooks=True))
        ends: list[tuple[Task, End]] = [(task, "returned") for task in chosen]
        outcomes = [self.outcome(task, end) for task, end in ends]
        with self.turn() as ledger:
            assert run_ends.apply_outcomes(ledger, outcomes) == []
        self.model.finish(ends)

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Any task is cancelled, active or not."""
        task = self.model.tasks[data.draw(st.sampled_from(sorted(self.model.tasks)))]
        before = task.end
        self.model.cancel(task)
        with self.turn() as ledger:
            result = cancelling.cancel(ledger, task.id)
        assert (result.found, result.settled, result.status) == (True, task.end is not None, task.status)
        assert result.accepted == (before is None or before == "cancelled")

    @precondition(lambda self: any(task.end for task in self.model.tasks.values()))
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """What has ended is repeated by hand, where it ended badly."""
        settled = [task.id for task in self.model.tasks.values() if task.end]
        task_id = data.draw(st.sampled_from(settled))

        def store() -> tuple[str, int]:
            stored = self.in_turn(lambda ledger: repeating.repeat(ledger, task_id, dead_letters_only=False))
            return stored.kind.value, stored.id

        self.refused_by_both(lambda: self.model.repeat(task_id), store)

    @precondition(lambda self: self.executing() or self.executing(hooks=True))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """A start is taken back before its function was called."""
        task = self.drawn(data, self.executing() + self.executing(hooks=True))[0]
        with self.turn() as ledger:
            run_ends.withdraw(ledger, [(task.id, task.run)])
        self.model.withdraw(task)

    @precondition(lambda self: self.executing() or self.executing(hooks=True))
    @rule()
    def crash(self) -> None:
        """The process dies, and the next one takes up what it left."""
        with self.turn() as ledger:
            recovering.recover_runs(ledger, max_crashes=MAX_CRASHES)
            ledger.flush()
            recovering.resume_cascades(ledger)
        self.model.crash()

    def outcome(self, task: Task, end: End) -> RunOutcome:
        """The end of a task's current run, as an executor reports it."""
        claim = self.claims[task.id]
        kinds = {"returned": RunKind.RETURNED, "retry": RunKind.FAILED, "failed": RunKind.FAILED}
        return RunOutcome(
            task.id,
            task.run,
            claim.phase,
            claim.name,
            kinds.get(end, RunKind.INTERRUPTED),
            memo="1" if end == "returned" else None,
            error=f"Error: {end}" if end in ("retry", "failed") else None,
            retryable=end == "retry",
            retry_delay_s=0.0 if end == "retry" and task.retries < task.entry.max_retries else None,
            asked="shutdown" if end == "shutdown" else None,
            parent_id=claim.parent_id,
            parent_round=claim.parent_round,
        )

    # What holds

    @invariant()
    def rows_are_the_models(self) -> None:
        """Every row says what the model says."""
        columns = (
            "id, name, key, status, phase, executing, priority, parent_id, parent_round, run, round, holds_key, held, "
            "retries, crashes, child_total, child_active, child_failed, closing, rerun IS NOT NULL, payload, fail_fast, "
            "unmet, expires_at_ms"
        )
        rows = self.connection.execute(f"SELECT {columns} FROM task ORDER BY id").fetchall()
        wrong = [pair for pair in zip_longest(rows, map(_row, self.model.active)) if pair[0] != pair[1]]
        assert not wrong, f"(store, model) of {columns}: {wrong}"
        ended = self.connection.execute(
            "SELECT id, status, retries, memo IS NOT NULL FROM history ORDER BY id"
        ).fetchall()
        assert ended == [
            (task.id, task.end, task.retries, int(task.end == "completed"))
            for task in self.model.tasks.values()
            if task.end
        ]

    @invariant()
    def time_passes(self) -> None:
        """A millisecond a rule, for both."""
        self.model.now = self.now_ms = self.now_ms + 1

    @invariant()
    def invariants_hold(self) -> None:
        """The store's own invariants hold."""
        assert check(self.connection, structure=False) == []

    @invariant()
    def ends_are_told_once(self) -> None:
        """Where somebody listens, each settled task has told of its end, once; no other has."""
        if self.model.is_heard:
            told = [
                event.task_id
                for event in self.heard
                if isinstance(event, TERMINAL) and not getattr(event, "will_retry", False)
            ]
            assert sorted(told) == [task.id for task in self.model.tasks.values() if task.end]

    @property
    def connection(self) -> apsw.Connection:
        return self.session.writer.connection


def _new(entry: Entry) -> NewTask:
    return NewTask(
        name=entry.name,
        key=entry.key,
        label=entry.name,
        priority=entry.priority,
        payload=f'{{"n":{entry.payload}}}',
        max_retries=entry.max_retries,
        policy=entry.policy,
        fail_fast=entry.fail_fast,
        parent_id=entry.parent,
        # Some have tags, so that reruns, repetitions and children find others to take the place of, and to inherit.
        tags={"n": str(entry.payload), entry.key: ""} if entry.payload % 2 else None,
        depends_on=entry.after,
        on_dependency_failure=entry.on_failure,
        ttl_ms=entry.ttl,
        ttl_source="none" if entry.ttl is None else "own",
    )


def _row(task: Task) -> tuple[Any, ...]:
    entry = task.entry
    return (
        *(task.id, entry.name, entry.key, task.status, PHASES[task.phase], int(task.is_executing), task.priority),
        *(None if task.parent is None else task.parent.id, task.parent_round, task.run, task.round),
        *(task.holds, int(task.is_held), task.retries, task.crashes),
        *(len(task.children), len(task.active_children), task.failed_count, task.closing, int(task.rerun is not None)),
        *(f'{{"n":{entry.payload}}}', int(entry.fail_fast), len(task.needs), task.expires),
    )


pytestmark = pytest.mark.timeout(3600)  # with the long profile
StoreMachine.TestCase.settings = settings(
    max_examples=settings.default.max_examples * 3 // 5,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
test_the_store_does_what_the_model_does = StoreMachine.TestCase
