"""What is no id, no name, no event class: refused in the caller's thread, by the argument's name, before an actor sees it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from staging import WAIT_S, Stage

from millrace import Completed, Context, Domain, Scheduler, TaskStatus

Call = Callable[[Scheduler], object]

WRONG: dict[str, tuple[str, Call]] = {
    "a list of a name": ("kinds", lambda s: s.subscribe(kinds=["completed"])),  # type: ignore[list-item]
    "a name": ("kinds", lambda s: s.subscribe(kinds="Completed")),  # type: ignore[arg-type]
    "a class": ("kinds: expected an iterable of event classes, got Completed", lambda s: s.subscribe(kinds=Completed)),  # type: ignore[arg-type]
    "a foreign class": ("kinds", lambda s: s.domain("play").subscribe(kinds=[int])),  # type: ignore[list-item]
    "a domain": ("domain: expected text, got Domain", lambda s: s.subscribe(domain=Domain("play"))),  # type: ignore[arg-type]
    "a domain's tasks": ("domain", lambda s: s.tasks(domain=Domain("play"))),  # type: ignore[arg-type]
    "a domain as task": ("task: expected a Task", lambda s: s.tasks(task=Domain("play"))),  # type: ignore[arg-type]
    "no domain": ("domain", lambda s: s.domain(None)),  # type: ignore[arg-type]
    "no key": ("key", lambda s: s.find("play::add", None)),  # type: ignore[arg-type]
    "bytes as key": ("key", lambda s: s.tasks(key=b"k")),  # type: ignore[arg-type]
    "a number as group": ("group", lambda s: s.count(group=5)),  # type: ignore[arg-type]
    "tags in pairs": ("tags", lambda s: s.tasks(tags=[("a", "b")])),  # type: ignore[arg-type]
    "a number as tag": ("tags: value of 'a'", lambda s: s.count(tags={"a": 1})),  # type: ignore[dict-item]
    "no prefix": ("prefix", lambda s: s.tag_keys(None)),  # type: ignore[arg-type]
    "no tag": ("key", lambda s: s.tag_values(None)),  # type: ignore[arg-type]
    "text as parent": ("parent", lambda s: s.tasks(parent="1")),  # type: ignore[arg-type]
    "text as before": ("before", lambda s: s.tasks(before="1")),  # type: ignore[arg-type]
    "text to look at": ("id: expected the id of a task, an int, got str", lambda s: s.task("1")),  # type: ignore[arg-type]
    "text to cancel": ("id", lambda s: s.cancel("1")),  # type: ignore[arg-type]
    "nothing to retry": ("id", lambda s: s.retry(None)),  # type: ignore[arg-type]
    "a share to repeat": ("id", lambda s: s.retry_dead_letter(1.5)),  # type: ignore[arg-type]
    "truth to run": ("id", lambda s: s.run_now(True)),
    "text to pause": ("id", lambda s: s.pause_schedule("1")),  # type: ignore[arg-type]
    "text to end": ("id", lambda s: s.cancel_schedule("1")),  # type: ignore[arg-type]
    "text to read": ("id", lambda s: s.log("1")),  # type: ignore[arg-type]
    "text's children": ("parent", lambda s: s.children("1")),  # type: ignore[arg-type]
    "text's dependents": ("id", lambda s: s.dependents("1")),  # type: ignore[arg-type]
    "text's dependencies": ("id", lambda s: s.dependencies("1")),  # type: ignore[arg-type]
    "no flow": ("key_or_id", lambda s: s.open_flow(None)),  # type: ignore[arg-type]
    "a flow's number": ("fail_fast", lambda s: s.flow("trip", fail_fast="\ud800")),  # type: ignore[arg-type]
}


@pytest.fixture
def scheduler(stage: Stage, domain: Domain) -> Scheduler:
    """One that runs, with a task "add"."""

    @domain.task()
    def add(ctx: Context, n: int = 1) -> int:
        return n + 1

    return stage.started(domain)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_a_type_error(scheduler: Scheduler, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """S-423: it is not found nowhere, nor an error of the runtime, nor one that those meet who submit afterwards."""
    text, call = WRONG[name]
    with pytest.raises(TypeError, match=text):
        call(scheduler)
    add = scheduler.__task__("play::add")
    assert add is not None
    assert scheduler.submit(add, 2).result(WAIT_S) == 3
    assert scheduler.count() == 1
    assert caplog.records == []


def test_no_parent_is_no_root(scheduler: Scheduler) -> None:
    """`spawn_child` takes the id of a parent: None, which another call gave, makes no root task."""
    add: Any = scheduler.__task__("play::add")
    for parent in (None, "1"):
        with pytest.raises(TypeError, match="parent: expected the id of a task"):
            scheduler.spawn_child(parent, add.call(1))  # type: ignore[arg-type]  # the point
    assert scheduler.count() == 0


def test_a_task_is_no_submission(scheduler: Scheduler) -> None:
    """What lacks its payload is refused by what makes it whole; a batch names the entry, and nothing is stored."""
    add: Any = scheduler.__task__("play::add")
    with pytest.raises(TypeError, match=r"task\.call") as refused:
        scheduler.submit_batch([add.call(1), add])
    assert "entry 1" in refused.value.__notes__[0]
    parent = scheduler.flow("trip")
    with pytest.raises(TypeError, match=r"task\.call"):
        scheduler.spawn_child(parent.id, add)
    assert scheduler.count(task=add) == 0


@pytest.mark.parametrize("made", [lambda add: add.call(1), lambda add: add.fn, lambda add: add.name, lambda add: None])
def test_a_submission_is_no_task(scheduler: Scheduler, made: Callable[[Any], Any]) -> None:
    """What takes a task and its payload refuses what `task.call` made of both, a function and a name, and says what to give."""
    add: Any = scheduler.__task__("play::add")
    wrong, flow = made(add), scheduler.flow("trip")
    for call in (scheduler.submit, flow.spawn):
        with pytest.raises(TypeError, match=rf"task: expected a Task.*got {type(wrong).__name__}; .*submit_batch"):
            call(wrong)
    assert scheduler.count(task=add) == 0


def test_one_submission_is_no_batch(scheduler: Scheduler) -> None:
    """Nor is a task."""
    add: Any = scheduler.__task__("play::add")
    for wrong in (add, add.call(1), 5, None):
        with pytest.raises(TypeError, match=rf"submissions: expected an iterable.*got {type(wrong).__name__}"):
            scheduler.submit_batch(wrong)
    assert scheduler.count() == 0


def test_wrong_arguments_in_a_body(stage: Stage, domain: Domain) -> None:
    """They are errors of the body's own call, and change nothing of what it has said."""
    errors: list[str] = []

    @domain.task()
    def work(ctx: Context, n: int = 0) -> None:
        ctx.progress(0.25, "so far")
        calls: list[Callable[[], Any]] = [
            lambda: ctx.progress(0.5, 5),  # type: ignore[arg-type]  # the points
            lambda: ctx.progress(0.5, b"half"),  # type: ignore[arg-type]
            lambda: ctx.progress("half"),  # type: ignore[arg-type]
            lambda: list(ctx.track([1], message=5)),  # type: ignore[arg-type]
            lambda: ctx.spawn_child(work.call(1)),  # type: ignore[call-overload, arg-type]
            lambda: ctx.spawn_children(work.call(1)),  # type: ignore[arg-type]
            lambda: ctx.submit(work.call(1)),  # type: ignore[arg-type]
        ]
        for call in calls:
            with pytest.raises(TypeError) as refused:
                call()
            errors.append(str(refused.value).partition(":")[0])

    scheduler = stage.started(domain)
    record = scheduler.submit(work).wait(WAIT_S)
    assert (record.status, record.error) == (TaskStatus.COMPLETED, None)
    assert errors == ["message", "message", "fraction", "message", "task", "submissions", "task"]
    assert (record.progress, scheduler.count()) == (0.25, 1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"restarts": 5}, "restarts: expected a Restarts, got int"),
        ({"name": 5}, "name: expected text, got int"),
        ({"domains": ["play"]}, "domains: expected Domain objects, got str"),
        ({"path": None}, "path: expected text or a path of text, got NoneType"),
        ({"path": b"tasks.db"}, "path: expected text or a path of text, got bytes"),
    ],
)
def test_wrong_settings_are_type_errors_at_once(tmp_path: Path, settings: dict[str, Any], text: str) -> None:
    """S-423: not at the start, and not when an actor fails for the first time."""
    with pytest.raises(TypeError, match=text):
        Scheduler(**{"path": tmp_path / "tasks.db", **settings})
