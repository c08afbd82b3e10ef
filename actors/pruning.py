"""Keeps the history within its bounds, a step of at most 500 rows at a time, in the persistence actor's transactions.

How many rows there are is counted in memory: once from the store, at most as far as the bound, then by what each
transaction settles. A row is looked at once: where its parent is active, or a task still waits for it, it stays, that task
is remembered, and the row comes up again when that settles. Nothing here polls: ``due_in`` names the next time, None where
there is none. Memory grows with the active tasks that hold settled ones beyond the bounds: a number each.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from millrace.actors.mailbox import Reply
from millrace.actors.policy.retention import DELAY_S, MAX_OVER, STEP, Verdict, judge
from millrace.actors.times import Times
from millrace.model.retention import Retention
from millrace.model.rows import OldRow
from millrace.store.shelves import Released, Shelf, ShelfWriter

_FIRST: Final = (-1, 0)


@dataclass(slots=True)
class _Stand:
    """How far the pruning of a shelf has come."""

    shelf: Shelf
    after: int = 0
    """Rows up to this place are decided."""
    border: int = 0
    """Rows before this place are too many, since before this process began to count; 0: there are none."""
    counted: int = 0
    """Undecided rows from there on."""
    oldest_ms: int | None = None
    """When the first undecided row finished; None where there is none, or ages do not matter."""


@dataclass(slots=True)
class _Holder:
    """A task that has settled: rows that stayed for it go, from this (round, place) on: its children's, then others."""

    task_id: int
    what: Released = "children"
    after: tuple[int, int] = _FIRST


@dataclass(slots=True)
class _Sweep:
    """What somebody asked to be pruned at once."""

    retention: Retention
    reply: Reply[int]
    stand: _Stand | None = None
    before_ms: int | None = None
    pruned: int = 0


