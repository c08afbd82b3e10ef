"""Duplicates: what a submission on a held key does, by policy and by where the holder stands (S-049..S-066, S-449)."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, at_once, await_status, heard_until, kinds, of_task, settle

from millrace import (
    Completed,
    Context,
    Domain,
    DuplicatePolicy,
    Failed,
    Outcome,
    Priority,
    Retry,
    Scheduler,
    SubmitKind,
    Submitted,
    Superseded,
    Task,
    TaskStatus,
)

POLICIES = list(DuplicatePolicy)
KEY = "k"


class Play:
    """A task whose runs are recorded, of which each stops at a gate."""

    def __init__(self, stage: Stage, domain: Domain, **settings: Any) -> None:
        self.gate: Gate = stage.gate()
        self.runs: list[tuple[int, int]] = []
        """(task, payload) of each run, in the order of their starts."""
        self.overlaps = 0
        self._busy = threading.Lock()

        @domain.task(**settings)
        def work(ctx: Context, n: int) -> int:
            if not self._busy.acquire(blocking=False):
                self.overlaps += 1
            self.runs.append((ctx.id, n))
            try:
                self.gate.hold()
            finally:
                self._busy.release()
            return n

        self.work = work
        self.keyed: Task[[int], int] = work.options(key=KEY)


def with_policy(task: Task[[int], int], policy: DuplicatePolicy) -> Task[[int], int]:
    """The task under a policy."""
    return task.options(on_duplicate=policy)


# The table: the holder has not started

QUEUED: dict[str, Callable[[Scheduler, Play], Outcome[int]]] = {}


def queued(make: Callable[[Scheduler, Play], Outcome[int]]) -> Callable[[Scheduler, Play], Outcome[int]]:
    """A way to a holder that waits for its start."""
    QUEUED[make.__name__] = make
    return make


@queued
def pending(scheduler: Scheduler, play: Play) -> Outcome[int]:
    return scheduler.submit(play.keyed, 1)


@queued
def delayed(scheduler: Scheduler, play: Play) -> Outcome[int]:
    return scheduler.submit(play.keyed.options(run_after=3600), 1)


@queued
def retrying(scheduler: Scheduler, play: Play) -> Outcome[int]:
    outcome = scheduler.submit(play.keyed, -1)
    play.gate.let_pass()
    play.gate.await_arrivals()
    while await_status(outcome, TaskStatus.PENDING).retries == 0:
        pass
    return outcome


@pytest.mark.parametrize("way", QUEUED)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("is_more_urgent", [False, True])
def test_a_duplicate_of_a_queued_task(
    stage: Stage, domain: Domain, way: str, policy: DuplicatePolicy, is_more_urgent: bool
) -> None:
    """S-049, S-053: SKIP raises the priority of a task that waits for a run, or changes nothing; SUPERSEDE replaces it."""
    play = Play(stage, domain)

    @domain.task(retry=Retry.constant(1, 3600))
    def fails(ctx: Context, n: int) -> int:
        play.gate.hold()
        raise ValueError

    if way == "retrying":
        play.keyed = fails.options(key=KEY)
    scheduler = stage.scheduler(domain) if way == "pending" else stage.started(domain)
    holder = QUEUED[way](scheduler, play)
    before = holder.handle.record()
    priority = Priority.HIGH if is_more_urgent else Priority.NORMAL
    outcome = scheduler.submit(with_policy(play.keyed, policy).options(priority=priority), 2)
    after = holder.handle.record()
    if policy is DuplicatePolicy.SKIP:
        kind = SubmitKind.UPGRADED if is_more_urgent else SubmitKind.DUPLICATE
        assert (outcome.kind, outcome.id, after.priority) == (kind, holder.id, priority)
        assert (after.payload, after.label, after.run_at) == (before.payload, before.label, before.run_at)
    elif policy is DuplicatePolicy.REJECT:
        assert (outcome.kind, outcome.id, after) == (SubmitKind.REJECTED, holder.id, before)
    elif policy is DuplicatePolicy.SUPERSEDE:
        assert (outcome.kind, outcome.replaced) == (SubmitKind.SUPERSEDED, holder.id)
        assert (after.status, outcome.handle.record().payload) == (TaskStatus.SUPERSEDED, {"n": 2})
    else:
        assert (outcome.kind, outcome.id != holder.id, after) == (SubmitKind.INSERTED, True, before)


def test_an_upgraded_task_starts_before_others(stage: Stage, domain: Domain) -> None:
    """S-053: an upgrade counts at once: the task starts before what was more urgent until then."""
    play = Play(stage, domain)
    scheduler = stage.started(domain, max_concurrency=1)
    scheduler.submit(play.work, 0)
    play.gate.await_arrivals()
    low = scheduler.submit(play.work.options(priority=Priority.IDLE), 1)
    others = [scheduler.submit(play.work, n) for n in (2, 3)]
    assert scheduler.submit(play.work.options(priority=Priority.HIGH), 1).kind is SubmitKind.UPGRADED
    play.gate.open()
    settle([low, *others])
    assert [n for _, n in play.runs] == [0, 1, 2, 3]


# The table: the holder is under way


def start_running(scheduler: Scheduler, play: Play) -> Outcome[int]:
    outcome = scheduler.submit(play.keyed, 1)
    play.gate.await_arrivals()
    return outcome


@pytest.mark.parametrize("policy", POLICIES)
def test_a_duplicate_of_a_running_task(stage: Stage, domain: Domain, policy: DuplicatePolicy) -> None:
    """S-050, S-061: of a running task SKIP requests a rerun, SUPERSEDE cancels it and holds the new one; bodies never overlap."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    holder = start_running(scheduler, play)
    outcome = scheduler.submit(with_policy(play.keyed, policy), 2)
    status = holder.handle.status()
    if policy is DuplicatePolicy.ALLOW:
        play.gate.await_arrivals(2)
    play.gate.open()
    ends = settle([holder, outcome])
    if policy is DuplicatePolicy.SKIP:
        assert (outcome.kind, outcome.id, status) == (SubmitKind.REQUEUED, holder.id, TaskStatus.RUNNING)
        assert (ends[0].memo, play.runs) == (2, [(holder.id, 1), (holder.id, 2)])
    elif policy is DuplicatePolicy.REJECT:
        assert (outcome.kind, outcome.id, status) == (SubmitKind.REJECTED, holder.id, TaskStatus.RUNNING)
        assert play.runs == [(holder.id, 1)]
    elif policy is DuplicatePolicy.SUPERSEDE:
        assert (outcome.kind, outcome.replaced, status) == (SubmitKind.SUPERSEDED, holder.id, TaskStatus.CANCELLING)
        assert [end.status for end in ends] == [TaskStatus.SUPERSEDED, TaskStatus.COMPLETED]
        assert play.runs == [(holder.id, 1), (outcome.id, 2)]
    else:
        assert (outcome.kind, status) == (SubmitKind.INSERTED, TaskStatus.RUNNING)
    assert play.overlaps == (policy is DuplicatePolicy.ALLOW)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_duplicate_of_a_waiting_parent(stage: Stage, domain: Domain, policy: DuplicatePolicy) -> None:
    """S-050, S-062: a WAITING parent is under way too: SKIP reruns it after its children, SUPERSEDE cancels them with it."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task()
    def parent(ctx: Context, n: int) -> int:
        ctx.spawn_child(leaf)
        return n

    scheduler = stage.started(domain)
    keyed = parent.options(key=KEY)
    holder = scheduler.submit(keyed, 1)
    gate.await_arrivals()
    await_status(holder, TaskStatus.WAITING)
    outcome = scheduler.submit(with_policy(keyed, policy), 2)
    gate.open()
    ends = settle([holder, outcome])
    leaves = [child.status for child in scheduler.children(holder.id)]
    if policy is DuplicatePolicy.SKIP:
        assert (outcome.kind, ends[0].memo, leaves) == (SubmitKind.REQUEUED, 2, [TaskStatus.COMPLETED] * 2)
    elif policy is DuplicatePolicy.SUPERSEDE:
        assert (ends[0].status, leaves, ends[1].memo) == (TaskStatus.SUPERSEDED, [TaskStatus.CANCELLED], 2)
    elif policy is DuplicatePolicy.REJECT:
        assert (outcome.kind, ends[0].memo) == (SubmitKind.REJECTED, 1)
    else:
        assert (outcome.kind, ends[1].memo) == (SubmitKind.INSERTED, 2)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_duplicate_of_a_pending_finalizer(stage: Stage, domain: Domain, policy: DuplicatePolicy) -> None:
    """S-050: a task whose finalizer waits for a slot is under way, though it is PENDING."""
    gate, blocker = stage.gate(), stage.gate()
    finals: list[int] = []

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()
        ctx.wait_cancelled(0.01)  # not so short that the finalizer is claimed ahead

    @domain.task()
    def block(ctx: Context) -> None:
        blocker.hold()

    @domain.task()
    def parent(ctx: Context, n: int) -> int:
        ctx.spawn_child(leaf.options(priority=0))
        return n

    @parent.finalize
    def end(ctx: Context, memo: int, n: int) -> int:
        finals.append(n)
        return memo * 10

    scheduler = stage.started(domain, max_concurrency=1)
    keyed = parent.options(key=KEY)
    holder = scheduler.submit(keyed, 1)
    gate.await_arrivals()
    scheduler.submit(block.options(priority=0))
    gate.open()
    blocker.await_arrivals()
    await_status(holder, TaskStatus.PENDING)
    outcome = scheduler.submit(with_policy(keyed, policy), 2)
    blocker.open()
    ends = settle([holder, outcome])
    expected: dict[DuplicatePolicy, tuple[SubmitKind, list[int], list[Any]]] = {
        DuplicatePolicy.SKIP: (SubmitKind.REQUEUED, [1, 2], [20, 20]),
        DuplicatePolicy.SUPERSEDE: (SubmitKind.SUPERSEDED, [2], [None, 20]),
        DuplicatePolicy.REJECT: (SubmitKind.REJECTED, [1], [10, 10]),
        DuplicatePolicy.ALLOW: (SubmitKind.INSERTED, [1, 2], [10, 20]),
    }
    assert (outcome.kind, finals, [one.memo for one in ends]) == expected[policy]


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy is not DuplicatePolicy.ALLOW])
def test_a_duplicate_of_a_cancelling_task(stage: Stage, domain: Domain, policy: DuplicatePolicy) -> None:
    """S-051, S-061: while a CANCELLING task of its key exists the next one is INSERTED and held, under every policy."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    holder = start_running(scheduler, play)
    scheduler.cancel(holder.id)
    outcome = scheduler.submit(with_policy(play.keyed, policy), 2)
    assert (outcome.kind, outcome.handle.status()) == (SubmitKind.INSERTED, TaskStatus.PENDING)
    scheduler.submit(play.work, 3)
    play.gate.await_arrivals(2)
    assert [n for _, n in play.runs] == [1, 3]
    play.gate.open()
    assert [end.status for end in settle([holder, outcome])] == [TaskStatus.CANCELLED, TaskStatus.COMPLETED]


