"""Retries and dead letters (S-121..S-138)."""

import math
from datetime import timedelta
from typing import Any

import pytest
from staging import WAIT_S, Stage, await_status, heard_until, of_task, settle

from millrace import (
    Context,
    DeadLettered,
    Domain,
    DuplicatePolicy,
    Failed,
    InvalidTask,
    Outcome,
    PermanentError,
    Priority,
    Retry,
    RetryableError,
    Scheduler,
    SubmitKind,
    Task,
    TaskNotFound,
    TaskStatus,
)
from millrace.model import errors
from millrace.retrying import qualified

DEAD, FAILED = TaskStatus.DEAD_LETTER, TaskStatus.FAILED


class TransientError(Exception):
    """Something that passes."""


class LostError(TransientError):
    """A kind of it."""


class Failing:
    """A task that raises what it is told to, in each of its runs."""

    def __init__(self, domain: Domain, error: BaseException, **settings: Any) -> None:
        self.attempts: list[int] = []

        @domain.task(**settings)
        def work(ctx: Context, n: int = 0) -> int:
            self.attempts.append(ctx.attempt)
            raise error

        self.work: Task[..., int] = work


# How often, and after how long


@pytest.mark.parametrize("n", [0, 1, 4])
def test_up_to_n_and_one_runs(any_stage: Stage, domain: Domain, n: int) -> None:
    """S-121, S-127, S-129: max_retries=n is up to n + 1 runs; then DEAD_LETTER, attempt counted from 1, retries from 0."""
    play = Failing(domain, ValueError("no"), retry=Retry.constant(n))
    record = any_stage.started(domain).submit(play.work).wait(WAIT_S)
    assert play.attempts == list(range(1, n + 2))
    assert (record.status, record.attempt, record.retries, record.max_retries) == (DEAD, n + 1, n, n)


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry.exponential(9, 1, 3600), [1, 2, 4, 8, 16, 32]),
        (Retry.exponential(9, 1, 20, multiplier=3), [1, 3, 9, 20, 20]),
        (Retry.linear(9, 2, 7), [2, 4, 6, 7, 7]),
        (Retry.constant(5), [0, 0, 0]),
        (Retry.constant(5, timedelta(seconds=3)), [3, 3]),
        (Retry(5, initial=5, maximum=3, backoff="constant"), [3]),
    ],
    ids=str,
)
def test_delays(retry: Retry, delays: list[float]) -> None:
    """S-122: the delay before retry k grows as the backoff says, up to the maximum."""
    assert [retry.delay(k) for k in range(1, len(delays) + 1)] == delays


def test_jitter_stays_within_the_exponential() -> None:
    """S-122, S-123: exponential_jitter is between 0 and what exponential gives; nothing overflows."""
    jitter, plain = Retry.exponential_jitter(9, 1, 60), Retry.exponential(9, 1, 60)
    for k in (1, 2, 5, 7, 100_000):
        drawn = [jitter.delay(k) for _ in range(200)]
        assert 0 <= min(drawn) < max(drawn) <= plain.delay(k)
    assert plain.delay(100_000) == 60


