"""What the figures were measured on: a rate without its machine says nothing."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import apsw
import psutil

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_PACKAGES = ("millrace", "apsw", "pykka", "huey")


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, memory, file system of the measured files, and versions."""

    system: str
    cpus: int
    memory_mb: int
    load: float
    filesystem: str
    python: str
    sqlite: str
    packages: dict[str, str]

    @property
    def is_on_disk(self) -> bool:
        """False where the files would be in memory, so that no figure would say anything about a disk."""
        return self.filesystem not in _IN_MEMORY


def describe(directory: Path) -> Machine:
    """The machine, with the file system that `directory` (it exists) lies on."""
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=os.cpu_count() or 1,
        memory_mb=psutil.virtual_memory().total // 10**6,
        load=psutil.getloadavg()[0],
        filesystem=filesystem_of(directory),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=apsw.sqlite_lib_version(),
        packages={name: _version_of(name) for name in _PACKAGES},
    )


def filesystem_of(directory: Path) -> str:
    """The type of the file system a directory is on, such as ext4; "unknown" where the system does not say."""
    wanted = directory.resolve()
    partitions = psutil.disk_partitions(all=True)
    # The later of two mounts on one place is the one that is seen, hence `>=` on the length.
    best, kind = -1, "unknown"
    for partition in partitions:
        mount = Path(partition.mountpoint)
        if wanted.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), partition.fstype
    return kind


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
