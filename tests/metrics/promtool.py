"""promtool and Prometheus, programs of another project that no Python package has: Debian's package `prometheus` does.

Where they are not installed, the tests that need them are left out and say so; CI installs them.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

HOW = "not found: install Debian's package `prometheus` (apt-get install prometheus), or put its programs on the PATH"


def program(name: str) -> str:
    """Where it is; without it the test is left out, with a word on what to install."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} {HOW}")
    return found


def promtool(*words: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; its output is text."""
    command = [program("promtool"), *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
