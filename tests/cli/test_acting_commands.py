"""Commands that act: on a store that nobody runs, and on one that this process runs while another connection acts."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Running, millrace
from commands import command, environment

from millrace import Context, Cron, Domain, Every, Outcome, PermanentError, Scheduler, StoreFull, TaskStatus
from millrace.metrics.beside import IN_STORE

WAIT_S = 60.0


def make_domain() -> Domain:
    media = Domain("media")

    @media.task()
    def thumb(ctx: Context, path: str) -> str:
        if path == "bad":
            raise PermanentError("timed out: no answer")
        return path.upper()

    @media.task()
    def tidy(ctx: Context) -> None: ...

    return media


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Three pictures that wait for an hour (ids 1 to 3), one that has failed (4), and a series (5). Nobody runs it."""
    media, path = make_domain(), tmp_path / "tasks.db"
    thumb, tidy = media.tasks["media::thumb"], media.tasks["media::tidy"]
    with Scheduler(path, domains=[media], durability="process") as scheduler:
        for name in ("a", "b", "c"):
            scheduler.submit(thumb.options(run_after=3600.0, group="later", key=name), name)
        scheduler.submit(thumb, "bad").wait(WAIT_S)
        scheduler.submit(tidy.options(schedule=Every(timedelta(days=1), initial_delay=3600.0), key="nightly"))
    return path


@pytest.fixture
def owner(db: Path) -> Iterator[Scheduler]:
    """This process runs it."""
    with Scheduler(db, domains=[make_domain()], durability="process") as scheduler:
        yield scheduler


def status(db: Path, id: int) -> str:
    return str(command("show", id, "--json", db=db).json["status"])


def test_cancel_says_how_many_first(db: Path) -> None:
    """A dry run does nothing, a no does nothing, a yes cancels what meets the filter."""
    assert command("cancel", "group:later", "--dry-run", "--json", db=db).json == {"count": 3, "ids": []}
    done = command("cancel", "group:later", db=db, answers="n\n")
    assert (done.code, done.errors.splitlines()) == (1, ["cancel 3 tasks? [y/N]: n", "millrace: nothing was done"])
    done = command("cancel", "group:later", db=db, answers="")
    assert done.code == 1
    assert done.errors.splitlines()[-1].startswith("millrace: expected y or n, got no answer; nothing was done.")
    assert [status(db, id) for id in (1, 2, 3)] == ["pending"] * 3
    assert command("cancel", "group:later", "--yes", "--json", db=db).json == {"count": 3, "ids": [1, 2, 3]}
    assert [status(db, id) for id in (1, 2, 3)] == ["cancelled"] * 3


@pytest.mark.parametrize("what", ["cancel", "retry"])
@pytest.mark.parametrize("words", [("",), (" ", "")])
def test_an_empty_filter_is_not_everything(db: Path, what: str, words: tuple[str, ...]) -> None:
    """A script's variable that is empty cancels and repeats nothing."""
    done = command(what, *words, "--yes", db=db)
    assert (done.code, done.output) == (2, "")
    assert "expected ids or a filter, got an empty one" in done.errors
    assert [status(db, id) for id in (1, 2, 3, 4)] == ["pending"] * 3 + ["failed"]


def test_an_empty_name_is_no_store() -> None:
    """An option without a value is said to be one, not looked for in the present directory."""
    done = command("ls", "--db", "")
    assert done.code == 2
    assert "expected the name of a file, got an empty one" in done.errors


def test_cancel_by_id(db: Path) -> None:
    """One that has ended another way is not cancelled, and that is said."""
    assert command("cancel", 1, 2, "--json", db=db).json["ids"] == [1, 2]
    done = command("cancel", 4, db=db)
    assert done.code == 1
    assert "ended failed before" in done.errors


def test_cancel_wants_active_tasks(db: Path) -> None:
    """A filter that no active task can meet is a wrong command line."""
    done = command("cancel", "status:failed", db=db)
    assert (done.code, done.errors.count("\n")) == (2, 1)


def test_retry_on_a_store_that_is_run(db: Path, owner: Scheduler) -> None:
    """What failed is repeated as a new task, which the owner runs at once."""
    (new,) = command("retry", "error:timed out", "--yes", "--json", db=db).json["ids"]
    ends = {TaskStatus.FAILED, TaskStatus.PENDING, TaskStatus.RUNNING}
    assert owner.task(new).retry_of == 4
    assert owner.task(new).status in ends


