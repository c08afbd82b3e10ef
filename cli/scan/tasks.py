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

_LOOK_EVERY: Final = 1_000  # children between two looks whether the finalizer is to stop


class ScanTasks:
    """The tasks of one scheduler. They tell `activity` what they do; all else that they know is in the store."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self.domain = Domain("scan", retry=Retry.exponential(max_retries=5, initial=0.1, maximum=5.0))
        self.scan = self.domain.task("scan", fail_fast=False)(self._scan)
        self.scan.finalize(self._add_up)
        self.directory = self.domain.task("directory", label=_path_label)(self._directory)
        self.links = self.domain.task("links")(self._links)

    def _scan(self, ctx: Context, roots: list[str], one_file_system: bool) -> None:
        """Spawns the roots' tasks; its finalizer makes the report."""
        outcomes = ctx.spawn_children([self.directory.call(path, one_file_system) for path in roots])
        self._activity.directories_found(_new(outcomes))

    def _directory(self, ctx: Context, path: str, one_file_system: bool) -> DirectoryMemo:
        """Reads one directory. The key is the payload's digest, so a repeated run finds the siblings it had spawned."""
        reading = read_directory(to_path(path), one_file_system=one_file_system)
        names = reading.subdirectories
        for start in range(0, len(names), SUBDIRECTORIES_PER_CALL):
            part = names[start : start + SUBDIRECTORIES_PER_CALL]
            calls = [self.directory.call(join(path, to_text(name)), one_file_system) for name in part]
            self._activity.directories_found(_new(ctx.spawn_siblings(calls)))
        for memo in reading.link_memos():
            ctx.spawn_sibling(self.links, memo.links)
        self._activity.directory_done(reading.memo.bytes)
        return reading.memo

    def _links(self, _ctx: Context, links: list[Link]) -> DirectoryMemo:
        """Puts a part of a directory's hard links where the finalizer finds them."""
        return DirectoryMemo(links=links)

    def _add_up(self, ctx: Context, _memo: None, roots: list[str], one_file_system: bool) -> Report:  # noqa: ARG002 - the payload
        """Streams the children's memos into the report."""
        self._activity.adding_up()
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


def _path_label(path: str, _one_file_system: bool) -> str:
    return path


def _new(outcomes: list[Outcome[DirectoryMemo]]) -> int:
    return sum(outcome.kind is SubmitKind.INSERTED for outcome in outcomes)
