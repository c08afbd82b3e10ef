"""`ls`, `show`, `tree` and `status`, on files that somebody runs and on files that nobody runs."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import millrace
from commands import command

from millrace import Context, Domain, PermanentError, Scheduler

WAIT_S = 60.0


def make_domain(gate: threading.Event) -> Domain:
    media = Domain("media")

    @media.task(redact=["token"])
    def thumb(ctx: Context, path: str, token: str = "hush") -> str:
        if path == "bad":
            raise PermanentError("timed out: no answer")
        return path.upper()

    @media.task(fail_fast=False, max_failures=9)
    def album(ctx: Context, paths: list[str]) -> int:
        ctx.spawn_children(thumb.options(key=path).call(path) for path in paths)
        return len(paths)

    @media.task()
    def hold(ctx: Context) -> None:
        gate.wait(WAIT_S)

    return media


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def db(tmp_path: Path, gate: threading.Event) -> Path:
    """A store with an album of three, of which one has failed, and two pictures that are paused. Nobody runs it."""
    media = make_domain(gate)
    path = tmp_path / "tasks.db"
    with Scheduler(path, domains=[media], durability="process") as scheduler:
        album = media.tasks["media::album"]
        scheduler.submit(album.options(tags={"tenant": "acme"}, label="summer"), ["a", "bad", "c"]).wait(WAIT_S)
        scheduler.pause_group("later")
        thumb = media.tasks["media::thumb"]
        for name in ("x", "y"):
            scheduler.submit(thumb.options(group="later", key=name), name)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ids(db: Path, *words: str) -> list[int]:
    return [task["id"] for task in command("ls", "--json", *words, db=db).json]


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ("", [6, 5, 4, 3, 2, 1]),
        ("status:paused", [6, 5]),
        ("status:failed", [3]),
        ("status:completed parent:1", [4, 2]),
        ("task:media::album", [1]),
        ("group:later key:x", [5]),
        ("tag:tenant=acme task:media::thumb", [4, 3, 2]),
        ("tag:ten status:failed", [3]),
        ("error:timed out", [3]),
        ("error:TIMED", []),
        ("age<1h status:failed", [3]),
        ("age>1h", []),
        ("domain:other", []),
    ],
)
def test_ls_lists_what_meets_every_term(db: Path, terms: str, found: list[int]) -> None:
    """Newest first; and `--count` counts the same."""
    assert ids(db, *terms.split()) == found
    assert command("ls", "--count", "--json", *terms.split(), db=db).json == {"count": len(found)}


def test_ls_goes_on_page_by_page(db: Path) -> None:
    """`--before` is the last id of the page before."""
    assert ids(db, "-n", "2") == [6, 5]
    assert ids(db, "-n", "2", "--before", "5") == [4, 3]
    done = command("ls", "--count", "--before", 5, db=db)
    assert (done.code, done.errors.count("\n")) == (2, 1), "a count is of all pages"


def test_ls_says_in_one_line_what_is_wrong_with_a_filter(db: Path) -> None:
    """A wrong command line is exit code 2, and the message names what there is."""
    done = command("ls", "stats:failed", db=db)
    assert done.code == 2
    assert done.errors.count("\n") == 1
    assert "expected status:, task:" in done.errors


def test_no_reading_command_writes_or_makes_a_store(db: Path, tmp_path: Path) -> None:
    """The file is the same to the byte, and none is made where there is none."""
    before = digest(db)
    for words in (("ls",), ("show", 1), ("tree", 1), ("status",)):
        command(*words, db=db)
    assert digest(db) == before
    done = command("ls", db=tmp_path / "none.db")
    assert done.code == 1
    assert "there is no such file" in done.errors
    assert not (tmp_path / "none.db").exists()


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    """Whatever it is."""
    other = tmp_path / "other.db"
    other.write_bytes(b"")
    assert "expected a store of millrace, found an empty file" in command("ls", db=other).errors
    other.write_bytes(b"no database at all, but longer than a header" * 50)
    done = command("ls", db=other)
    assert done.code == 1
    assert done.errors.count("\n") == 1


def test_a_store_beside_which_nothing_may_be_written(open_folder: Path, request: pytest.FixtureRequest) -> None:
    """SQLite has to keep its index there: who may not write there is told to copy the store."""
    with Scheduler(open_folder / "tasks.db", durability="process"):
        pass
    for path in open_folder.iterdir():
        path.chmod(0o444)
    open_folder.chmod(0o555)
    request.getfixturevalue("as_nobody")
    done = command("ls", db=open_folder / "tasks.db")
    assert done.code == 1
    assert "copy the store to where it has it" in done.errors


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe too: opening it would wait for somebody to write to it."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        done = millrace(tmp_path, "ls", "--db", path)
        assert done.code == 1
        assert "expected a plain file" in done.errors


def test_show_hides_a_payload_that_it_cannot_know(db: Path) -> None:
    """Without the program's code any field may be one that is redacted."""
    shown = command("show", 2, "--json", db=db).json
    assert shown["payload"] == {"path": "***", "token": "***"}
    assert shown["memo"] == "A"
    assert "hush" not in command("show", 2, db=db).output