def test_what_replaces_a_held_task_is_held_too(stage: Stage, domain: Domain) -> None:
    """S-061: superseding a held task puts another in its place that is held as long: bodies of one key never overlap."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    keyed = with_policy(play.keyed, DuplicatePolicy.SUPERSEDE)
    first = start_running(scheduler, play)
    chain = [scheduler.submit(keyed, n) for n in (2, 3, 4)]
    assert [outcome.replaced for outcome in chain] == [first.id, chain[0].id, chain[1].id]
    scheduler.submit(play.work.options(priority=Priority.IDLE), 9)
    play.gate.await_arrivals(2)
    assert [n for _, n in play.runs] == [1, 9]
    play.gate.open()
    ends = settle([first, *chain])
    assert [end.status for end in ends] == [TaskStatus.SUPERSEDED] * 3 + [TaskStatus.COMPLETED]
    assert [n for _, n in play.runs] == [1, 9, 4]


def test_a_key_stays_held_until_the_last_of_it_has_wound_down(stage: Stage, domain: Domain) -> None:
    """S-061: where several tasks of one key wind down, the next is held until the last of them has settled, and then starts."""
    play = Play(stage, domain)
    child_gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context) -> None:
        child_gate.hold()

    scheduler = stage.started(domain, max_concurrency=5)
    first = start_running(scheduler, play)
    scheduler.cancel(first.id)
    second = scheduler.submit(play.keyed, 2)
    child = scheduler.spawn_child(second.id, leaf.call())
    child_gate.await_arrivals()
    scheduler.cancel(second.id)
    third = scheduler.submit(play.keyed, 3)
    play.gate.let_pass()
    first.wait(WAIT_S)
    assert (second.handle.status(), third.handle.status()) == (TaskStatus.CANCELLING, TaskStatus.PENDING)
    assert [n for _, n in play.runs] == [1]
    child_gate.open()
    settle([child, second])
    play.gate.await_arrivals(2)
    play.gate.open()
    assert third.wait(WAIT_S).status is TaskStatus.COMPLETED


def test_tasks_that_wind_down_together_release_their_key(stage: Stage, domain: Domain) -> None:
    """S-061, S-066: where the last tasks of a key settle in one transaction, the next one starts."""
    play = Play(stage, domain)

    @domain.task()
    def leaf(ctx: Context) -> None:
        play.gate.hold()

    scheduler = stage.started(domain, max_concurrency=5)
    for _ in range(20):
        before = play.gate.arrived
        first = scheduler.submit(play.keyed, 1)
        play.gate.await_arrivals(before + 1)
        scheduler.cancel(first.id)
        second = scheduler.submit(play.keyed, 2)
        scheduler.spawn_child(second.id, leaf.call())
        play.gate.await_arrivals(before + 2)
        scheduler.cancel(second.id)
        third = scheduler.submit(play.keyed, 3)
        play.gate.let_pass(3)
        assert [end.status.value for end in settle([first, second, third])] == ["cancelled", "cancelled", "completed"]


# Reruns


def test_a_rerun_takes_the_newest_submission_whole(stage: Stage, domain: Domain) -> None:
    """S-054, S-055: the rerun has the newest submission's payload, label and options, and the most urgent priority asked for."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    holder = start_running(scheduler, play)
    before = holder.handle.record()
    asked = [
        play.keyed.options(priority=Priority.HIGH, label="second"),
        play.keyed.options(priority=Priority.IDLE, label="third", retry=Retry.constant(7)),
    ]
    outcomes = [scheduler.submit(task, n) for n, task in enumerate(asked, 2)]
    assert {(outcome.kind, outcome.id) for outcome in outcomes} == {(SubmitKind.REQUEUED, holder.id)}
    play.gate.let_pass()
    play.gate.await_arrivals(2)
    rerun = holder.handle.record()
    assert (rerun.payload, rerun.label, rerun.priority, rerun.max_retries) == ({"n": 3}, "third", Priority.HIGH, 7)
    assert (rerun.id, rerun.key, rerun.created_at) == (before.id, before.key, before.created_at)
    play.gate.open()
    assert holder.result(WAIT_S) == 3


