"""The unit of work of one transaction: rows are loaded once, changed in memory by the rules, and written back in bulk.

Nothing here decides. Each public method states a fact about rows (this one is ready, that one has settled), keeps the
effects that follow from it, and ``flush`` brings the store to what memory says, in a handful of statements however many
rows are touched. Dropped without ``flush``, nothing has happened.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from millrace.actors.edges import Edges
from millrace.actors.effects import NO_REPORT, Effects, Report
from millrace.actors.policy.dependencies import BadEnd
from millrace.actors.policy.limits import Limits
from millrace.actors.standing import Standing
from millrace.actors.telling import news_of
from millrace.model import events
from millrace.model.catalog import Catalog
from millrace.model.durations import ms_to_datetime
from millrace.model.lanes import Lane, make_lane
from millrace.model.rows import Claim, Delay, NewRow, ParentCount, Ready, Row, since_ms
from millrace.store.writer import Writer

UNLIMITED: Final = Limits(slots=1)
"""Nothing is paused, and nothing but the slots bounds anything."""
MAX_ROWS: Final = 1000
"""Rows that one transaction cancels at most; the rest follows in further ones."""

BYTES_AT: Final = 18
"""The place of bytes_done, and after it bytes_total, in what ``settle_rows`` takes."""


class Ledger:
    """Rows and effects of one transaction.

    Args:
        writer: with the transaction open.
        catalog: the tasks this program knows.
        now_ms: the wall clock's time of this transaction, for records.
        steady_ms: the same by the clock that nobody sets, for delays: equal unless the wall clock was set meanwhile.
        is_heard: whether anybody subscribes to events; without, none are made.
        hears: whether anybody wants events of a class.
        unsaid: what subscribers have still to hear of a task's progress.
        has_reports: whether any run that ends in this transaction may have reported progress.
        limits: limits and pauses in force.
        ages: whether waiting raises a task's priority.
    """

    def __init__(
        self,
        writer: Writer,
        catalog: Catalog,
        now_ms: int,
        steady_ms: int,
        *,
        is_heard: bool,
        hears: Callable[[type[events.Event]], bool] = lambda _: True,
        unsaid: Callable[[int, float | None], Report | None] | None = None,
        has_reports: bool = True,
        limits: Limits = UNLIMITED,
        ages: bool = False,
    ) -> None:
        self.writer = writer
        self.catalog = catalog
        self.now_ms = now_ms
        self.steady_ms = steady_ms
        self.is_heard = is_heard
        self._hears = hears
        self._heard: dict[type[events.Event], bool] = {}
        self.limits = limits
        self._unsaid = unsaid
        self.has_reports = has_reports
        self.ages = ages
        self._now: datetime | None = None
        self.effects = Effects()
        self.cancels_left = MAX_ROWS
        """Descendants that this transaction may still tell of an end above them."""
        self._rows: dict[int, Row] = {}
        self._dirty: dict[int, Row] = {}
        self._moved: dict[int, Row] = {}
        self._counted: dict[int, Row] = {}
        self._settled: dict[int, tuple[Any, ...]] = {}
        self._sums: dict[int, tuple[int, int]] = {}
        """Round and children of settled parents some of whose children have told of bytes."""
        self._settled_before: dict[int, str] = {}
        self._inserts: dict[int, NewRow] = {}
        self._started_inserts: list[NewRow] = []
        self._rounds: dict[int, tuple[Any, ...]] = {}
        self._retagged: dict[int, str | None] = {}
        self._ended_flows: list[int] = []
        self.ended_runs_of_series: list[tuple[Row, str]] = []
        """(row, terminal status): their series have still to go on, in this transaction."""
        self._next_id: int | None = None
        self.edges = Edges(writer)
        """Who waits for whom."""
        self.standing = Standing(writer)
        """What the store is asked once."""

    # Rows

    def load(self, ids: Iterable[int]) -> None:
        """Fetch rows that are not here yet, in one statement."""
        missing = [one for one in dict.fromkeys(ids) if one not in self._rows and one not in self._settled]
        if missing:
            self.write_inserts()
            for row in self.writer.load_rows(missing):
                self._rows[row.id] = row

    def row(self, task_id: int) -> Row | None:
        """The active row, or None where it has settled or never was."""
        row = self._rows.get(task_id)
        if row is None and task_id not in self._settled:
            self.load([task_id])
            row = self._rows.get(task_id)
        return row

    def changed(self, row: Row) -> None:
        """The row is to be written back."""
        self._dirty[row.id] = row

    def moved(self, row: Row) -> None:
        """The row is to be written back, but only its way to a start has changed: ``Writer.update_ways``."""
        self._moved[row.id] = row

    def children_counted(self, row: Row, *, is_all: bool = False) -> None:
        """The row's children were counted anew; with ``is_all``, nothing but their counts and bytes has changed."""
        (self._counted if is_all else self._dirty)[row.id] = row
        self.effects.moved_parents[row.id] = ParentCount(
            row.id, row.parent_id, row.child_total - row.child_active, row.child_total, row.round
        )

    def forget(self) -> None:
        """Statements have changed rows by themselves: those that are asked for from now on are read anew. After a flush."""
        self._rows.clear()

    def set_limits(self, limits: Limits) -> None:
        """Limits and pauses are these, from now on in this transaction and for all after its commit."""
        self.limits = self.effects.limits = limits

    def new_id(self) -> int:
        """The next id. Ids ascend in commit order: they are taken inside the transaction."""
        if self._next_id is None:
            self._next_id = self.writer.next_id()
        task_id = self._next_id
        self._next_id += 1
        return task_id

    def note_next_id(self, next_id: int) -> None:
        """The next id came along with another answer."""
        if self._next_id is None:
            self._next_id = next_id

    def insert(self, row: NewRow) -> None:
        """A new row."""
        self._inserts[row.id] = row
        if row.held:
            self.standing.note_held()

    def new_row(self, task_id: int) -> NewRow | None:
        """A new row that is not written yet."""
        return self._inserts.get(task_id)

    def started_new(self, row: NewRow) -> None:
        """A new row that is not written yet is one of a run under way."""
        del self._inserts[row.id]
        self._started_inserts.append(row)

    def write_inserts(self) -> None:
        """Write the new rows now, where a later statement has to find them."""
        if self._inserts:
            self.writer.insert_tasks(list(self._inserts.values()))
            self._inserts = {}
        if self._started_inserts:
            self.writer.insert_tasks(self._started_inserts, self.now_ms)
            self._started_inserts = []

    def begin_round(self, values: tuple[Any, ...]) -> None:
        """A rerun takes the place of what the row was submitted with."""
        self._rounds[values[0]] = values

    def retagged(self, row: Row) -> None:
        """The row has other tags than it is found by."""
        self._retagged[row.id] = row.tags

    def settled_now(self, row: Row, status: str) -> None:
        """The row leaves the queue for the history."""
        del self._rows[row.id]
        if row.id not in self._rounds:  # the record of a rerun that ends as it begins says what it began with
            self._dirty.pop(row.id, None)
        self._moved.pop(row.id, None)
        self._counted.pop(row.id, None)
        if row.is_flow:
            self._ended_flows.append(row.id)
        if row.child_total and row.bytes_done is not None:
            self._sums[row.id] = (row.round, row.child_total)
        if row.series_id is not None:
            self.ended_runs_of_series.append((row, status))
        is_well = status == "completed"
        self._settled[row.id] = (
            row.id,
            status,
            row.memo if is_well else None,
            None if is_well else row.error,
            None if is_well else row.traceback,
            row.duration_s,
            row.superseded_by,
            1.0 if row.child_total else row.progress,
            row.retries,
            row.run_at_ms,
            row.started_at_ms,
            row.cancel_requested_at_ms,
            row.priority,
            row.run,
            row.round,
            row.effective,
            row.expires_at_ms,
            row.actual_io,
            row.bytes_done,
            row.bytes_total,
            row.log,
        )
        if is_well:
            self.edges.ended_well.append(row.id)
        else:
            self.edges.ended_badly.append(BadEnd(row.id, row.name, status, row.error, row.on_dependency_failure))
        self.effects.settled.append((row.id, status))
        self.effects.count("tasks_finished", row.name, status)
        age_ms = self.now_ms - since_ms(row.created_at_ms, row.run_at_ms, row.retries)
        self.effects.settled_after(row.name, (age_ms / 1000,))
        if row.parent_id is not None:
            self.effects.count("children_settled", row.name, status)

    def has_settled(self, task_id: int) -> str | None:
        """The terminal status that this transaction gave the task."""
        entry = self._settled.get(task_id)
        return self._settled_before.get(task_id) if entry is None else str(entry[1])

    def has_open_cascades(self) -> bool:
        """Whether some cancel may not have reached all that it closes."""
        return self.standing.has_cascades() or bool(self.effects.cascades)

    # Dependencies

    def drop_edges(self, row: Row) -> None:
        """The task waits for nothing any more."""
        row.unmet = 0
        self.changed(row)
        self.edges.drop(row.id)

    def meet(self, met: Mapping[int, int]) -> list[int]:
        """So many dependencies of tasks have settled; those of them that wait for nothing more. After ``flush``."""
        freed = self.edges.meet(met)
        for task_id in met.keys() & self._rows.keys():
            self._rows[task_id].unmet -= met[task_id]
        return freed

    # Times

    @property
    def submitted_ms(self) -> int:
        """The steady time of this transaction, from which deadlines count.

        Where only the moment between two readings is between the clocks, it is that of the records: as a user adds it up.
        """
        return self.now_ms if abs(self.now_ms - self.steady_ms) <= 1 else self.steady_ms

    def now(self) -> datetime:
        """The time of this transaction, as events carry it."""
        if self._now is None:
            self._now = ms_to_datetime(self.now_ms)
        return self._now

    # Writing

    def flush(self) -> None:
        """Write everything; afterwards the store and memory agree."""
        self.write_inserts()
        if self._retagged:
            # Before the rows: what they are found by until now is what stands in them.
            self.writer.replace_tags(list(self._retagged.items()))
            self._retagged = {}
        self.edges.write()
        if self._dirty or self._moved or self._counted:
            counted = [row for task_id, row in self._counted.items() if task_id not in self._dirty]
            self.writer.update_child_counts(counted)
            self.writer.update_ways([row for task_id, row in self._moved.items() if task_id not in self._dirty])
            self.writer.update_rows(list(self._dirty.values()))
            self._dirty, self._moved, self._counted = {}, {}, {}
        if self._rounds:
            self.writer.begin_rounds(list(self._rounds.values()))
            self._rounds = {}
        if self._settled:
            self._write_settled(list(self._settled.values()))
            self._settled_before |= {task_id: entry[1] for task_id, entry in self._settled.items()}
            self._settled = {}
        for flow_id in self._ended_flows:
            self.writer.update_flow(flow_id, None)
        self._ended_flows = []

    def _write_settled(self, entries: list[tuple[Any, ...]]) -> None:
        """Children come before their parents, whose bytes are the sums of theirs."""
        start = 0
        if self._sums:
            for at, entry in enumerate(entries):
                children = self._sums.pop(entry[0], None)
                if children is not None:
                    self.writer.settle(entries[start:at], self.now_ms)
                    start = at
                    entries[at] = self._with_bytes(entry, *children)
        self.writer.settle(entries[start:], self.now_ms)

    def _with_bytes(self, entry: tuple[Any, ...], parent_round: int, child_total: int) -> tuple[Any, ...]:
        below = self.writer.child_bytes(entry[0], parent_round)
        if not below.counted:
            return entry  # they are its own
        is_whole = below.sized == child_total
        return (*entry[:BYTES_AT], below.done, below.size if is_whole else None, *entry[BYTES_AT + 2 :])

    # What others hear after the commit

    def ready(self, row: Row) -> None:
        """The task can start from now on: the dispatcher hears of it, and its waiting begins, or goes on from where it was."""
        if row.is_ready:
            row.ready_ms = self.steady_ms - row.waited_ms
            (self._moved if row.id in self._moved else self._dirty)[row.id] = row
            self.still_ready(row)

    def still_ready(self, row: Row) -> None:
        """The task could start before, and has another place in the queue, or its start was taken back."""
        if row.is_ready:
            parent_id = row.parent_id if row.limited else None
            lane = make_lane(row.name, row.grp, parent_id, row.priority)
            parent = None if parent_id is None else self.row(parent_id)
            bound = None if parent is None else parent.child_concurrency
            self.effects.ready.append(
                Ready(row.priority, row.phase, row.id, row.crashes, lane, bound, row.ready_ms or 0, row.expected_io)
            )

    def ready_new(self, row: NewRow, lane: Lane, bound: int | None) -> None:
        """The same for a row that is only being inserted."""
        self.effects.ready.append(
            Ready(row.priority, row.phase, row.id, 0, lane, bound, row.ready_ms or 0, row.expected_io)
        )

    def delay_until(self, due_ms: int | None, by: int = Delay.STEADY) -> Delay:
        """What a task that is due at a time of a clock still waits for; the clock hears of it."""
        now_ms = self.steady_ms if by == Delay.STEADY else self.now_ms
        if due_ms is None or due_ms <= now_ms:
            return Delay.NONE
        self.due_at(due_ms, by)
        return Delay(by)

    def due_at(self, due_ms: int, by: int) -> None:
        """Something was stored that is due at a time of a clock."""
        effects = self.effects
        if by == Delay.STEADY:
            effects.next_due_ms = due_ms if effects.next_due_ms is None else min(effects.next_due_ms, due_ms)
        else:
            effects.next_wall_ms = due_ms if effects.next_wall_ms is None else min(effects.next_wall_ms, due_ms)

    def hears(self, kind: type[events.Event]) -> bool:
        """Whether anybody wants events of this class: asked once a transaction."""
        found = self._heard.get(kind)
        if found is None:
            found = self._heard[kind] = self.is_heard and self._hears(kind)
        return found

    def tell(self, kind: type[events.TaskEvent], row: Row | Claim, memo: str | None = None, **fields: Any) -> None:
        """An event of a task, where anybody listens; a memo as its JSON text."""
        if self.hears(kind):
            self.effects.events.append(news_of(kind, self.now(), row, row.effective, fields or None, memo=memo))

    def tell_progress(self, row: Row | Claim, report: Report | None = None, *, settled: float | None = None) -> None:
        """An event of a task's progress: the one given, else what has not been told of it yet.

        Args:
            row: the task.
            report: what to tell.
            settled: the share of its children that have settled, where it has any.
        """
        if not self.hears(events.Progress):
            return
        if report is None:
            report = None if self._unsaid is None else self._unsaid(row.id, settled)
        if report is None or report.facts == self.effects.reports.get(row.id, NO_REPORT).facts:
            return
        self.effects.reports[row.id] = report
        self.tell(
            events.Progress,
            row,
            fraction=0.0 if report.fraction is None else report.fraction,
            message=report.message,
            bytes_done=report.bytes_done,
            bytes_total=report.bytes_total,
            bytes_per_second=report.bytes_per_second,
            eta=report.eta_s,
        )

    def tell_new(self, kind: type[events.TaskEvent], row: NewRow) -> None:
        """An event of a task that is only being inserted."""
        if self.hears(kind):
            self.effects.events.append(news_of(kind, self._now or self.now(), row))
