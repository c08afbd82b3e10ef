"""Payloads of older and newer code (behaviour.md, section 33)."""

import re
from collections.abc import Callable
from typing import Any

import apsw
import dying
import pytest
from staging import WAIT_S, Stage, heard_until

from millrace import Context, Domain, InvalidTask, Parked, Retry, Scheduler, TaskStatus

Payload = dict[str, Any]


def first() -> Domain:
    """Version 1 of the program: a size in bytes."""
    domain = Domain("play")

    @domain.task()
    def resize(ctx: Context, size: int) -> int:
        return size

    return domain


def third() -> Domain:
    """Version 3: a size in kB since version 2, with a unit since version 3."""
    domain = Domain("play")

    @domain.task(version=3)
    def resize(ctx: Context, size: float, unit: str) -> list[Any]:
        return [size, unit]

    @resize.migrate(1)
    def to_kilobytes(payload: Payload) -> Payload:
        payload["size"] /= 1000
        return payload

    @resize.migrate(2)
    def name_unit(payload: Payload) -> Payload:
        return {**payload, "unit": "kB"}

    return domain


def queued(stage: Stage, domain: Domain, *args: Any) -> int:
    """Submit a task as a program that runs nothing."""
    scheduler = stage.scheduler(domain)
    task_id = scheduler.submit(domain.tasks["play::resize"], *args).id
    scheduler.stop()
    return task_id


def stored(stage: Stage, task_id: int) -> tuple[str, int]:
    """Payload and version as they stand in the file."""
    with apsw.Connection(stage.path) as store:
        row = store.execute(
            "SELECT payload, version FROM task WHERE id = :id UNION ALL SELECT payload, version FROM history WHERE id = :id",
            {"id": task_id},
        ).fetchone()
    store.close()
    return row


def parked(scheduler: Scheduler, task_id: int) -> str:
    """Wait until the task is parked; why it is."""
    record = dying.reached(scheduler, task_id, lambda record: record.status is TaskStatus.PARKED)
    assert (record.retries, record.attempt) == (0, 1)
    return record.error or ""


def test_older_payloads_go_through_every_step(stage: Stage) -> None:
    """S-418: from version 1 by 2 to 3, at the run; the stored payload and the record's stay as they were."""
    task_id = queued(stage, first(), 2500)
    scheduler = stage.started(third())
    record = dying.settled(scheduler, task_id)
    assert (record.status, record.memo) == (TaskStatus.COMPLETED, [2.5, "kB"])
    assert record.payload == {"size": 2500}
    assert stored(stage, task_id) == ('{"size":2500}', 1)


def test_payloads_of_this_version_are_left_alone(stage: Stage) -> None:
    """S-418: no step is called for what the code has submitted itself."""
    domain = third()
    scheduler = stage.started(domain)
    outcome = scheduler.submit(domain.tasks["play::resize"], 7.0, "MB")
    assert outcome.result(WAIT_S) == [7.0, "MB"]
    assert stored(stage, outcome.id)[1] == 3


def test_each_run_migrates_anew(stage: Stage) -> None:
    """S-418: a retry starts from the stored payload, whatever the run before has made of what it was given."""
    seen: list[Any] = []
    domain = Domain("play")

    @domain.task(version=2, retry=Retry.constant(1))
    def resize(ctx: Context, size: list[int]) -> None:
        seen.append(list(size))
        size.append(ctx.attempt)
        if ctx.attempt == 1:
            raise OSError

    @resize.migrate(1)
    def wrap(payload: Payload) -> Payload:
        return {"size": [payload["size"]]}

    task_id = queued(stage, first(), 5)
    assert dying.settled(stage.started(domain), task_id).status is TaskStatus.COMPLETED
    assert seen == [[5], [5]]


def test_finalizer_and_hook_get_the_migrated_payload(stage: Stage) -> None:
    """S-418: whatever of the task runs, it is called with a payload of its own version."""
    seen: list[tuple[str, Any]] = []

    def program(version: int) -> Domain:
        domain = Domain("play")

        @domain.task("resize", version=version)
        def body(ctx: Context, size: int) -> None:
            child = domain.tasks["play::child"]
            ctx.spawn_child(child.options(run_after=3600))

        @domain.task()
        def child(ctx: Context) -> None: ...

        @body.finalize
        def end(ctx: Context, memo: None, size: int) -> None:
            seen.append(("finalizer", size))

        @body.on_cancel
        def clear(ctx: Context, size: int) -> None:
            seen.append(("hook", size))

        if version == 2:
            body.migrate(1)(lambda payload: {"size": -payload["size"]})
        return domain

    domain = program(1)
    scheduler = stage.started(domain)
    tasks = [scheduler.submit(domain.tasks["play::resize"], n) for n in (1, 2)]
    for task in tasks:
        dying.reached(scheduler, task.id, lambda record: record.status is TaskStatus.WAITING)
    scheduler.stop()
    scheduler = stage.started(program(2))
    (child,) = scheduler.children(tasks[0].id)
    scheduler.cancel(child.id)
    dying.settled(scheduler, tasks[0].id)
    scheduler.cancel(tasks[1].id)
    dying.settled(scheduler, tasks[1].id)
    assert seen == [("finalizer", -1), ("hook", -2)]


