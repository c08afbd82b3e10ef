"""Every Python block of README.md and docs/ is a program that runs as it stands."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).with_name("block_runner.py")


def python_blocks() -> list[object]:
    """One case for each block fenced as `python`, named by its file and line."""
    cases: list[object] = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and token.info.split(" ")[0] == "python":
                line = token.map[0] + 1 if token.map else 0
                cases.append(pytest.param(token.content, id=f"{page.relative_to(ROOT)}:{line}"))
    return cases


@pytest.fixture(scope="module")
def runner() -> Iterator[subprocess.Popen[str]]:
    """What runs the blocks, warnings being errors."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        # A block that outlasted its test must not outlast the tests.
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("source", python_blocks())
def test_a_block_runs(source: str, runner: subprocess.Popen[str], tmp_path: Path) -> None:
    """A block copied into a file runs to its end in an empty folder."""
    program = tmp_path / "example.py"
    program.write_text(source, encoding="utf-8")
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.write(f"{program}\n")
    runner.stdin.flush()
    assert runner.stdout.readline() == "0\n", (tmp_path / "output.txt").read_text(encoding="utf-8")


def test_the_readme_has_a_first_example() -> None:
    """The README shows the public API in at least one block that is run."""
    assert any("README.md" in str(getattr(case, "id", "")) for case in python_blocks())
