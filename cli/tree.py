"""`millrace tree`: a task with all that is below it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from millrace.cli.errors import debug_option
from millrace.cli.output import ago, db_option, json_option, lasting, one_line, say, say_json, styled
from millrace.cli.tasks import brief
from millrace.model.records import ChildSummary, TaskRecord
from millrace.model.statuses import FAILED_ENDS
from millrace.viewer import Viewer


@click.command("tree")
@click.argument("id", type=int)
@db_option
@json_option
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=200, show_default=True, metavar="N", help="Tasks at most."
)
@debug_option
def command(*, id: int, db: Path, wants_json: bool, limit: int) -> None:
    """Show a task and everything below it, with how far each parent is."""
    with Viewer(db) as viewer:
        nodes = _walk(viewer, id, limit)
        if wants_json:
            return say_json(
                [{"depth": depth, **brief(task), "children": _counts(below)} for depth, task, below in nodes]
            )
        shown = 0
        for depth, task, below in nodes:
            say(f"{'  ' * depth}{_line(task, below)}")
            shown += 1
    if shown == limit:
        click.echo(f"there may be more than {limit} tasks: a larger --limit shows them", err=True)
    return None


def _walk(viewer: Viewer, root: int, limit: int) -> Iterator[tuple[int, TaskRecord, ChildSummary]]:
    """Each task before its children, as far as the limit goes. Only what is shown is read."""
    levels: list[Iterator[TaskRecord]] = [iter([viewer.task(root)])]
    left = limit
    while levels and left:
        task = next(levels[-1], None)
        if task is None:
            levels.pop()
            continue
        below = viewer.child_summary(task.id)
        yield len(levels) - 1, task, below
        left -= 1
        levels.append(viewer.children(task.id) if below.total else iter(()))


def _counts(below: ChildSummary) -> dict[str, Any]:
    return {"total": below.total, "active": below.active, "failed": _failed(below)}


def _failed(below: ChildSummary) -> int:
    return sum(count for status, count in below.by_status.items() if status in FAILED_ENDS)


def _line(task: TaskRecord, below: ChildSummary) -> str:
    parts = [f"{task.id}", styled(task.status.value), one_line(task.task_name)]
    if task.label and task.label != task.task_name:
        parts.append(one_line(task.label, 60))
    if below.total:
        failed = _failed(below)
        parts.append(f"{below.total - below.active} of {below.total} done" + (f", {failed} failed" if failed else ""))
    if task.progress is not None and not task.status.is_terminal:
        parts.append(f"{task.progress:.0%}")
    parts.append(lasting(task.duration) if task.status.is_terminal else ago(task.started_at))
    if task.error:
        parts.append(one_line(task.error, 80))
    return "  ".join(parts)
