"""Which directories a scan begins at."""

import hashlib
import os
import stat
from collections.abc import Sequence

import msgspec

from millrace.cli.scan.names import to_line, to_text


class RootError(ValueError):
    """A PATH that cannot be scanned. The message says what to give instead."""


class Roots(msgspec.Struct, frozen=True):
    """The directories of one scan: absolute, without symbolic links, sorted, none inside another."""

    paths: tuple[str, ...]
    one_file_system: bool
    inside: tuple[str, ...] = ()
    """Paths given that lie in another one of them: they are scanned as part of that."""

    @property
    def texts(self) -> list[str]:
        """The paths in text form."""
        return [to_text(path) for path in self.paths]

    @property
    def key(self) -> str:
        """The same for the same scan, however its paths were given: what `--resume` finds it by."""
        identity = msgspec.json.encode([self.texts, self.one_file_system])
        return hashlib.sha256(identity).hexdigest()[:32]


def find_roots(given: Sequence[str], *, one_file_system: bool) -> Roots:
    """Checks the paths of the command line.

    Raises:
        RootError: one is missing, no directory, or a symbolic link; or, with `one_file_system`, inside another: whether
            that one comes to it is a matter of mounts.
    """
    paths = sorted({_root(path) for path in given})
    inside = tuple(path for path in paths if any(_lies_in(path, other) for other in paths))
    if inside and one_file_system:
        raise RootError(f"{_shown(inside[0])} lies inside another PATH: with -x scan them one at a time")
    return Roots(tuple(path for path in paths if path not in inside), one_file_system, inside)


def _root(path: str) -> str:
    try:
        # Not a `Path`, which drops the final slash that says "where the link leads".
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise RootError(f"{_shown(path)}: {error.strerror}; give a directory") from error
    real = os.path.realpath(path)
    if stat.S_ISLNK(mode):
        raise RootError(f"{_shown(path)} is a symbolic link, and those are not followed; scan {_shown(real)}")
    if not stat.S_ISDIR(mode):
        raise RootError(f"{_shown(path)} is not a directory; give one")
    return real


def _lies_in(path: str, other: str) -> bool:
    return path != other and path.startswith(other.rstrip("/") + "/")


def _shown(path: str) -> str:
    return to_line(to_text(path))
