"""What a start makes of the store, step by step: ``recovering`` has the rules, this the transactions and their order."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from millrace.actors import pausing, recovering, recurring, schedules, tuning
from millrace.actors.commits import Commits
from millrace.actors.delivery import Delivery
from millrace.actors.ledger import Ledger
from millrace.actors.policy.limits import Limits
from millrace.actors.progress import Board
from millrace.actors.requests import Recover
from millrace.model.errors import StoreError

T = TypeVar("T")


class Startup:
    """See the module.

    Args:
        commits: the transactions.
        delivery: takes the effects of each to whom they concern.
        code_limits: the program's own limits, without what was set and paused at run time.
        ages: whether waiting raises a task's priority.
    """

    def __init__(self, commits: Commits, *, delivery: Delivery, code_limits: Callable[[], Limits], ages: bool) -> None:
        self._commits = commits
        self._delivery = delivery
        self._code_limits = code_limits
        self._has_aging = ages

    def recover(self, ledger: Ledger, request: Recover) -> None:
        """One step: the first takes up the runs; further ones, a transaction each, do what is a page of rows or more."""
        ledger.writer.add_meta("epoch", 1)
        recovering.recover_runs(ledger, max_crashes=request.max_crashes)
        recovering.resume_cascades(ledger)
        tuning.rename_former(ledger, self._code_limits())
        tuning.forget_obsolete(ledger, self._code_limits())
        recovering.begin_ageing(ledger)
        pausing.take_up(ledger)
        begin_progress(ledger, self._delivery.board)
        ledger.effects.answers.append(lambda: self._go_on(request))

    def _go_on(self, request: Recover) -> None:
        try:
            while self._step(recovering.rename_former):
                pass
            while self._step(recovering.park_unknown):
                pass
            self._go_through(recovering.unpark_known)
            if self._has_aging:
                self._go_through(recovering.let_age)
            self._step(partial(schedules.follow_code, code=request.series))
            self._step(recurring.recover)
        except StoreError as error:
            request.reply.fail(error)
        else:
            request.reply.set(None)

    def _go_through(self, work: Callable[[Ledger, int], int | None]) -> None:
        """All pages of something, a step each."""
        after: int | None = 0
        while after is not None:
            after = self._step(partial(_page, work, after))

    def _step(self, work: Callable[[Ledger], T]) -> T:
        """A transaction of its own."""
        results: list[T] = []
        effects = self._commits.commit(lambda ledger: results.append(work(ledger)), is_synced=False)
        self._delivery.deliver(effects)
        return results[0]


def _page(work: Callable[[Ledger, int], T], after: int, ledger: Ledger) -> T:
    return work(ledger, after)


def begin_progress(ledger: Ledger, board: Board) -> None:
    """The board knows the progress of all parents again, once this is committed."""
    ledger.flush()
    parents = ledger.writer.select_parents()
    below = {p.id: ledger.writer.child_bytes(p.id, p.round) for p in parents if p.has_bytes}
    ledger.effects.answers.append(lambda: board.begin(parents, below))
