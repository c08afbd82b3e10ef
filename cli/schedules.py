"""`millrace schedules`: what recurs."""

from pathlib import Path
from typing import Any

import click

from millrace.cli.asking import acting
from millrace.cli.errors import debug_option
from millrace.cli.output import ago, db_option, json_option, lasting, one_line, say, say_json, table
from millrace.model.schedule import Every, Schedule, ScheduleInfo
from millrace.viewer import Viewer


@click.group("schedules")
@debug_option
def command() -> None:
    """List, pause, resume, run and cancel what recurs."""


@command.command("list")
@db_option
@json_option
@debug_option
def list_(*, db: Path, wants_json: bool) -> None:
    """List the series that have not ended."""
    with Viewer(db) as viewer:
        found = viewer.schedules()
    if wants_json:
        return say_json([_object(info) for info in found])
    for line in table(("ID", "TASK", "KEY", "SCHEDULE", "NEXT", "LAST", "RUNS", "SKIPPED", ""), map(_row, found)):
        say(line)
    return None


def _object(info: ScheduleInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "task_name": info.task_name,
        "key": info.key,
        "schedule": _words(info.schedule),
        **{name: getattr(info.schedule, name, None) for name in ("interval", "expression", "timezone")},
        "max_runs": info.schedule.max_runs,
        "catch_up": info.schedule.catch_up,
        "next_run": info.next_run,
        "last_run": info.last_run,
        "runs": info.runs,
        "skipped": info.skipped,
        "paused": info.paused,
    }


def _row(info: ScheduleInfo) -> tuple[str, ...]:
    return (
        f"{info.id}",
        one_line(info.task_name, 48),
        one_line(info.key, 32),
        one_line(_words(info.schedule)),
        ago(info.next_run),
        ago(info.last_run),
        f"{info.runs}" if info.schedule.max_runs is None else f"{info.runs} of {info.schedule.max_runs}",
        f"{info.skipped}",
        "paused" if info.paused else "",
    )


def _words(schedule: Schedule) -> str:
    if isinstance(schedule, Every):
        return f"every {lasting(schedule.interval_s)}"
    return f"{schedule.expression} ({schedule.timezone})"


def _changes(name: str, done: str, help_text: str) -> None:
    @command.command(name, help=help_text)
    @click.argument("id", type=int)
    @db_option
    @debug_option
    def change(*, id: int, db: Path) -> None:
        with acting(db) as scheduler:
            if name == "run":
                if not scheduler.run_now(id):
                    raise click.ClickException(
                        f"task {id}: expected a series or a run that waits for its time, nothing of it does now"
                    )
            else:
                getattr(scheduler, f"{name}_schedule")(id)
        say(f"schedule {id} {done}")


_changes("pause", "paused", "Make no more runs of a series, until it is resumed.")
_changes("resume", "resumed", "Go on; what fell due meanwhile is dropped.")
_changes("run", "is due now", "Run the next of a series at once.")
_changes("cancel", "cancelled", "End a series for good, and cancel its active run.")
