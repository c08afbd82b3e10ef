"""Opens copies of an old store, each in a process of its own that is killed a statement later than the one before.

``python upgrading_program.py <old store> <folder>``. The last one is not killed. Says how many there were. Nothing of SQLite
is in use in the process that forks.
"""

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

import apsw

from millrace.store.connection import locate
from millrace.store.opening import open_store


def kill_at(number: int) -> None:
    """Of all statements of the connections that are made from now on, that one is not begun."""
    left = iter(range(number))

    def trace(cursor: object, statement: str, bindings: Any) -> bool:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    def watch(connection: apsw.Connection) -> None:
        connection.exec_trace = trace

    apsw.connection_hooks.append(watch)


def main() -> None:
    old, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for number in count():
        path = folder / f"{number}.db"
        shutil.copyfile(old, path)
        pid = os.fork()
        if not pid:
            kill_at(number)
            open_store(locate(path)).close()
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            sys.stdout.write(f"{number + 1}\n")
            return


if __name__ == "__main__":
    main()