@pytest.mark.parametrize(
    "settings",
    [
        {"max_retries": -1},
        {"initial": -1},
        {"maximum": math.nan},
        {"multiplier": 0.5},
        {"multiplier": math.nan},
        {"backoff": "none"},
        {"max_retries": 1 << 64},
    ],
    ids=str,
)
def test_wrong_policies(settings: dict[str, Any]) -> None:
    """S-123, S-423: a policy out of range is ValueError that names the field."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        Retry(**settings)
    with pytest.raises(ValueError, match="retry"):
        Retry().delay(0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransientError(), DEAD),
        (LostError(), FAILED),
        (ValueError(), FAILED),
        (RetryableError("whatever retry_on says"), DEAD),
        (PermanentError("never"), FAILED),
        (KeyboardInterrupt(), FAILED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
@pytest.mark.parametrize("level", ["submission", "task", "domain", "scheduler"])
def test_what_is_retried(stage: Stage, level: str, error: BaseException, expected: TaskStatus) -> None:
    """S-124, S-126, S-127: retried is RetryableError, and retry_on without give_up_on, whichever level the policy is of."""
    retry = Retry(1, 0, 0, "constant", retry_on=(TransientError,), give_up_on=(LostError,))
    other = Retry(7, retry_on=(ZeroDivisionError,))
    domain = Domain("play", retry=retry if level == "domain" else None if level == "scheduler" else other)
    play = Failing(domain, error, retry=retry if level == "task" else other if level == "submission" else None)
    task = play.work.options(retry=retry) if level == "submission" else play.work
    scheduler = stage.started(domain, retry=retry if level == "scheduler" else other)
    record = scheduler.submit(task).wait(WAIT_S)
    assert (record.status, len(play.attempts)) == (expected, 2 if expected is DEAD else 1)
    assert record.max_retries == 1


def test_the_policy_of_a_task_is_looked_up_when_the_run_fails(stage: Stage) -> None:
    """S-126: a task's own policy is the running program's, a submission's is the one that it was stored with."""

    def make(retry: Retry) -> tuple[Domain, Failing]:
        domain = Domain("play")
        return domain, Failing(domain, ValueError("no"), retry=retry)

    old_domain, old = make(Retry.none())
    before = stage.scheduler(old_domain)
    ids = [before.submit(old.work, 1).id, before.submit(old.work.options(retry=Retry.constant(1)), 2).id]
    before.stop()
    new_domain, new = make(Retry.constant(3))
    scheduler = stage.started(new_domain)
    handles = [type(scheduler.flow("f").spawn(new.work).handle)(scheduler._core, task_id, None) for task_id in ids]
    assert [handle.wait(WAIT_S).retries for handle in handles] == [3, 1]


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0.05, 0.05), (-5, 0.0), (timedelta(milliseconds=20), 0.02), (3600, 3600.0)],
    ids=str,
)
def test_retry_after(stage: Stage, domain: Domain, after: Any, expected: float) -> None:
    """S-125, S-130: retry_after replaces the policy's delay, also beyond its maximum; a negative one is 0."""
    play = Failing(domain, RetryableError("later", retry_after=after), retry=Retry(1, 0.01, 0.01, "constant"))
    scheduler = stage.started(domain)
    heard = scheduler.subscribe(kinds=[Failed])
    scheduler.submit(play.work)
    event = heard.get(WAIT_S)
    assert isinstance(event, Failed)
    assert (event.will_retry, event.retry_after, event.error) == (True, expected, "RetryableError: later")


@pytest.mark.parametrize("after", [1e15, math.inf, timedelta.max], ids=str)
def test_retry_after_beyond_the_calendar(any_stage: Stage, domain: Domain, after: Any) -> None:
    """S-125, S-447: a delay that ends after the year 9999 waits until then; record and store stay readable."""
    play = Failing(domain, RetryableError("later", retry_after=after), retry=Retry.constant(1))
    scheduler = any_stage.started(domain)
    outcome = scheduler.submit(play.work)
    while (record := await_status(outcome, TaskStatus.PENDING)).retries == 0:
        pass
    assert record.run_at is not None
    assert record.run_at.year == 9999
    assert scheduler.cancel(outcome.id).settled


def test_between_runs(stage: Stage, domain: Domain) -> None:
    """S-128, S-129: between runs the task is PENDING with run_at, keeps what it is known by, and takes no slot."""
    play = Failing(domain, ValueError("first"), retry=Retry.constant(3, 3600))

    @domain.task()
    def other(ctx: Context) -> int:
        return 1

    scheduler = stage.started(domain, max_concurrency=1)
    before = scheduler.submit(play.work.options(key="k", priority=9, label="shown"), 1)
    while (record := await_status(before, TaskStatus.PENDING)).retries == 0:
        pass
    assert (record.key, record.label, record.priority, record.id) == ("k", "shown", 9, before.id)
    assert (record.attempt, record.retries, record.error) == (2, 1, "ValueError: first")
    assert record.run_at is not None
    assert record.started_at is not None
    assert 3599 < (record.run_at - record.started_at).total_seconds() < 3620
    assert scheduler.submit(other).result(WAIT_S) == 1
    assert scheduler.submit(play.work.options(key="k"), 2).id == before.id


