"""What a fork leaves in the child: nothing of the store may be used there, and no lock kept alive there.

A child made by `os.fork` inherits SQLite's connections (whose mutexes some other thread may have held) and the owner's
lock (which lives until the last copy of its descriptor is closed, so that a child would keep a dead owner's store
locked). Both are settled here, by one hook of the interpreter; it is the only state of this module, because a process
forks as a whole.
"""

import os
from typing import Protocol
from weakref import WeakSet

from millrace.model.errors import ForkedProcess


class HoldsDescriptors(Protocol):
    """Something with open descriptors that a forked child must not keep."""

    def close_in_child(self) -> None:
        """Closes this process's copies. Runs in the child, before any other code there; must not raise or lock."""


class _Process:
    """This process, as seen by the hook."""

    def __init__(self) -> None:
        self.forks = 0
        self.holders: WeakSet[HoldsDescriptors] = WeakSet()

    def after_fork_in_child(self) -> None:
        self.forks += 1
        for holder in list(self.holders):
            holder.close_in_child()
        self.holders = WeakSet()


_process = _Process()
os.register_at_fork(after_in_child=_process.after_fork_in_child)


def close_in_child(holder: HoldsDescriptors) -> None:
    """From now on a forked child calls `holder.close_in_child()` first; ends by itself when the holder is collected."""
    _process.holders.add(holder)


class ForkGuard:
    """Remembers the process in which it was made; `check()` refuses any other.

    Costs a comparison of two integers a check (70 ns), not a system call. Any thread.
    """

    __slots__ = ("_forks", "_pid")

    def __init__(self) -> None:
        self._forks = _process.forks
        self._pid = os.getpid()

    @property
    def is_forked(self) -> bool:
        """True in a child made by fork since."""
        return self._forks != _process.forks

    def check(self) -> None:
        """ForkedProcess, with both pids, in a child made by fork since; else nothing."""
        if self._forks != _process.forks:
            raise ForkedProcess(self._pid, os.getpid())
