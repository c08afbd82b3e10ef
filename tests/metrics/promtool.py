"""promtool and Prometheus, which Debian's package `prometheus` has: no test here is worth anything without them."""

import shutil
import subprocess
from pathlib import Path

HOW = "not found: install Debian's package `prometheus` (apt-get install prometheus), or put its programs on the PATH"


def program(name: str) -> str:
    """Where it is; an AssertionError that says what to do where it is not: a test that is left out proves nothing."""
    found = shutil.which(name)
    assert found is not None, f"{name} {HOW}"
    return found


def promtool(*words: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; its output is text."""
    command = [program("promtool"), *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
