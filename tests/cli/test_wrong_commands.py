"""What is wrong is said in one line, that tells the user's faults and the program's from a bug of millrace."""

import json
import os
from pathlib import Path

import pytest
from command_line import millrace
from commands import command

from millrace import Context, Domain, Scheduler

LONG = "9" * 5000


def make_domain() -> Domain:
    media = Domain("media")

    @media.task()
    def thumb(ctx: Context, path: str) -> str:
        return path

    return media


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """One task that nobody runs, with a label that few encodings can write."""
    media, path = make_domain(), tmp_path / "tasks.db"
    scheduler = Scheduler(path, domains=[media], durability="process")
    scheduler.submit_batch([media.tasks["media::thumb"].options(label="żółw").call("a")])
    scheduler.stop()
    return path


@pytest.mark.parametrize(
    "words",
    [
        *(("db", "prune", "--max-age", value) for value in ("nan", "inf", "1e300", "-1", "x")),
        ("db", "prune", "--max-count", "9" * 20),
        ("top", "--count", 2, "--interval", "nan"),
        ("top", "--count", 2, "--interval", "inf"),
        ("top", "--count", 2, "--interval", 0.01),
        ("cancel", LONG),
        ("retry", LONG),
        ("ls", f"parent:{LONG}"),
        ("ls", f"age>{'9' * 400}w"),
        ("metrics", "--listen", "localhost:²"),
    ],
)
def test_a_value_that_cannot_be_is_a_wrong_command_line(db: Path, words: tuple[object, ...]) -> None:
    """Exit code 2 and one line, before anything is done."""
    done = command(*words, db=db)
    assert (done.code, done.output, done.errors.count("\n")) == (2, "", 1), done.errors
    assert "is a bug" not in done.errors


@pytest.mark.parametrize(("option", "value"), [("--timeout", "nan"), ("--timeout", "1e300")])
def test_submit_refuses_a_time_before_it_submits(option: str, value: str) -> None:
    """The program is not even loaded."""
    done = command("submit", "nowhere:scheduler", "media::thumb", "--wait", option, value)
    assert (done.code, done.errors.count("\n")) == (2, 1)
    assert "--timeout" in done.errors


def test_a_long_time_between_looks_is_waited_for(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the system waits at all."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    assert command("top", "--count", 2, "--interval", 1e11, db=db).code == 0
    assert waits == [1e9]


def test_a_flow_is_not_found_by_a_number_that_no_id_is(db: Path) -> None:
    """It is looked for as a key."""
    done = command("flows", "show", LONG, db=db)
    assert (done.code, done.errors.count("\n")) == (1, 1)
    assert "expected one of this store" in done.errors


def test_a_name_that_is_not_utf8_is_no_store() -> None:
    """SQLite takes no such name."""
    done = command("ls", "--db", os.fsdecode(b"a\xff.db"))
    assert (done.code, done.errors.count("\n")) == (2, 1)
    assert "expected a name that is UTF-8" in done.errors


# The user's program


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import nope", "ModuleNotFoundError: No module named 'nope'"),
        ("def scheduler(:", "SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def scheduler():\n    raise RuntimeError('no database')", "RuntimeError: no database"),
    ],
)
def test_what_the_program_raises_is_its_own(tmp_path: Path, text: str, cause: str) -> None:
    """One line with the cause, exit code 1; --debug shows where in the program."""
    Path(tmp_path, "own.py").write_text(text)
    env = {"PYTHONPATH": str(tmp_path)}
    ended = millrace(tmp_path, "run", "own:scheduler", env=env)
    assert (ended.code, ended.errors.count("\n")) == (1, 1)
    assert ended.errors.startswith(
        f"millrace: own:scheduler: expected the program to give its scheduler, it raised {cause}"
    )
    assert "is a bug" not in ended.errors
    shown = millrace(tmp_path, "run", "own:scheduler", "--debug", env=env).errors
    assert f'{tmp_path / "own.py"}", line ' in shown


@pytest.mark.parametrize("name", ["..:x", ".:x", "a..b:x"])
def test_a_relative_module_is_none(name: str) -> None:
    """Nothing is there that it could be relative to."""
    done = command("run", name)
    assert (done.code, done.errors.count("\n")) == (2, 1)
    assert "is a bug" not in done.errors


# What the output can write


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_output_that_cannot_write_a_character(db: Path, tmp_path: Path, encoding: str) -> None:
    """Text has an escape for it; JSON is UTF-8, whatever the encoding."""
    env = {"PYTHONIOENCODING": f"{encoding}:strict"}
    shown = millrace(tmp_path, "ls", "--db", db, env=env)
    assert shown.code == 0, shown.errors
    label = "żółw".encode(encoding, "backslashreplace").decode("utf-8", "surrogateescape")
    assert label in shown.output
    (found,) = json.loads(millrace(tmp_path, "ls", "--json", "--db", db, env=env).output)
    assert found["label"] == "żółw"
