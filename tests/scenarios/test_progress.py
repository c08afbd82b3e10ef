"""Progress: what bodies report, where it shows, and how it rolls up (behaviour.md, section 23)."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from staging import WAIT_S, Gate, Stage, heard_until, of_task

from millrace import (
    Completed,
    Context,
    Domain,
    Event,
    Failed,
    Outcome,
    Priority,
    Progress,
    Retry,
    Scheduler,
    TaskStatus,
)
from millrace.actors.requests import SampleProgress


def until(is_true: Callable[[], bool]) -> None:
    """Wait for what happens by itself, and that nothing announces."""
    deadline = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < deadline, "it never became true"
        threading.Event().wait(0.01)


def told(events: list[Event], task_id: int) -> list[tuple[float, str | None]]:
    """What events of progress said of a task."""
    return [(event.fraction, event.message) for event in of_task(events, task_id) if isinstance(event, Progress)]


def ends(task_id: int) -> Callable[[Event], bool]:
    """Whether an event is the good end of a task."""
    return lambda event: isinstance(event, Completed) and event.task_id == task_id


class Teller:
    """A task whose body reports what the test wants, when it wants."""

    def __init__(self, stage: Stage, domain: Domain) -> None:
        self.gate: Gate = stage.gate()
        self.said: list[tuple[float, str | None]] = []

        @domain.task()
        def tell(ctx: Context, n: int) -> None:
            while True:
                self.gate.hold()
                if not self.said:
                    return
                ctx.progress(*self.said.pop(0))

        self.task = tell
        self._arrivals = 0

    def await_ready(self) -> None:
        """Until the body waits for its next report."""
        self._arrivals += 1
        self.gate.await_arrivals(self._arrivals)

    def say(self, fraction: float, message: str | None = None) -> None:
        """One report; it is made when this returns."""
        self.said.append((fraction, message))
        self.gate.let_pass()
        self.await_ready()


@pytest.fixture
def teller(stage: Stage, domain: Domain) -> Teller:
    """A task that reports on demand."""
    return Teller(stage, domain)


# One task


def test_a_report_shows_at_once(stage: Stage, domain: Domain, teller: Teller) -> None:
    """S-295, S-344: in the owner's process every look finds the last report."""
    scheduler = stage.started(domain)
    outcome = scheduler.submit(teller.task, 0)
    teller.await_ready()
    assert outcome.handle.record().progress is None
    for fraction in (0.1, 0.7, 0.3):
        teller.say(fraction)
        assert outcome.handle.record().progress == fraction
        assert [record.progress for record in scheduler.tasks()] == [fraction]


@pytest.mark.parametrize(("said", "shown"), [(-1.0, 0.0), (1.5, 1.0), (math.inf, 1.0), (-math.inf, 0.0), (1, 1.0)])
def test_reports_are_cut(stage: Stage, domain: Domain, teller: Teller, said: float, shown: float) -> None:
    """S-295: to 0..1."""
    scheduler = stage.started(domain)
    outcome = scheduler.submit(teller.task, 0)
    teller.await_ready()
    teller.say(said)
    assert scheduler.task(outcome.id).progress == shown


def test_nan_is_ignored(stage: Stage, domain: Domain, teller: Teller) -> None:
    """S-295: what was reported before stays."""
    scheduler = stage.started(domain)
    outcome = scheduler.submit(teller.task, 0)
    teller.await_ready()
    teller.say(0.5)
    teller.say(math.nan)
    assert scheduler.task(outcome.id).progress == 0.5


def test_the_last_report_is_kept_with_the_settled_task(stage: Stage, domain: Domain, teller: Teller) -> None:
    """S-346: of a task without children."""
    scheduler = stage.started(domain)
    outcome = scheduler.submit(teller.task, 0)
    teller.await_ready()
    teller.say(0.75)
    teller.gate.open()
    assert outcome.wait(WAIT_S).progress == 0.75


