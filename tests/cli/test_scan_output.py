"""What a scan prints: a line while it runs, JSON or text at its end."""

import io
import json
from pathlib import Path

import pytest
from make_tree import make_odd_names, make_random_tree
from reference import memos_of, report_of
from rich.console import Console

from millrace.cli.scan import progress
from millrace.cli.scan.activity import Activity, Progress
from millrace.cli.scan.memo import Sized, Tally, Unread
from millrace.cli.scan.progress import line_of, progress_line
from millrace.cli.scan.report import as_json, as_text
from millrace.cli.scan.totals import Report

REPORT = Report(
    files=3,
    directories=2,
    other=1,
    bytes=30,
    disk_bytes=8192,
    unread=[Unread("/a/b\n", "Permission denied")],
    unread_count=1,
    extensions={"c": Tally(1, 10, 4096), "": Tally(2, 20, 4096)},
    largest_files=[Sized("/a/f\x1b", 15, 4096)],
    largest_directories=[Sized("/a", 30, 8192)],
)


def test_json() -> None:
    """The JSON is one line with the contract's fields."""
    line = as_json(REPORT, 1.23456)
    assert "\n" not in line
    assert json.loads(line) == {
        "files": 3,
        "directories": 2,
        "other": 1,
        "bytes": 30,
        "disk_bytes": 8192,
        "unreadable": [{"path": "/a/b\n", "error": "Permission denied"}],
        "unreadable_count": 1,
        "extensions": [
            {"extension": "", "files": 2, "bytes": 20, "disk_bytes": 4096},
            {"extension": "c", "files": 1, "bytes": 10, "disk_bytes": 4096},
        ],
        "largest": [
            {"kind": "file", "path": "/a/f\x1b", "bytes": 15, "disk_bytes": 4096},
            {"kind": "directory", "path": "/a", "bytes": 30, "disk_bytes": 8192},
        ],
        "seconds": 1.235,
    }


def test_json_of_odd_names(tmp_path: Path) -> None:
    """Names of any bytes give one line of ASCII."""
    make_odd_names(tmp_path / "tree")
    line = as_json(report_of(memos_of(tmp_path / "tree")), 0)
    assert line.isascii()
    assert line.isprintable()
    json.loads(line)


def test_text_has_no_control_characters(tmp_path: Path) -> None:
    """A name can neither break a line nor reach the terminal."""
    make_odd_names(tmp_path / "tree")
    for report in (REPORT, report_of(memos_of(tmp_path / "tree"))):
        assert as_text(report, 1.0).replace("\n", "").isprintable()
    assert "/a/b\\x0a: Permission denied" in as_text(REPORT, 1.0)


def test_text_of_many_unreadable() -> None:
    """Ten unreadable ones are shown, and how many more there are."""
    report = Report(unread=[Unread(f"/{number}", "no") for number in range(20)], unread_count=5000)
    assert as_text(report, 1.0).endswith("and 4,990 more: --json lists them")
    assert as_text(Report(), 1.0).count("\n") == 5


@pytest.mark.parametrize(
    ("reading", "line"),
    [
        (Progress(0, 1, 0, 0.0, adding_up=False), "0 of 1 directories · 0 bytes · 0/s"),
        (
            Progress(1000, 4000, 2_500_000, 50.0, adding_up=False),
            "1,000 of 4,000 directories · 2.5 MB · 50/s · at least 1:00 to go",
        ),
        (
            Progress(0, 40_000, 1, 10.0, adding_up=False),
            "0 of 40,000 directories · 1 bytes · 10/s · at least 1:06:40 to go",
        ),
        (Progress(9, 9, 1000, 50.0, adding_up=True), "9 of 9 directories · 1.0 kB · adding up"),
    ],
)
def test_line(reading: Progress, line: str) -> None:
    """The line has directories done and found, bytes, rate, and the least time to go."""
    assert line_of(reading).replace("1 byte ", "1 bytes ") == line


def test_live_line_is_gone_at_the_end() -> None:
    """On a terminal the line is rewritten in place, and erased at the end."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=200, color_system=None)
    with progress_line(console) as show:
        show(Progress(1, 2, 3, 4.0, adding_up=False))
        show(Progress(2, 2, 3, 4.0, adding_up=False))
    assert "1 of 2 directories" in output.getvalue()
    assert "2 of 2 directories" in output.getvalue()
    assert output.getvalue().rstrip().endswith("\x1b[2K")


def test_plain_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere there is a line every ten seconds, without control characters."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    output = io.StringIO()
    with progress_line(Console(file=output, force_terminal=False)) as show:
        for done in range(25):
            now[0] += 1
            show(Progress(done, 100, 0, 1.0, adding_up=False))
    lines = output.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["9", "19"]
    assert all(line.isprintable() for line in lines)


def test_activity() -> None:
    """Counters are added up from any thread, and the rate is smoothed between readings."""
    activity = Activity()
    activity.directories_found(1)
    assert activity.progress(now=10.0) == Progress(0, 1, 0, 0.0, adding_up=False)
    for _ in range(10):
        activity.directory_done(100)
    activity.directories_found(20)
    reading = activity.progress(now=11.0)
    assert reading == Progress(10, 21, 1000, 10.0, adding_up=False)
    assert reading.eta == pytest.approx(1.1)
    assert activity.progress(now=12.0).rate == pytest.approx(7.0)
    activity.take_over(done=100, found=200)
    activity.adding_up()
    reading = activity.progress(now=12.0)
    assert (reading.done, reading.found, reading.adding_up) == (100, 200, True)


def test_no_eta_where_nothing_moves() -> None:
    """Without a rate there is no time to go."""
    assert Activity().progress().eta is None


def test_text_of_a_tree(tmp_path: Path) -> None:
    """The text has the totals and the best known of the rest."""
    make_random_tree(tmp_path / "tree", 1)
    report = report_of(memos_of(tmp_path / "tree"))
    text = as_text(report, 2.0)
    assert f"{report.files:,}" in text
    assert report.largest_files[0].name.split("/")[-1].isprintable()
    assert "largest files" in text
