"""Commands that load a program: `run` and `submit`; and where `--metrics` serves."""

import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest
from command_line import Running, millrace
from commands import command, environment

from millrace import Scheduler

WAIT_S = 60.0


def status_of(db: Path, id: int) -> str:
    return str(command("show", id, "--json", db=db).json["status"])


def test_run_serves_drains_and_refuses_a_second(tmp_path: Path) -> None:
    """Exit code 0 where it has drained, 3 where another process runs the store; a task of another process runs meanwhile."""
    db = tmp_path / "jobs.db"
    env = environment(db)
    first = Running(tmp_path, "run", "jobs:scheduler", "--metrics", "127.0.0.1:0", "--grace", "5", env=env)
    first.wait_for("metrics on")
    ended = millrace(tmp_path, "submit", "jobs:make", "media::thumb", '{"path": "a"}', "--wait", "--json", env=env)
    assert ended.result["memo"] == "A"
    bad = millrace(tmp_path, "submit", "jobs:make", "media::thumb", '{"path": "bad"}', "--wait", env=env)
    assert (bad.code, "failed: PermanentError: timed out" in bad.output) == (1, True)
    url = first._read_errors().split("metrics on ")[1].split()[0]
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        assert b"millrace_" in answer.read()
    second = millrace(tmp_path, "run", "jobs:make", env=env)
    assert (second.code, second.errors.count("\n")) == (3, 1)
    first.process.send_signal(signal.SIGTERM)
    assert first.end().code == 0


@pytest.mark.parametrize("words", [("run", "jobs:scheduler", "--metrics"), ("metrics", "--listen")])
def test_the_address_of_the_metrics_can_be_opened(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One of IPv6 too, which a URL has in brackets."""
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    db = tmp_path / "jobs.db"
    Scheduler(db, domains=[]).start().stop()  # a store, as the exporter makes none
    store = ("--db", db) if words[0] == "metrics" else ()
    running = Running(tmp_path, *words, "[::1]:0", *store, env=environment(db))
    running.wait_for("/metrics\n")
    url = running._read_errors().split("metrics on ")[1].split()[0]
    assert url.startswith("http://[::1]:")
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        assert b"millrace_" in answer.read()
    running.process.kill()
    running.end()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as listening:
            listening.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """A body that would go on for the whole grace is interrupted, and its task is pending again."""
    db = tmp_path / "jobs.db"
    env = environment(db)
    running = Running(tmp_path, "run", "jobs:scheduler", "--metrics", "127.0.0.1:0", "--grace", "600", env=env)
    running.wait_for("metrics on")
    id = json.loads(millrace(tmp_path, "submit", "jobs:make", "media::hold", "--json", env=env).output)["id"]
    running._wait_until(lambda: status_of(db, id) == "running", "the task ran")
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGTERM)
    ended = running.end()
    assert ended.code == 0, ended.errors
    assert status_of(db, id) == "pending"


def test_submit_says_what_is_wrong(tmp_path: Path) -> None:
    """In one line, before anything is stored."""
    env = environment(tmp_path / "jobs.db")
    for words in (
        ("nowhere:scheduler", "media::thumb"),
        ("jobs:nothing", "media::thumb"),
        ("jobs:scheduler", "media::none"),
        ("jobs:scheduler", "media::thumb", "[1"),
        ("jobs:scheduler", "media::thumb", '{"wrong": 1}'),
    ):
        ended = millrace(tmp_path, "submit", *words, env=env)
        assert (ended.code, ended.errors.count("\n")) == (2, 1), ended.errors
    assert not (tmp_path / "jobs.db").exists()


@pytest.mark.parametrize("options", [(), ("--wait",)])
def test_submit_refuses_a_store_in_memory(tmp_path: Path, options: tuple[str, ...]) -> None:
    """It would end with the command, and the task with it."""
    env = environment(tmp_path / "jobs.db") | {"JOBS_DB": ":memory:"}
    ended = millrace(tmp_path, "submit", "jobs:scheduler", "media::thumb", '{"path": "a"}', *options, env=env)
    assert (ended.code, ended.output, ended.errors.count("\n")) == (2, "", 1)
    assert "in memory" in ended.errors