def test_retry_by_a_filter_leaves_out_what_was_repeated(db: Path) -> None:
    """S-135: the same command again does nothing; it repeats what has ended badly since, and an id says which all the same."""
    command("cancel", 1, 2, db=db)
    new = command("retry", "status:cancelled,failed", "--yes", "--json", db=db).json["ids"]
    assert [command("show", id, "--json", db=db).json["retry_of"] for id in new] == [1, 2, 4], "oldest first"
    for words in (("status:cancelled",), ("error:timed out",), ("task:media::thumb", "--dry-run")):
        assert command("retry", *words, "--yes", "--json", db=db).json == {"count": 0, "ids": []}
    command("cancel", new[0], db=db)
    assert command("retry", "status:cancelled", "--dry-run", "--json", db=db).json == {"count": 1, "ids": []}
    assert command("retry", 1, "--json", db=db).json["count"] == 1


def test_retry_by_id_does_what_can_be_done(db: Path) -> None:
    """Each task by itself: what is refused is said in its own line and by the exit code, what was done in the output."""
    command("cancel", 1, 2, db=db)
    done = command("retry", 1, 999, 3, 1, 2, "--json", db=db)
    assert (done.code, json.loads(done.output)["count"]) == (1, 2)
    new = json.loads(done.output)["ids"]
    assert [command("show", id, "--json", db=db).json["retry_of"] for id in new] == [1, 2]
    assert [line.partition(",")[0] for line in done.errors.splitlines()] == [
        "task 999: expected one of this store",
        "task 3: expected one that ended cancelled or dead_letter or dependency_failed or expired or failed",
    ]
    again = command("retry", 1, "--json", db=db)
    assert (again.code, json.loads(again.output)) == (1, {"count": 0, "ids": []})
    assert f"task {new[0]} has" in again.errors