def test_each_run_begins_without_progress(stage: Stage, domain: Domain) -> None:
    """S-303: a retry does not show what the run before it reported, here or elsewhere."""
    gate = stage.gate()

    @domain.task(retry=Retry.constant(1, 0.0))
    def work(ctx: Context) -> None:
        if ctx.attempt == 1:
            ctx.progress(0.9, "nearly")
            raise ValueError
        gate.hold()

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    assert scheduler.task(outcome.id).progress is None
    assert stage.scheduler(domain).task(outcome.id).progress is None


def test_the_store_follows_within_a_second(stage: Stage, domain: Domain, teller: Teller) -> None:
    """S-344: another reader of the file sees the report soon, and the last one in the end."""
    scheduler = stage.started(domain, progress_interval=None)
    outcome = scheduler.submit(teller.task, 0)
    elsewhere = stage.scheduler(domain)
    teller.await_ready()
    for fraction in (0.25, 0.5):
        teller.say(fraction)
        begun = time.monotonic()
        until(lambda fraction=fraction: elsewhere.task(outcome.id).progress == fraction)
        assert time.monotonic() - begun < 5.0


def test_the_store_is_written_at_most_twice_a_second(stage: Stage, domain: Domain) -> None:
    """S-295: however often a body reports, and however short the interval of events is."""
    gate = stage.gate()

    @domain.task()
    def work(ctx: Context) -> None:
        for n in range(200_000):
            ctx.progress(n / 200_000)
        gate.hold()

    scheduler = stage.started(domain, progress_interval=0.0)
    subscription = scheduler.subscribe(kinds=[Progress])
    board = scheduler._runtime.progress
    written: list[tuple[float, float]] = []
    sample = board.sample

    def watch() -> Any:
        begun = time.monotonic()
        taken = sample()
        if taken.written:
            written.append((begun, time.monotonic()))
        return taken

    board.sample = watch  # type: ignore[method-assign]  # to count what is written
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    until(lambda: len(written) >= 2)
    # From before the one to after the other: this thread may stand still anywhere between.
    assert all(later[1] - earlier[0] >= 0.49 for earlier, later in pairwise(written))
    gate.open()
    outcome.wait(WAIT_S)
    subscription.close()


def test_a_report_costs_little(stage: Stage, domain: Domain) -> None:
    """S-295: under a microsecond is what is promised; the test leaves room for a busy machine."""
    seconds: list[float] = []

    @domain.task()
    def work(ctx: Context) -> None:
        for _ in range(5):
            begun = time.thread_time()
            for n in range(10_000):
                ctx.progress(n / 10_000)
            seconds.append(time.thread_time() - begun)

    stage.started(domain).submit(work).wait(WAIT_S)
    assert min(seconds) / 10_000 < 3e-6


# track


def test_track_yields_the_items_and_reports_each(stage: Stage, domain: Domain) -> None:
    """S-296: done / total where ``len`` is known, 1.0 at the end, with the message."""
    seen: list[tuple[str, float | None]] = []

    @domain.task()
    def work(ctx: Context) -> list[str]:
        got = []
        for item in ctx.track(["a", "b", "c", "d"], message="reading"):
            got.append(item)
            seen.append((item, ctx.scheduler.task(ctx.id).progress))
        seen.append(("end", ctx.scheduler.task(ctx.id).progress))
        return got

    scheduler = stage.started(domain)
    assert scheduler.submit(work).result(WAIT_S) == ["a", "b", "c", "d"]
    assert seen == [("a", None), ("b", 0.25), ("c", 0.5), ("d", 0.75), ("end", 1.0)]


def test_track_takes_a_total_for_what_has_no_length(stage: Stage, domain: Domain) -> None:
    """S-296: a generator with ``total``, and without one only the end."""
    seen: list[float | None] = []

    def items() -> Iterator[int]:
        yield from (1, 2)

    @domain.task()
    def work(ctx: Context, total: int | None) -> None:
        for _ in ctx.track(items(), total=total):
            seen.append(ctx.scheduler.task(ctx.id).progress)  # noqa: PERF401 - the loop is what is tested
        seen.append(ctx.scheduler.task(ctx.id).progress)

    scheduler = stage.started(domain)
    scheduler.submit(work, 2).wait(WAIT_S)
    assert seen == [None, 0.5, 1.0]
    seen.clear()
    scheduler.submit(work, None).wait(WAIT_S)
    assert seen == [None, None, 1.0]


