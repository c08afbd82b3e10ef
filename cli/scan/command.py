"""The options of `millrace scan`, and what it prints where."""

import os
import shlex
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from millrace.cli.controls import escaped
from millrace.cli.errors import debug_option
from millrace.cli.interrupts import interrupts
from millrace.cli.output import echo_json
from millrace.cli.scan.names import to_line, to_text
from millrace.cli.scan.place import Place, PlaceError, own_place, state_folder
from millrace.cli.scan.progress import progress_line
from millrace.cli.scan.report import as_json, as_text
from millrace.cli.scan.roots import RootError, Roots, find_roots
from millrace.cli.scan.run import ScanStopped, Watcher, run_scan
from millrace.cli.scan.totals import Report

DEFAULT_WORKERS = min(8, 2 + (os.cpu_count() or 1))


@click.command("scan")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
@click.option("--db", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keep the store here.")
@click.option(
    "--json",
    "wants_json",
    is_flag=True,
    help=r"One object on one line instead of text. Paths are text, with \\ for a backslash and \xNN for a byte "
    "that is no UTF-8.",
)
@click.option("--resume", is_flag=True, help="Go on with an unfinished scan of the same paths, or show a finished one.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=DEFAULT_WORKERS,
    show_default=True,
    metavar="N",
    help="Directories read at a time.",
)
@click.option("-x", "--one-file-system", is_flag=True, help="Do not enter directories on other file systems.")
@debug_option
def command(
    *, paths: tuple[str, ...], db: Path | None, wants_json: bool, resume: bool, workers: int, one_file_system: bool
) -> None:
    """Count what is in directories, as `find` and `du` count it.

    Symbolic links are not followed, and a file with several names counts once. What cannot be read is listed and does
    not stop the scan. The result goes to standard output, all else to standard error.

    A scan that was stopped, however it ended, goes on with --resume and the same PATHs. Without it, the scan begins
    anew. The store is in FILE, or in a file of the scan's own that is removed at its end.
    """
    started = time.monotonic()
    console = Console(stderr=True)
    roots = _roots(paths, console, one_file_system=one_file_system)
    with _store(db, roots, console, resume=resume) as (store, place):
        try:
            report = _scan(roots, store, console, resume=resume, workers=workers)
        except ScanStopped as stopped:
            _say(console, _how_to_resume(stopped, paths, db, one_file_system=one_file_system))
            raise click.exceptions.Exit(128 + stopped.signal_number) from None
        seconds = time.monotonic() - started
        if wants_json:
            echo_json(as_json(report, seconds))
        else:
            click.echo(as_text(report, seconds))
        if place is not None:
            place.remove()


def _roots(paths: tuple[str, ...], console: Console, *, one_file_system: bool) -> Roots:
    try:
        roots = find_roots(paths, one_file_system=one_file_system)
    except RootError as error:
        raise click.ClickException(str(error)) from error
    for path in roots.inside:
        _say(console, f"{to_line(to_text(path))} is part of another PATH: it is scanned with that")
    return roots


@contextmanager
def _store(db: Path | None, roots: Roots, console: Console, *, resume: bool) -> Generator[tuple[Path, Place | None]]:
    if db is not None:
        yield db, None
        return
    try:
        with own_place(roots.key, state_folder()) as place:
            if not resume:
                if place.is_used:
                    _say(console, "an unfinished scan of the same is given up; --resume would have gone on with it")
                place.clear()
            yield place.store, place
    except PlaceError as error:
        raise click.ClickException(str(error)) from error


def _scan(roots: Roots, store: Path, console: Console, *, resume: bool, workers: int) -> Report:
    with interrupts() as received, progress_line(console) as show:
        watcher = Watcher(note=lambda text: _say(console, text), show=show)
        return run_scan(roots, store, resume=resume, workers=workers, interrupts=received, watcher=watcher)


def _how_to_resume(stopped: ScanStopped, paths: tuple[str, ...], db: Path | None, *, one_file_system: bool) -> str:
    words = ["millrace", "scan", "--resume"]
    words += ["-x"] if one_file_system else []
    words += ["--db", str(db)] if db is not None else []
    words += ["--", *paths] if any(path.startswith("-") for path in paths) else list(paths)
    progress = stopped.progress
    return f"stopped, {progress.done:,} of {progress.found:,} directories done; to go on: {shlex.join(words)}"


def _say(console: Console, text: str) -> None:
    console.print(escaped(text), style="dim", markup=False, highlight=False, soft_wrap=True)
