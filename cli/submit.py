"""`millrace submit`: one task, with the program's own code."""

from collections.abc import Mapping

import click
import msgspec

from millrace.cli.application import load_scheduler
from millrace.cli.asking import Seconds
from millrace.cli.errors import debug_option
from millrace.cli.output import json_option, one_line, say, say_json
from millrace.cli.tasks import brief
from millrace.model.statuses import TaskStatus


@click.command("submit")
@click.argument("app", metavar="MODULE:SCHEDULER")
@click.argument("task_name", metavar="TASK")
@click.argument("payload", metavar="JSON", default="{}")
@click.option("--wait", "waits", is_flag=True, help="Wait for its end; exit code 1 where it does not complete.")
@click.option("--timeout", type=Seconds(allow_inf=True), metavar="SECONDS", help="Wait no longer than that.")
@json_option
@debug_option
def command(*, app: str, task_name: str, payload: str, waits: bool, timeout: float | None, wants_json: bool) -> None:
    """Submit TASK (its qualified name, such as media::thumb) with a payload: a JSON object of its parameters by name.

    It is stored, and runs where and when a scheduler runs the store.
    """
    scheduler = load_scheduler(app)
    task = scheduler.__task__(task_name)
    if task is None:
        raise click.UsageError(f"expected a task of {app}, it has no {task_name!r}", click.get_current_context())
    if scheduler.__is_in_memory__():
        raise click.UsageError(
            f"expected a scheduler with a file, the store of {app} is in memory: a task would end with this command",
            click.get_current_context(),
        )
    try:
        values = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise click.UsageError(f"expected a payload that is JSON, got {one_line(payload, 60)!r}: {error}") from error
    if not isinstance(values, Mapping):
        raise click.UsageError(f"expected a JSON object of the parameters by name, got {one_line(payload, 60)!r}")
    try:
        args, kwargs = task.definition.payload_codec.decode(payload)
        submission = task.call(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{task_name}: {error}", click.get_current_context()) from error
    try:
        (outcome,) = scheduler.submit_batch([submission])
        if not waits:
            facts = {"id": outcome.id, "outcome": outcome.kind.value}
            return say_json(facts) if wants_json else say(f"task {outcome.id} {outcome.kind.value}")
        try:
            record = outcome.wait(timeout)
        except TimeoutError as error:
            raise click.ClickException(str(error)) from error
    finally:
        scheduler.stop(0.0)
    if wants_json:
        say_json({**brief(record), "memo": record.memo})
    else:
        what = record.error or msgspec.json.encode(record.memo).decode()
        say(f"task {record.id} {record.status.value}: {one_line(what)}")
    if record.status is not TaskStatus.COMPLETED:
        raise click.exceptions.Exit(1)
    return None