def test_show_tells_of_error_children_and_parent(db: Path) -> None:
    """As text and as JSON."""
    album = command("show", 1, "--json", db=db).json
    assert album["children"] == {
        "total": 3,
        "active": 0,
        "by_status": {"completed": 2, "failed": 1},
        "errors": [["PermanentError: timed out: no answer", 1]],
    }
    bad = command("show", 3, db=db).output
    assert "PermanentError: timed out: no answer" in bad
    assert "parent       1" in bad
    assert "Traceback" in bad


def test_show_of_no_task(db: Path) -> None:
    """One line, exit code 1."""
    done = command("show", 99, db=db)
    assert (done.code, done.errors.count("\n")) == (1, 1)
    assert "task 99" in done.errors


def test_tree_shows_what_is_below(db: Path) -> None:
    """Each child under its parent, which says how many are done."""
    lines = command("tree", 1, db=db).output.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert "3 of 3 done, 1 failed" in lines[0]
    assert [node["depth"] for node in command("tree", 1, "--json", db=db).json] == [0, 1, 1, 1]
    assert len(command("tree", 1, "--limit", 2, db=db).output.splitlines()) == 2


def test_status_is_a_health_check(db: Path, gate: threading.Event) -> None:
    """Exit code 1 where nobody runs the store, 0 where a process does; `--quiet` prints nothing."""
    done = command("status", db=db)
    assert done.code == 1
    assert "nobody runs it" in done.output
    for words in (("--quiet",), ("--quiet", "--json")):
        assert (command("status", *words, db=db).code, command("status", *words, db=db).output) == (1, "")
    media = make_domain(gate)
    with Scheduler(db, domains=[media], durability="process") as scheduler:
        outcome = scheduler.submit(media.tasks["media::hold"])
        shown = command("status", "--json", db=db).json
        assert shown["active"]["paused"] == 2
        assert shown["settled"]["completed"] == 3
        assert {"group": "later", "running": 0, "pending": 2, "paused": True, "paused_until": None} in shown["groups"]
        assert command("status", "--quiet", db=db).code == 0
        gate.set()
        outcome.wait(WAIT_S)


def test_a_process_of_its_own_reads_what_another_runs(db: Path, tmp_path: Path, gate: threading.Event) -> None:
    """Beside the owner, in the middle of its work; and plain text where no terminal is."""
    media = make_domain(gate)
    with Scheduler(db, domains=[media], durability="process") as scheduler:
        outcome = scheduler.submit(media.tasks["media::hold"])
        for words in (("status",), ("ls", "task:media::hold"), ("show", outcome.id), ("tree", outcome.id)):
            ended = millrace(tmp_path, *words, "--db", db)
            assert ended.code == 0, ended.errors
            assert "media::hold" in ended.output
            assert "\x1b" not in ended.output
        gate.set()
        outcome.wait(WAIT_S)


# Without words


@pytest.mark.parametrize("words", [(), ("db",), ("schedules",), ("flows",)])
def test_a_group_without_a_command_shows_its_help(words: tuple[str, ...]) -> None:
    """Line by line, as `--help` does, and as a wrong command line: nothing was done."""
    done = command(*words)
    assert (done.code, done.output) == (2, "")
    assert done.errors.strip() == command(*words, "--help").output.strip()


# Who reads the output


@pytest.mark.parametrize("words", [("ls",), ("ls", "--json"), ("ls", "--count"), ("status",), ("tree", 1), ("show", 1)])
def test_a_reader_that_has_gone_is_no_error(db: Path, words: tuple[object, ...]) -> None:
    """The command ends without a word, as nobody is there to read one, and says by its exit code that it was cut off."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "millrace.cli", *map(str, words), "--db", str(db)],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            timeout=WAIT_S,
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_ls_ends_where_head_has_enough(db: Path) -> None:
    """`millrace ls | head -n 1`: the first line, and no other."""
    ls = subprocess.Popen(
        [sys.executable, "-m", "millrace.cli", "ls", "--db", str(db)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert ls.stdout is not None
    head = subprocess.run(["head", "-n", "1"], stdin=ls.stdout, capture_output=True, check=True, timeout=WAIT_S)
    ls.stdout.close()
    ls.stdout = None
    errors = ls.communicate(timeout=WAIT_S)[1]
    assert head.stdout.split()[:2] == [b"ID", b"STATUS"]
    assert errors == b""
    assert ls.returncode in (0, 1), "all that is to be said may fit into the pipe"


LATER = ("cronsim", "psutil", "pykka", "millrace.scheduler", "millrace.model.events", "millrace.model.limits", "rich")


@pytest.mark.parametrize("words", [("status",), ("ls",)])
def test_who_looks_loads_little(db: Path, words: tuple[str, ...]) -> None:
    """A cold start is over before 0.3 s: what takes long to load, and only runs tasks or comes with them, is not loaded."""
    script = (
        "import sys\nfrom millrace.cli import main\n"
        f"try:\n    main([*{words!r}, '--db', {str(db)!r}])\n"
        f"finally:\n    print([name for name in {LATER!r} if name in sys.modules], file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert ended.stdout
    assert ended.stderr == "[]\n"