def _raise(payload: Payload) -> Payload:
    raise KeyError("the secret")


def _exit(payload: Payload) -> Payload:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (None, r"no migrate\(1\) leads on to 2"),
        (_raise, r"migrate\(1\) raised KeyError\('the secret'\)"),
        (_exit, r"migrate\(1\) raised SystemExit\(3\)"),
        (lambda payload: None, r"migrate\(1\): expected a dict, got NoneType"),
        (lambda payload: {"size": object()}, "no JSON"),
        (lambda payload: {"other": 1}, "does not decode"),
    ],
    ids=["missing", "raises", "exits", "gives none", "no json", "misfit"],
)
def test_a_step_that_fails_parks_the_task(stage: Stage, step: Callable[[Any], Any] | None, reason: str) -> None:
    """S-416, S-418: with the reason in its error and told, at no retry; a program with the step runs it."""
    domain = Domain("play")

    @domain.task(version=2)
    def resize(ctx: Context, size: int) -> int:
        return size

    if step is not None:
        resize.migrate(1)(step)
    task_id = queued(stage, first(), 1)
    scheduler = stage.scheduler(domain)
    with scheduler.subscribe() as events:
        scheduler.start()
        told = heard_until(events, lambda event: isinstance(event, Parked))[-1]
    why = parked(scheduler, task_id)
    assert isinstance(told, Parked)
    assert told.reason == why
    assert re.search(reason, why)
    scheduler.stop()
    assert dying.settled(stage.started(third()), task_id).memo == [0.001, "kB"]


def test_a_payload_of_newer_code_is_parked(stage: Stage) -> None:
    """S-418: going back to older code loses nothing; the newer one runs it again."""
    task_id = queued(stage, third(), 1.5, "kB")
    scheduler = stage.started(first())
    why = parked(scheduler, task_id)
    assert "version 3" in why
    assert "version 1" in why
    scheduler.stop()
    assert dying.settled(stage.started(third()), task_id).memo == [1.5, "kB"]


def test_a_repetition_keeps_the_version_of_its_payload(stage: Stage) -> None:
    """S-134: what is repeated by hand is migrated like the old submission."""
    task_id = queued(stage, first(), 3000)
    failing = Domain("play")

    @failing.task(version=2, retry=Retry.none())
    def resize(ctx: Context, size: int) -> None:
        raise ValueError

    resize.migrate(1)(lambda payload: payload)
    scheduler = stage.started(failing)
    dying.settled(scheduler, task_id)
    scheduler.stop()
    scheduler = stage.started(third())
    assert scheduler.retry(task_id).wait(WAIT_S).memo == [3.0, "kB"]


@pytest.mark.parametrize(
    ("version", "error"), [(2, InvalidTask), (3, InvalidTask), (0, ValueError), (True, TypeError), ("1", TypeError)]
)
def test_migrate_is_for_older_versions_only(domain: Domain, version: Any, error: type[Exception]) -> None:
    """S-419: a version not below the task's, or no version."""

    @domain.task(version=2)
    def work(ctx: Context) -> None: ...

    with pytest.raises(error, match=r"migrate|from_version"):
        work.migrate(version)


def test_a_second_step_of_one_version_is_refused(domain: Domain) -> None:
    """S-419: InvalidTask that names the version."""

    @domain.task(version=3)
    def work(ctx: Context) -> None: ...

    work.migrate(1)(lambda payload: payload)
    work.options(priority=1).migrate(2)(lambda payload: payload)
    with pytest.raises(InvalidTask, match=r"one migrate\(1\), a second came"):
        work.migrate(1)(lambda payload: payload)
    with pytest.raises(TypeError, match="migrate: expected a callable"):
        domain.task("other", version=2)(lambda ctx: None).migrate(1)(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("version", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
def test_versions_begin_at_one(domain: Domain, version: Any, error: type[Exception]) -> None:
    """S-423: a version is an int from 1; a wrong one defines nothing."""
    with pytest.raises(error, match="version"):
        domain.task(version=version)(lambda ctx: None)
    assert domain.tasks == {}
