"""What others have written, on a terminal: no text steers it, and tables stay in line."""

import json
import logging
import os
from pathlib import Path

import pytest
from commands import command

from millrace import Context, Domain, Retry, Scheduler
from millrace.cli.controls import CONTROL, escaped, escaped_json, places
from millrace.cli.logs import show_logs
from millrace.cli.output import table

EVIL = "a\x1b]0;title\x07\x1b[2J\x9b2J\u202egpj.exe\u2066\u2028"


def test_a_line_has_nothing_that_steers_a_terminal() -> None:
    """Each such character is written as Python would, in JSON as JSON would; all else stands, accents and emoji too."""
    assert escaped(EVIL) == "a\\x1b]0;title\\x07\\x1b[2J\\x9b2J\\u202egpj.exe\\u2066\\u2028"
    assert escaped("\udcff") == "\\udcff"
    assert escaped("Zoë 👩\u200d🚀 שלום") == "Zoë 👩\u200d🚀 שלום"
    shown = escaped_json(json.dumps(EVIL, ensure_ascii=False))
    assert not CONTROL.search(shown)
    assert json.loads(shown) == EVIL


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_what_is_stored_does_not_reach_the_terminal_raw(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Not from a list of tasks, nor from the record of one."""
    media = Domain("media")

    @media.task()
    def fails(ctx: Context) -> None:
        ctx.log.warning(EVIL)
        raise ValueError(EVIL)

    with Scheduler(tmp_path / "tasks.db", domains=[media], durability="process") as scheduler:
        scheduler.submit(fails.options(label=EVIL, retry=Retry.none())).wait(60.0)
    for name in (("ls",), ("show", "1"), ("tree", "1")):
        done = command(*name, *words, db=tmp_path / "tasks.db")
        assert "title" in done.output
        assert not any(CONTROL.search(line) for line in done.output.split("\n"))


@pytest.mark.parametrize("debug", [False, True])
def test_what_is_logged_does_not_reach_the_terminal_raw(capsys: pytest.CaptureFixture[str], *, debug: bool) -> None:
    """Not in a line of its own, nor in a traceback."""
    show_logs(debug=debug)
    logging.getLogger("millrace.task").error("over \x1b[2J", exc_info=ValueError(EVIL))
    show_logs()
    shown = capsys.readouterr().err
    assert "over \\x1b[2J" in shown
    assert "ValueError: a\\x1b]0;title" in shown
    assert not any(CONTROL.search(line) for line in shown.split("\n"))


def test_an_error_does_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    """It names the file as it can be shown."""
    done = command("status", db=tmp_path / "no\x1b[2J.db")
    assert done.code == 1
    assert "no\\x1b[2J.db: expected a store" in done.errors


def test_a_backup_has_a_name_that_is_text(tmp_path: Path) -> None:
    """One that no store can have is refused as that of a store is."""
    with Scheduler(tmp_path / "tasks.db", durability="process"):
        pass
    done = command("db", "backup", tmp_path / os.fsdecode(b"\xff"), db=tmp_path / "tasks.db")
    assert done.code == 1
    assert "expected a name that is UTF-8" in done.errors
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_tables_stay_in_line() -> None:
    """A wide character takes two places, one that goes onto another none."""
    assert [places(text) for text in ("ab", "日本", "e\u0301", "🚀")] == [2, 4, 1, 2]
    lines = list(table(("A", "B"), [("日本", "x"), ("abcd", "x"), ("e\u0301", "x")]))
    assert {places(line.partition("x")[0]) for line in lines[1:]} == {6}
