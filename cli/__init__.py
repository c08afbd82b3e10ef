"""The command line: `millrace COMMAND`, an ordinary client of the public API.

Only here are signal handlers installed. Errors are one line that says what to do, a traceback only with `--debug`.
There is no colour where the output is no terminal, or with NO_COLOR. A command's module is imported when it is called.
"""

from importlib import import_module
from typing import Final

import click

from millrace.cli.errors import OneLineErrors, debug_option

_COMMANDS: Final = {
    "alerts": "millrace.cli.alerts",
    "cancel": "millrace.cli.acting:cancel",
    "db": "millrace.cli.db",
    "doctor": "millrace.cli.doctor",
    "flows": "millrace.cli.flows",
    "grafana": "millrace.cli.grafana",
    "ls": "millrace.cli.ls",
    "metrics": "millrace.cli.metrics",
    "pause": "millrace.cli.pausing:pause",
    "resume": "millrace.cli.pausing:resume",
    "retry": "millrace.cli.acting:retry",
    "run": "millrace.cli.run",
    "scan": "millrace.cli.scan.command",
    "schedules": "millrace.cli.schedules",
    "show": "millrace.cli.show",
    "status": "millrace.cli.status",
    "submit": "millrace.cli.submit",
    "top": "millrace.cli.top",
    "tree": "millrace.cli.tree",
}
"""Name to module; each module has it as `command`, but for those that say otherwise."""


class _Commands(OneLineErrors):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name in _COMMANDS:
            module, _, name = _COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(import_module(module), name or "command")
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="millrace", prog_name="millrace")
@debug_option
def main() -> None:
    """Durable background tasks in one Python process."""


__all__ = ["main"]
