"""A scan that is killed, interrupted or begun twice; each run of `millrace` is a process of its own."""

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ended, Running, counts_in, millrace, settled_in, without_seconds
from make_tree import make_plain_tree, make_random_tree
from reference import find_and_du

from millrace.cli.scan.run import GRACE_S

pytestmark = pytest.mark.crash

KILLS = 10
AT_ONCE_S = GRACE_S - 10
"""Less than a drain takes where a directory is read for ever, on a slow machine too."""
USR = Path("/usr")

BLOCKED = [
    "-c",
    """
import sys, threading
from millrace.cli import main
from millrace.cli.scan import tasks

def read(*_, **__):
    print("reading", file=sys.stderr)
    threading.Event().wait()

tasks.read_directory = read
main()
""",
]
"""The command, with directories that take for ever."""

TOLD_TWICE = [
    "-c",
    """
import signal
from millrace.cli.scan import command
say = command._say

def say_and_signal(console, text):
    say(console, text)
    if "interrupt again" in text:
        signal.raise_signal(signal.SIGINT)

command._say = say_and_signal
"""
    + BLOCKED[1],
]
"""The same, with a second signal before it has begun to wait for them."""

MAKERS: dict[str, Callable[[Path], None]] = {
    "plain": lambda root: make_plain_tree(root, 5000),
    "random": lambda root: make_random_tree(root, 3, directories=5000, files=2000),
}


