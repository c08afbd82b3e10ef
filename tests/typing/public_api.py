"""Code that is type-checked and never run: what a user's editor knows about the public API."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_type

from millrace import (
    CancelResult,
    ChildResult,
    Context,
    Cron,
    Domain,
    DomainHandle,
    Event,
    Every,
    Flow,
    GroupInfo,
    IoBudget,
    Outcome,
    Priority,
    RateLimit,
    Retry,
    Scheduler,
    Snapshot,
    Submission,
    Task,
    TaskHandle,
    TaskRecord,
    TaskStatus,
    TypeStats,
)


class Library:
    """State that bodies share."""


media = Domain(
    "media",
    retry=Retry.constant(2),
    priority=Priority.BACKGROUND,
    max_concurrency=2,
    group="images",
    tags={"kind": "image"},
    state=[Library()],
)


@dataclass(frozen=True)
class Size:
    """A payload field of the application's own."""

    width: int
    height: int


@media.task()
def thumbnail(ctx: Context, path: str, size: Size) -> int:
    """A body: the payload's types and the memo's carry through to the caller."""
    for _part in ctx.track(range(3)):
        ctx.check_cancelled()
    ctx.set_bytes_total(10)
    ctx.add_bytes(5)
    ctx.record_io(disk_read=1, net_tx=2)
    ctx.log.info("half of %s", path, extra={"part": 1})
    return size.width * size.height


@media.task("album", child_concurrency=2)
def make_album(ctx: Context, paths: list[str]) -> int:
    """A parent: a child's memo has the child's type."""
    outcomes = ctx.spawn_children(thumbnail.call(path, Size(1, 1)) for path in paths)
    assert_type(outcomes, list[Outcome[int]])
    assert_type(ctx.spawn_child(thumbnail, "a.jpg", Size(1, 1)), Outcome[int])
    return len(paths)


@make_album.finalize
def finish_album(ctx: Context, memo: int, paths: list[str]) -> int:
    """A finalizer takes the memo, then the payload."""
    results = ctx.child_results(thumbnail)
    assert_type(results, Iterator[ChildResult[int]])
    return sum(result.memo or 0 for result in results) + memo + len(paths)


@make_album.on_cancel
def forget_album(ctx: Context, paths: list[str]) -> None:
    """A cancel hook takes the payload."""


def host_of(url: str, token: str) -> dict[str, str]:
    """Tags from the payload."""
    return {"host": url, "has_token": str(bool(token))}


@media.task(
    io=IoBudget.disk(read=1 << 20),
    group="downloads",
    tags=host_of,
    rate_limit=RateLimit.per_second(5),
    version=2,
    aliases=["get"],
    redact=["token"],
)
def fetch(ctx: Context, url: str, token: str = "") -> bytes:
    """A body that asks for state, and whose payload has changed."""
    assert_type(ctx.state(Library), Library)
    assert_type(ctx.state(Library, domain="other"), Library)
    return b""


@fetch.migrate(1)
def rename_address(payload: dict[str, Any]) -> dict[str, Any]:
    """A step is still a function."""
    return {"url": payload["address"]}


assert_type(rename_address({}), dict[str, Any])
assert_type(thumbnail.call("a.jpg", Size(1, 1)), Submission[int])
assert_type(thumbnail.domain, Domain)


def same_signature(task: Task[[str, Size], int]) -> None:
    """A task with options is called like the task."""
    assert_type(task.options(priority=Priority.HIGH), Task[[str, Size], int])
    tagged = task.options(group="g", tags={"a": "1"}, io=IoBudget(), executor="thread")
    assert_type(tagged, Task[[str, Size], int])


def submit(scheduler: Scheduler) -> None:
    """Submitting gives an outcome of the memo's type, and a handle and a future from it."""
    outcome = scheduler.submit(thumbnail, "a.jpg", size=Size(1, 1))
    assert_type(outcome, Outcome[int])
    assert_type(outcome.handle, TaskHandle[int])
    assert_type(outcome.handle.future(), Future[int])
    assert_type(outcome.result(timeout=1.0), int)
    assert_type(outcome.wait(), TaskRecord)
    assert_type(outcome.wait().status, TaskStatus)
    assert_type(scheduler.find(thumbnail, "key"), TaskRecord | None)
    assert_type(scheduler.log(outcome.id), str | None)
    assert_type(scheduler.cancel(outcome.id), CancelResult)


def recur(scheduler: Scheduler) -> None:
    """A task with a schedule is submitted like any other, and its series are values."""
    nightly = thumbnail.options(schedule=Cron("0 3 * * *", "Europe/Berlin", catch_up="none"))
    outcome = scheduler.submit(nightly, "a.jpg", Size(1, 1))
    assert_type(outcome, Outcome[int])
    assert_type(scheduler.run_now(outcome.id), bool)
    for info in scheduler.schedules():
        assert_type(info.schedule, Every | Cron)
        assert_type(info.next_run, datetime | None)


def drive(scheduler: Scheduler) -> None:
    """A flow spawns like a parent does."""
    flow = scheduler.flow("import", key="import-1", tags={"batch": "1"})
    assert_type(flow, Flow)
    assert_type(flow.spawn(thumbnail, "a.jpg", Size(1, 1)), Outcome[int])


def share(scheduler: Scheduler) -> None:
    """State is given at any time."""
    scheduler.register_state(Library())


def listen(scheduler: Scheduler) -> None:
    """A subscription is an iterator of events and closes itself."""
    with scheduler.subscribe(task=thumbnail) as events:
        for event in events:
            assert_type(event, Event)


def look(scheduler: Scheduler) -> None:
    """Lists give records, and a predicate takes one."""
    wanted = [TaskStatus.PENDING, TaskStatus.PAUSED]
    found = scheduler.tasks(status=wanted, task=thumbnail, tags={"env": "prod"}, tag_prefix="e", group="g", limit=5)
    assert_type(found, list[TaskRecord])
    assert_type(scheduler.count(domain="media", status=TaskStatus.FAILED), int)
    assert_type(scheduler.tag_values("env"), Mapping[str, int])
    assert_type(scheduler.tag_keys("e", domain="media"), list[str])
    assert_type(scheduler.cancel_where(predicate=lambda record: record.priority > 64, task=thumbnail), list[int])
    assert_type(scheduler.stats(thumbnail), TypeStats)
    assert_type(scheduler.snapshot().groups, Sequence[GroupInfo])
    handle = scheduler.domain("media")
    assert_type(handle, DomainHandle)
    assert_type(handle.snapshot(), Snapshot)
    assert_type(handle.dead_letters(limit=3), list[TaskRecord])


def refused(scheduler: Scheduler) -> None:
    """Arguments that do not fit the body are errors at once; the checkers report an ignore that is not needed."""
    scheduler.submit(thumbnail, "a.jpg")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    thumbnail.call(1, Size(1, 1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