def test_a_duplicate_of_a_rerun(stage: Stage, domain: Domain) -> None:
    """S-055: a further duplicate is REQUEUED where it is more urgent or differs in anything, else DUPLICATE."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    start_running(scheduler, play)
    first = play.keyed.options(priority=100)

    def kind(task: Task[[int], int], n: int) -> SubmitKind:
        return scheduler.submit(task, n).kind

    assert [kind(first, 2), kind(first, 2)] == [SubmitKind.REQUEUED, SubmitKind.DUPLICATE]
    assert kind(first.options(priority=200), 2) is SubmitKind.DUPLICATE
    assert kind(first.options(priority=50), 2) is SubmitKind.REQUEUED
    assert kind(first, 2) is SubmitKind.DUPLICATE
    assert kind(first, 3) is SubmitKind.REQUEUED
    assert kind(first.options(label="other"), 3) is SubmitKind.REQUEUED


def test_a_rerun_after_a_failure(stage: Stage, domain: Domain) -> None:
    """S-056, S-057: a failed run with a rerun asked for is followed by the rerun: attempt 1, no error, Failed will_retry."""
    gate = stage.gate()
    attempts: list[tuple[int, int, str | None]] = []

    @domain.task(retry=Retry.constant(5, 3600))
    def work(ctx: Context, n: int) -> int:
        attempts.append((n, ctx.attempt, ctx.record.error))
        gate.hold()
        if n < 3:
            raise (ValueError if n == 1 else KeyboardInterrupt)(n)
        return n

    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    keyed = work.options(key=KEY)
    outcome = scheduler.submit(keyed, 1)
    for n in (2, 3):
        gate.await_arrivals(n - 1)
        assert scheduler.submit(keyed, n).kind is SubmitKind.REQUEUED
        gate.let_pass()
    gate.open()
    record = outcome.wait(WAIT_S)
    assert (record.memo, record.retries, record.error) == (3, 0, None)
    assert attempts == [(1, 1, None), (2, 1, None), (3, 1, None)]
    events = of_task(heard_until(heard, lambda event: isinstance(event, Completed)), outcome.id)
    assert kinds(events) == ["Submitted", "Dispatched", "Failed", "Dispatched", "Failed", "Dispatched", "Completed"]
    assert all(event.will_retry for event in events if isinstance(event, Failed))


def test_a_rerun_leaves_no_trace_of_the_round_before(stage: Stage, domain: Domain) -> None:
    """S-057, S-202: the round before has no terminal record and no terminal event; memo and result are the last round's."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    heard = scheduler.subscribe()
    holder = start_running(scheduler, play)
    scheduler.submit(play.keyed, 2)
    play.gate.open()
    assert holder.result(WAIT_S) == 2
    events = heard_until(heard, lambda event: isinstance(event, Completed))
    assert kinds(events) == ["Submitted", "Dispatched", "Dispatched", "Completed"]
    assert [record.memo for record in scheduler.tasks(task=play.work)] == [2]


