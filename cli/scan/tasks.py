"""The domain `scan`: the tasks that read a tree.

    scan::scan          spawns the roots, waits for all, adds up
      scan::directory   reads one directory; spawns its sub-directories as siblings
      scan::links       carries on hard links that a directory's memo has no room for

All are direct children of `scan::scan`. No failure of one fails the scan: it is listed as unreadable.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from millrace import ChildResult, Context, Domain, Outcome, Retry, SubmitKind, TaskStatus
from millrace.cli.scan.activity import Activity
from millrace.cli.scan.limits import SUBDIRECTORIES_PER_CALL
from millrace.cli.scan.memo import DirectoryMemo, Link
from millrace.cli.scan.names import to_path, to_text
from millrace.cli.scan.reading import read_directory
from millrace.cli.scan.totals import Report, Totals, join

domain: Final = Domain("scan", retry=Retry.exponential(max_retries=5, initial=0.1, maximum=5.0))

_LOOK_EVERY: Final = 1_000  # children between two looks whether the finalizer is to stop


def _path_label(path: str, **_options: object) -> str:
    return path


@domain.task(fail_fast=False)
def scan(ctx: Context, roots: list[str], one_file_system: bool) -> None:
    """Spawns the roots' tasks; its finalizer makes the report."""
    outcomes = ctx.spawn_children([directory.call(path, one_file_system) for path in roots])
    ctx.state(Activity).directories_found(_new(outcomes))


@domain.task(label=_path_label)
def directory(ctx: Context, path: str, one_file_system: bool) -> DirectoryMemo:
    """Reads one directory. The key is the payload's digest, so a repeated run finds the siblings it had spawned."""
    activity = ctx.state(Activity)
    reading = read_directory(to_path(path), one_file_system=one_file_system)
    names = reading.subdirectories
    for start in range(0, len(names), SUBDIRECTORIES_PER_CALL):
        part = names[start : start + SUBDIRECTORIES_PER_CALL]
        outcomes = ctx.spawn_siblings([directory.call(join(path, to_text(name)), one_file_system) for name in part])
        activity.directories_found(_new(outcomes))
    for memo in reading.link_memos():
        ctx.spawn_sibling(links, memo.links)
    activity.directory_done(reading.memo.bytes)
    return reading.memo


@domain.task()
def links(_ctx: Context, links: list[Link]) -> DirectoryMemo:
    """Puts a part of a directory's hard links where the finalizer finds them."""
    return DirectoryMemo(links=links)


def _new(outcomes: list[Outcome[DirectoryMemo]]) -> int:
    return sum(outcome.kind is SubmitKind.INSERTED for outcome in outcomes)


@scan.finalize
def add_up(ctx: Context, _memo: None, roots: list[str], one_file_system: bool) -> Report:  # noqa: ARG001 - the payload
    """Streams the children's memos into the report."""
    ctx.state(Activity).adding_up()
    totals = Totals()
    children: Iterator[ChildResult[object]] = ctx.child_results()
    for number, child in enumerate(children):
        if number % _LOOK_EVERY == 0:
            ctx.check_cancelled()
        if child.status is TaskStatus.COMPLETED:
            totals.add(msgspec.convert(child.memo, DirectoryMemo))
        else:
            totals.add_failure(child.label, child.error or str(child.status))
    return totals.report()
