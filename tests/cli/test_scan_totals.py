"""Totals do not depend on the order in which directories settle, and a memo is bounded whatever it holds."""

import os
import stat
from pathlib import Path

import msgspec
import pytest
from make_tree import make_random_tree
from reference import memos_of, report_of

from millrace.cli.scan import limits
from millrace.cli.scan.memo import DirectoryMemo, Link, Sized, Tally
from millrace.cli.scan.reading import identity_of
from millrace.cli.scan.totals import Report, Totals, join
from millrace.cli.scan.unread import UnreadList
from millrace.model.codec import MemoCodec


def memo_of(_ctx: object) -> DirectoryMemo:
    raise NotImplementedError


@pytest.mark.parametrize("seed", range(4))
def test_any_order(tmp_path: Path, seed: int) -> None:
    """The report of a tree is the same to the last byte, in whatever order its directories come."""
    make_random_tree(tmp_path / "tree", seed)
    memos = memos_of(tmp_path / "tree")
    first = msgspec.json.encode(report_of(memos), order="sorted")
    for order in range(5):
        assert msgspec.json.encode(report_of(memos, seed=order), order="sorted") == first


def test_memos_survive_json(tmp_path: Path) -> None:
    """A memo that went through the store is the memo."""
    make_random_tree(tmp_path / "tree", 1)
    memos = memos_of(tmp_path / "tree")
    assert [msgspec.convert(msgspec.to_builtins(memo), DirectoryMemo) for memo in memos] == memos


def test_a_link_moves_to_its_first_extension() -> None:
    """A file with names of two extensions counts under the one that comes first, and leaves no trace of the other."""
    links = [Link(1, 7, "html", 10, 512), Link(1, 7, "c", 10, 512), Link(1, 7, "md", 10, 512)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        report = report_of([DirectoryMemo(links=[links[index]]) for index in order])
        assert report.extensions == {"c": Tally(1, 10, 512)}
        assert (report.files, report.bytes, report.disk_bytes) == (1, 10, 512)


def test_same_inode_on_two_devices() -> None:
    """An inode number says nothing without its device."""
    assert report_of([DirectoryMemo(links=[Link(1, 7, "", 1, 0), Link(2, 7, "", 1, 0)])]).files == 2


def test_failures_are_unreadable() -> None:
    """A directory whose task failed is in the list of unreadable ones."""
    totals = Totals()
    totals.add_failure("/a", "MemoryError")
    report = totals.report()
    assert report.unread_count == 1
    assert (report.unread[0].name, report.unread[0].error) == ("/a", "MemoryError")


def test_join() -> None:
    """The root directory's path ends with the separator already."""
    assert [join("/", "a"), join("/a", "b"), join("/a", "")] == ["/a", "/a/b", "/a"]


def encoded_size(value: object) -> int:
    """Bytes as JSON with every character that is not ASCII escaped, the longest form there is."""
    text = msgspec.json.encode(value).decode()
    return sum(1 if character.isascii() else 6 * (1 + (ord(character) > 0xFFFF)) for character in text)


def test_the_largest_memos_fit() -> None:
    """The longest lists of the longest names of the worst characters stay below what a payload may take."""
    big = (1 << 63) - 1
    for worst in ("\x01", "é", "\U0001f600", "\\"):
        one = len(msgspec.json.encode(worst)) - 2
        path = worst * ((limits.MAX_PATH - 2) // one)
        name = worst * (255 // len(worst.encode()))
        unread = UnreadList(limits.UNREAD_PER_REPORT)
        for _ in range(2 * limits.UNREAD_PER_REPORT // (6 * len(name)) + 2):
            unread.add(name, worst * limits.MAX_ERROR)
        report = Report(
            *[big] * 5,
            unread=unread.result(),
            extensions={f"{worst * 10}{index:06}": Tally(big, big, big) for index in range(limits.MAX_EXTENSIONS + 1)},
            largest_files=[Sized(join(path, name), big, big, big, big)] * limits.TOP,
            largest_directories=[Sized(path, big, big)] * limits.TOP,
        )
        assert encoded_size(report) <= limits.MAX_PAYLOAD
        memo = DirectoryMemo(
            path=path,
            extensions=report.extensions,
            largest=[Sized(name, big, big, big, big)] * limits.TOP,
            links=[Link(big, big, worst * 16, big, big)] * limits.LINKS_PER_MEMO,
        )
        assert encoded_size(memo) + 6 * limits.UNREAD_PER_DIRECTORY <= limits.MAX_PAYLOAD


def test_memos_pass_the_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store's codec makes of a memo is the memo, also with inodes of more than 63 bits."""
    make_random_tree(tmp_path / "tree", 2)
    codec = MemoCodec(memo_of, task_name="scan::directory")
    for memo in memos_of(tmp_path / "tree"):
        assert codec.decode(codec.encode(memo, max_bytes=limits.MAX_PAYLOAD)) == memo
    status = os.stat_result((stat.S_IFREG, (1 << 64) - 1, 1 << 63, 2, *[0] * 6))
    device, inode = identity_of(status)
    assert (device, inode) == (-(1 << 63), -1)
    memo = DirectoryMemo(links=[Link(device, inode, "", 0, 0)])
    assert codec.decode(codec.encode(memo, max_bytes=limits.MAX_PAYLOAD)) == memo
