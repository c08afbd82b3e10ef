"""The line on standard error while a scan runs: rewritten in place on a terminal, now and then a new one elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.text import Text

from millrace.cli.scan.activity import Progress

PLAIN_EVERY_S: Final = 10.0

Show = Callable[[Progress], None]


@contextmanager
def progress_line(console: Console) -> Generator[Show]:
    """A function that shows a reading; on a terminal the line is gone at the end."""
    if not console.is_terminal:
        yield _Plain(console).show
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(Text(line_of(progress), no_wrap=True, overflow="ellipsis"), refresh=True)


class _Plain:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= PLAIN_EVERY_S:
            self._last = now
            self._console.print(line_of(progress), markup=False, highlight=False, soft_wrap=True)


def line_of(progress: Progress) -> str:
    """The reading in words."""
    parts = [f"{progress.done:,} of {progress.found:,} directories", decimal(progress.bytes)]
    if progress.adding_up:
        parts.append("adding up")
    else:
        parts.append(f"{progress.rate:,.0f}/s")
        if progress.eta is not None:
            parts.append(f"at least {_minutes(progress.eta)} to go")
    return " · ".join(parts)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
