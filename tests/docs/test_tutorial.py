"""The tutorial, word for word: its files are written, its commands run, its output compared."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from markdown_it import MarkdownIt

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
PREPARATION = ("mkdir ", "python3 -m venv ", ".venv/bin/pip ")
"""What this environment has done already."""
KILLED = "timeout --signal=KILL 4 "
BEGUN_BY_THEN = 8
"""Bodies, by what the page says: four are done, and four are in the middle."""


def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    """Every command prints what the page says it prints; "..." stands for any lines."""
    text, commands = "", 0
    for token in MarkdownIt().parse(TUTORIAL.read_text(encoding="utf-8")):
        if token.type == "inline":
            text = token.content
        elif token.type == "fence" and token.info == "python":
            (name,) = re.findall(r"[Ww]rite this\s+into `(.+?)`", text)
            (tmp_path / name).write_text(token.content, encoding="utf-8")
        elif token.type == "fence" and token.info == "console":
            for block in token.content.removeprefix("$ ").split("\n$ "):
                command, _, expected = block.partition("\n")
                if not command.startswith(PREPARATION):
                    commands += 1
                    check(command, expected, tmp_path)
    assert commands >= 5


def check(command: str, expected: str, folder: Path) -> None:
    """Run a command; it prints what is expected, if the page says, and ends well unless it is to be killed."""
    command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    if command.startswith(KILLED):
        kill_in_the_middle(command.removeprefix(KILLED), folder)
        return
    run = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    if expected.strip():
        pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, run.stdout.strip(), re.DOTALL), run.stdout
    else:
        assert run.stdout


def kill_in_the_middle(command: str, folder: Path) -> None:
    """Not after those seconds, in which a busy machine does less, but once the program has come as far as the page says."""
    with subprocess.Popen(shlex.split(command), cwd=folder, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        begun = 0
        while begun < BEGUN_BY_THEN:
            line = program.stdout.readline()
            assert line, f"it ended when {begun} bodies had begun"
            begun += line.count("counting")  # threads that print at once may share a line
        program.kill()
