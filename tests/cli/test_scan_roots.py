"""The PATHs of a scan are checked, and identify it."""

import os
from pathlib import Path

import pytest

from millrace.cli.scan.roots import RootError, find_roots


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a" / "in").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("a")
    return tmp_path


def test_key(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is the same however the paths are given, and another for other paths or options."""
    a, ab = str(tree / "a"), str(tree / "ab")
    key = find_roots([a, ab], one_file_system=False).key
    assert find_roots([f"{ab}/", a, f"{ab}/../a", f"{tree}/link/"], one_file_system=False).key == key
    assert find_roots([a, ab], one_file_system=True).key != key
    assert find_roots([a], one_file_system=False).key != key
    monkeypatch.chdir(tree)
    assert find_roots(["ab", "./a"], one_file_system=False).key == key


def test_inside(tree: Path) -> None:
    """A path inside another one is scanned with that; one that only begins alike is not inside."""
    roots = find_roots([str(tree / name) for name in ("a/in", "ab", "a")], one_file_system=False)
    assert roots.paths == (str(tree / "a"), str(tree / "ab"))
    assert roots.inside == (str(tree / "a" / "in"),)
    everything = find_roots(["/", str(tree)], one_file_system=False)
    assert everything.paths == ("/",)


def test_inside_on_one_file_system(tree: Path) -> None:
    """With -x, paths in one another are refused."""
    with pytest.raises(RootError, match="inside another PATH: with -x"):
        find_roots([str(tree), str(tree / "a")], one_file_system=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "No such file"),
        ("file", "not a directory"),
        ("link", "symbolic link, .*; scan .*/a$"),
        ("", "No such"),
    ],
)
def test_refused(tree: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, no directory, or a symbolic link is refused in one line that says what to give."""
    monkeypatch.chdir(tree)
    with pytest.raises(RootError, match=message) as error:
        find_roots([name], one_file_system=False)
    assert "\n" not in str(error.value)


def test_odd_root(tmp_path: Path) -> None:
    """A root of a name that is no UTF-8 has a text, and an error about it stays on its line."""
    odd = tmp_path / os.fsdecode(b"o\xe9\n")
    with pytest.raises(RootError, match=r"o\\xe9\\x0a"):
        find_roots([str(odd)], one_file_system=False)
    odd.mkdir()
    assert find_roots([str(odd)], one_file_system=False).texts == [f"{tmp_path}/o\\xe9\n"]
