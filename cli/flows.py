"""`millrace flows`: parents that are driven from outside."""

from pathlib import Path

import click

from millrace.cli.asking import acting
from millrace.cli.errors import debug_option
from millrace.cli.filters import as_id
from millrace.cli.output import db_option, json_option, one_line, say, say_json, table
from millrace.cli.tasks import HEADS, brief, row
from millrace.model.filters import Filters
from millrace.model.records import TaskId
from millrace.viewer import Viewer


@click.group("flows")
@debug_option
def command() -> None:
    """List, show and cancel flows."""


@command.command("list")
@db_option
@json_option
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="At most so many."
)
@debug_option
def list_(*, db: Path, wants_json: bool, limit: int) -> None:
    """List flows, newest first."""
    with Viewer(db) as viewer:
        found = viewer.tasks(Filters(domain="flow"), limit=limit)
    if wants_json:
        return say_json([brief(record) for record in found])
    for line in table(HEADS, map(row, found)):
        say(line)
    return None


@command.command("show")
@click.argument("flow", metavar="ID|KEY")
@db_option
@json_option
@debug_option
def show(*, flow: str, db: Path, wants_json: bool) -> None:
    """Show a flow: its children and its revision; its state with --json."""
    with Viewer(db) as viewer:
        id = _find(viewer, flow)
        record, state, children = viewer.task(id), viewer.flow(id), viewer.child_summary(id)
    ends = {status.value: count for status, count in children.by_status.items()}
    if wants_json:
        return say_json(
            {
                **brief(record),
                "revision": state.revision,
                "state": state.state,
                "children": {"total": children.total, "active": children.active, "by_status": ends},
            }
        )
    say(f"flow {id}  {one_line(record.task_name)}  {record.status.value}  key {one_line(record.key)}")
    say(f"revision {state.revision}")
    say(
        f"children {children.total}, {children.active} active"
        + "".join(f", {n} {status}" for status, n in ends.items())
    )
    return None


@command.command("cancel")
@click.argument("flow", metavar="ID|KEY")
@db_option
@debug_option
def cancel(*, flow: str, db: Path) -> None:
    """Cancel a flow and its children."""
    with Viewer(db) as viewer:
        id = _find(viewer, flow)
    with acting(db) as scheduler:
        result = scheduler.open_flow(id).cancel()
    if not result.accepted:
        raise click.ClickException(f"flow {id}: {result.reason}")
    say(f"flow {id}: {result.reason}")


def _find(viewer: Viewer, flow: str) -> TaskId:
    id = as_id(flow)
    return viewer.find_flow(flow) if id is None else id
