"""Batches: all or nothing, in the order given (S-067..S-073)."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from staging import Stage, heard_until, kinds, settle

from millrace import (
    BatchSubmitted,
    Context,
    Domain,
    DuplicatePolicy,
    InvalidTask,
    ParentClosed,
    PayloadTooLarge,
    Priority,
    Submission,
    SubmitKind,
    Submitted,
    TaskNotFound,
    TaskStatus,
    UnknownTask,
)


def test_a_batch_is_one_transaction_of_any_size(stage: Stage, domain: Domain) -> None:
    """S-067, S-068: ten thousand entries are stored in one commit, with outcomes in input order."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    outcomes = scheduler.submit_batch(work.call(n) for n in range(10_000))
    assert [outcome.id for outcome in outcomes] == list(range(1, 10_001))
    assert len({record.created_at for record in scheduler.tasks(limit=10_000)}) == 1
    assert scheduler.task(outcomes[7].id).payload == {"n": 7}


KILLED = """
import os, signal, sys, apsw
from millrace import Context, Domain, Scheduler
domain = Domain("play")
@domain.task()
def work(ctx: Context, n: int) -> None: ...
scheduler = Scheduler(sys.argv[1], domains=[domain], durability="process")
scheduler.submit(work, -1)
def entries():
    for n in range(3000):
        yield work.call(n)
store = scheduler._runtime
real = __import__("millrace.store.writer", fromlist=["Writer"]).Writer
insert = real.insert_tasks
def dies(self, tasks):
    insert(self, tasks[:1500])
    os.kill(os.getpid(), signal.SIGKILL)
real.insert_tasks = dies
scheduler.submit_batch(entries())
"""


