"""examples/nightly_import.py: loads, then the report, each night."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest

from millrace import Completed, Context, Domain, PermanentError, Retry, Scheduler, TaskStatus

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files: three pieces at 2.5, and four at 10."""
    (tmp_path / "products.csv").write_text("id,price\n1,2.5\n2,10\n")
    (tmp_path / "orders.csv").write_text("product,pieces\n1,3\n2,4\n")
    return tmp_path


def scheduler_of(module: ModuleType, folder: Path) -> Scheduler:
    return Scheduler(folder / "nightly.db", domains=[module.nightly], state=[module.Place(folder)])


def reports(folder: Path) -> list[str]:
    return [path.read_text().partition(": ")[2] for path in sorted(folder.glob("report-*.txt"))]


def test_the_program_imports_and_reports(examples: Path, folder: Path) -> None:
    """With --now the program imports both files, writes the report and ends well."""
    command = [sys.executable, examples / "nightly_import.py", folder, "--store", folder / "nightly.db", "--now"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, "import: completed\n")
    assert reports(folder) == ["orders worth 47.50\n"]


def test_it_is_due_each_night_in_berlin(nightly_import: ModuleType, folder: Path) -> None:
    """The series is there from the start on, and its next run is at 2:30 in Berlin."""
    with scheduler_of(nightly_import, folder) as scheduler:
        (series,) = scheduler.schedules()
    assert series.next_run is not None
    assert series.next_run > datetime.now(UTC)
    local = series.next_run.astimezone(BERLIN)
    # On the night when 2:30 does not exist it is the first minute after the gap.
    assert (local.hour, local.minute) in {(2, 30), (3, 0)}


def test_a_second_import_of_a_day_replaces_the_first(nightly_import: ModuleType, folder: Path) -> None:
    """What is imported twice is there once."""
    with scheduler_of(nightly_import, folder) as scheduler:
        assert nightly_import.import_now(scheduler) == TaskStatus.COMPLETED
        (folder / "orders.csv").write_text("product,pieces\n1,1\n")
        assert nightly_import.import_now(scheduler) == TaskStatus.COMPLETED
    with closing(sqlite3.connect(folder / "shop.sqlite")) as shop:
        assert shop.execute("SELECT product, pieces FROM orders").fetchall() == [(1, 1)]
    assert reports(folder)[-1] == "orders worth 2.50\n"


def test_a_bad_file_fails_the_night_and_not_the_next(nightly_import: ModuleType, folder: Path) -> None:
    """The report does not run on half an import; the series goes on, and a mended file is imported by the next run."""
    (folder / "orders.csv").write_text("product,pieces\n1,many\n")
    with scheduler_of(nightly_import, folder) as scheduler:
        assert nightly_import.import_now(scheduler) == TaskStatus.FAILED
        (failed,) = scheduler.tasks(task=nightly_import.load, status=TaskStatus.FAILED)
        assert "orders.csv: expected numbers in product, pieces" in (failed.error or "")
        # There is no report at all where the load had failed, and the flow with it, before the report was planned.
        planned = scheduler.tasks(task=nightly_import.report)
        assert {report.status for report in planned} <= {TaskStatus.DEPENDENCY_FAILED, TaskStatus.CANCELLED}
        assert reports(folder) == []
        (folder / "orders.csv").write_text("product,pieces\n1,1\n")
        assert nightly_import.import_now(scheduler) == TaskStatus.COMPLETED
    assert reports(folder) == ["orders worth 2.50\n"]


@pytest.mark.parametrize("end", [TaskStatus.DEAD_LETTER, TaskStatus.FAILED, TaskStatus.CANCELLED])
def test_an_import_that_cannot_be_planned_ends(
    nightly_import: ModuleType, folder: Path, end: TaskStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes of the task that plans it, --now does not wait for ever."""

    def plan(ctx: Context) -> int:
        if end is TaskStatus.CANCELLED:
            assert ctx.scheduler.cancel(ctx.id).accepted
            ctx.wait_cancelled(30)
            ctx.check_cancelled()
        raise PermanentError if end is TaskStatus.FAILED else OSError

    monkeypatch.setattr(nightly_import.start_import, "fn", plan)
    nightly: Domain = nightly_import.nightly
    monkeypatch.setattr(nightly, "defaults", nightly.defaults.extended(retry=Retry.none()))
    # The scheduler is stopped first: that ends a wait for events that do not come.
    with ThreadPoolExecutor(1) as pool, scheduler_of(nightly_import, folder) as scheduler:
        assert pool.submit(nightly_import.import_now, scheduler).result(30) is end


def test_a_cancelled_night_leaves_nothing_behind(nightly_import: ModuleType, folder: Path) -> None:
    """Cancelling the flow cancels what waits in it: no table, no report."""
    with scheduler_of(nightly_import, folder) as scheduler:
        scheduler.domain("nightly").max_concurrency = 1
        flow = scheduler.flow("import", key="by hand")
        held = flow.spawn(nightly_import.load.options(run_after=3600), "orders", "2026-01-02")
        report = flow.spawn(nightly_import.report.options(depends_on=[held]), "2026-01-02")
        assert flow.cancel().accepted
        assert flow.wait(timeout=30).status == TaskStatus.CANCELLED
        assert {held.wait(30).status, report.wait(30).status} == {TaskStatus.CANCELLED}
    assert not (folder / "shop.sqlite").exists()
    assert reports(folder) == []


def test_a_repeated_plan_adds_nothing(nightly_import: ModuleType, folder: Path) -> None:
    """A body that runs again, while the flow it has planned is under way, finds it closed and leaves it alone."""
    with scheduler_of(nightly_import, folder) as scheduler:
        day = datetime.now(BERLIN).date().isoformat()
        flow = scheduler.flow("import", key=day)
        flow.spawn(nightly_import.load.options(run_after=3600), "orders", day)
        flow.finish()
        with scheduler.subscribe(kinds=[Completed], task=nightly_import.start_import) as events:
            assert scheduler.run_now(scheduler.schedules()[0].id)
            again = events.get(timeout=30)
        assert isinstance(again, Completed)
        assert again.memo == flow.id
        assert flow.summary().total == 1
        flow.cancel()
        flow.wait(timeout=30)
