"""Where a store may stand."""

import logging
import os
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from millrace.model.errors import StoreError, UnsafeFilesystem
from millrace.store.connection import Location, locate
from millrace.store.filesystem import aliases, check_place, filesystem_type


class Mount(NamedTuple):
    mountpoint: str
    fstype: str


def mounts(monkeypatch: pytest.MonkeyPatch, *table: tuple[str, str]) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [Mount(*row) for row in table])


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.rclone"])
def test_network_file_systems_are_refused(kind: str, location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that other machines share is UnsafeFilesystem, unless it is allowed."""
    mounts(monkeypatch, ("/", kind))
    with pytest.raises(UnsafeFilesystem, match=kind):
        check_place(location)
    check_place(location, allow_network=True)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "fuse.fuse-overlayfs"])
def test_local_file_systems_are_accepted(kind: str, location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local ones pass, FUSE or not."""
    mounts(monkeypatch, ("/", kind))
    check_place(location)


def test_the_nearest_mount_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest mount point above the directory decides, of two on one point the last, and no mere prefix."""
    mounts(monkeypatch, ("/", "ext4"), ("/srv/da", "nfs"), ("/srv/data", "nfs4"), ("/srv/data", "xfs"), ("/sr", "9p"))
    assert filesystem_type("/srv/data/app") == "xfs"
    assert filesystem_type("/srv/da/app") == "nfs"
    assert filesystem_type("/srv/dat") == "ext4"


def test_unreadable_mounts_are_said(
    location: Location, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the table of mounts cannot be read the place is accepted, with a warning."""

    def refuse(**_: bool) -> None:
        raise PermissionError("/proc")

    monkeypatch.setattr(psutil, "disk_partitions", refuse)
    check_place(location)
    assert "network file systems are not recognised" in caplog.text


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """A store in a directory that does not exist is a StoreError with the path."""
    with pytest.raises(StoreError, match="missing"):
        check_place(locate(tmp_path / "missing" / "store.db"))


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    """A store below a plain file is a StoreError."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="directory"):
        check_place(locate(tmp_path / "file" / "store.db"))


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_only_a_plain_file_will_do(kind: str, tmp_path: Path) -> None:
    """A directory or a pipe under the store's name is refused, without waiting for it."""
    path = tmp_path / "store.db"
    if kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(StoreError, match="expected a plain file"):
        check_place(locate(path))


def test_a_second_name_is_refused(location: Location) -> None:
    """A file with a hard link is refused under both names, and each is known as the other's alias."""
    path = Path(location.real_path)
    path.touch()
    other = path.with_name("other.db")
    other.hardlink_to(path)
    for name, alias in ((path, other), (other, path)):
        with pytest.raises(StoreError, match="hard links"):
            check_place(locate(name))
        assert [found.real_path for found in aliases(locate(name))] == [str(alias)]
    other.unlink()
    check_place(location)
    assert aliases(location) == []


@pytest.mark.parametrize("depth", ["file", "directory"])
def test_a_link_in_a_world_writable_directory_is_refused(depth: str, tmp_path: Path) -> None:
    """A link that anybody could have planted is refused at any step of the path; one in a private directory is not."""
    (tmp_path / "real").mkdir()
    (tmp_path / "shared").mkdir()
    if depth == "file":
        (tmp_path / "shared" / "store.db").symlink_to(tmp_path / "real" / "store.db")
        given = locate(tmp_path / "shared" / "store.db")
    else:
        (tmp_path / "shared" / "sub").symlink_to(tmp_path / "real")
        given = locate(tmp_path / "shared" / "sub" / "store.db")
    (tmp_path / "shared").chmod(0o755)
    check_place(given)
    for mode in (0o777, 0o1777):
        (tmp_path / "shared").chmod(mode)
        with pytest.raises(StoreError, match="symbolic link"):
            check_place(given)


@pytest.mark.parametrize(
    ("mode", "is_told"), [(0o700, False), (0o755, False), (0o1777, False), (0o775, True), (0o777, True)]
)
def test_a_directory_that_others_can_write_is_told(
    mode: int, is_told: bool, location: Location, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so where others could replace the store; the sticky bit keeps them from it."""
    caplog.set_level(logging.WARNING)
    Path(location.directory).chmod(mode)
    check_place(location)
    assert ("other users can write" in caplog.text) is is_told


def test_a_directory_of_another_user_is_told(
    location: Location, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning says so where the directory belongs to another user than this one or root."""
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    os.chown(location.directory, 4712, -1) if os.getuid() == 0 else None
    check_place(location)
    assert "belongs to another user" in caplog.text


def test_memory_is_always_a_good_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in memory is private by the way it is made."""
    mounts(monkeypatch, ("/", "nfs"))
    place = locate(":memory:")
    check_place(place)
    place.discard()