@pytest.mark.crash
def test_a_killed_batch_leaves_nothing(stage: Stage) -> None:
    """S-067: where the process is killed in the midst of a batch, nothing of it is stored."""
    ended = subprocess.run([sys.executable, "-c", KILLED, stage.path], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert Path(stage.path + "-wal").stat().st_size > 0
    connection = apsw.Connection(stage.path)
    assert connection.execute("select payload from task").fetchall() == [('{"n":-1}',)]
    connection.close()


def test_an_invalid_entry_stores_nothing(any_stage: Stage, domain: Domain) -> None:
    """S-067: of a batch with an invalid entry nothing is stored or superseded, and the error names the entry's index."""
    stranger = Domain("strange")

    @stranger.task()
    def foreign(ctx: Context) -> None: ...

    @domain.task()
    def work(ctx: Context, s: Any) -> None: ...

    scheduler = any_stage.scheduler(domain, max_payload=100)
    holder = scheduler.submit(work.options(key="k"), 0)
    replace = work.options(key="k", on_duplicate=DuplicatePolicy.SUPERSEDE).call(1)
    bad: list[tuple[Submission[Any], type[Exception]]] = [
        (work.call(object()), InvalidTask),
        (work.call("x" * 200), PayloadTooLarge),
        (foreign.call(), UnknownTask),
        (work.options(parent=999).call(2), TaskNotFound),
    ]
    for entry, error in bad:
        with pytest.raises(error) as refused:
            scheduler.submit_batch([replace, work.call(5), entry])
        if error is not TaskNotFound:
            assert any("entry 2" in note for note in refused.value.__notes__)
        assert scheduler.count() == 1
        assert holder.handle.status() is TaskStatus.PENDING
    assert scheduler.submit(work, 5).kind is SubmitKind.INSERTED


def test_an_iterable_that_raises_stores_nothing(any_stage: Stage, domain: Domain) -> None:
    """S-067: where the iterable raises, its exception comes out and nothing is stored; the next batch works."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    def entries() -> Iterator[Submission[None]]:
        yield work.call(1)
        raise ZeroDivisionError

    scheduler = any_stage.scheduler(domain)
    with pytest.raises(ZeroDivisionError):
        scheduler.submit_batch(entries())
    assert scheduler.count() == 0
    assert len(scheduler.submit_batch([work.call(1)])) == 1


def test_an_empty_batch(stage: Stage) -> None:
    """S-068: an empty batch is an empty list."""
    assert stage.scheduler().submit_batch([]) == []


def test_the_last_entry_of_a_key_counts(stage: Stage, domain: Domain) -> None:
    """S-069: of entries with one key the last counts, under its own policy; the earlier are DUPLICATE with its outcome's id."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    keyed = work.options(key="k")
    fresh = scheduler.submit_batch([keyed.call(1), work.options(key="j").call(2), keyed.options(priority=3).call(3)])
    assert [outcome.kind.value for outcome in fresh] == ["duplicate", "inserted", "inserted"]
    assert fresh[0].id == fresh[2].id
    record = scheduler.task(fresh[2].id)
    assert (record.payload, record.priority) == ({"n": 3}, 3)
    again = scheduler.submit_batch(
        [keyed.options(on_duplicate=policy).call(n) for n, policy in enumerate(("supersede", "reject"))]  # type: ignore[arg-type]  # a policy by its name
    )
    assert [(outcome.kind.value, outcome.id) for outcome in again] == [
        ("duplicate", record.id),
        ("rejected", record.id),
    ]
    last = scheduler.submit_batch(
        [keyed.options(on_duplicate=policy).call(n) for n, policy in enumerate(("reject", "supersede"))]  # type: ignore[arg-type]  # a policy by its name
    )
    assert [outcome.kind.value for outcome in last] == ["duplicate", "superseded"]
    assert (last[0].id, last[1].replaced) == (last[1].id, record.id)


def test_entries_of_allow_stand_alone(stage: Stage, domain: Domain) -> None:
    """S-069, S-449: entries of the policy ALLOW are tasks of their own, also beside others of their key."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    keyed = work.options(key="k")
    allowed = keyed.options(on_duplicate=DuplicatePolicy.ALLOW)
    outcomes = scheduler.submit_batch([allowed.call(1), keyed.call(2), allowed.call(3), keyed.call(4)])
    assert [outcome.kind.value for outcome in outcomes] == ["inserted", "duplicate", "inserted", "inserted"]
    assert outcomes[1].id == outcomes[3].id
    assert scheduler.count() == 3


def test_each_entry_has_its_own_options(stage: Stage) -> None:
    """S-070: options of an entry are its submission's, its task's, its domain's; an explicit NORMAL is explicit."""
    low, high = Domain("low", priority=Priority.IDLE), Domain("high")

    @low.task()
    def plain(ctx: Context, n: int) -> None: ...

    @high.task(priority=Priority.HIGH)
    def urgent(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(low, high)
    normal = {"priority": Priority.NORMAL}
    outcomes = scheduler.submit_batch(
        [plain.call(1), urgent.call(1), plain.options(**normal).call(2), urgent.options(**normal).call(2)]  # type: ignore[arg-type]  # one option
    )
    assert [scheduler.task(outcome.id).priority for outcome in outcomes] == [255, 64, 128, 128]


def test_the_event_of_a_batch(stage: Stage, domain: Domain) -> None:
    """S-071, S-327: BatchSubmitted comes after the batch's Submitted, with the number of INSERTED and SUPERSEDED; else none."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    heard = scheduler.subscribe()
    replaces = work.options(on_duplicate=DuplicatePolicy.SUPERSEDE)
    scheduler.submit_batch([work.call(1), work.call(2), work.call(1)])
    scheduler.submit_batch([work.call(1)])
    scheduler.submit(work, 3)
    scheduler.submit_batch([replaces.call(1), work.call(2), work.call(4)])
    scheduler.submit(work.options(label="last"), 5)
    events = heard_until(heard, lambda event: isinstance(event, Submitted) and event.label == "last")[:-1]
    assert [event.inserted for event in events if isinstance(event, BatchSubmitted)] == [2, 2]
    assert kinds(events) == [
        *("Submitted", "Submitted", "BatchSubmitted", "Submitted"),
        *("Superseded", "Submitted", "Submitted", "BatchSubmitted"),
    ]


def test_nothing_of_a_batch_starts_before_all_is_there(stage: Stage, domain: Domain) -> None:
    """S-072: with free slots the most urgent entries of a batch start first, wherever in it they stand."""
    gate = stage.gate()
    order: list[int] = []

    @domain.task()
    def work(ctx: Context, n: int) -> None:
        order.append(n)
        gate.hold()

    scheduler = stage.started(domain, max_concurrency=1)
    entries = [work.options(priority=200 - n).call(n) for n in range(150)]
    outcomes = scheduler.submit_batch(entries)
    gate.open()
    settle(outcomes)
    assert order == list(range(149, -1, -1))


def test_a_batch_with_a_closed_parent_is_refused(stage: Stage, domain: Domain) -> None:
    """S-073: entries may have parents; one closed parent refuses the whole batch."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    flow, closed = scheduler.flow("f"), scheduler.flow("f")
    closed.cancel()
    entries = [work.call(1), work.options(parent=flow.id).call(1)]
    with pytest.raises(ParentClosed, match=rf"{closed.id}.*cancelled"):
        scheduler.submit_batch([*entries, work.options(parent=closed.id).call(1)])
    assert scheduler.count(task=work) == 0
    made = scheduler.submit_batch(entries)
    assert [scheduler.task(outcome.id).parent_id for outcome in made] == [None, flow.id]


def test_a_batch_cannot_close_a_parent_of_its_own(stage: Stage, domain: Domain) -> None:
    """S-067, S-073: an entry below a task that another entry of the batch supersedes is refused, and nothing is stored."""

    @domain.task()
    def work(ctx: Context, n: int) -> None: ...

    scheduler = stage.scheduler(domain)
    old = scheduler.submit(work.options(key="k"), 0)
    replace = work.options(key="k", on_duplicate=DuplicatePolicy.SUPERSEDE).call(1)
    below = work.options(parent=old.id).call(2)
    for entries in ([replace, below], [below, replace]):
        with pytest.raises(ParentClosed):
            scheduler.submit_batch(entries)
        assert (scheduler.count(), old.handle.status()) == (1, TaskStatus.PENDING)
