"""The result of a scan, as one line of JSON and as text."""

import json
from collections.abc import Iterator
from typing import Final

from rich.filesize import decimal

from millrace.cli.scan.memo import Sized, Tally
from millrace.cli.scan.names import to_line
from millrace.cli.scan.totals import Report

_EXTENSIONS_SHOWN: Final = 10
_LARGEST_SHOWN: Final = 5
_UNREAD_SHOWN: Final = 10


def as_json(report: Report, seconds: float) -> str:
    """One object on one line, ASCII only. Paths are in the text form of `names`.

    `unreadable` lists what fits into 3 MiB; `unreadable_count` counts all. `seconds` is the time this process took.
    """
    return json.dumps(
        {
            "files": report.files,
            "directories": report.directories,
            "other": report.other,
            "bytes": report.bytes,
            "disk_bytes": report.disk_bytes,
            "unreadable": [{"path": item.name, "error": item.error} for item in report.unread],
            "unreadable_count": report.unread_count,
            "extensions": [
                {"extension": name, "files": tally.files, "bytes": tally.bytes, "disk_bytes": tally.disk_bytes}
                for name, tally in by_bytes(report.extensions)
            ],
            "largest": [
                {"kind": kind, "path": item.name, "bytes": item.bytes, "disk_bytes": item.disk_bytes}
                for kind, items in (("file", report.largest_files), ("directory", report.largest_directories))
                for item in items
            ],
            "seconds": round(seconds, 3),
        }
    )


def by_bytes(extensions: dict[str, Tally]) -> list[tuple[str, Tally]]:
    """The extensions, most bytes first, ties by name."""
    return sorted(extensions.items(), key=lambda item: (-item[1].bytes, item[0]))


def as_text(report: Report, seconds: float) -> str:
    """A page of text; no line of it can hold a control character."""
    return "\n".join(_lines(report, seconds))


def _lines(report: Report, seconds: float) -> Iterator[str]:
    yield f"files        {report.files:>15,}   {decimal(report.bytes)} ({report.bytes:,} bytes)"
    yield f"directories  {report.directories:>15,}"
    yield f"other        {report.other:>15,}"
    yield f"on disk      {decimal(report.disk_bytes):>15}   {report.disk_bytes:,} bytes"
    yield f"unreadable   {report.unread_count:>15,}"
    yield f"seconds      {seconds:>15,.1f}"
    if report.extensions:
        yield "by extension"
        for name, tally in by_bytes(report.extensions)[:_EXTENSIONS_SHOWN]:
            yield f"  {decimal(tally.bytes):>10} {tally.files:>12,}  {to_line(name) or '(none)'}"
    yield from _largest("largest files", report.largest_files)
    yield from _largest("largest directories (files directly in them)", report.largest_directories)
    if report.unread_count:
        yield "unreadable"
        for item in report.unread[:_UNREAD_SHOWN]:
            yield f"  {to_line(item.name)}: {to_line(item.error)}"
        if report.unread_count > _UNREAD_SHOWN:
            yield f"  and {report.unread_count - _UNREAD_SHOWN:,} more: --json lists them"


def _largest(title: str, items: list[Sized]) -> Iterator[str]:
    if items:
        yield title
    for item in items[:_LARGEST_SHOWN]:
        yield f"  {decimal(item.bytes):>10}  {to_line(item.name)}"