def test_track_is_a_point_to_stop_at(stage: Stage, domain: Domain) -> None:
    """S-296: a cancel ends the loop before the next item."""
    gate = stage.gate()
    got: list[int] = []

    @domain.task()
    def work(ctx: Context) -> None:
        for item in ctx.track(range(3)):
            got.append(item)
            gate.hold()
            ctx.wait_cancelled(WAIT_S)

    scheduler = stage.started(domain)
    outcome = scheduler.submit(work)
    gate.await_arrivals()
    gate.open()
    outcome.handle.cancel()
    assert outcome.wait(WAIT_S).status == "cancelled"
    assert got == [0]


# Events


def test_the_last_report_is_told_before_the_end(stage: Stage, domain: Domain) -> None:
    """S-295, S-304: however long the interval is, and with the message."""

    @domain.task()
    def work(ctx: Context) -> None:
        for n in range(1000):
            ctx.progress(n / 1000, str(n))

    scheduler = stage.started(domain, progress_interval=3600)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(work)
    events = heard_until(subscription, ends(outcome.id))
    assert told(events, outcome.id)[-1] == (0.999, "999")
    assert len(told(events, outcome.id)) <= 2
    last = events[-2]
    assert isinstance(last, Progress)
    assert (last.task_name, last.bytes_done, last.eta) == ("play::work", None, None)