def test_a_delayed_rerun(stage: Stage, domain: Domain) -> None:
    """S-054: the delay of the newest submission is the rerun's: the task waits for it instead of settling."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    holder = start_running(scheduler, play)
    scheduler.submit(play.keyed.options(run_after=3600), 2)
    play.gate.open()
    record = await_status(holder, TaskStatus.PENDING)
    assert (record.status, record.payload, record.attempt, record.memo) == (TaskStatus.PENDING, {"n": 2}, 1, None)
    assert record.run_at is not None
    assert (record.run_at - record.created_at).total_seconds() > 3599


@pytest.mark.parametrize("policy", [None, DuplicatePolicy.SUPERSEDE], ids=["cancel", "supersede"])
def test_a_rerun_is_dropped_by_a_cancel(stage: Stage, domain: Domain, policy: DuplicatePolicy | None) -> None:
    """S-058: cancel and supersede drop a rerun."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    holder = start_running(scheduler, play)
    assert scheduler.submit(play.keyed, 2).kind is SubmitKind.REQUEUED
    last = [holder]
    if policy is None:
        scheduler.cancel(holder.id)
    else:
        last.append(scheduler.submit(with_policy(play.keyed, policy), 3))
    play.gate.open()
    ends = settle(last)
    assert ends[0].status is (TaskStatus.CANCELLED if policy is None else TaskStatus.SUPERSEDED)
    assert [n for _, n in play.runs] == [1] + [3] * (policy is not None)


