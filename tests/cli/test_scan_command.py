"""`millrace scan` as a user runs it, each time in a process of its own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Running, counts_in, millrace, without_seconds
from make_tree import make_deep_tree, make_odd_names, make_plain_tree, make_random_tree, make_unreadable
from reference import find_and_du

from millrace import Context, Domain, Scheduler, TaskStatus
from millrace.viewer import Viewer

# Root without the two capabilities that let it read everything.
MORTAL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


WARNING = [
    "-c",
    """
import logging
from millrace.cli import main
from millrace.cli.scan import tasks

def read(*given, read=tasks.read_directory, **options):
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("millrace.test").exception("over\\nthere")
    return read(*given, **options)

tasks.read_directory = read
main()
""",
]

MAKERS: dict[str, Callable[[Path], None]] = {
    "random": lambda root: make_random_tree(root, 11),
    "odd names": make_odd_names,
    "deep": lambda root: make_deep_tree(root, 60),
    "empty": Path.mkdir,
    "plain": lambda root: make_plain_tree(root, 300),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_totals(tmp_path: Path, maker: str) -> None:
    """The totals are those of find and du, and nothing is left of the scan's own store."""
    tree = tmp_path / "tree"
    MAKERS[maker](tree)
    ended = millrace(tmp_path / "home", "scan", tree, "--json")
    assert counts_in(ended.result) == find_and_du(tree)
    assert ended.result["unreadable"] == []
    assert ended.output.count("\n") == 1
    assert not list((tmp_path / "home").rglob("scan.db*"))


def test_several_paths(tmp_path: Path) -> None:
    """Several PATHs are one scan; one inside another is scanned once, and that is said."""
    for seed in (1, 2):
        make_random_tree(tmp_path / f"t{seed}", seed)
    paths = [tmp_path / "t1", tmp_path / "t2"]
    inside = next(path for path in paths[0].iterdir() if path.is_dir() and not path.is_symlink())
    ended = millrace(tmp_path / "home", "scan", *paths, inside, "--json")
    assert counts_in(ended.result) == find_and_du(*paths)
    assert "is part of another PATH" in ended.errors


def test_unreadable(open_folder: Path, tmp_path: Path) -> None:
    """What cannot be read is listed with its error, and does not stop the scan or fail the command."""
    tree = open_folder / "tree"
    make_unreadable(tree)
    ended = millrace(tmp_path, "scan", tree, "--json", prefix=MORTAL)
    assert counts_in(ended.result) == find_and_du(tree, prefix=MORTAL)
    names = ["closed", "entered", "listed/below", "listed/file", "listed/link"]
    assert ended.result["unreadable"] == [{"path": f"{tree}/{name}", "error": "Permission denied"} for name in names]
    assert ended.result["unreadable_count"] == 5


def test_text(tmp_path: Path) -> None:
    """Without --json the result is text, without colour where the output is no terminal."""
    make_plain_tree(tmp_path / "tree", 30)
    ended = millrace(tmp_path / "home", "scan", tmp_path / "tree")
    assert ended.code == 0
    assert ended.output.startswith("files")
    assert "\x1b" not in ended.output + ended.errors


def test_logs_are_one_line(tmp_path: Path) -> None:
    """What the library warns of is one line on standard error, below which the result comes as ever."""
    make_plain_tree(tmp_path / "tree", 3)
    ended = Running(tmp_path / "home", "scan", tmp_path / "tree", program=WARNING).end()
    assert ended.errors == "millrace: over there: ZeroDivisionError: division by zero\n" * 3
    assert ended.output.startswith("files")


def test_finished_scan_is_shown_again(tmp_path: Path) -> None:
    """--resume of a finished scan in a kept store gives its result; without it the tree is scanned anew."""
    tree, words = tmp_path / "tree", ["scan", tmp_path / "tree", "--json", "--db", tmp_path / "scan.db"]
    make_plain_tree(tree, 20)
    first = millrace(tmp_path / "home", *words)
    (tree / "new").mkdir()
    again = millrace(tmp_path / "home", *words, "--resume")
    assert without_seconds(again.result) == without_seconds(first.result)
    assert "has finished already" in again.errors
    assert counts_in(millrace(tmp_path / "home", *words).result) == find_and_du(tree)