def test_attempt_and_retries_survive_a_restart(stage: Stage, domain: Domain) -> None:
    """S-129: attempt is 0 before the first start; attempt and retries are the same after a restart."""
    play = Failing(domain, ValueError("no"), retry=Retry.constant(2, 3600))
    first = stage.scheduler(domain)
    outcome = first.submit(play.work)
    assert (outcome.handle.record().attempt, outcome.handle.record().retries) == (0, 0)
    first.start()
    while (record := await_status(outcome, TaskStatus.PENDING)).retries == 0:
        pass
    first.stop()
    assert stage.started(domain).task(outcome.id) == record


def test_a_retry_goes_through_dispatch(stage: Stage, domain: Domain) -> None:
    """S-128: a retry without delay waits its turn: what is more urgent, or older, goes first."""
    gate = stage.gate()
    order: list[str] = []

    @domain.task(retry=Retry.constant(1))
    def flaky(ctx: Context) -> None:
        order.append(f"flaky {ctx.attempt}")
        if ctx.attempt == 1:
            gate.hold()
            raise ValueError

    @domain.task()
    def urgent(ctx: Context) -> None:
        order.append("urgent")

    scheduler = stage.started(domain, max_concurrency=1)
    outcomes: list[Outcome[None]] = [scheduler.submit(flaky)]
    gate.await_arrivals()
    outcomes.append(scheduler.submit(urgent.options(priority=Priority.HIGH)))
    gate.open()
    settle(outcomes)
    assert order == ["flaky 1", "urgent", "flaky 2"]


def test_the_error_is_the_last_runs(stage: Stage, domain: Domain) -> None:
    """S-127: error and traceback are the last run's; a task that ends well has none."""

    @domain.task(retry=Retry.constant(2))
    def work(ctx: Context, last: int) -> int:
        if ctx.attempt < last:
            raise ValueError(f"run {ctx.attempt}")
        return ctx.attempt

    scheduler = stage.started(domain)
    good, bad = settle([scheduler.submit(work, 3), scheduler.submit(work, 9)])
    assert (good.status, good.memo, good.error, good.traceback) == (TaskStatus.COMPLETED, 3, None, None)
    assert (good.retries, bad.error) == (2, "ValueError: run 3")
    assert "run 3" in (bad.traceback or "")


def test_failures_and_their_events(stage: Stage, domain: Domain) -> None:
    """S-130, S-310, S-311: each repeated failure has a Failed with will_retry, the last a DeadLettered or a final Failed."""
    dead = Failing(domain, ValueError("no"), retry=Retry.constant(2, 0.001))
    other = Domain("other")
    lost = Failing(other, PermanentError("never"))
    scheduler = stage.started(domain, other)
    heard = scheduler.subscribe()
    first, second = scheduler.submit(dead.work), scheduler.submit(lost.work)
    ends: set[int] = set()

    def is_last(event: Any) -> bool:
        if isinstance(event, DeadLettered) or (isinstance(event, Failed) and not event.will_retry):
            ends.add(event.task_id)
        return len(ends) == 2

    events = heard_until(heard, is_last)
    failures = [event for event in of_task(events, first.id) if isinstance(event, (Failed, DeadLettered))]
    assert [(type(event).__name__, getattr(event, "will_retry", None)) for event in failures] == [
        ("Failed", True),
        ("Failed", True),
        ("DeadLettered", None),
    ]
    letter = failures[-1]
    assert isinstance(letter, DeadLettered)
    assert (letter.retries, letter.error) == (2, "ValueError: no")
    (final,) = [event for event in of_task(events, second.id) if isinstance(event, Failed)]
    assert (final.will_retry, final.retry_after, final.error) == (False, None, "PermanentError: never")


