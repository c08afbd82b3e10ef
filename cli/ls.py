"""`millrace ls`: tasks by a filter."""

from pathlib import Path

import click

from millrace.cli.asking import parsed, wall_ms
from millrace.cli.errors import debug_option
from millrace.cli.output import db_option, filter_argument, json_option, say, say_json, table
from millrace.cli.tasks import HEADS, brief, row
from millrace.viewer import Viewer


@click.command("ls")
@filter_argument
@db_option
@json_option
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="At most so many."
)
@click.option("--before", type=int, metavar="ID", help="Only tasks with a lower id: the next page.")
@click.option("--count", "wants_count", is_flag=True, help="How many there are, on all pages, instead of which.")
@debug_option
def command(
    *, terms: tuple[str, ...], db: Path, wants_json: bool, limit: int, before: int | None, wants_count: bool
) -> None:
    """List tasks, active and settled, newest first.

    FILTER is terms such as status:failed task:media::thumb domain:media group:x parent:17 tag:k=v tag:k key:K error:TEXT
    "age>1h"; all of them must hold.
    """
    if wants_count and before is not None:
        raise click.UsageError("expected --count or --before, got both", click.get_current_context())
    filters = parsed(terms).filters(wall_ms())
    with Viewer(db) as viewer:
        if wants_count:
            count = viewer.count(filters)
            return say_json({"count": count}) if wants_json else say(f"{count}")
        found = viewer.tasks(filters, limit=limit, before=before)
    if wants_json:
        return say_json([brief(record) for record in found])
    for line in table(HEADS, map(row, found)):
        say(line)
    if len(found) == limit:
        click.echo(f"there may be more: --before {found[-1].id}, or a larger --limit", err=True)
    return None