def test_a_parent_waits_for_the_rerun_of_its_child(stage: Stage, domain: Domain) -> None:
    """S-058: a child that is run again counts for its parent as one child that has not settled yet."""
    play = Play(stage, domain)

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(play.keyed, 1)

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    play.gate.await_arrivals()
    assert scheduler.submit(play.keyed.options(parent=outcome.id), 2).kind is SubmitKind.REQUEUED
    play.gate.let_pass()
    play.gate.await_arrivals(2)
    await_status(outcome, TaskStatus.WAITING)
    play.gate.open()
    assert outcome.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert [child.memo for child in scheduler.children(outcome.id)] == [2]


# Superseding


def test_superseding_is_one_transaction(stage: Stage, domain: Domain) -> None:
    """S-060, S-062, S-304: the old task's end comes with the new one's row; Superseded has its own header and the new id."""
    play = Play(stage, domain)
    scheduler = stage.scheduler(domain)
    heard = scheduler.subscribe()
    first = scheduler.submit(play.keyed.options(label="old", priority=9), 1)
    second = scheduler.submit(with_policy(play.keyed, DuplicatePolicy.SUPERSEDE).options(label="new"), 2)
    assert (second.id > first.id, second.handle.record().priority) == (True, Priority.NORMAL)
    old, new = heard_until(heard, lambda event: isinstance(event, Submitted) and event.label == "new")[-2:]
    assert isinstance(old, Superseded)
    assert isinstance(new, Submitted)
    assert (old.task_id, old.label, old.priority, old.by) == (first.id, "old", 9, second.id)
    assert (new.task_id, old.at) == (second.id, new.at)


