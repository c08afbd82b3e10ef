"""`millrace top`: the screen of `status`, again and again."""

import time
from pathlib import Path

import click

from millrace.cli.asking import Seconds
from millrace.cli.errors import debug_option
from millrace.cli.output import db_option, is_terminal, say
from millrace.cli.status import lines, read
from millrace.model.durations import LONGEST_WAIT_S
from millrace.viewer import Viewer


@click.command("top")
@db_option
@click.option(
    "--interval",
    type=Seconds(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between looks.",
)
@click.option("--count", "-n", type=click.IntRange(1), metavar="N", help="Look so many times, then end.")
@debug_option
def command(*, db: Path, interval: float, count: int | None) -> None:
    """Show what `millrace status` shows, until Ctrl-C."""
    shown = 0
    with Viewer(db) as viewer:
        while True:
            screen = lines(db, read(viewer))
            if is_terminal():
                click.clear()
            say("\n".join(screen))
            shown += 1
            if shown == count:
                return
            try:
                time.sleep(min(interval, LONGEST_WAIT_S))
            except KeyboardInterrupt:
                return