class Pruner:
    """See the module.

    Args:
        retention: the bounds.
        times: the clocks.
        is_owner: whether this process owns the store. Another one prunes only what it is asked to.
    """

    def __init__(self, retention: Retention, times: Times, *, is_owner: bool) -> None:
        self._max_count = retention.max_count
        self._max_age_ms = retention.max_age_ms
        self._times = times
        self._is_on = is_owner and (self._max_count is not None or self._max_age_ms is not None)
        self._is_loaded = False
        self._version = 0
        self._others = _Stand("others")
        self._dead_letters = _Stand("dead_letters")
        self._holders: set[int] = set()
        self._released: deque[_Holder] = deque()
        self._over_since: float | None = None
        self._sweeps: deque[_Sweep] = deque()
        self._pruned = 0
        """Rows that the open transaction has removed."""

    # What happens

    def note(self, settled: Iterable[tuple[int, str]], now_ms: int) -> None:
        """(task, status) of what the open transaction moves into the history."""
        if not self._is_on or not self._is_loaded:
            return
        others, dead_letters, holders = self._others, self._dead_letters, self._holders
        for task_id, status in settled:
            stand = dead_letters if status == "dead_letter" else others
            stand.counted += 1
            if stand.oldest_ms is None and self._max_age_ms is not None:
                stand.oldest_ms = now_ms
            if task_id in holders:
                holders.discard(task_id)
                self._released.append(_Holder(task_id))
        if self._over_since is None and self._excess() > 0:
            self._over_since = self._times.monotonic()

    def forget(self) -> None:
        """The transaction was rolled back: what is counted may be wrong, and is read anew."""
        self._is_loaded = False
        self._pruned = 0

    def take_pruned(self) -> int:
        """The transaction is committed: how many rows it has removed."""
        pruned, self._pruned = self._pruned, 0
        return pruned

    def ask(self, retention: Retention, reply: Reply[int]) -> None:
        """Prune all rows alike, from the next step on; the answer is how many went."""
        self._sweeps.append(_Sweep(retention, reply))

    def fail(self, error: BaseException) -> None:
        """Answer those who asked: no more will go."""
        sweeps, self._sweeps = self._sweeps, deque()
        for sweep in sweeps:
            sweep.reply.fail(error)

    # When

    @property
    def is_pressing(self) -> bool:
        """Whether some rows have to go before this transaction commits."""
        return self._is_counting and self._excess() > MAX_OVER

    @property
    def is_behind(self) -> bool:
        """Whether more rows are too many than one step takes."""
        return self._is_counting and self._excess() >= STEP

    @property
    def _is_counting(self) -> bool:
        """What was there before this process has been decided, so that every row over the bound has settled here."""
        return self._is_on and self._is_loaded and not self._has_backlog and not self._sweeps

    @property
    def _has_backlog(self) -> bool:
        return self._others.border > 0 or self._dead_letters.border > 0

    def _excess(self) -> int:
        if self._max_count is None:
            return 0
        return max(self._others.counted, self._dead_letters.counted) - self._max_count

    def due_in(self) -> float | None:
        """Seconds until the next step; None: as things are, none is needed."""
        if self._sweeps:
            return 0.0
        if not self._is_on:
            return None
        excess = self._excess()
        if not self._is_loaded or self._released or self._has_backlog or excess >= STEP:
            return 0.0
        waits: list[float] = []
        if excess > 0 and self._over_since is not None:
            waits.append(self._over_since + DELAY_S - self._times.monotonic())
        if self._max_age_ms is not None:
            finished = [stand.oldest_ms for stand in (self._others, self._dead_letters) if stand.oldest_ms is not None]
            if finished:
                waits.append((min(finished) + self._max_age_ms - self._times.wall_ms()) / 1000 + DELAY_S)
        return max(0.0, min(waits)) if waits else None

    # A step

    def step(self, shelves: ShelfWriter) -> list[tuple[Reply[int], int]]:
        """Decide over a page of rows, in the open transaction. Returns answers to be given after the commit."""
        if self._sweeps:
            return self._sweep(shelves, self._sweeps[0])
        version = shelves.data_version()
        if not self._is_loaded or version != self._version:
            self._version = version
            self._load(shelves)
        elif self._released:
            self._release(shelves, self._released[0])
        else:
            self._prune(shelves, self._others)
            self._prune(shelves, self._dead_letters)
        if self._excess() <= 0:
            self._over_since = None
        return []

    def _load(self, shelves: ShelfWriter) -> None:
        """Begin anew: all rows are undecided, and the newest ones are counted."""
        self._others = self._begin(shelves, "others", self._max_count)
        self._dead_letters = self._begin(shelves, "dead_letters", self._max_count)
        self._holders.clear()
        self._released.clear()
        self._is_loaded = True

    def _begin(self, shelves: ShelfWriter, shelf: Shelf, max_count: int | None) -> _Stand:
        stand = _Stand(shelf)
        if max_count == 0:
            _, newest = shelves.measure_newest(shelf, 1)
            stand.border = 0 if newest is None else newest + 1
        elif max_count is not None:
            stand.counted, first = shelves.measure_newest(shelf, max_count)
            stand.border = first if first is not None and stand.counted == max_count else 0
        if self._max_age_ms is not None:
            oldest = shelves.select_oldest(shelf, 0, 1)
            stand.oldest_ms = oldest[0].finished_at_ms if oldest else None
        return stand

    def _prune(self, shelves: ShelfWriter, stand: _Stand) -> None:
        before_ms = None if self._max_age_ms is None else self._times.wall_ms() - self._max_age_ms
        excess = 0 if self._max_count is None else stand.counted - self._max_count
        is_old = before_ms is not None and stand.oldest_ms is not None and stand.oldest_ms < before_ms
        if not stand.border and excess <= 0 and not is_old:
            return
        # One row more than may go: the first that stays tells when the next is due.
        limit = 1 + (STEP if stand.border or is_old else min(STEP, excess))
        page, verdict = self._decide(shelves, stand, limit, excess, before_ms)
        self._holders |= verdict.held_by
        if verdict.next_row is not None:
            stand.oldest_ms = None if self._max_age_ms is None else verdict.next_row.finished_at_ms
        elif len(page) < limit:
            stand.counted, stand.border, stand.oldest_ms = 0, 0, None

    def _decide(
        self, shelves: ShelfWriter, stand: _Stand, limit: int, excess: int, before_ms: int | None
    ) -> tuple[list[OldRow], Verdict]:
        page = shelves.select_oldest(stand.shelf, stand.after, limit)
        verdict = judge(page, after=stand.after, border=stand.border, excess=excess, before_ms=before_ms)
        if verdict.doomed:
            shelves.prune(verdict.doomed)
            self._pruned += len(verdict.doomed)
        stand.after = verdict.after
        stand.counted -= verdict.counted
        if verdict.next_row is not None and verdict.next_row.seq >= stand.border:
            stand.border = 0
        return page, verdict

    def _release(self, shelves: ShelfWriter, holder: _Holder) -> None:
        """A page of what it held. Who holds some of it besides is remembered in its place."""
        until = (self._dead_letters.after, self._others.after)
        page = shelves.select_released(holder.task_id, holder.what, holder.after, until, STEP)
        doomed = [seq for _, seq, still_held_by in page if still_held_by is None]
        if doomed:
            shelves.prune(doomed)
        self._holders.update(still_held_by for _, _, still_held_by in page if still_held_by is not None)
        if len(page) == STEP:
            holder.after = page[-1][:2]
        elif holder.what == "children":
            holder.what, holder.after = "dependencies", _FIRST
        else:
            self._released.popleft()

    def _sweep(self, shelves: ShelfWriter, sweep: _Sweep) -> list[tuple[Reply[int], int]]:
        if sweep.stand is None:
            sweep.stand = self._begin(shelves, "all", sweep.retention.max_count)
            age_ms = sweep.retention.max_age_ms
            sweep.before_ms = None if age_ms is None else self._times.wall_ms() - age_ms
        page, verdict = self._decide(shelves, sweep.stand, STEP + 1, 0, sweep.before_ms)
        sweep.pruned += len(verdict.doomed)
        may_be_more = len(verdict.doomed) == STEP if verdict.next_row is not None else len(page) > STEP
        if may_be_more:
            return []
        self._sweeps.popleft()
        self._is_loaded = False  # what is counted of either shelf is not so any more
        return [(sweep.reply, sweep.pruned)]
