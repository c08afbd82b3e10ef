"""Where a store may stand: on a local file system, reached by no link that a stranger could have planted.

Checked before anything is created or locked. A file system is known by its name in the table of mounts (psutil), not by
statfs's number: all of FUSE has one number, be it a local NTFS or an sshfs.
"""

import logging
import os
import stat
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Final

from millrace.model.errors import StoreError, UnsafeFilesystem
from millrace.store.connection import Location
from millrace.store.faults import translate_os

_log = logging.getLogger(__name__)

_NETWORK: Final = """
    9p acfs afpfs afs beegfs ceph cifs coda davfs fhgfs gfs gfs2 glusterfs gpfs lustre ncp ncpfs nfs nfs3 nfs4 ocfs2
    orangefs panfs prl_fs pvfs2 smb2 smb3 smbfs vboxsf vmhgfs webdav
"""
_NETWORK_FUSE: Final = """
    afp blobfuse blobfuse2 ceph ceph-fuse cephfs curlftpfs davfs davfs2 gcsfuse glusterfs goofys grpcfuse jfs juicefs
    lizardfs mfs moosefs mount-s3 objectivefs onedriver prl_fsd rclone s3backer s3fs s3ql seaweedfs smbnetfs sshfs
    vmhgfs-fuse
"""
NETWORK_TYPES: Final = frozenset(_NETWORK.split()) | {f"fuse.{name}" for name in _NETWORK_FUSE.split()}
"""Names of file systems whose locks reach, or are kept by, another machine. Other FUSE ones are taken for local."""


def check_place(location: Location, *, allow_network: bool = False) -> None:
    """Refuses a place where a store would not be safe.

    Args:
        location: of the store, which need not exist yet.
        allow_network: accept a file system whose locks are not to be relied on.

    Raises:
        UnsafeFilesystem: NFS, SMB and the like.
        StoreError: no such directory; the path is a directory or a device; a link in a world-writable directory leads
            there; the file has a second name (hard link).
    """
    if location.is_memory:
        return
    try:
        _check_links(location)
        _check_file(location)
        _warn_of_open_directory(location)
    except OSError as error:
        raise translate_os(error, path=location.path) from error
    if not allow_network:
        _check_type(location)


def aliases(location: Location) -> list[Location]:
    """The other names (hard links) of the store's file in its own directory, as places of stores.

    Raises:
        StoreError: the directory cannot be read.
    """
    try:
        found = os.lstat(location.real_path)
        if found.st_nlink < 2:  # noqa: PLR2004 - one name is the file's own
            return []
        with os.scandir(location.directory) as entries:
            names = [
                entry.path for entry in entries if entry.inode() == found.st_ino and entry.path != location.real_path
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise translate_os(error, path=location.path) from error
    return [replace(location, path=name, real_path=name) for name in names]


def _check_links(location: Location) -> None:
    """No step of the path may be a link that anybody could have put there."""
    given = Path(os.path.abspath(location.path))  # noqa: PTH100 - resolve() would hide the links that are looked for
    for step in (given, *given.parents):
        if step.is_symlink() and step.parent.stat().st_mode & stat.S_IWOTH:
            raise StoreError(
                f"{location.path}: expected a path that only its owner can redirect, {step} is a symbolic link in a "
                "directory that everybody can write; give the file's own path, or move it",
                path=location.path,
            )


def _check_file(location: Location) -> None:
    """The directory is there; the file is absent, or a plain one with one name."""
    if not stat.S_ISDIR(Path(location.directory).stat().st_mode):
        raise StoreError(
            f"{location.path}: expected a file in a directory, {location.directory} is none", path=location.path
        )
    try:
        found = os.lstat(location.real_path)
    except FileNotFoundError:
        return
    check_plain(location, found)
    if found.st_nlink > 1:
        raise StoreError(
            f"{location.path}: expected a file with one name, it has {found.st_nlink} (hard links): log and lock "
            "stand beside the name, so two names would be two owners; remove the other names",
            path=location.path,
        )


def check_plain(location: Location, found: os.stat_result) -> None:
    """StoreError where what was found there is a directory, a device, or a pipe, whose opening would wait for ever."""
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(
            f"{location.path}: expected a plain file, found {stat.filemode(found.st_mode)[0]!r} (as ls -l marks it); "
            "give the name of a file",
            path=location.path,
        )


def _warn_of_open_directory(location: Location) -> None:
    """Others who can write the directory can replace the store; that is said, not refused: many run this way."""
    found = Path(location.directory).stat()
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        _log.warning("%s: other users can write this directory and so replace the store in it", location.directory)
    elif found.st_uid not in (os.geteuid(), 0):
        _log.warning("%s: this directory belongs to another user, who can replace the store in it", location.directory)


def _check_type(location: Location) -> None:
    kind = filesystem_type(location.directory)
    if kind in NETWORK_TYPES:
        raise UnsafeFilesystem(
            f"{location.path}: expected a local file system, found {kind!r}, whose locks do not hold against other "
            "machines; move the store to a local disk",
            path=location.path,
        )


def filesystem_type(directory: str) -> str:
    """The name of the file system that holds a directory (given resolved), "" where the mounts cannot be read.

    The longest mount point above it counts, and of several mounts on one point the last.
    """
    import psutil  # noqa: PLC0415 - it takes as long to load as all of this package, and who only looks at a store needs none of it

    above = {str(step) for step in (PurePath(directory), *PurePath(directory).parents)}
    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, RuntimeError) as error:
        _log.warning("the table of mounts cannot be read, network file systems are not recognised: %s", error)
        return ""
    best, kind = -1, ""
    for mount in mounts:
        if mount.mountpoint in above and len(mount.mountpoint) >= best:
            best, kind = len(mount.mountpoint), mount.fstype
    return kind
