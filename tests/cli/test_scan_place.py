"""A scan's own store lies where the same command finds it, and is one command's at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.cli.scan.place import PlaceError, own_place, state_folder


def test_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is below XDG_STATE_HOME where that is absolute, else below the home directory."""
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert state_folder() == Path("/s/millrace/scan")
    monkeypatch.setenv("HOME", "/h")
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert state_folder() == Path("/h/.local/state/millrace/scan")


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home directory the error says to give --db."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(PlaceError, match="--db FILE"):
        state_folder()


def test_kept_until_removed(tmp_path: Path) -> None:
    """What is in the place stays until it is cleared or removed; nothing is left of a removed one."""
    with own_place("k", tmp_path / "scans") as place:
        assert not place.is_used
        place.store.write_text("unfinished")
    with own_place("k", tmp_path / "scans") as place:
        assert place.is_used
        assert place.store.read_text() == "unfinished"
        place.clear()
        assert not place.is_used
        place.store.write_text("begun anew")
        place.remove()
    assert list((tmp_path / "scans").iterdir()) == []


def test_locked(tmp_path: Path) -> None:
    """A second command for the same scan is refused, one for another scan is not."""
    with own_place("k", tmp_path):
        with pytest.raises(PlaceError, match="runs already"), own_place("k", tmp_path):
            pass
        with own_place("other", tmp_path):
            pass
    with own_place("k", tmp_path):
        pass


def test_lock_ends_with_the_process(tmp_path: Path) -> None:
    """The lock of a killed process is gone, what it stored is there."""
    code = (
        "import os, sys, pathlib; from millrace.cli.scan.place import own_place\n"
        "with own_place('k', pathlib.Path(sys.argv[1])) as place:\n"
        "    place.store.write_text('unfinished'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with own_place("k", tmp_path) as place:
        assert place.store.read_text() == "unfinished"


def test_lock_file_removed_by_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opened the lock file before its holder removed it takes the new one, not the removed one.

    The holder removes the file between our open and our lock: we lock a file that nobody else can find any more, see
    that it is not the one at the path, and begin again.
    """
    opened = os.open
    turns: list[int] = []

    def racing_open(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(path, flags, mode)
        if Path(path).suffix == ".lock":
            turns.append(descriptor)
            if len(turns) == 1:
                Path(path).unlink()
        return descriptor

    monkeypatch.setattr(os, "open", racing_open)
    with own_place("k", tmp_path):
        assert len(turns) == 2
        assert (tmp_path / "k.lock").exists()


def test_folder_cannot_be_made(tmp_path: Path) -> None:
    """Where the folder cannot be made the error says to give --db."""
    (tmp_path / "file").touch()
    with pytest.raises(PlaceError, match="give --db FILE"), own_place("k", tmp_path / "file" / "below"):
        pass
