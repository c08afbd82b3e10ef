"""Imports two files into a database each night, and writes a report when both are in.

    python nightly_import.py FOLDER [--store nightly.db] [--now]

FOLDER holds products.csv (id,price) and orders.csv (product,pieces); the rows go to FOLDER/shop.sqlite, the report to
FOLDER/report-DAY.txt. It runs at 2:30 in Berlin, once a night, over both changes of the clock, until it is interrupted; with
--now it runs at once, and the program ends with it. A night that was missed because the program was down is made up for.

`start_import` recurs. Each night it opens a flow and puts three tasks into it: two loads, and a report that depends on both. A
file that cannot be read fails its load, and with it the flow; the report then never runs. The next night is unaffected.
"""

import argparse
import csv
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from millrace import (
    Cancelled,
    Completed,
    Context,
    Cron,
    DeadLettered,
    Domain,
    Failed,
    ParentClosed,
    PermanentError,
    Retry,
    Scheduler,
    TaskStatus,
)

BERLIN = ZoneInfo("Europe/Berlin")
COLUMNS = {"products": ("id", "price"), "orders": ("product", "pieces")}


@dataclass(frozen=True)
class Place:
    """Where the files are; given to the scheduler, and asked for by the bodies."""

    folder: Path


nightly = Domain("nightly", retry=Retry.exponential(3, initial=10, maximum=300), timeout=3600)


@nightly.task(schedule=Cron("30 2 * * *", "Europe/Berlin"))
def start_import(ctx: Context) -> int:
    """Plan the night's work as a flow; its id is the memo."""
    due = ctx.record.run_at or ctx.record.created_at
    day = due.astimezone(BERLIN).date().isoformat()
    flow = ctx.scheduler.flow("import", key=day)
    try:
        loads = [flow.spawn(load.options(label=f"{table} of {day}"), table, day) for table in COLUMNS]
        flow.spawn(report.options(depends_on=loads, label=f"report of {day}"), day)
        flow.finish()
    except ParentClosed:
        pass  # an earlier run of this body had planned it all, and died before that was stored; or a load has failed already
    return flow.id


@nightly.task()
def load(ctx: Context, table: str, day: str) -> int:
    """Read one file into its table, in one transaction that replaces the day's rows, so that it may run twice."""
    folder = ctx.state(Place).folder
    columns = COLUMNS[table]
    with (folder / f"{table}.csv").open(newline="") as file:
        try:
            rows = [(day, *(float(row[column]) for column in columns)) for row in csv.DictReader(file)]
        except (KeyError, ValueError, TypeError) as error:
            raise PermanentError(f"{table}.csv: expected numbers in {', '.join(columns)}; {error!r}") from error
    with closing(sqlite3.connect(folder / "shop.sqlite", timeout=60)) as shop, shop:
        shop.execute(f"CREATE TABLE IF NOT EXISTS {table} (day TEXT, {' REAL, '.join(columns)} REAL)")
        shop.execute(f"DELETE FROM {table} WHERE day = ?", (day,))
        shop.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", ctx.track(rows, len(rows)))
    return len(rows)


@nightly.task()
def report(ctx: Context, day: str) -> float:
    """Write what the day's orders are worth. It starts when both loads have completed."""
    folder = ctx.state(Place).folder
    with closing(sqlite3.connect(folder / "shop.sqlite", timeout=60)) as shop:
        ((worth,),) = shop.execute(
            "SELECT coalesce(sum(price * pieces), 0) FROM orders JOIN products ON product = id"
            " WHERE orders.day = ? AND products.day = ?",
            (day, day),
        )
    (folder / f"report-{day}.txt").write_text(f"{day}: orders worth {worth:.2f}\n", encoding="utf-8")
    return float(worth)


def import_now(scheduler: Scheduler) -> TaskStatus:
    """Run the series' next run at once, and wait for the flow that it opens."""
    ends = (Completed, Failed, DeadLettered, Cancelled)
    with scheduler.subscribe(kinds=ends, task=start_import) as events:
        (series,) = scheduler.schedules()
        scheduler.run_now(series.id)
        planned = next(event for event in events if not (isinstance(event, Failed) and event.will_retry))
    if not isinstance(planned, Completed):
        return scheduler.task(planned.task_id).status
    return scheduler.open_flow(planned.memo).wait().status


def main() -> int:
    """0 where the import has completed, or the program was told to end."""
    parser = argparse.ArgumentParser(description="Import two files each night.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store", default="nightly.db")
    parser.add_argument("--now", action="store_true", help="import at once, then end")
    given = parser.parse_args()
    scheduler = Scheduler(given.store, domains=[nightly], state=[Place(given.folder)])
    if not given.now:
        scheduler.run()
        return 0
    with scheduler:
        status = import_now(scheduler)
    print(f"import: {status}", file=sys.stderr)
    return 0 if status == TaskStatus.COMPLETED else 1


if __name__ == "__main__":
    sys.exit(main())