def test_a_superseded_task_runs_its_hook_first(stage: Stage, domain: Domain) -> None:
    """S-049, S-061: a task that has started settles after its hook, and the new one is held until then."""
    gate, hook_gate = stage.gate(), stage.gate()
    order: list[str] = []

    @domain.task(on_duplicate=DuplicatePolicy.SUPERSEDE)
    def work(ctx: Context, n: int) -> None:
        order.append(f"body {n}")
        gate.hold()

    @work.on_cancel
    def clear(ctx: Context, n: int) -> None:
        hook_gate.hold()
        order.append(f"hook {n}")

    scheduler = stage.started(domain)
    keyed = work.options(key=KEY)
    first = scheduler.submit(keyed, 1)
    gate.await_arrivals()
    second = scheduler.submit(keyed, 2)
    gate.open()
    hook_gate.await_arrivals()
    assert (first.handle.status(), second.handle.status()) == (TaskStatus.CANCELLING, TaskStatus.PENDING)
    hook_gate.open()
    settle([first, second])
    assert order == ["body 1", "hook 1", "body 2"]


def test_a_superseded_child_is_one_more(stage: Stage, domain: Domain) -> None:
    """S-064: for the parent the superseded child has settled and not failed, and the new one is one more."""
    gate = stage.gate()

    @domain.task(on_duplicate=DuplicatePolicy.SUPERSEDE)
    def leaf(ctx: Context, n: int) -> int:
        gate.hold()
        return n

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf.options(key=KEY), 1)

    @parent.finalize
    def end(ctx: Context, memo: None) -> dict[str, int]:
        summary = ctx.child_summary()
        return {"total": summary.total, **{status.value: n for status, n in summary.by_status.items()}}

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    gate.await_arrivals()
    scheduler.spawn_child(outcome.id, leaf.options(key=KEY).call(2))
    gate.open()
    assert outcome.result(WAIT_S) == {"total": 2, "superseded": 1, "completed": 1}