def killed_and_resumed(home: Path, tree: Path, db: Path | None, *, directories: int, seed: int) -> Ended:
    """Scans with ten kills: half of them at a random share of what is left, half at a random time from the start on."""
    rng = random.Random(seed)
    words = ["scan", tree, "--json", *(["--db", db] if db else [])]
    for kill in range(KILLS):
        running = Running(home, *words, *(["--resume"] if kill else []))
        before = settled_in(home, db)
        left = directories - before
        if kill % 2 == 0 and left > KILLS:
            ended = running.signal_at(before + rng.randrange(1, left // (KILLS - kill)), signal.SIGKILL, db)
            assert ended.code == -signal.SIGKILL
        else:
            ended = running.kill_after(rng.uniform(0.05, 0.4))
        if ended.code == 0:
            return ended
    return millrace(home, *words, "--resume")


@pytest.mark.parametrize(("maker", "keep"), [("plain", True), ("random", False)])
def test_killed_and_resumed(tmp_path: Path, maker: str, *, keep: bool) -> None:
    """Killed ten times at random moments and resumed, a scan has the report of an undisturbed one."""
    tree = tmp_path / "tree"
    MAKERS[maker](tree)
    undisturbed = millrace(tmp_path / "home", "scan", tree, "--json")
    expected = find_and_du(tree)
    resumed = killed_and_resumed(
        tmp_path / "home", tree, tmp_path / "scan.db" if keep else None, directories=expected.directories, seed=keep
    )
    assert without_seconds(resumed.result) == without_seconds(undisturbed.result)
    assert counts_in(resumed.result) == expected


def test_usr(tmp_path: Path) -> None:
    """The totals of /usr are those of find and du, undisturbed and with ten kills."""
    expected = find_and_du(USR)
    if expected.directories > 100_000:
        pytest.skip(f"/usr has {expected.directories} directories here: that takes long")
    undisturbed = millrace(tmp_path / "home", "scan", USR, "--json")
    resumed = killed_and_resumed(tmp_path / "home", USR, tmp_path / "scan.db", directories=expected.directories, seed=7)
    if find_and_du(USR) != expected:
        pytest.skip("/usr has changed meanwhile")
    assert counts_in(undisturbed.result) == expected
    assert without_seconds(resumed.result) == without_seconds(undisturbed.result)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_drained_and_resumed(tmp_path: Path, number: signal.Signals) -> None:
    """A signal drains: the command says how to go on, and going on gives the totals."""
    tree = tmp_path / "tree"
    make_plain_tree(tree, 4000)
    words = ["scan", tree, "--json"]
    stopped = Running(tmp_path / "home", *words).signal_at(300, number)
    assert stopped.code == 128 + number
    assert stopped.output == ""
    assert f"millrace scan --resume {tree}" in stopped.errors
    assert "Traceback" not in stopped.errors
    resumed = millrace(tmp_path / "home", *words, "--resume")
    assert counts_in(resumed.result) == find_and_du(tree)
    assert "going on: " in resumed.errors


def test_two_signals(tmp_path: Path) -> None:
    """A second signal ends the command at once, though a directory is still being read; the scan can go on."""
    make_plain_tree(tmp_path / "tree", 20)
    words = ["scan", tmp_path / "tree", "--json"]
    running = Running(tmp_path / "home", *words, program=BLOCKED)
    running.wait_for("reading")
    running.process.send_signal(signal.SIGINT)
    running.wait_for("interrupt again")
    running.process.send_signal(signal.SIGINT)
    stopped = running.end(timeout=AT_ONCE_S)
    assert stopped.code == 130
    assert stopped.errors.endswith("millrace: stopped at once\n")
    assert "Traceback" not in stopped.errors
    resumed = millrace(tmp_path / "home", *words, "--resume")
    assert counts_in(resumed.result) == find_and_du(tmp_path / "tree")


def test_a_second_signal_before_the_drain(tmp_path: Path) -> None:
    """Also where it comes while the command still says what the first one did."""
    make_plain_tree(tmp_path / "tree", 20)
    running = Running(tmp_path / "home", "scan", tmp_path / "tree", program=TOLD_TWICE)
    running.wait_for("reading")
    running.process.send_signal(signal.SIGTERM)
    stopped = running.end(timeout=AT_ONCE_S)
    assert stopped.code == 130
    assert stopped.errors.endswith("millrace: stopped at once\n")


@pytest.mark.parametrize("keep", [True, False], ids=["--db", "own store"])
def test_begun_anew(tmp_path: Path, *, keep: bool) -> None:
    """Without --resume an unfinished scan is given up, which is said, and the new one sees the tree as it is."""
    tree, db = tmp_path / "tree", tmp_path / "scan.db" if keep else None
    make_plain_tree(tree, 4000)
    words = ["scan", tree, "--json", *(["--db", db] if db else [])]
    assert Running(tmp_path / "home", *words).signal_at(300, signal.SIGKILL, db).code == -signal.SIGKILL
    (tree / "new").mkdir()
    (tree / "f0.txt").unlink()
    anew = millrace(tmp_path / "home", *words)
    assert counts_in(anew.result) == find_and_du(tree)
    assert "is given up" in anew.errors


def test_other_scan_in_the_store(tmp_path: Path) -> None:
    """A store with an unfinished scan of other paths is refused, in one line that names them."""
    make_plain_tree(tmp_path / "big", 4000)
    make_plain_tree(tmp_path / "small", 3)
    db = tmp_path / "scan.db"
    Running(tmp_path / "home", "scan", tmp_path / "big", "--db", db).signal_at(300, signal.SIGKILL, db)
    refused = millrace(tmp_path / "home", "scan", tmp_path / "small", "--db", db)
    assert refused.code == 1
    assert refused.errors.startswith("millrace: ")
    assert refused.errors.count("\n") == 1
    assert f"unfinished scan of other paths or options, {tmp_path / 'big'}" in refused.errors


@pytest.mark.parametrize("keep", [True, False], ids=["--db", "own store"])
def test_store_in_use(tmp_path: Path, *, keep: bool) -> None:
    """A store that another process runs is refused with exit code 3; a scan that runs already with 1."""
    tree, db = tmp_path / "tree", tmp_path / "scan.db" if keep else None
    make_plain_tree(tree, 3)
    words = ["scan", tree, *(["--db", db] if db else [])]
    first = Running(tmp_path / "home", *words, program=BLOCKED)
    first.wait_for("reading")
    second = millrace(tmp_path / "home", *words)
    first.process.kill()
    first.end()
    assert second.code == (3 if keep else 1), second.errors
    assert second.errors.count("\n") == 1
