"""Runs programs one after another, each in a process of its own that has millrace imported already.

A new interpreter for each of them would spend most of its time on importing. Reads the path of a program a line, and writes its
exit code. The program runs in its folder; what it prints is in `output.txt` there.
"""

import os
import runpy
import sys
import traceback
from pathlib import Path

import millrace.metrics  # noqa: F401 - what all programs import


def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(Path(line.rstrip("\n")))
            return  # as a program ends: with all that is done at exit
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def run(program: Path) -> None:
    """The program as the main module; SystemExit where it does not come to its end."""
    os.chdir(program.parent)
    output = os.open("output.txt", os.O_CREAT | os.O_WRONLY, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.argv = [program.name]
    try:
        runpy.run_path(program.name, run_name="__main__")
    except Exception:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main()