def test_nothing_to_resume(tmp_path: Path) -> None:
    """--resume where nothing was begun begins."""
    make_plain_tree(tmp_path / "tree", 5)
    ended = millrace(tmp_path / "home", "scan", tmp_path / "tree", "--json", "--resume")
    assert ended.result["directories"] == 5
    assert "nothing to resume" in ended.errors


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["scan"], 2, "Missing argument"),
        (["scan", "/nothing/there"], 1, "No such file"),
        (["scan", "/", "--workers", "0"], 2, "--workers"),
        (["scan", "/", "--wrong"], 2, "--wrong"),
        (["scan", "/proc/self/exe"], 1, "symbolic link"),
        (["scan", "/proc/self/status"], 1, "not a directory"),
        (["scan", "/usr", "--db", "/nothing/there/scan.db"], 1, "/nothing/there"),
        (["wrong"], 2, "wrong"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, words: list[str], code: int, message: str) -> None:
    """An error is one line on standard error; nothing is on standard output."""
    ended = millrace(tmp_path, *words)
    assert ended.code == code
    assert ended.output == ""
    assert ended.errors.startswith("millrace: ")
    assert ended.errors.count("\n") == 1
    assert message in ended.errors


@pytest.mark.parametrize("words", [["--debug", "scan"], ["scan", "--debug"]])
def test_debug(tmp_path: Path, words: list[str]) -> None:
    """With --debug, before or after the command's name, there is a traceback."""
    ended = millrace(tmp_path, *words, "/usr", "--db", "/nothing/there/scan.db")
    assert ended.code == 1
    assert "Traceback" in ended.errors


def test_one_file_system(tmp_path: Path) -> None:
    """With -x a mount point is a directory without content, as find and du have it."""
    mount = tmp_path / "tree" / "mount"
    make_plain_tree(tmp_path / "tree", 12)
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", mount], check=False, capture_output=True).returncode:
        pytest.skip("this user cannot mount")
    try:
        make_plain_tree(mount / "below", 5)
        for words in ((), ("-x",)):
            ended = millrace(tmp_path / "home", "scan", tmp_path / "tree", "--json", *words)
            assert counts_in(ended.result) == find_and_du(tmp_path / "tree", one_file_system=bool(words))
            assert ended.result["directories"] == (13 if words else 18)
    finally:
        subprocess.run(["umount", mount], check=True)


def test_help(tmp_path: Path) -> None:
    """--help tells of the options, and --version of the version."""
    ended = millrace(tmp_path, "scan", "--help")
    assert ended.code == 0
    assert all(option in ended.output for option in ("--db", "--json", "--resume", "--workers", "-x", "--debug"))
    assert millrace(tmp_path, "--version").output.startswith("millrace, version ")


def test_no_colour(tmp_path: Path) -> None:
    """NO_COLOR is obeyed where a terminal is claimed."""
    make_plain_tree(tmp_path / "tree", 3)
    env = {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm"}
    ended = millrace(tmp_path / "home", "scan", tmp_path / "tree", tmp_path / "tree" / "d1", env={**os.environ, **env})
    assert ended.code == 0
    assert "\x1b[3" not in ended.errors + ended.output


def test_the_store_of_an_application(tmp_path: Path) -> None:
    """A store with an application's tasks is refused in one line, before any of them is pruned or parked."""
    app, db = Domain("app"), tmp_path / "tasks.db"

    @app.task()
    def work(ctx: Context) -> None: ...

    with Scheduler(db, domains=[app], durability="process") as scheduler:
        queued = scheduler.submit(work.options(run_after=3600.0)).id
    refused = millrace(tmp_path, "scan", tmp_path, "--db", db)
    assert (refused.code, refused.output) == (1, "")
    assert refused.errors.count("\n") == 1
    assert "is the store of an application" in refused.errors
    with Viewer(db) as viewer:
        assert viewer.task(queued).status is TaskStatus.PENDING


@pytest.mark.parametrize("scope", [(), ("domain:scan",)], ids=["all", "domain"])
def test_a_paused_store(tmp_path: Path, scope: tuple[str, ...]) -> None:
    """On a store that is paused a scan does not begin: it says how to resume it. Resumed, it scans."""
    make_plain_tree(tmp_path / "tree", 3)
    words = ("scan", tmp_path / "tree", "--db", tmp_path / "scan.db")
    assert millrace(tmp_path, *words).code == 0
    assert millrace(tmp_path, "pause", *scope, "--db", tmp_path / "scan.db").code == 0
    refused = millrace(tmp_path, *words)
    assert refused.code == 1
    assert refused.errors.count("\n") == 1
    resume = refused.errors.rpartition("first: millrace ")[2].split()
    assert resume == ["resume", "--db", str(tmp_path / "scan.db"), *scope]
    assert millrace(tmp_path, *resume).code == 0
    assert millrace(tmp_path, *words).code == 0
