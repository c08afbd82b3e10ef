"""How the owner of a store hears that another program has written to it, without looking again and again.

The owner binds a datagram socket beside the store; who commits without being the owner sends a datagram to it. It is a hint and no
message: what was written is in the store. Where a datagram is lost, or was never sent, the owner finds it when it looks by itself.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from millrace.store.connection import Location

LONGEST_ADDRESS: Final = 100
"""Bytes of a path that every system takes as an address; longer ones are shortened where /proc allows it."""
_STROKE: Final = b"!"


class Bell:
    """Hangs at a store. Made and taken down by its owner, in one thread at a time; ``is_rung`` from any.

    Args:
        location: of the store.
        listening: bound to its bell.
    """

    def __init__(self, location: Location, listening: socket.socket) -> None:
        self._location = location
        self._socket = listening
        self._pid = os.getpid()
        self._is_down = False
        self._thread: threading.Thread | None = None
        self.is_rung = False
        """Whether somebody has written since this was last set to False."""

    @classmethod
    def hang(cls, location: Location) -> "Bell | None":
        """The bell of a store that this process owns; None where the system has no such sockets, or the place takes none."""
        if not hasattr(socket, "AF_UNIX"):
            return None
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with contextlib.suppress(FileNotFoundError):
                Path(location.bell_path).unlink()  # of an owner that has died
            with _address(location) as address:
                listening.bind(address)
            with contextlib.suppress(FileNotFoundError):  # of a store that is only being made
                Path(location.bell_path).chmod(
                    Path(location.real_path).stat().st_mode & 0o666
                )  # who may write may ring
        except OSError:
            listening.close()
            return None
        return cls(location, listening)

    def listen(self, on_rung: Callable[[], object]) -> None:
        """Set ``is_rung`` and call ``on_rung``, in a thread of the bell's own, each time that it is rung."""
        self._thread = threading.Thread(target=self._wait, args=(on_rung,), name="millrace-bell", daemon=True)
        self._thread.start()

    def _wait(self, on_rung: Callable[[], object]) -> None:
        while True:
            self._socket.recv(1)
            if self._is_down:
                return
            self.is_rung = True
            on_rung()

    def take_down(self) -> None:
        """End the thread, and remove the bell. A forked child leaves its parent's where it is. Idempotent."""
        if self._is_down:
            return
        self._is_down = True
        if os.getpid() == self._pid:
            if self._thread is not None:
                self._socket.shutdown(socket.SHUT_RD)
                self._thread.join()
            with contextlib.suppress(OSError):
                Path(self._location.bell_path).unlink()
        self._socket.close()


def ring(location: Location) -> None:
    """Tell the owner of a store that something was written. Never blocks, never raises: there may be none."""
    if not hasattr(socket, "AF_UNIX"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        with _address(location) as address:
            sending.sendto(_STROKE, address)


@contextlib.contextmanager
def _address(location: Location) -> Generator[str, None, None]:
    """The bell's path as an address, which must be short: where it is not, by way of its opened directory."""
    path = location.bell_path
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield path
        return
    directory = os.open(location.directory, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{directory}/{Path(path).name}"
    finally:
        os.close(directory)