def test_superseding_the_only_queued_child(stage: Stage, domain: Domain) -> None:
    """S-060, S-170: replacing a parent's only child does not end the parent in between."""

    @domain.task(on_duplicate=DuplicatePolicy.SUPERSEDE)
    def leaf(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def parent(ctx: Context) -> int:
        return ctx.spawn_child(leaf.options(key=KEY, run_after=3600), 1).id

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    await_status(outcome, TaskStatus.WAITING)
    second = scheduler.spawn_child(outcome.id, leaf.options(key=KEY).call(2))
    assert second.kind is SubmitKind.SUPERSEDED
    assert outcome.wait(WAIT_S).status is TaskStatus.COMPLETED
    assert [child.status.value for child in scheduler.children(outcome.id)] == ["superseded", "completed"]


# Races and ends


@pytest.mark.parametrize("policy", POLICIES)
def test_many_threads_on_one_key(any_stage: Stage, domain: Domain, policy: DuplicatePolicy) -> None:
    """S-065: each of many submits of one key gets a true outcome: one INSERTED, with SUPERSEDE each other a different one."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = any_stage.scheduler(domain)
    keyed = work.options(key=KEY, on_duplicate=policy)
    outcomes = at_once([lambda n=n: scheduler.submit(keyed, n) for n in range(24)])  # type: ignore[misc]  # each its own n
    inserted = [outcome for outcome in outcomes if outcome.kind is SubmitKind.INSERTED]
    stored = scheduler.count(task=work)
    if policy is DuplicatePolicy.SUPERSEDE:
        assert (len(inserted), stored) == (1, 24)
        assert len({outcome.replaced for outcome in outcomes}) == 24
    elif policy is DuplicatePolicy.ALLOW:
        assert (len(inserted), stored) == (24, 24)
    else:
        assert (len(inserted), stored) == (1, 1)
        assert {outcome.id for outcome in outcomes} == {inserted[0].id}


def test_bodies_of_one_key_never_overlap(stage: Stage, domain: Domain) -> None:
    """S-017, S-061, S-065: many threads supersede one key while it runs: one body runs at a time, and the last ends well."""
    busy = threading.Lock()
    overlaps: list[int] = []

    @domain.task(key=lambda n: KEY, on_duplicate=DuplicatePolicy.SUPERSEDE)
    def work(ctx: Context, n: int) -> int:
        if not busy.acquire(blocking=False):
            overlaps.append(n)
            return n
        try:
            ctx.wait_cancelled(0.002)
            ctx.check_cancelled()
        finally:
            busy.release()
        return n

    scheduler = stage.started(domain)

    def submit_some(base: int) -> list[Outcome[int]]:
        return [scheduler.submit(work, base + n) for n in range(25)]

    outcomes = [one for some in at_once([lambda t=t: submit_some(100 * t) for t in range(4)]) for one in some]  # type: ignore[misc]  # each its own t
    ends = settle(outcomes)
    assert overlaps == []
    assert {end.status for end in ends} <= {TaskStatus.SUPERSEDED, TaskStatus.COMPLETED}
    newest = max(ends, key=lambda end: end.id)
    assert newest.status is TaskStatus.COMPLETED


@pytest.mark.parametrize("end", ["completed", "failed", "dead_letter", "cancelled", "superseded"])
def test_after_any_end_the_key_is_free(any_stage: Stage, domain: Domain, end: str) -> None:
    """S-066: after any end the next submission of the key is INSERTED."""

    @domain.task(retry=Retry.constant(0, 0))
    def work(ctx: Context, how: str) -> None:
        if how == "dead_letter":
            raise ValueError
        if how == "failed":
            raise KeyboardInterrupt

    scheduler = any_stage.started(domain)
    keyed = work.options(key=KEY)
    late = keyed.options(run_after=3600)
    first = scheduler.submit(late if end in ("cancelled", "superseded") else keyed, end)
    if end == "cancelled":
        scheduler.cancel(first.id)
    if end == "superseded":
        scheduler.cancel(scheduler.submit(late.options(on_duplicate=DuplicatePolicy.SUPERSEDE), "x").id)
    assert first.wait(WAIT_S).status == end
    again = scheduler.submit(keyed.options(on_duplicate=DuplicatePolicy.REJECT), "completed")
    assert again.kind is SubmitKind.INSERTED
    assert again.wait(WAIT_S).status is TaskStatus.COMPLETED


# ALLOW


def test_allow_neither_minds_nor_holds_the_key(stage: Stage, domain: Domain) -> None:
    """S-449: a task of the policy ALLOW is INSERTED whatever holds the key, and later submissions do not see it."""
    play = Play(stage, domain)
    scheduler = stage.scheduler(domain)
    allowed = with_policy(play.keyed, DuplicatePolicy.ALLOW)
    kinds_of = [scheduler.submit(task, n).kind for n, task in enumerate((allowed, play.keyed, allowed, play.keyed))]
    inserted, duplicate = SubmitKind.INSERTED, SubmitKind.DUPLICATE
    assert kinds_of == [inserted, inserted, inserted, duplicate]
    rejected = scheduler.submit(with_policy(play.keyed, DuplicatePolicy.REJECT), 5)
    assert rejected.kind is SubmitKind.REJECTED


def test_a_cancelled_task_of_allow_holds_nobody_back(stage: Stage, domain: Domain) -> None:
    """S-449, S-051: a CANCELLING task that never held the key is in nobody's way."""
    play = Play(stage, domain)
    scheduler = stage.started(domain)
    first = scheduler.submit(with_policy(play.keyed, DuplicatePolicy.ALLOW), 1)
    play.gate.await_arrivals()
    scheduler.cancel(first.id)
    assert first.handle.status() is TaskStatus.CANCELLING
    scheduler.submit(play.keyed, 2)
    play.gate.await_arrivals(2)
