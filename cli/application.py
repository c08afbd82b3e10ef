"""The program that a command works with: MODULE:SCHEDULER, imported as Python does it, from the present folder on."""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from millrace.cli.errors import ProgramFailed

if TYPE_CHECKING:
    from millrace import Scheduler

app_option = click.option("--app", metavar="MODULE:SCHEDULER", help="The program that the tasks are of.")


def load_scheduler(name: str) -> "Scheduler":
    """The scheduler that a module has under a name; it is not started.

    Args:
        name: MODULE:SCHEDULER. SCHEDULER may have dots, and may be a function without arguments that makes it.

    Raises:
        click.UsageError: there is none.
        ProgramFailed: the module, or the function, raised what is no error of millrace.
    """
    from millrace import MillraceError, Scheduler  # noqa: PLC0415 - commands that only look need not load what runs tasks

    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path) or module_name.startswith("."):
        raise click.UsageError(f"expected MODULE:SCHEDULER, such as app.jobs:scheduler, got {name!r}")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = _find(module_name, path, folder)
        if not isinstance(found, Scheduler) and callable(found):
            found = found()
    except (click.ClickException, MillraceError):
        raise
    except Exception as error:
        raise ProgramFailed(f"{name}: expected the program to give its scheduler") from error
    if not isinstance(found, Scheduler):
        raise click.UsageError(f"expected {name!r} to be a Scheduler, it is a {type(found).__name__}")
    return found


def _find(module_name: str, path: str, folder: str) -> object:
    try:
        found: object = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise click.UsageError(
            f"expected a module {module_name!r}, found none; it is looked for in {folder}"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise click.UsageError(f"expected {path!r} in module {module_name!r}, it has no {part!r}")
        found = getattr(found, part)
    return found


def redacted_fields(name: str, task_name: str) -> frozenset[str] | None:
    """What a task's code says is not to be shown; None where the program has no such task, so that nobody knows."""
    task = load_scheduler(name).__task__(task_name)
    return None if task is None else frozenset(task.definition.payload_codec.redact)
