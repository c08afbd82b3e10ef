"""The bounded tables of a scan hold what they say, in whatever order they were filled and merged."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.cli.scan.extensions import OTHERS, Extensions, extension_of
from millrace.cli.scan.largest import Largest
from millrace.cli.scan.memo import Sized, Tally, Unread
from millrace.cli.scan.unread import UnreadList

few_names = st.text("abc", min_size=0, max_size=3)


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.txt", "txt"),
        ("a.TAR.Gz", "gz"),
        ("Makefile", ""),
        (".bashrc", ""),
        (".a.b", "b"),
        ("a.", ""),
        ("..a", "a"),
        ("a.*", ""),
        ("a.1234567890123456", "1234567890123456"),
        ("a.12345678901234567", ""),
        ("a.\udce9", "\\xe9"),
        ("a.É", "é"),
    ],
)
def test_extension_of(name: str, extension: str) -> None:
    """The extension is what follows the last dot that does not begin the name, in lower case, as text."""
    assert extension_of(name) == extension


@given(
    st.lists(st.tuples(few_names, st.integers(1, 9)), max_size=60), st.integers(1, 5), st.randoms(use_true_random=False)
)
def test_extensions_in_any_order(files: list[tuple[str, int]], limit: int, rng: random.Random) -> None:
    """The first extensions by length and text are kept with all their files, the others counted together."""
    first = sorted({name for name, _ in files}, key=lambda name: (len(name), name))[:limit]
    expected: dict[str, Tally] = {}
    for name, size in files:
        tally = expected.setdefault(name if name in first else OTHERS, Tally())
        tally.files += 1
        tally.bytes += size
        tally.disk_bytes += 512
    parts = [Extensions(limit) for _ in range(3)]
    for name, size in rng.sample(files, len(files)):
        rng.choice(parts).add(name, 1, size, 512)
    whole = Extensions(limit)
    for part in parts:
        whole.merge(part.result())
    assert whole.result() == expected


@given(
    st.lists(st.tuples(st.integers(0, 6), few_names, st.integers(0, 4)), max_size=60),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_largest_in_any_order(found: list[tuple[int, str, int]], limit: int, rng: random.Random) -> None:
    """The largest are kept, ties by name, several names of an inode as the first of them, empty ones left out."""
    # The inode says the size; inode 0 is a file with one name.
    items = [
        Sized(f"{name}{index if not inode else ''}", inode or size, 0, 1, inode)
        for index, (size, name, inode) in enumerate(found)
    ]
    best: dict[object, Sized] = {}
    for item in items:
        identity = item.inode or item.name
        if identity not in best or item.name < best[identity].name:
            best[identity] = item
    expected = sorted((item for item in best.values() if item.bytes), key=lambda item: (-item.bytes, item.name))[:limit]
    parts = [Largest(limit) for _ in range(3)]
    for item in rng.sample(items, len(items)):
        rng.choice(parts).add(item)
    whole = Largest(limit)
    for part in parts:
        for item in part.result():
            whole.add(item)
    assert [(item.bytes, item.name) for item in whole.result()] == [(item.bytes, item.name) for item in expected]


@given(st.lists(few_names, max_size=60), st.integers(10, 200), st.randoms(use_true_random=False))
def test_unread_in_any_order(names: list[str], limit: int, rng: random.Random) -> None:
    """The first by name are listed as far as they fit, and all are counted."""
    expected: list[Unread] = []
    room = limit
    for name in sorted(names):
        room -= len(f'["{name}","no"],')
        if room < 0:
            break
        expected.append(Unread(name, "no"))
    unread = UnreadList(limit)
    for name in rng.sample(names, len(names)):
        unread.add(name, "no")
    assert unread.result() == expected
    assert unread.count == len(names)


def test_long_errors_are_cut() -> None:
    """A message of any length takes 500 characters."""
    unread = UnreadList(10_000)
    unread.add("a", "x" * 5000)
    assert unread.result() == [Unread("a", "x" * 500)]
