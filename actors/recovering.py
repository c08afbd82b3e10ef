"""What a start makes of what the last process left: repeatable, in bounded steps, and no slower for a long history."""

from typing import Final

from millrace.actors import cancelling, run_ends, settling
from millrace.actors.ledger import Ledger
from millrace.actors.tally import CRASHED_RUNS
from millrace.model.lanes import lane_of
from millrace.model.rows import Ageing, Phase, Row, Stop

STEP: Final = 500
"""Rows that one transaction moves at most."""


def recover_runs(ledger: Ledger, *, max_crashes: int) -> None:
    """Runs that nobody executes any more: pending again with a crash counted, or what had been decided of them goes on.

    Their number is bounded by what ran when the process died.
    """
    ids = ledger.writer.starts.select_executing()
    ledger.load(ids)
    for task_id in ids:
        row = ledger.row(task_id)
        if row is None or not row.executing:
            continue
        row.executing = 0
        ledger.changed(row)
        if row.phase == Phase.HOOK:
            ledger.effects.hooks.append(row.id)
            ledger.effects.count("recovered", row.name, "cancelled")
        elif row.closing is not None:
            ledger.effects.count(CRASHED_RUNS, row.name)
            row.phase = Phase.CHILDREN
            ledger.effects.count("recovered", row.name, "cancelled")
            settling.advance(ledger, [row])
        else:
            _recover_run(ledger, row, max_crashes)


def _recover_run(ledger: Ledger, row: Row, max_crashes: int) -> None:
    row.crashes += 1
    ledger.effects.count(CRASHED_RUNS, row.name)
    if row.crashes >= max_crashes:
        row.error = f"the process died {row.crashes} times in a row while it ran"
        row.traceback = None
        ledger.effects.count("recovered", row.name, "dead_lettered")
        settling.close(ledger, row, "dead_letter")
    else:
        action = "finalized" if row.phase == Phase.FINALIZER else "requeued"
        ledger.effects.count("recovered", row.name, action)
        run_ends.put_back(ledger, row, "crash")


def resume_cascades(ledger: Ledger) -> None:
    """Cancels on their way down go on from where they were."""
    cascades = ledger.writer.select_cascades()
    ledger.effects.cascades.extend(cascades)
    cancelling.cascade(ledger, cascades)


def rename_former(ledger: Ledger) -> bool:
    """Give what is stored under former names of this program's tasks their present ones. True while there is more."""
    for alias, name in ledger.catalog.aliases().items():
        found = ledger.writer.names.select_named(alias, name, STEP)
        if found:
            ledger.writer.names.rename_tasks(
                name,
                [(row.id, lane_of(name, row.grp, row.bounded_parent, row.priority), row.loses_key) for row in found],
            )
            return True
        if ledger.writer.names.rename_settled(alias, name, STEP):
            return True
        ledger.writer.names.rename_series(alias, name)
    return False


def park_unknown(ledger: Ledger) -> bool:
    """Park pending tasks whose name this program does not know. True while there are more."""
    for name in ledger.writer.names.select_names():
        if name.startswith("flow::") or ledger.catalog.traits(name) is not None:
            continue
        ids = ledger.writer.names.select_to_park(name, STEP)
        if not ids:
            continue
        ledger.load(ids)
        for task_id in ids:
            row = ledger.row(task_id)
            if row is not None:
                settling.park(ledger, row, f"this program has no task {name!r}; it runs where one that has it starts")
                ledger.effects.count("recovered", name, "parked")
        return True
    return False


def unpark_known(ledger: Ledger, after: int) -> int | None:
    """Make parked tasks that this program knows pending again, a page at a time. Where the next page begins, None at the end."""
    page = ledger.writer.names.select_parked(after, STEP)
    known = [task_id for task_id, name in page if ledger.catalog.traits(name) is not None]
    ledger.load(known)
    for task_id in known:
        row = ledger.row(task_id)
        if row is not None:
            row.status, row.error = "paused" if row.paused == Stop.SERIES else "pending", None
            ledger.changed(row)
            ledger.ready(row)
    return page[-1][0] if len(page) == STEP else None


def begin_ageing(ledger: Ledger) -> None:
    """Tasks become more urgent by waiting from now on, or do not: whoever stores one follows that."""
    starts = ledger.writer.starts
    if not ledger.ages:
        starts.set_ageing(Ageing.OFF)
    elif starts.ageing() is Ageing.OFF:
        starts.set_ageing(Ageing.BEGUN)


def let_age(ledger: Ledger, after: int) -> int | None:
    """Have waiting raise tasks that were stored when it raised nobody, a page at a time; otherwise as ``unpark_known``."""
    starts = ledger.writer.starts
    if starts.ageing() is Ageing.ON:
        return None
    last = starts.let_age(after, STEP)
    if last is None:
        starts.set_ageing(Ageing.ON)
    return last