def test_a_failure_after_a_cancel_is_no_retry(stage: Stage, domain: Domain) -> None:
    """S-131: once a cancel is recorded a failing body is not run again."""
    gate = stage.gate()
    runs: list[int] = []

    @domain.task(retry=Retry.constant(5))
    def work(ctx: Context) -> None:
        runs.append(ctx.attempt)
        gate.hold()
        raise RetryableError("again")

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    scheduler.cancel(outcome.id)
    gate.open()
    record = outcome.wait(WAIT_S)
    assert (record.status, record.retries, runs) == (TaskStatus.CANCELLED, 0, [1])


def test_children_outlive_a_failed_run(stage: Stage, domain: Domain) -> None:
    """S-132: children of a body that fails and is retried go on, and the next run finds them."""
    gate = stage.gate()
    kinds: list[str] = []

    @domain.task()
    def leaf(ctx: Context) -> int:
        gate.hold()
        return 5

    @domain.task(retry=Retry.constant(1))
    def parent(ctx: Context) -> None:
        kinds.append(ctx.spawn_child(leaf).kind)
        if ctx.attempt == 1:
            raise ValueError

    @parent.finalize
    def end(ctx: Context, memo: None) -> list[int]:
        return [child.memo for child in ctx.child_results() if child.memo]

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    gate.await_arrivals()
    await_status(outcome, TaskStatus.WAITING)
    gate.open()
    assert outcome.result(WAIT_S) == [5]
    assert (kinds, gate.arrived) == (["inserted", "duplicate"], 1)


def test_a_body_that_fails_for_good_closes_its_task(stage: Stage, domain: Domain) -> None:
    """S-133, S-007: a body that fails for good closes its task at once: WAITING until its children are cancelled, not run again."""
    gate = stage.gate()
    runs: list[int] = []

    @domain.task()
    def leaf(ctx: Context) -> None:
        gate.hold()

    @domain.task(retry=Retry.none())
    def parent(ctx: Context) -> None:
        runs.append(ctx.attempt)
        ctx.spawn_child(leaf)
        gate.await_arrivals()
        raise ValueError("broken")

    scheduler = stage.started(domain)
    outcome = scheduler.submit(parent)
    record = await_status(outcome, TaskStatus.WAITING)
    assert record.error == "ValueError: broken"
    with pytest.raises(Exception, match="takes children"):
        scheduler.spawn_child(outcome.id, leaf.call())
    gate.open()
    assert outcome.wait(WAIT_S).status is DEAD
    assert [child.status for child in scheduler.children(outcome.id)] == [TaskStatus.CANCELLED]
    assert runs == [1]


# By hand


def ended(scheduler: Scheduler, play: Failing, end: str) -> Outcome[Any]:
    """A task that has ended in this way."""
    if end == "cancelled":
        outcome = scheduler.submit(play.work.options(run_after=3600, key="k"), 7)
        scheduler.cancel(outcome.id)
        return outcome
    task = play.work.options(key="k", label="shown", priority=9, retry=Retry.constant(1), fail_fast=False)
    outcome = scheduler.submit(task, 7)
    outcome.wait(WAIT_S)
    return outcome


@pytest.mark.parametrize("way", ["retry", "retry_dead_letter"])
def test_a_dead_letter_is_repeated_by_hand(any_stage: Stage, domain: Domain, way: str) -> None:
    """S-134, S-135: the new task has all the old submission had, without delay, and names the old one, which stays as it is."""
    play = Failing(domain, ValueError("no"))
    scheduler = any_stage.started(domain)
    old = ended(scheduler, play, "dead_letter").handle.record()
    outcome = getattr(scheduler, way)(old.id)
    record = outcome.wait(WAIT_S)
    assert (outcome.kind, record.id > old.id, record.retry_of) == (SubmitKind.INSERTED, True, old.id)
    for field in ("task_name", "key", "label", "payload", "priority", "max_retries", "fail_fast", "parent_id"):
        assert getattr(record, field) == getattr(old, field)
    assert (record.status, record.retries, record.error) == (DEAD, 1, "ValueError: no")
    assert scheduler.task(old.id) == old


