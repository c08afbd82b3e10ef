"""Every Python block of README.md and docs/ is a program that runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0


def python_blocks() -> list[object]:
    """One case for each block fenced as `python`, named by its file and line."""
    cases: list[object] = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and token.info.split(" ")[0] == "python":
                line = token.map[0] + 1 if token.map else 0
                cases.append(pytest.param(token.content, id=f"{page.relative_to(ROOT)}:{line}"))
    return cases


@pytest.mark.parametrize("source", python_blocks())
def test_a_block_runs(source: str, tmp_path: Path) -> None:
    """A block copied into a file runs to its end in an empty folder, warnings being errors."""
    program = tmp_path / "example.py"
    program.write_text(source, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", program.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_readme_has_a_first_example() -> None:
    """The README shows the public API in at least one block that is run."""
    assert any("README.md" in str(getattr(case, "id", "")) for case in python_blocks())