def test_a_failed_run_says_its_last_word_too(stage: Stage, domain: Domain) -> None:
    """Before the failure is told; the next run begins anew."""

    @domain.task(retry=Retry.constant(1, 0.0))
    def work(ctx: Context) -> None:
        ctx.progress(0.5, f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            raise ValueError

    scheduler = stage.started(domain, progress_interval=3600)
    subscription = scheduler.subscribe(kinds=[Progress, Failed, Completed])
    outcome = scheduler.submit(work)
    events = heard_until(subscription, ends(outcome.id))
    assert [type(event).__name__ for event in events] == ["Progress", "Failed", "Progress", "Completed"]
    assert told(events, outcome.id) == [(0.5, "attempt 1"), (0.5, "attempt 2")]


def test_events_come_on_change_only(stage: Stage, domain: Domain, teller: Teller) -> None:
    """S-295: a report that says the same is not told again; another message alone is."""
    scheduler = stage.started(domain, progress_interval=0.0)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(teller.task, 0)
    teller.await_ready()
    is_progress = lambda event: isinstance(event, Progress)  # noqa: E731 - a predicate with a name
    teller.say(0.5)
    heard_until(subscription, is_progress)
    teller.say(0.5)
    teller.say(0.5)
    teller.say(0.5, "half")
    events = heard_until(subscription, is_progress)
    teller.gate.open()
    events += heard_until(subscription, ends(outcome.id))
    assert told(events, outcome.id) == [(0.5, "half")]


def test_a_message_without_a_fraction_is_told_as_nothing(stage: Stage, domain: Domain) -> None:
    """S-314: 0.0 where the fraction is unknown; the record says that it is."""

    @domain.task()
    def work(ctx: Context) -> None:
        ctx.progress(math.nan, "looking")

    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(work)
    assert told(heard_until(subscription, ends(outcome.id)), outcome.id) == [(0.0, "looking")]
    assert outcome.handle.record().progress is None


def test_none_means_no_events(stage: Stage, domain: Domain) -> None:
    """S-295: of tasks and of parents; the records show it all the same."""

    @domain.task()
    def leaf(ctx: Context) -> None:
        ctx.progress(0.5)

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_child(leaf)

    scheduler = stage.started(domain, progress_interval=None)
    subscription = scheduler.subscribe()
    outcome = scheduler.submit(parent)
    events = heard_until(subscription, ends(outcome.id))
    assert not [event for event in events if isinstance(event, Progress)]
    assert [child.progress for child in scheduler.children(outcome.id)] == [0.5]


@pytest.mark.parametrize("interval", [-1, math.nan, math.inf])
def test_an_interval_that_cannot_be_is_refused(interval: float) -> None:
    """Below 0, NaN, and infinite."""
    with pytest.raises(ValueError, match="progress_interval"):
        Scheduler(progress_interval=interval)


# Parents


def family(stage: Stage, domain: Domain, scheduler: Callable[[], Scheduler]) -> tuple[Outcome[None], Teller, Scheduler]:
    """A parent of four: two children have settled, one reports on demand, one waits for its slot."""
    teller = Teller(stage, domain)

    @domain.task()
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.progress(0.9, "at work")
        ctx.spawn_children(
            [
                leaf.options(priority=Priority(1)).call(1),
                leaf.options(priority=Priority(1)).call(2),
                teller.task.options(priority=Priority(2)).call(0),
                leaf.options(priority=Priority(250)).call(3),
            ]
        )

    running = scheduler()
    outcome = running.submit(parent)
    teller.await_ready()
    until(lambda: running.count(status=TaskStatus.COMPLETED) == 2)
    return outcome, teller, running


def test_a_parent_is_at_the_mean_of_its_children(stage: Stage, domain: Domain) -> None:
    """S-301: two settled, one at a half, one that has not started make 0.625, at once."""
    outcome, teller, scheduler = family(stage, domain, lambda: stage.started(domain, max_concurrency=1))
    assert scheduler.task(outcome.id).progress == 0.5
    teller.say(0.5)
    assert scheduler.task(outcome.id).progress == 0.625
    teller.say(0.0)
    assert scheduler.task(outcome.id).progress == 0.625
    teller.gate.open()
    assert outcome.wait(WAIT_S).progress == 1.0


def test_a_parents_events_roll_up_and_keep_its_message(stage: Stage, domain: Domain) -> None:
    """S-302, S-314: also after its body has returned; the last one is 1.0, before its end."""
    scheduler = stage.scheduler(domain, max_concurrency=1, progress_interval=0.01)
    subscription = scheduler.subscribe()
    outcome, teller, _ = family(stage, domain, scheduler.start)
    teller.say(0.5)
    events = heard_until(subscription, lambda event: isinstance(event, Progress) and event.fraction == 0.625)
    teller.gate.open()
    events += heard_until(subscription, ends(outcome.id))
    said = told(events, outcome.id)
    assert {message for _, message in said} == {"at work"}
    fractions = [fraction for fraction, _ in said if fraction != 0.9]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(set(fractions)) == len(fractions)


def test_it_climbs_the_whole_tree(stage: Stage, domain: Domain, teller: Teller) -> None:
    """S-302: a leaf's report moves what is three levels above it."""

    @domain.task()
    def leaf(ctx: Context) -> None: ...

    @domain.task()
    def level(ctx: Context, depth: int) -> None:
        ctx.spawn_child(leaf.options(priority=Priority.HIGH))
        if depth:
            ctx.spawn_child(level, depth - 1)
        else:
            ctx.spawn_child(teller.task, 0)

    scheduler = stage.started(domain, max_concurrency=2)
    outcome = scheduler.submit(level, 2)
    teller.await_ready()
    until(lambda: scheduler.count(task=leaf) == 3 and all(r.finished_at for r in scheduler.tasks(task=leaf)))
    teller.say(0.5)
    records = {record.payload["depth"]: record.progress for record in scheduler.tasks(task=level)}
    assert records == {0: 0.75, 1: 0.875, 2: 0.9375}
    assert scheduler.task(outcome.id).progress == 0.9375


def test_after_a_restart_the_roll_up_is_rebuilt(stage: Stage, domain: Domain) -> None:
    """S-303: from the settled children, all the way up; a run that went with the process counts nothing until it reports."""
    begun, released = threading.Event(), threading.Event()
    has_said: list[bool] = []

    @domain.task()
    def leaf(ctx: Context, n: int) -> None: ...

    @domain.task()
    def hold(ctx: Context) -> None:
        if not has_said:
            has_said.append(True)
            ctx.progress(0.5)
        begun.set()
        while not released.is_set() and not ctx.wait_cancelled(0.01):
            pass
        ctx.check_cancelled()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([leaf.call(1), leaf.call(2), leaf.call(3), hold.call()])

    @domain.task()
    def grandparent(ctx: Context) -> None:
        ctx.spawn_child(parent)
        ctx.spawn_child(leaf, 0)

    first = stage.started(domain)
    above = first.submit(grandparent)
    assert begun.wait(WAIT_S)
    until(lambda: first.count(status=TaskStatus.COMPLETED) == 4)
    below = first.find(parent, first.tasks(task=parent)[0].key)
    assert below is not None
    assert (below.progress, first.task(above.id).progress) == (0.875, 0.9375)
    begun.clear()
    first.stop(0.0)
    second = stage.started(domain)
    assert begun.wait(WAIT_S)
    assert (second.task(below.id).progress, second.task(above.id).progress) == (0.75, 0.875)
    released.set()
    assert second._core.wait(above.id, WAIT_S).progress == 1.0


def test_other_readers_see_a_parents_progress(stage: Stage, domain: Domain) -> None:
    """S-344: in the store within a second."""
    outcome, teller, _ = family(stage, domain, lambda: stage.started(domain, max_concurrency=1))
    teller.say(0.5)
    elsewhere = stage.scheduler(domain)
    until(lambda: elsewhere.task(outcome.id).progress == 0.625)


# What it costs


def test_nothing_ticks_where_nothing_reports(stage: Stage, domain: Domain) -> None:
    """A scheduler without reports and children gets no tick at all; after a last report there is at most one more."""
    ticks: list[object] = []

    @domain.task()
    def work(ctx: Context, says: bool) -> None:
        if says:
            ctx.progress(0.5)

    scheduler = stage.started(domain)
    inbox = scheduler._runtime.persistence
    tell = inbox.tell

    def watch(message: Any) -> None:
        if isinstance(message, SampleProgress):
            ticks.append(message)
        tell(message)

    inbox.tell = watch  # type: ignore[method-assign]  # to count ticks
    for n in range(20):
        scheduler.submit(work.options(key=str(n)), False).wait(WAIT_S)
    assert ticks == []
    scheduler.submit(work, True).wait(WAIT_S)
    threading.Event().wait(1.2)
    assert len(ticks) <= 1


def test_what_has_ended_is_forgotten(stage: Stage, domain: Domain) -> None:
    """The board holds nothing of tasks that have settled."""
    scheduler = stage.scheduler(domain, max_concurrency=1, progress_interval=0.01)
    subscription = scheduler.subscribe()
    outcome, teller, _ = family(stage, domain, scheduler.start)
    teller.say(0.5, "half")
    teller.gate.open()
    outcome.wait(WAIT_S)
    board = scheduler._runtime.progress
    until(lambda: not (board._runs or board._told or board._messages or len(board._rollup)))
    until(lambda: not (board._due.unwritten or board._due.untold))
    subscription.close()


# Estimates


def test_history_says_how_far_a_run_may_be(stage: Stage, domain: Domain) -> None:
    """S-299, S-300, S-301: by the mean of runs that ended well; its parent counts it so, its record shows what it said."""
    gate = stage.gate()

    @domain.task()
    def leaf(ctx: Context, holds: bool) -> None:
        if holds:
            gate.hold()

    @domain.task()
    def parent(ctx: Context) -> None:
        ctx.spawn_children([leaf.call(True), leaf.options(run_after=3600).call(False)])

    scheduler = stage.started(domain)
    scheduler.submit(leaf, False).wait(WAIT_S)
    above = scheduler.submit(parent)
    gate.await_arrivals()
    until(lambda: scheduler.task(above.id).status is TaskStatus.WAITING)
    held = next(record for record in scheduler.children(above.id) if record.status is TaskStatus.RUNNING)

    def seen(task_id: int) -> Any:
        return next(one for one in scheduler.snapshot().progress if one.task_id == task_id)

    until(lambda: seen(held.id).extrapolated == 0.99)  # it has taken longer than the other one
    assert (seen(held.id).fraction, seen(held.id).reported) == (0.99, None)
    assert scheduler.task(held.id).progress is None
    until(lambda: seen(above.id).fraction == pytest.approx(0.495))
    assert (seen(above.id).children_done, seen(above.id).children_total) == (0, 2)
    scheduler.cancel(above.id)
