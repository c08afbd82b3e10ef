"""`millrace show`: all that is known of a task."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec

from millrace.cli.application import app_option, redacted_fields
from millrace.cli.errors import debug_option
from millrace.cli.output import ago, db_option, json_option, lasting, one_line, say, say_json, size_of, styled
from millrace.cli.tasks import visible, whole
from millrace.model.pauses import Pause
from millrace.model.records import ChildSummary, IoBudget, TaskRecord
from millrace.viewer import Viewer


@click.command("show")
@click.argument("id", type=int)
@db_option
@json_option
@app_option
@debug_option
def command(*, id: int, db: Path, wants_json: bool, app: str | None) -> None:
    """Show a task: its options, times, result or error, log lines, children and dependencies.

    Values of its payload are shown where the program that has its code is given with --app, which says what is to be redacted.
    """
    with Viewer(db) as viewer:
        record = viewer.task(id)
        children = viewer.child_summary(id)
        dependents = viewer.dependents(id)
        log = viewer.log(id)
        paused_by = [] if record.status.is_terminal else _holding(viewer.pauses(), record)
    secret = None if app is None else redacted_fields(app, record.task_name)
    if wants_json:
        beside = {"paused_by": paused_by, "children": _counted(children), "dependents": dependents, "log": log}
        return say_json({**whole(record, secret), **beside})
    facts = _facts(record, visible(record.payload, secret))
    for name, value in (*facts, *_relations(record, children, dependents, paused_by)):
        say(f"{name:<13}{value}")
    for title, text in (("error", record.error), ("traceback", record.traceback), ("log", log)):
        if text:
            say(f"\n{title}:")
            for line in text.splitlines():
                say(f"  {one_line(line)}")
    for line, count in children.errors:
        say(f"\n{count} children failed with: {one_line(line)}")
    return None


def _holding(pauses: Iterable[Pause], record: TaskRecord) -> list[str]:
    """What it is paused with, as `millrace resume` takes it; the scheduler's own pause holds all tasks."""
    scopes = {"scheduler": "", "domain": record.task_name.partition("::")[0], "group": record.group}
    held = [pause for pause in pauses if scopes[pause.scope] == pause.name]
    return ["everything" if pause.scope == "scheduler" else f"{pause.scope}:{pause.name}" for pause in held]


def _counted(children: ChildSummary) -> dict[str, Any]:
    return {
        "total": children.total,
        "active": children.active,
        "by_status": {status.value: count for status, count in children.by_status.items()},
        "errors": children.errors,
    }


def _facts(record: TaskRecord, payload: object) -> Iterable[tuple[str, str]]:
    yield "task", f"{record.id}  {one_line(record.task_name)}  {styled(record.status.value)}"
    yield "label", one_line(record.label)
    yield "key", one_line(record.key)
    yield (
        "priority",
        f"{int(record.priority)}"
        + (
            ""
            if record.effective_priority == record.priority
            else f", last started as {int(record.effective_priority)}"
        ),
    )
    if record.group is not None:
        yield "group", one_line(record.group)
    if record.tags:
        yield "tags", one_line(" ".join(f"{key}={value}" for key, value in record.tags.items()))
    yield "payload", _json(payload)
    if record.memo is not None:
        yield "memo", _json(record.memo)
    yield "attempt", f"{record.attempt}, {record.retries} of {record.max_retries} retries"
    if record.progress is not None:
        yield "progress", f"{record.progress:.0%}"
    times = ("created", "run", "started", "finished", "expires", "cancel_requested")
    for name in times:
        moment = getattr(record, f"{name}_at")
        if moment is not None:
            yield name.replace("_requested", ""), f"{moment:%Y-%m-%d %H:%M:%S}Z  ({ago(moment)})"
    if record.duration is not None:
        yield "took", lasting(record.duration)
    for name, io in (("expected IO", record.expected_io), ("moved", record.actual_io)):
        if io != IoBudget():
            yield (
                name,
                (
                    f"disk {size_of(io.disk_read)} read, {size_of(io.disk_write)} written; "
                    f"network {size_of(io.net_rx)} received, {size_of(io.net_tx)} sent"
                ),
            )


def _relations(
    record: TaskRecord, children: ChildSummary, dependents: list[int], paused_by: list[str]
) -> Iterable[tuple[str, str]]:
    if paused_by:
        yield "paused by", one_line(", ".join(paused_by))
    if record.parent_id is not None:
        yield "parent", f"{record.parent_id}"
    if record.retry_of is not None:
        yield "retry of", f"{record.retry_of}"
    if record.schedule_id is not None:
        yield "schedule", f"{record.schedule_id}"
    if children.total:
        ends = ", ".join(f"{count} {status.value}" for status, count in children.by_status.items())
        yield "children", f"{children.total}, {children.active} active{', ' if ends else ''}{ends}"
    if record.depends_on:
        yield "depends on", ", ".join(map(str, record.depends_on))
    if dependents:
        yield "waited for by", ", ".join(map(str, dependents))


def _json(value: object) -> str:
    return one_line(msgspec.json.encode(value).decode(), 2000)
