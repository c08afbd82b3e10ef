"""What commands are asked for: filters and ids from the command line, as values or as one-line errors."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millrace.cli.filters import FilterError, Query, as_id, parse
from millrace.model.durations import to_seconds
from millrace.viewer import Viewer

if TYPE_CHECKING:
    from millrace import Domain, Scheduler


class Seconds(click.FloatRange):
    """A duration, as the library takes it: one that it would refuse is a wrong command line.

    Args:
        least: how long it is at least.
        allow_inf: whether "inf" is one.
    """

    def __init__(self, least: float = 0.0, *, allow_inf: bool = False) -> None:
        super().__init__(min=least)
        self._allow_inf = allow_inf

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value in seconds; click.BadParameter."""
        try:
            return to_seconds(super().convert(value, param, ctx), "seconds", allow_inf=self._allow_inf)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parsed(terms: Sequence[str]) -> Query:
    """The filter; a one-line error where it says nothing."""
    try:
        return parse(terms)
    except FilterError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def wall_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000


def ids_in(terms: Sequence[str]) -> list[int] | None:
    """The ids, each once, where the words are ids and no filter."""
    if not all(term.isascii() and term.isdigit() for term in terms):
        return None
    ids = [as_id(term) for term in terms]
    if None in ids:
        raise click.UsageError("expected ids of tasks, got a longer number", click.get_current_context())
    return list(dict.fromkeys(id for id in ids if id is not None))


@contextmanager
def acting(db: Path, *domains: "Domain") -> "Generator[Scheduler]":
    """A scheduler on a store that is there, to act on its tasks; it runs none, whoever does."""
    from millrace import Scheduler  # noqa: PLC0415 - commands that only look need not load it

    Viewer(db).close()  # no store is made here, and none upgraded
    scheduler = Scheduler(db, domains=domains)
    try:
        yield scheduler
    finally:
        scheduler.stop(0.0)


def confirm(question: str) -> None:
    """Go on where the user says yes; else end, as nothing was done. Ctrl-C ends it as everywhere."""
    try:
        says_yes = click.confirm(question, err=True)
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo(err=True)  # the answer would have ended the question's line
        raise click.ClickException("expected y or n, got no answer; nothing was done. --yes does not ask") from None
    if not says_yes:
        raise click.ClickException("nothing was done")


def host_and_port(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """HOST:PORT as an option's value."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 1 << 16  # noqa: PLR2004 - 65535
    if not (colon and host and is_port):
        raise click.BadParameter(f"expected HOST:PORT, such as 127.0.0.1:9464, got {value!r}")
    return host.strip("[]"), int(port)
