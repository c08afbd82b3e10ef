"""A scan of a big tree."""

from pathlib import Path

import pytest
from command_line import Running
from make_tree import make_plain_tree

from millrace.store.connection import CACHE_KIB

MEASURED = [
    "-c",
    """
import atexit, resource, sys
from millrace.cli import main

atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr))
main()
""",
]
"""The command, which says last how much memory it took, in KiB."""


@pytest.mark.long
def test_memory_is_flat(tmp_path: Path) -> None:
    """Neither the queue nor the finalizer takes more memory for ten times the directories."""
    used = {}
    for directories in (10_000, 100_000):
        tree = tmp_path / f"{directories}"
        make_plain_tree(tree, directories)
        ended = Running(tmp_path / "home", "scan", tree, "--json", program=MEASURED).end()
        assert ended.result["directories"] == directories
        used[directories] = int(ended.errors.split()[-1])
    # The rest is the writer's page cache, which fills up to its bound.
    assert used[100_000] < used[10_000] + CACHE_KIB + 8 * 1024
