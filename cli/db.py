"""`millrace db`: the file itself."""

from pathlib import Path

import click

from millrace.cli.asking import Seconds, acting
from millrace.cli.errors import debug_option
from millrace.cli.output import db_option, json_option, one_line, say, say_json, size_of
from millrace.model.numbers import MOST
from millrace.viewer import Viewer


@click.group("db")
@debug_option
def command() -> None:
    """Back up, shrink and prune a store."""


@command.command("backup")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@db_option
@json_option
@debug_option
def backup(*, target: Path, db: Path, wants_json: bool) -> None:
    """Copy the store as it is now to TARGET, a new file, also while it is run."""
    with Viewer(db) as viewer:
        size = viewer.back_up(str(target))
    if wants_json:
        say_json({"path": str(target), "bytes": size})
    else:
        say(f"{one_line(str(target))}: {size_of(size)}")


@command.command("vacuum")
@db_option
@debug_option
def vacuum(*, db: Path) -> None:
    """Write the file anew without the room that is free in it. Not while a process runs it: exit code 3."""
    with Viewer(db) as viewer:
        before = viewer.sizes().store
        viewer.vacuum()
    say(f"{size_of(before)} before, {size_of(db.stat().st_size)} now")


@command.command("prune")
@click.option("--max-count", type=click.IntRange(0, MOST), metavar="N", help="Keep the newest so many settled tasks.")
@click.option("--max-age", type=Seconds(), metavar="SECONDS", help="Keep none that settled longer ago.")
@db_option
@json_option
@debug_option
def prune(*, max_count: int | None, max_age: float | None, db: Path, wants_json: bool) -> None:
    """Take settled tasks out of the history that are beyond the bounds. Children of active tasks stay."""
    from millrace import Retention  # noqa: PLC0415 - only needed here

    if max_count is None and max_age is None:
        raise click.UsageError("expected --max-count or --max-age, got neither", click.get_current_context())
    with acting(db) as scheduler:
        count = scheduler.prune(Retention(max_count=max_count, max_age=max_age))
    if wants_json:
        say_json({"count": count})
    else:
        say(f"{count} tasks pruned")
