"""How the command line ends when something is wrong: one line that says what to do, a traceback only with `--debug`."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import click

from millrace import MillraceError, StoreLocked
from millrace.cli.controls import escaped
from millrace.cli.logs import show_logs

if TYPE_CHECKING:
    import io

_DEBUG: Final = "millrace.debug"
_EXIT_INTERRUPTED: Final = 130


def _set_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_DEBUG] = True
        show_logs(debug=True)


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, is_eager=True, callback=_set_debug, help="Show tracebacks of errors."
)
"""`--debug` on a command, also read where it stands before the command's name."""


class OwnedElsewhere(click.ClickException):
    """Another process runs the store."""

    exit_code = 3


class ProgramFailed(Exception):
    """The user's own program raised; the message says where, the cause what."""


class OneLineErrors(click.Group):
    """A group whose commands may raise what they like: the user sees one line on standard error.

    Exit codes: 0, 1 for errors, 2 for a wrong command line, 3 where another process runs the store, 128 and the
    signal's number after a signal.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; turns what it raises into a one-line error."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # (who reads the output, such as head, has seen enough: click ends it without a word)
        except Exception as error:
            if ctx.meta.get(_DEBUG):
                raise
            raise _one_line(error) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """The entry point. As click's own, but with one line for an error."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        show_logs()
        with suppress(AttributeError):  # what stands in for it may have no encoding
            # A character that the output's encoding does not have is written as an escape.
            cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()  # the help, as it is: no line says more
            code = error.exit_code
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx is not None else "millrace"
            code = _fail(f"{error.format_message()} (see {path} --help)", error.exit_code)
        except click.ClickException as error:
            code = _fail(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            code = _fail("stopped at once", _EXIT_INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, exit_code: int) -> int:
    click.echo(f"millrace: {escaped(' '.join(message.split()))}", err=True)
    return exit_code


def _one_line(error: Exception) -> click.ClickException:
    text = str(error) or type(error).__name__
    if isinstance(error, StoreLocked):
        return OwnedElsewhere(text)
    if isinstance(error, MillraceError | OSError):
        return click.ClickException(text)
    if isinstance(error, ProgramFailed):
        cause = error.__cause__
        return click.ClickException(f"{text}, it raised {type(cause).__name__}: {cause}; --debug shows where")
    return click.ClickException(
        f"{type(error).__name__}: {text}; this is a bug: please report it with what --debug shows"
    )
