"""Reading directories one by one and adding them up gives what find and du give."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_tree import make_deep_tree, make_odd_names, make_plain_tree, make_random_tree, make_unreadable
from reference import counts_of, find_and_du, memos_of, report_of

from millrace.cli.scan import limits, reading
from millrace.cli.scan.memo import Unread
from millrace.cli.scan.reading import read_directory


@pytest.mark.parametrize("seed", range(8))
def test_random_trees(tmp_path: Path, seed: int) -> None:
    """A tree of hard links, symbolic links, pipes, sparse files and odd names has the totals of find and du."""
    make_random_tree(tmp_path / "tree", seed)
    report = report_of(memos_of(tmp_path / "tree"))
    assert counts_of(report) == find_and_du(tmp_path / "tree")
    assert report.unread == []
    assert sum(tally.files for tally in report.extensions.values()) == report.files
    assert sum(tally.bytes for tally in report.extensions.values()) == report.bytes


def test_several_roots_share_links(tmp_path: Path) -> None:
    """A file with names in two roots counts once, as du counts it."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x" * 5000)
    (tmp_path / "b" / "f").hardlink_to(tmp_path / "a" / "f")
    report = report_of(memos_of(tmp_path / "a", tmp_path / "b"))
    assert report.files == 1
    assert counts_of(report) == find_and_du(tmp_path / "a", tmp_path / "b")


def test_odd_names(tmp_path: Path) -> None:
    """Newlines, control characters, backslashes and bytes that are no UTF-8 are names as others."""
    make_odd_names(tmp_path / "tree")
    assert counts_of(report_of(memos_of(tmp_path / "tree"))) == find_and_du(tmp_path / "tree")


def test_deep(tmp_path: Path) -> None:
    """Paths of more than PATH_MAX bytes are read to the end."""
    make_deep_tree(tmp_path / "tree", 60)
    report = report_of(memos_of(tmp_path / "tree"))
    assert report.directories == 61
    assert counts_of(report) == find_and_du(tmp_path / "tree")


def test_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory whose path is longer than a memo can carry counts, and is unreadable."""
    monkeypatch.setattr(reading, "MAX_PATH", 6000)
    make_deep_tree(tmp_path / "tree", 60)
    report = report_of(memos_of(tmp_path / "tree"))
    assert report.unread_count == 1
    assert report.unread[0].error == os.strerror(errno.ENAMETOOLONG)
    assert 6000 <= len(report.unread[0].name) <= 6300
    assert 25 <= report.directories <= 31


def test_wide(tmp_path: Path) -> None:
    """A directory of many files and directories has a memo that does not grow with them."""
    make_plain_tree(tmp_path / "tree", 11, files=3000)
    found = read_directory(str(tmp_path / "tree"))
    assert len(found.subdirectories) == 10
    assert found.memo.extensions["txt"].files == 3000
    assert len(found.memo.largest) == limits.TOP
    assert counts_of(report_of(memos_of(tmp_path / "tree"))) == find_and_du(tmp_path / "tree")


def test_many_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hard links beyond what one memo takes go into further ones, and none is lost or doubled."""
    monkeypatch.setattr(reading, "LINKS_PER_MEMO", 10)
    (tmp_path / "tree" / "again").mkdir(parents=True)
    for number in range(95):
        (tmp_path / "tree" / f"f{number}").write_bytes(b"x" * number)
        (tmp_path / "tree" / "again" / f"g{number}").hardlink_to(tmp_path / "tree" / f"f{number}")
    memos = memos_of(tmp_path / "tree")
    assert [len(memo.links) for memo in memos] == ([10] * 9 + [5]) * 2
    report = report_of(memos, seed=1)
    assert report.files == 95
    assert counts_of(report) == find_and_du(tmp_path / "tree")


def test_unreadable(open_folder: Path, request: pytest.FixtureRequest) -> None:
    """What cannot be read or looked at is listed with the system's words, and counts as find and du count it."""
    make_unreadable(open_folder / "tree")
    request.getfixturevalue("as_nobody")
    report = report_of(memos_of(open_folder / "tree"))
    assert counts_of(report) == find_and_du(open_folder / "tree")
    closed, entered, listed = (str(open_folder / "tree" / name) for name in ("closed", "entered", "listed"))
    names = [closed, entered, f"{listed}/below", f"{listed}/file", f"{listed}/link"]
    assert report.unread == [Unread(name, "Permission denied") for name in names]
    assert report.unread_count == 5


def test_gone(tmp_path: Path) -> None:
    """A directory that is gone, or has become something else, by the time of its turn was never there."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("nothing", "file", "link", "file/below"):
        assert read_directory(str(tmp_path / name)).memo == read_directory(str(tmp_path / "nothing")).memo
        assert report_of(memos_of(tmp_path / name)).directories == 0


def test_short_of_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process is short of file descriptors the error is raised, for the task to be tried again."""

    def no_descriptor(_path: str) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(reading, "open_directory", no_descriptor)
    with pytest.raises(OSError, match="too many"):
        read_directory(str(tmp_path))


def test_fails_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that fails while it is read counts with what was read, and is unreadable."""
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    scandir = os.scandir

    class Failing:
        def __init__(self, descriptor: int) -> None:
            self._entries = scandir(descriptor)

        def __enter__(self) -> Iterator["os.DirEntry[str]"]:
            yield next(self._entries)
            raise OSError(errno.EIO, "Input/output error")

        def __exit__(self, *_: object) -> None:
            self._entries.close()

    monkeypatch.setattr(os, "scandir", Failing)
    memo = read_directory(str(tmp_path)).memo
    assert memo.directories == 1
    assert memo.extensions[""].files == 1
    assert memo.unread == [Unread("", "Input/output error")]
    assert memo.path == str(tmp_path)


def test_unreadable_entries_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many unreadable entries the first by name are listed, and all are counted."""
    monkeypatch.setattr(reading, "UNREAD_PER_DIRECTORY", 500)
    for number in range(100):
        (tmp_path / f"{number:03}").touch()

    class Entry:
        def __init__(self, entry: "os.DirEntry[str]") -> None:
            self.name = entry.name

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            return False

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise PermissionError(errno.EACCES, "Permission denied")

    scandir = os.scandir

    class Denying:
        def __init__(self, descriptor: int) -> None:
            self._entries = scandir(descriptor)

        def __enter__(self) -> Iterator[Entry]:
            return map(Entry, self._entries)

        def __exit__(self, *_: object) -> None:
            self._entries.close()

    monkeypatch.setattr(os, "scandir", Denying)
    memo = read_directory(str(tmp_path)).memo
    assert memo.unread_count == 100
    assert [item.name for item in memo.unread] == [f"{number:03}" for number in range(len(memo.unread))]
    assert 10 <= len(memo.unread) <= 20
    assert report_of([memo]).unread_count == 100
