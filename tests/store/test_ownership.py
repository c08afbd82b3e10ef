"""One owner a store, whatever happens to the processes."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from millrace.model.errors import StoreError, StoreLocked, StoreMoved, StoreReadOnly
from millrace.store import ownership as module
from millrace.store.connection import Location, locate
from millrace.store.ownership import Ownership, read_owner, was_store

Start = Callable[..., "subprocess.Popen[str]"]

HOLD = """
import sys
from millrace.store.connection import locate
from millrace.store.ownership import Ownership
kept = Ownership.acquire(locate(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""

RACE = """
import sys
from millrace.model.errors import StoreLocked
from millrace.store.connection import locate
from millrace.store.ownership import Ownership
print("ready", flush=True)
for line in sys.stdin:
    kept = None
    try:
        kept = Ownership.acquire(locate(line.strip()))
        print("got", flush=True)
    except StoreLocked as error:
        print("refused", error.pid, error.host, error.since is not None, flush=True)
    sys.stdin.readline()
    if kept:
        kept.release()
    print("done", flush=True)
"""


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def send(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def hold(start_python: Start, location: Location) -> "subprocess.Popen[str]":
    process = start_python(HOLD, location.real_path)
    assert line_of(process) == "held"
    return process


# Taking and refusing


def test_a_second_owner_in_the_process_is_refused(location: Location) -> None:
    """The same process gets StoreLocked too, with pid, host and since as attributes and in the message."""
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    first = Ownership.acquire(location, now=now)
    with pytest.raises(StoreLocked) as raised:
        Ownership.acquire(location)
    error = raised.value
    assert (error.pid, error.host, error.since) == (os.getpid(), socket.gethostname(), now)
    for fact in (location.path, str(os.getpid()), socket.gethostname(), "2026-03-04T05:06:07"):
        assert fact in str(error)
    first.release()


def test_another_process_is_told_within_a_tenth_of_a_second(start_python: Start, location: Location) -> None:
    """The owner of another process is named, quickly."""
    owner = hold(start_python, location)
    took: list[float] = []
    for _ in range(5):  # the quickest tells least of what else the machine does
        begin = time.perf_counter()
        with pytest.raises(StoreLocked) as raised:
            Ownership.acquire(location)
        took.append(time.perf_counter() - begin)
        assert raised.value.pid == owner.pid
        assert raised.value.since is not None
    assert min(took) < 0.1


def test_release_frees_at_once(location: Location) -> None:
    """After release, which may be repeated, the store can be taken again."""
    first = Ownership.acquire(location)
    first.release()
    first.release()
    assert read_owner(location) is None
    Ownership.acquire(location).release()


@pytest.mark.crash
def test_a_killed_owner_frees_at_once(start_python: Start, location: Location) -> None:
    """SIGKILL frees the store within 0.1 s of the owner's end."""
    took: list[float] = []
    for _ in range(3):
        owner = hold(start_python, location)
        owner.kill()
        owner.wait()
        begin = time.perf_counter()
        Ownership.acquire(location).release()
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.1


@pytest.mark.crash
def test_a_stopped_owner_keeps_it(start_python: Start, location: Location) -> None:
    """A process that is only stopped (SIGSTOP) is still the owner."""
    owner = hold(start_python, location)
    owner.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreLocked):
        Ownership.acquire(location)
    owner.send_signal(signal.SIGCONT)


def test_of_sixteen_processes_one_wins(start_python: Start, tmp_path: Path) -> None:
    """Sixteen processes that take one store at once: in each round one owner, and the others are told which."""
    processes = [start_python(RACE) for _ in range(16)]
    assert {line_of(process) for process in processes} == {"ready"}
    for round_number in range(6):
        path = tmp_path / f"store{round_number % 3}.db"
        for process in processes:
            send(process, str(path))
        answers = {process.pid: line_of(process) for process in processes}
        winners = [pid for pid, answer in answers.items() if answer == "got"]
        assert len(winners) == 1
        refused = f"refused {winners[0]} {socket.gethostname()} True"
        assert [answer for answer in answers.values() if answer != "got"] == [refused] * 15
        for process in processes:
            send(process, "release")
        assert {line_of(process) for process in processes} == {"done"}


# Forks


def test_a_forked_child_does_not_keep_a_dead_owners_store(start_python: Start, location: Location) -> None:
    """The owner is killed, its forked child lives on: the store is free."""
    script = HOLD.replace(
        'print("held"', 'import os\nif os.fork() == 0:\n    sys.stdin.readline()\n    os._exit(0)\nprint("held"'
    )
    owner = start_python(script, location.real_path)
    assert line_of(owner) == "held"
    os.kill(owner.pid, signal.SIGKILL)
    # Not wait(): the child keeps the pipes open. The lock is what tells.
    give_up = time.monotonic() + 5
    while True:
        try:
            Ownership.acquire(location).release()
        except StoreLocked:
            assert time.monotonic() < give_up
        else:
            break
    assert owner.stdin is not None
    owner.stdin.close()


def test_a_child_cannot_give_the_parents_store_away(run_python: Callable[..., str], location: Location) -> None:
    """release() in a forked child does nothing: the parent is still the owner."""
    script = """
import os, sys
from millrace.model.errors import StoreLocked
from millrace.store.connection import locate
from millrace.store.ownership import Ownership, read_owner
kept = Ownership.acquire(locate(sys.argv[1]))
pid = os.fork()
if pid == 0:
    kept.release()
    os._exit(0)
os.waitpid(pid, 0)
kept.check()
print(read_owner(locate(sys.argv[1])).pid == os.getpid())
"""
    assert run_python(script, location.real_path) == "True"


# Other names


def test_a_symbolic_link_leads_to_the_same_lock(location: Location) -> None:
    """Under a link's name the store is just as owned."""
    link = Path(location.directory, "link.db")
    link.symlink_to(location.real_path)
    Path(location.real_path).touch()
    kept = Ownership.acquire(location)
    with pytest.raises(StoreLocked):
        Ownership.acquire(locate(link))
    kept.release()


def test_a_hard_link_is_as_owned(location: Location) -> None:
    """Under a second name in its directory an owned store is StoreLocked; a free one is refused for its two names."""
    Path(location.real_path).touch()
    kept = Ownership.acquire(location)
    other = Path(location.directory, "other.db")
    other.hardlink_to(location.real_path)
    with pytest.raises(StoreLocked) as raised:
        Ownership.acquire(locate(other))
    assert raised.value.pid == os.getpid()
    kept.release()
    with pytest.raises(StoreError, match="hard links"):
        Ownership.acquire(locate(other))


# The lock file


def test_the_lock_is_private(location: Location) -> None:
    """The file has mode 0600 whatever the umask, and stays after release."""
    before = os.umask(0)
    try:
        Ownership.acquire(location).release()
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path(location.lock_path).stat().st_mode) == 0o600


def test_a_planted_link_is_not_followed(location: Location, tmp_path: Path) -> None:
    """A symbolic link in place of the lock is an error, and what it leads to is untouched."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    Path(location.lock_path).symlink_to(victim)
    with pytest.raises(StoreError, match="symbolic link"):
        Ownership.acquire(location)
    assert victim.read_text() == "precious"


def test_a_planted_pipe_does_not_hang(location: Location) -> None:
    """A pipe in place of the lock is an error at once."""
    os.mkfifo(location.lock_path)
    with pytest.raises(StoreError, match="plain file"):
        Ownership.acquire(location)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", '{"pid": "1"}', '{"pid": -1, "host": 5, "since": "soon"}', "\x00" * 9000, "[" * 4000,
     '{"pid": 99999999999999999999, "host": "a\\nb"}'],
)  # fmt: skip
def test_a_garbled_lock_file_is_taken_over(text: str, location: Location) -> None:
    """What stands in the file decides nothing: free, it is taken; held by somebody unknown, it is refused."""
    Path(location.lock_path).write_text(text)
    Ownership.acquire(location).release()
    Path(location.lock_path).write_text(text)
    descriptor = os.open(location.lock_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(StoreLocked) as raised:
        Ownership.acquire(location)
    assert (raised.value.pid, raised.value.host, raised.value.since) == (None, None, None)
    os.close(descriptor)


def test_a_new_owner_that_has_not_written_yet_is_waited_for(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held by a process that has not said who it is, with a dead one's line still there: the new one is told."""
    monkeypatch.setattr(
        module, "FACTS_WAIT_S", 20.0
    )  # this process may stand still for longer than what a caller waits
    dead = {"pid": 2**31 - 1, "host": socket.gethostname(), "since": None, "store": True}
    Path(location.lock_path).write_text(json.dumps(dead))
    descriptor = os.open(location.lock_path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    alive = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": "2026-01-01T00:00:00+00:00"})
    writes = threading.Timer(0.01, lambda: os.pwrite(descriptor, alive.ljust(200).encode(), 0))
    writes.start()
    with pytest.raises(StoreLocked) as raised:
        Ownership.acquire(location)
    assert raised.value.pid == os.getpid()
    writes.join()
    os.close(descriptor)


def test_a_lock_file_removed_while_it_is_taken_is_taken_anew(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking the file is replaced: the lock of the old one is worth nothing, the new is locked."""
    real = module._try_lock
    calls: list[int] = []

    def replace_first(descriptor: int, kind: int) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            Path(location.lock_path).unlink()
        return real(descriptor, kind)

    monkeypatch.setattr(module, "_try_lock", replace_first)
    kept = Ownership.acquire(location)
    assert len(calls) == 2
    kept.check()
    kept.release()


@pytest.mark.parametrize("how", ["removed", "replaced", "released"])
def test_an_owner_notices_the_loss_of_its_lock(how: str, location: Location) -> None:
    """check() is quiet while the lock is held, and StoreMoved once its file is not the one at the path."""
    kept = Ownership.acquire(location)
    kept.check()
    if how == "released":
        kept.release()
    else:
        Path(location.lock_path).unlink()
    if how == "replaced":
        Path(location.lock_path).touch()
    with pytest.raises(StoreMoved):
        kept.check()
    kept.release()


def test_it_is_remembered_that_there_was_a_store(location: Location) -> None:
    """Taken and released with no store beside it the lock says nothing; with one it says so from then on."""
    assert not was_store(location)
    Ownership.acquire(location).release()
    assert not was_store(location)
    kept = Ownership.acquire(location)
    Path(location.real_path).write_bytes(b"x")
    kept.release()
    assert was_store(location)
    Path(location.real_path).write_bytes(b"")
    Ownership.acquire(location).release()
    assert was_store(location)


def test_looking_takes_nothing(location: Location) -> None:
    """read_owner names the owner, creates no file, and leaves the lock alone."""
    assert read_owner(location) is None
    assert not Path(location.lock_path).exists()
    kept = Ownership.acquire(location)
    owner = read_owner(location)
    assert owner is not None
    assert (owner.pid, owner.host) == (os.getpid(), socket.gethostname())
    kept.check()
    kept.release()


def test_a_full_disk_does_not_keep_a_store_from_starting(
    location: Location, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the line cannot be written the lock holds all the same, and that is logged."""

    def fail(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    kept = Ownership.acquire(location)
    kept.check()
    assert "No space left" in caplog.text
    kept.release()


def test_a_directory_without_rights_is_read_only(
    run_python: Callable[..., str], become_nobody: str, open_directory: Path
) -> None:
    """Where no lock file can be made the store is StoreReadOnly."""
    script = (
        """
import sys
from millrace.model.errors import StoreError
from millrace.store.connection import locate
from millrace.store.ownership import Ownership
"""
        + become_nobody
        + """
try:
    Ownership.acquire(locate(sys.argv[1]))
except StoreError as error:
    print(type(error).__name__)
"""
    )
    open_directory.chmod(0o555)
    assert run_python(script, open_directory / "store.db") == StoreReadOnly.__name__


def test_memory_has_an_owner_of_its_own() -> None:
    """A store in memory can be owned like any other, each its own."""
    places = [locate(":memory:"), locate(":memory:")]
    owners = [Ownership.acquire(place) for place in places]
    for owner, place in zip(owners, places, strict=True):
        owner.release()
        place.discard()
