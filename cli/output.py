"""What commands print: tables for people, one JSON object or list for programs. No colour off a terminal or with NO_COLOR."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from millrace.cli.controls import escaped, escaped_json, places

_STYLES: Final = {
    **dict.fromkeys(("failed", "dead_letter", "expired", "dependency_failed"), "red"),
    **dict.fromkeys(("running", "waiting"), "cyan"),
    **dict.fromkeys(("paused", "parked", "cancelling", "blocked"), "yellow"),
    "completed": "green",
}


class _File(click.Path):
    """Not an empty name, which a path would take for the present directory, nor one that SQLite cannot open."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("expected the name of a file, got an empty one", param, ctx)
        if isinstance(value, str) and value.encode(errors="replace").decode() != value:
            self.fail(f"expected a name that is UTF-8, got {value!r}", param, ctx)
        return super().convert(value, param, ctx)


db_option = click.option(
    "--db",
    type=_File(dir_okay=False, path_type=Path),
    default=Path("millrace.db"),
    show_default=True,
    metavar="FILE",
    envvar="MILLRACE_DB",
    show_envvar=True,
    help="The store.",
)
json_option = click.option("--json", "wants_json", is_flag=True, help="JSON on one line instead of text.")
filter_argument = click.argument("terms", metavar="[FILTER]...", nargs=-1)


def say(text: str) -> None:
    """A line on standard output, in colour only where it is a terminal and NO_COLOR is not set."""
    click.echo(text, color=None if not os.environ.get("NO_COLOR") else False)


def say_json(value: object) -> None:
    """One line of JSON. Times are ISO 8601 with their zone, durations seconds."""
    echo_json(escaped_json(msgspec.json.encode(value, enc_hook=_encode).decode()))


def echo_json(text: str) -> None:
    """A line of JSON: UTF-8, whatever the locale's encoding is."""
    click.echo(text.encode())


def _encode(value: Any) -> Any:
    if isinstance(value, int):  # a Priority
        return int(value)
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


def one_line(text: str | None, most: int = 0) -> str:
    """Text that stays on its line and does nothing to a terminal; at most so many characters where that is not 0."""
    shown = escaped(text or "")
    return shown if not most or len(shown) <= most else shown[: most - 1] + "…"


def styled(status: str) -> str:
    """A status in its colour."""
    return click.style(status, fg=_STYLES.get(status))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Lines of columns as wide as they need to be on a terminal, where some characters take two places; the last is not padded."""
    cells = [list(heads), *([*row] for row in rows)]
    taken = [[places(click.unstyle(cell)) for cell in row] for row in cells]
    widths = [max(column) for column in zip(*taken, strict=True)]
    for row, lengths in zip(cells, taken, strict=True):
        padded = [cell + " " * (width - length) for cell, length, width in zip(row, lengths, widths, strict=True)]
        yield "  ".join(padded).rstrip()


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, or in how long."""
    if moment is None:
        return "-"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return f"{lasting(seconds)} ago" if seconds >= 0 else f"in {lasting(-seconds)}"


def lasting(seconds: float | None) -> str:
    """A duration, by its two largest units."""
    if seconds is None:
        return "-"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"  # noqa: PLR2004
    whole = int(seconds)
    for unit, size, below, part in (("m", 60, "s", 1), ("h", 3600, "m", 60), ("d", 86_400, "h", 3600)):
        if whole < size * (60 if unit == "m" else 24) or unit == "d":
            return f"{whole // size}{unit} {whole % size // part}{below}"
    raise AssertionError("days are the last unit")


def size_of(count: int) -> str:
    """Bytes, in the largest unit that leaves a number of 1 or more."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004 - a unit
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def is_terminal() -> bool:
    """Whether standard output is one."""
    return sys.stdout.isatty()