def test_what_can_be_repeated(any_stage: Stage, domain: Domain) -> None:
    """S-136, S-424, S-427: retry takes failed ends and CANCELLED, retry_dead_letter dead letters; else InvalidTask."""
    dead = Failing(domain, ValueError("no"), retry=Retry.none())
    other = Domain("other")
    lost = Failing(other, PermanentError("never"))

    @domain.task()
    def good(ctx: Context) -> None: ...

    scheduler = any_stage.started(domain, other)
    ids = {
        "dead_letter": ended(scheduler, dead, "dead_letter").id,
        "failed": ended(scheduler, lost, "failed").id,
        "cancelled": ended(scheduler, dead, "cancelled").id,
        "completed": settle([scheduler.submit(good)])[0].id,
        "pending": scheduler.submit(good.options(run_after=3600)).id,
        "superseded": scheduler.submit(good.options(run_after=3600, key="s")).id,
    }
    scheduler.submit(good.options(run_after=3600, key="s", on_duplicate=DuplicatePolicy.SUPERSEDE))
    for status, task_id in ids.items():
        for call, allowed in (
            (scheduler.retry_dead_letter, {"dead_letter"}),
            (scheduler.retry, {"dead_letter", "failed", "cancelled"}),
        ):
            if status in allowed:
                scheduler.cancel(call(task_id).id)
                continue
            with pytest.raises(InvalidTask, match=rf"{task_id}.*expected.*{status}"):
                call(task_id)
    before = scheduler.count()
    for unknown in (0, -1, 999_999, 1 << 70):
        with pytest.raises(TaskNotFound, match=str(unknown)):
            scheduler.retry(unknown)
    with pytest.raises(InvalidTask):
        scheduler.retry(scheduler.flow("f").cancel() and scheduler.flow("f").id)
    assert scheduler.count() == before + 2


def test_a_repetition_where_the_key_is_held(stage: Stage, domain: Domain) -> None:
    """S-136: where an active task holds the key the outcome is DUPLICATE with its id, and nothing changes."""
    play = Failing(domain, ValueError("no"))
    scheduler = stage.started(domain)
    old = ended(scheduler, play, "dead_letter")
    holder = scheduler.submit(play.work.options(key="k", run_after=3600, priority=200), 1)
    before = holder.handle.record()
    outcome = scheduler.retry_dead_letter(old.id)
    assert (outcome.kind, outcome.id) == (SubmitKind.DUPLICATE, holder.id)
    assert holder.handle.record() == before


def test_a_repeated_child_joins_its_parent(stage: Stage, domain: Domain) -> None:
    """S-137: a retried child joins its parent while that is open; else it becomes a root task."""
    play = Failing(domain, ValueError("no"), retry=Retry.none())
    scheduler = stage.started(domain)
    flow = scheduler.flow("f", fail_fast=False)
    child = flow.spawn(play.work)
    child.wait(WAIT_S)
    again = scheduler.retry(child.id)
    assert again.wait(WAIT_S).parent_id == flow.id
    assert flow.summary().total == 2
    flow.finish()
    flow.wait(WAIT_S)
    assert scheduler.retry(again.id).wait(WAIT_S).parent_id is None


def test_our_own_errors_are_stored_by_the_name_by_which_they_are_imported() -> None:
    """A policy in a store goes on to name the same error when the model's files are laid out anew."""
    kinds = [kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)]
    assert {qualified(kind) for kind in kinds} == {f"millrace.model.errors.{kind.__name__}" for kind in kinds}
    assert len(kinds) >= 29
    assert qualified(LostError) == f"{__name__}.LostError"