def test_what_was_done_is_said_whatever_ends_it(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is full at the second one: the first is named all the same."""
    retry = Scheduler.retry

    def failing(scheduler: Scheduler, id: int) -> Outcome[Any]:
        if id == 2:
            raise StoreFull("tasks.db: there is no space left")
        return retry(scheduler, id)

    monkeypatch.setattr(Scheduler, "retry", failing)
    command("cancel", 1, 2, db=db)
    done = command("retry", 1, 2, "--json", db=db)
    assert (done.code, json.loads(done.output)["count"]) == (1, 1)
    assert "no space left" in done.errors


@pytest.mark.parametrize(
    ("words", "count", "refused"),
    [
        (("retry", 999), 0, "task 999: expected one of this store"),
        (("retry", 4, 4, 1), 1, "task 1: expected one that ended"),
        (("cancel", 1, 1, 2), 2, ""),
        (("cancel", 4, 3), 1, "task 4: it ended failed before"),
    ],
)
def test_a_dry_run_by_id_looks_at_each(db: Path, words: tuple[object, ...], count: int, refused: str) -> None:
    """It counts what would be done, and says of the others why not."""
    done = command(*words, "--dry-run", "--json", db=db)
    assert json.loads(done.output) == {"count": count, "ids": []}
    assert (done.code, done.errors.count("\n")) == ((1, 1) if refused else (0, 0))
    assert refused in done.errors


def test_pause_and_resume(db: Path) -> None:
    """Of a group, a domain, and everything; each says how many tasks that holds."""
    assert command("pause", "group:later", "--json", db=db).json == {"count": 3}
    assert status(db, 1) == "paused"
    assert command("resume", "group:later", "--json", db=db).json == {"count": 3}
    assert command("pause", "domain:media", "--json", db=db).json["count"] >= 3
    assert command("resume", "domain:media", "--json", db=db).code == 0
    command("pause", db=db)
    assert "nothing starts until" in command("status", db=db).output
    command("resume", db=db)
    assert "nothing starts until" not in command("status", db=db).output
    assert command("pause", "media", db=db).code == 2


def test_what_is_paused_is_seen(db: Path) -> None:
    """Status names each domain and when a group's pause ends, as text and JSON; a task says what it is paused by."""
    with Scheduler(db, domains=[make_domain()]) as scheduler:
        scheduler.pause_group("later", until=datetime.now(UTC) + timedelta(hours=2, minutes=1))
    assert json.loads(command("status", "--json", db=db).output)["paused_domains"] == []
    command("pause", "domain:media", db=db)
    screen = command("status", db=db).output
    assert "paused: nothing of domain media starts until `millrace resume domain:media`" in screen
    assert "paused, ends in 2h " in screen
    facts = json.loads(command("status", "--json", db=db).output)
    assert (facts["paused"], facts["paused_domains"]) == (False, ["media"])
    assert command("show", 1, "--json", db=db).json["paused_by"] == ["domain:media", "group:later"]
    assert command("show", 4, "--json", db=db).json["paused_by"] == [], "it has ended"
    command("pause", db=db)
    assert "paused by    domain:media, group:later, everything\n" in command("show", 1, db=db).output


@pytest.mark.parametrize("scope", ["domain:medai", "group:latr"])
def test_a_pause_that_holds_nothing_known_is_said(db: Path, scope: str) -> None:
    """It is made, as it may come before the first task; what may be a slip is told, and status shows it."""
    done = command("pause", scope, db=db)
    assert (done.code, done.errors) == (0, f"there is no task of {scope} yet\n")
    assert scope.partition(":")[2] in command("status", db=db).output
    assert command("pause", "group:later", db=db).errors == ""


def test_schedules(db: Path) -> None:
    """Listed, paused, resumed, and ended for good."""
    (series,) = command("schedules", "list", "--json", db=db).json
    assert (series["key"], series["schedule"], series["paused"]) == ("nightly", "every 1d 0h", False)
    assert command("schedules", "pause", series["id"], db=db).code == 0
    assert command("schedules", "list", "--json", db=db).json[0]["paused"]
    command("schedules", "resume", series["id"], db=db)
    assert command("schedules", "run", series["id"], db=db).code == 0
    command("schedules", "cancel", series["id"], db=db)
    assert command("schedules", "list", "--json", db=db).json == []
    done = command("schedules", "pause", 99, db=db)
    assert (done.code, done.errors.count("\n")) == (1, 1)


def test_a_schedule_is_listed_as_it_is(db: Path) -> None:
    """JSON has all that it was made of, exactly; the table says of how many runs."""
    media = make_domain()
    tidy = media.tasks["media::tidy"]
    every, cron = Every(3661.5, max_runs=7, catch_up="none"), Cron("0 3 * * *", "Europe/Berlin")
    scheduler = Scheduler(db, domains=[media], durability="process")
    scheduler.submit_batch([tidy.options(schedule=plan, key=f"{plan}").call() for plan in (every, cron)])
    scheduler.stop()
    names = ("interval", "expression", "timezone", "max_runs", "catch_up")
    listed = command("schedules", "list", "--json", db=db).json
    assert [tuple(series[name] for name in names) for series in listed[1:]] == [
        (3661.5, None, None, 7, "none"),
        (None, "0 3 * * *", "Europe/Berlin", None, "once"),
    ]
    assert " 0 of 7 " in command("schedules", "list", db=db).output


def test_flows(db: Path) -> None:
    """Listed, shown with state, cancelled by key."""
    scheduler = Scheduler(db, domains=[])
    scheduler.flow("import", key="monday", state={"page": 3})
    scheduler.stop()
    (flow,) = command("flows", "list", "--json", db=db).json
    shown = command("flows", "show", "monday", "--json", db=db).json
    assert (shown["id"], shown["state"], shown["revision"]) == (flow["id"], {"page": 3}, 1)
    assert command("flows", "cancel", "monday", db=db).code == 0
    assert status(db, flow["id"]) == "cancelled"


def test_a_backup_of_a_store_that_is_run(db: Path, owner: Scheduler, tmp_path: Path) -> None:
    """Of one moment, and a store by itself; another file is never written over."""
    copy = tmp_path / "copy.db"
    assert command("db", "backup", copy, "--json", db=db).json["bytes"] == copy.stat().st_size
    assert command("ls", "--count", "--json", db=copy).json == command("ls", "--count", "--json", db=db).json
    done = command("db", "backup", copy, db=db)
    assert done.code == 1
    assert "there is one" in done.errors


def test_vacuum_is_for_who_owns_the_store(db: Path) -> None:
    """Exit code 3 where a process runs it."""
    assert command("db", "vacuum", db=db).code == 0
    with Scheduler(db, domains=[make_domain()], durability="process"):
        done = command("db", "vacuum", db=db)
    assert (done.code, done.errors.count("\n")) == (3, 1)
    assert str(os.getpid()) in done.errors


def test_prune(db: Path) -> None:
    """The history goes, what is active stays."""
    assert command("db", "prune", db=db).code == 2
    assert command("db", "prune", "--max-count", 0, "--json", db=db).json == {"count": 1}
    assert command("ls", "--count", "--json", db=db).json == {"count": 4}


def test_doctor_of_a_sound_store(db: Path) -> None:
    """Everything is looked at."""
    found = command("doctor", "--json", db=db).json
    assert set(found) == {"pages", "rules", "schema", "place", "log", "room", "clock", "owner"}
    assert all(part["ok"] for part in found.values())


def test_doctor_with_the_program(tmp_path: Path) -> None:
    """One that knows all that is queued is right; one that lacks a task is told which."""
    scheduler = Scheduler(tmp_path / "jobs.db", domains=[make_domain()])
    thumb, tidy = (scheduler.__task__(f"media::{name}") for name in ("thumb", "tidy"))
    assert thumb is not None
    assert tidy is not None
    scheduler.submit_batch([thumb.call("a"), thumb.call("b")])
    words = ("doctor", "--app", "jobs:scheduler", "--db", tmp_path / "jobs.db", "--json")
    env = environment(tmp_path / "jobs.db")
    found = millrace(tmp_path, *words, env=env).result["tasks"]
    assert found == {"ok": True, "found": "the program knows all 1 that are queued"}
    scheduler.submit_batch([tidy.call()])
    scheduler.stop()
    ended = millrace(tmp_path, *words, env=env)
    assert ended.code == 1
    assert json.loads(ended.output)["tasks"]["found"].startswith("the program has no media::tidy: ")


def test_doctor_finds_a_broken_rule(db: Path) -> None:
    """Exit code 1, and which task it is."""
    import apsw  # noqa: PLC0415 - the damage is done here alone

    connection = apsw.Connection(str(db))
    connection.execute("UPDATE task SET unmet = 3 WHERE id = 2")
    connection.close()
    done = command("doctor", db=db)
    assert done.code == 1
    assert "WRONG rules: expected that dependencies are counted right, tasks 2 break it" in done.output


def test_doctor_says_what_it_can_of_a_damaged_file(db: Path) -> None:
    """A check that cannot be made is wrong and says why, in JSON too, and the others are made."""
    media = make_domain()
    thumb = media.tasks["media::thumb"]
    with Scheduler(db, domains=[media], durability="process") as scheduler:
        scheduler.submit_batch(thumb.options(run_after=3600.0).call("x" * 500) for _ in range(500))
    content = bytearray(db.read_bytes())
    for page in range(20, len(content) // 4096, 3):
        content[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    db.write_bytes(content)
    done = command("doctor", "--json", db=db)
    assert done.code == 1
    found = json.loads(done.output)
    assert not found["pages"]["ok"]
    assert "restore a backup" in found["pages"]["found"]
    assert found["schema"]["ok"]
    assert found["owner"]["ok"]


def test_doctor_of_what_is_no_store(tmp_path: Path) -> None:
    """A file that is none, or no more, is a finding; one that is not there is an error."""
    (tmp_path / "cut.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    done = command("doctor", "--json", db=tmp_path / "cut.db")
    assert done.code == 1
    assert not json.loads(done.output)["file"]["ok"]
    missing = command("doctor", "--json", db=tmp_path / "missing.db")
    assert (missing.code, missing.output) == (1, "")


def test_doctor_finds_a_clock_that_was_set_back(db: Path) -> None:
    """The newest task was stored in the future."""
    import apsw  # noqa: PLC0415 - the damage is done here alone

    connection = apsw.Connection(str(db))
    connection.execute("UPDATE task SET created_at_ms = created_at_ms + 86400000")
    connection.close()
    done = command("doctor", db=db)
    assert done.code == 1
    assert "WRONG clock: it is " in done.output


def test_top_looks_as_often_as_it_is_told(db: Path) -> None:
    """Plain text where no terminal is."""
    output = command("top", "--count", 2, "--interval", 0.1, db=db).output
    assert output.count("nobody runs it") == 2


def test_an_exporter_beside_the_owner_says_what_the_store_says(tmp_path: Path) -> None:
    """It has tasks and schedules by their names, under the name it was given, and nothing that only the owner knows."""
    media, db = make_domain(), tmp_path / "tasks.db"
    thumb, tidy = media.tasks["media::thumb"], media.tasks["media::tidy"]
    hourly = Every(3600.0, initial_delay=3600.0)
    with Scheduler(db, domains=[media], durability="process", max_concurrency=9, name="nine") as scheduler:
        scheduler.submit(thumb.options(run_after=3600.0), "a")
        scheduler.submit(tidy.options(schedule=hourly))
        scheduler.submit(thumb.options(schedule=hourly), "b")
        exporter = Running(tmp_path, "metrics", "--listen", "127.0.0.1:0", "--name", "nine", "--db", db)
        exporter.wait_for("metrics on")
        url = exporter._read_errors().split("metrics on ")[1].split()[0]
        text = urllib.request.urlopen(url, timeout=WAIT_S).read().decode()
        ready = urllib.request.urlopen(url.replace("/metrics", "/readyz"), timeout=WAIT_S).read()
        exporter.process.send_signal(signal.SIGTERM)
        assert exporter.end().code == 0
    series = dict(line.rpartition(" ")[::2] for line in text.splitlines() if not line.startswith("#"))
    assert series['millrace_tasks{scheduler="nine",domain="media",status="delayed"}'] == "3.0"
    due = {name for name in series if name.startswith("millrace_schedule_next_run")}
    assert {name.partition("task=")[2] for name in due} == {'"media::thumb"}', '"media::tidy"}'}
    beside_the_store = {"owner", "build_info", "collector_errors_total", "collector_duration_seconds"}
    assert {name.partition("{")[0].removeprefix("millrace_") for name in series} == {*IN_STORE, *beside_the_store} - {
        "schedule_last_success_timestamp_seconds"  # (none has run yet)
    }
    assert ready == b"ok\n"
