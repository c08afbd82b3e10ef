"""The pruner over a history in memory: what it looks at, when it wants to, and what it remembers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from millrace.actors.mailbox import Reply
from millrace.actors.policy.retention import STEP
from millrace.actors.pruning import Pruner
from millrace.model.retention import Retention
from millrace.model.rows import OldRow
from millrace.store.shelves import Released, Shelf, ShelfWriter


@dataclass
class Times:
    """Clocks that stand until they are moved."""

    now_s: float = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s

    def wall_ms(self) -> int:
        """The same in milliseconds."""
        return round(self.now_s * 1000)

    steady_ms = wall_ms


@dataclass(frozen=True)
class Settled:
    """A row of the history."""

    task_id: int
    status: str
    parent_id: int | None
    finished_at_ms: int


@dataclass
class History:
    """What a writer says of the history, and how many rows it was asked for."""

    times: Times
    rows: dict[int, Settled] = field(default_factory=dict[int, Settled])
    active: set[int] = field(default_factory=set[int])
    waits: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """Who was declared to depend on a task."""
    version: int = 1
    looked_at: Counter[int] = field(default_factory=Counter[int])
    batches: list[int] = field(default_factory=list[int])
    last: int = 0

    def settle(self, task_id: int, status: str = "completed", parent_id: int | None = None) -> tuple[int, str]:
        """A task moves in."""
        self.last += 1
        self.active.discard(task_id)
        self.rows[self.last] = Settled(task_id, status, parent_id, self.times.wall_ms())
        return task_id, status

    def _shelf(self, shelf: Shelf) -> list[int]:
        def is_on(row: Settled) -> bool:
            return shelf == "all" or (row.status == "dead_letter") == (shelf == "dead_letters")

        return [seq for seq, row in sorted(self.rows.items()) if is_on(row)]

    def data_version(self) -> int:
        """See ``ShelfWriter``."""
        return self.version

    def measure_newest(self, shelf: Shelf, limit: int) -> tuple[int, int | None]:
        """See ``ShelfWriter``."""
        newest = self._shelf(shelf)[-limit:] if limit else []
        return len(newest), newest[0] if newest else None

    def select_oldest(self, shelf: Shelf, after: int, limit: int) -> list[OldRow]:
        """See ``ShelfWriter``."""
        found = [seq for seq in self._shelf(shelf) if seq > after][:limit]
        self.looked_at.update(found)
        return [self._old(seq) for seq in found]

    def _old(self, seq: int) -> OldRow:
        return OldRow(seq, self.rows[seq].finished_at_ms, self._holder(self.rows[seq]))

    def _holder(self, row: Settled) -> int | None:
        """Its active parent, else the first task that waits for it."""
        if row.parent_id in self.active:
            return row.parent_id
        return min((task_id for task_id in self.waits.get(row.task_id, ()) if task_id in self.active), default=None)

    def select_released(
        self, holder: int, what: Released, after: tuple[int, int], until: tuple[int, int], limit: int
    ) -> list[tuple[int, int, int | None]]:
        """See ``ShelfWriter``."""

        def was_held(row: Settled) -> bool:
            return row.parent_id == holder if what == "children" else holder in self.waits.get(row.task_id, ())

        return [
            (1, seq, self._holder(row))
            for seq, row in sorted(self.rows.items())
            if was_held(row) and (1, seq) > after and seq <= until[row.status != "dead_letter"]
        ][:limit]

    def prune(self, rows: Sequence[int]) -> None:
        """See ``ShelfWriter``."""
        self.batches.append(len(rows))
        for seq in rows:
            del self.rows[seq]

    def ids(self) -> list[int]:
        """The tasks that are left."""
        return [row.task_id for _, row in sorted(self.rows.items())]


class Desk:
    """A pruner and its history."""

    def __init__(self, retention: Retention, *, is_owner: bool = True) -> None:
        self.times = Times()
        self.history = History(self.times)
        self.pruner = Pruner(retention, self.times, is_owner=is_owner)

    def settle(self, *ids: int, status: str = "completed", parent_id: int | None = None) -> None:
        """A transaction settles these."""
        settled = [self.history.settle(task_id, status, parent_id) for task_id in ids]
        self.pruner.note(settled, self.times.wall_ms())

    def step(self) -> list[tuple[Reply[int], int]]:
        """A transaction prunes."""
        return self.pruner.step(cast(ShelfWriter, cast(Any, self.history)))

    def work(self) -> int:
        """Steps as long as one is due now; how many."""
        count = 0
        while self.pruner.due_in() == 0.0:
            self.step()
            count += 1
        return count

    def later(self, seconds: float) -> None:
        """Time passes, and what is due is done."""
        self.times.now_s += seconds
        self.work()


def test_without_a_bound_nothing_is_ever_due() -> None:
    """Both bounds None: no step, no count, no timer."""
    desk = Desk(Retention(max_count=None))
    desk.settle(*range(1, 5000))
    assert desk.pruner.due_in() is None
    assert not desk.pruner.is_pressing


def test_another_process_prunes_nothing_by_itself() -> None:
    """Only the owner of the store applies its retention."""
    desk = Desk(Retention(max_count=1), is_owner=False)
    desk.settle(1, 2, 3)
    assert desk.pruner.due_in() is None


def test_a_history_within_its_bounds_wants_nothing() -> None:
    """Idle, and exactly full: no step is due."""
    desk = Desk(Retention(max_count=3))
    desk.work()
    desk.settle(1, 2, 3)
    assert desk.pruner.due_in() is None


def test_a_few_rows_over_wait_half_a_second_for_more() -> None:
    """The delay begins with the first row too many, whatever settles after it."""
    desk = Desk(Retention(max_count=2))
    desk.work()
    desk.settle(1, 2, 3)
    assert desk.pruner.due_in() == 0.5
    desk.times.now_s += 0.4
    desk.settle(4)
    assert round(desk.pruner.due_in() or 0.0, 6) == 0.1
    desk.later(0.1001)
    assert desk.history.ids() == [3, 4]
    assert desk.pruner.due_in() is None


def test_a_step_takes_five_hundred() -> None:
    """As many as are too many go at once, in batches of at most 500, earliest settled first."""
    desk = Desk(Retention(max_count=10))
    desk.work()
    desk.settle(*range(1, 1211))
    assert desk.pruner.is_behind
    desk.later(0.6)
    assert desk.history.batches == [500, 500, 200]
    assert desk.history.ids() == list(range(1201, 1211))


def test_more_than_a_thousand_over_is_pressing() -> None:
    """From there on rows go before the transaction that settles commits."""
    desk = Desk(Retention(max_count=10))
    desk.work()
    desk.settle(*range(1, 1011))
    assert not desk.pruner.is_pressing
    desk.settle(2000)
    assert desk.pruner.is_pressing
    desk.step()
    assert not desk.pruner.is_pressing


def test_a_long_history_of_before_goes_a_step_a_turn() -> None:
    """What another process left beyond the bounds goes without being counted first."""
    desk = Desk(Retention(max_count=3))
    for task_id in range(1, 1204):
        desk.history.settle(task_id)
    assert desk.work() >= 3
    assert desk.history.batches == [500, 500, 200]
    assert desk.history.ids() == [1201, 1202, 1203]


def test_a_bound_of_nothing_keeps_nothing() -> None:
    """max_count=0, over rows of before and new ones."""
    desk = Desk(Retention(max_count=0))
    desk.history.settle(1)
    desk.work()
    assert desk.history.ids() == []
    desk.settle(2, 3)
    desk.later(0.6)
    assert desk.history.ids() == []


def test_dead_letters_are_counted_apart() -> None:
    """S-348: successes push no dead letter out, nor the other way."""
    desk = Desk(Retention(max_count=2))
    desk.work()
    desk.settle(1, 2, 3, status="dead_letter")
    desk.settle(*range(10, 20))
    desk.later(0.6)
    assert desk.history.ids() == [2, 3, 18, 19]


def test_rows_go_when_they_are_too_old() -> None:
    """The one timer is that of the earliest row; nothing is asked before it."""
    desk = Desk(Retention(max_count=None, max_age=60))
    desk.work()
    desk.settle(1)
    desk.times.now_s += 10
    desk.settle(2, status="dead_letter")
    assert round(desk.pruner.due_in() or 0.0, 3) == 50.5
    desk.later(50.5)
    assert desk.history.ids() == [2]
    assert round(desk.pruner.due_in() or 0.0, 3) == 10.0
    desk.later(10.0)
    assert desk.history.ids() == []
    assert desk.pruner.due_in() is None


def test_old_rows_of_before_have_their_timer() -> None:
    """The first row that another process left tells when it is due."""
    desk = Desk(Retention(max_age=60))
    desk.history.settle(1)
    desk.times.now_s += 20
    desk.work()
    assert round(desk.pruner.due_in() or 0.0, 3) == 40.5


def test_children_of_an_active_parent_are_looked_at_once() -> None:
    """S-349: 50,000 rows that stay are not read again and again, and go when their parent has settled."""
    desk = Desk(Retention(max_count=10))
    desk.work()
    desk.history.active.add(7)
    for start in range(100, 5100, 100):
        desk.settle(*range(start, start + 100), parent_id=7)
        desk.later(0.6)
    desk.settle(*range(6000, 6020))
    desk.later(0.6)
    assert len(desk.history.rows) == 5010
    assert desk.pruner.due_in() is None
    # Twice is for a row that was the first to stay when the step before ended.
    assert max(desk.history.looked_at.values()) <= 2
    assert sum(desk.history.looked_at.values()) < 5200
    desk.settle(7)
    desk.later(0.6)
    assert desk.history.ids() == [*range(6011, 6020), 7]
    assert desk.pruner.due_in() is None


def test_a_released_dead_letter_within_its_own_bound_stays() -> None:
    """What a parent held goes only where it is beyond the bound of its own kind."""
    desk = Desk(Retention(max_count=1))
    desk.work()
    desk.history.active.add(7)
    desk.settle(1, status="dead_letter", parent_id=7)
    desk.settle(2, 3, parent_id=7)
    desk.later(0.6)
    desk.settle(7)
    desk.later(0.6)
    assert desk.history.ids() == [1, 7]


def test_what_an_active_task_waits_for_stays_until_it_settles() -> None:
    """S-349: as long as any of those that wait for it is active, and then it goes as if it had never been held."""
    desk = Desk(Retention(max_count=1))
    desk.work()
    desk.history.active |= {50, 51}
    desk.history.waits = {1: [50, 51], 2: [51]}
    desk.settle(1, 2, 3, 4)
    desk.later(0.6)
    assert desk.history.ids() == [1, 2, 4]
    desk.settle(50)
    desk.later(0.6)
    assert desk.history.ids() == [1, 2, 50]
    desk.settle(51)
    desk.later(0.6)
    assert desk.history.ids() == [51]
    assert desk.pruner.due_in() is None


def test_a_child_that_somebody_waits_for_outlives_its_parent() -> None:
    """S-349: both holds have to end, in whichever order."""
    for last in (7, 50):
        desk = Desk(Retention(max_count=1))
        desk.work()
        desk.history.active |= {7, 50}
        desk.history.waits = {1: [50]}
        desk.settle(1, parent_id=7)
        desk.settle(2, 3)
        desk.later(0.6)
        first = 57 - last
        desk.settle(first)
        desk.later(0.6)
        assert desk.history.ids() == [1, first]
        desk.settle(last)
        desk.later(0.6)
        assert desk.history.ids() == [last]


def test_a_rollback_has_everything_counted_anew() -> None:
    """What a transaction had noted before it failed leaves no trace."""
    desk = Desk(Retention(max_count=2))
    desk.work()
    desk.settle(1, 2)
    desk.pruner.note([(3, "completed"), (4, "completed")], 0)
    desk.pruner.forget()
    desk.later(0.6)
    assert desk.history.ids() == [1, 2]


def test_what_another_process_wrote_is_counted() -> None:
    """A step first looks whether the file was written by somebody else."""
    desk = Desk(Retention(max_count=2))
    desk.work()
    desk.settle(1, 2, 3)
    desk.history.rows.clear()
    desk.history.version += 1
    desk.history.settle(4)
    desk.later(0.6)
    assert desk.history.ids() == [4]


def test_a_sweep_takes_all_rows_alike() -> None:
    """S-348: what is asked for goes at once, dead letters with the others, and is counted for the caller."""
    desk = Desk(Retention(max_count=None))
    desk.history.active.add(7)
    desk.settle(1, 2, status="dead_letter")
    desk.settle(3, parent_id=7)
    desk.settle(*range(10, 10 + 2 * STEP))
    reply: Reply[int] = Reply()
    desk.pruner.ask(Retention(max_count=5), reply)
    answers: list[tuple[Reply[int], int]] = []
    while desk.pruner.due_in() == 0.0:
        answers += desk.step()
    assert answers == [(reply, 2 + 2 * STEP - 5)]
    assert desk.history.ids() == [3, *range(10 + 2 * STEP - 5, 10 + 2 * STEP)]


def test_a_sweep_by_age() -> None:
    """Only what is older than the age at that moment goes."""
    desk = Desk(Retention(max_count=None))
    desk.settle(1)
    desk.times.now_s += 60
    desk.settle(2)
    reply: Reply[int] = Reply()
    desk.pruner.ask(Retention(max_count=None, max_age=30), reply)
    assert desk.step() == [(reply, 1)]
    assert desk.history.ids() == [2]


def test_the_bounds_hold_again_after_a_sweep() -> None:
    """A sweep moves what was counted: it is counted anew."""
    desk = Desk(Retention(max_count=4))
    desk.work()
    desk.settle(1, 2, 3, 4)
    desk.pruner.ask(Retention(max_count=2), Reply())
    desk.work()
    desk.settle(5, 6)
    desk.later(0.6)
    assert desk.history.ids() == [3, 4, 5, 6]
    desk.settle(7)
    desk.later(0.6)
    assert desk.history.ids() == [4, 5, 6, 7]


def test_who_waits_for_a_sweep_hears_of_the_end() -> None:
    """An actor that stops answers those who asked."""
    desk = Desk(Retention())
    reply: Reply[int] = Reply()
    desk.pruner.ask(Retention(), reply)
    desk.pruner.fail(RuntimeError("stopped"))
    assert reply.is_set
    assert desk.pruner.due_in() is not None
