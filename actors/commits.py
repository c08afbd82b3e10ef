"""The transactions of the persistence actor: begun, carried to their commit, synced where somebody relies on it.

Owns: the open store, the limits in force, and the effects of commits that nobody has heard of yet.
Decides: nothing. What a transaction writes is decided by who calls; a failure leaves as a ``StoreError`` or as it was raised.
"""

from collections.abc import Callable
from typing import Final

from millrace.actors import recurring, tuning
from millrace.actors.delivery import Delivery
from millrace.actors.effects import Effects
from millrace.actors.ledger import Ledger
from millrace.actors.policy.limits import Limits
from millrace.actors.pruning import Pruner
from millrace.actors.times import Times
from millrace.model.catalog import Catalog
from millrace.model.errors import CommitUnknown, InternalError, StoreError
from millrace.model.rows import Ageing
from millrace.store.session import Session

SYNC_EVERY_S: Final = 1.0
"""What nobody waited for is synced at least this often."""


class Commits:
    """See the module.

    Args:
        open_session: opens the store, in the actor's thread.
        catalog: the tasks of this program.
        times: the clocks.
        delivery: knows who listens, and who waits for which task.
        code_limits: the program's own limits, without what was set and paused at run time.
        pruner: keeps the history within its bounds.
        ages: whether waiting raises a task's priority; None: another program runs the store, and has left word of it there.
    """

    def __init__(
        self,
        *,
        open_session: Callable[[], Session],
        catalog: Catalog,
        times: Times,
        delivery: Delivery,
        code_limits: Callable[[], Limits],
        pruner: Pruner,
        ages: bool | None,
    ) -> None:
        self._open_session = open_session
        self._catalog = catalog
        self._times = times
        self._delivery = delivery
        self._code_limits = code_limits
        self._pruner = pruner
        self._ages = ages
        self._store: Session | None = None
        self.limits = code_limits()
        """In force as of the last commit."""
        self._are_limits_known = False
        self._untold: list[Effects] = []
        self._is_sync_due = False
        self._unsynced_since: float | None = None

    # The store

    def open(self) -> None:
        """Open the store, and see what is paused."""
        self._store = self._open_session()
        with self._store.translated():
            self._know_limits(self._store)

    def close(self) -> None:
        """Close it, with all that is committed copied into the file."""
        if self._store is not None:
            self._store.close()

    def version(self) -> int:
        """Another one says that another connection has written to the store."""
        store = self._opened()
        with store.translated():
            return store.writer.shelves.data_version()

    def doubt_limits(self) -> None:
        """Another program may have set or paused something: the next transaction reads it anew."""
        self._are_limits_known = False

    def after_error(self, error: StoreError) -> bool:
        """Whether the store can be used on after this error of it."""
        if isinstance(error, CommitUnknown):
            self._are_limits_known = False
        return self._store is None or self._store.after_error(error)

    def _opened(self) -> Session:
        if self._store is None:
            raise InternalError("the persistence actor has no store; please report it")
        self._store.make_ready()
        return self._store

    # One transaction

    def commit(self, decide: Callable[[Ledger], object], *, is_synced: bool) -> Effects:
        """One transaction; its effects, of which nobody has heard."""
        store = self._opened()
        told = self.limits
        try:
            with store.transaction(is_synced=is_synced):
                ledger = self._begin(store)
                decide(ledger)
                recurring.go_on(ledger)
                ledger.flush()
                self._load_for_effects(ledger)
                self._prune_along(ledger)
                ledger.effects.cascades = _open_cascades(ledger)
        except BaseException:
            self._pruner.forget()
            if self.limits is not told:  # read anew, which nobody has heard of: the next transaction reads them again
                self.limits, self._are_limits_known = told, False
            raise
        self._note_commit(has_written=store.has_written, is_synced=is_synced)
        self._count_pruned()
        self.limits = ledger.limits
        return ledger.effects

    def _begin(self, store: Session) -> Ledger:
        is_told = self._know_limits(store)
        ledger = Ledger(
            store.writer,
            self._catalog,
            self._times.wall_ms(),
            self._times.steady_ms(),
            is_heard=self._delivery.is_heard,
            hears=self._delivery.hears,
            unsaid=self._delivery.board.unsaid,
            has_reports=self._delivery.board.has_reports,
            limits=self.limits,
            ages=store.writer.starts.ageing() is not Ageing.OFF if self._ages is None else self._ages,
        )
        if not is_told:
            ledger.set_limits(self.limits)
        return ledger

    def _know_limits(self, store: Session) -> bool:
        """Read what the store says is set and paused, where that is not sure: at first, and after a commit that may be none.

        Whether everybody has been told of them.
        """
        if self._are_limits_known:
            return True
        before = self.limits
        self.limits = tuning.load(store.writer, self._code_limits())
        self._are_limits_known = True
        return self.limits == before

    def _load_for_effects(self, ledger: Ledger) -> None:
        """What goes along with the effects, as of this commit."""
        effects, writer = ledger.effects, ledger.writer
        if effects.continues:
            effects.claims += writer.starts.load_claimed(effects.continues)
        for parent_id in effects.child_bytes:
            row = ledger.row(parent_id)
            if row is not None:
                effects.child_bytes[parent_id] = writer.child_bytes(parent_id, row.round)
        for task_id in self._delivery.awaited(effects.settled):
            # The rows that callers wait for go with their answers: they may be pruned by the time the callers wake up.
            record = writer.load_record(task_id)
            if record is not None:
                effects.awaited[task_id] = record

    def _prune_along(self, ledger: Ledger) -> None:
        self._pruner.note(ledger.effects.settled, ledger.now_ms)
        while self._pruner.is_pressing:
            self._pruner.step(ledger.writer.shelves)

    def prune(self) -> None:
        """A step of pruning, in a transaction of its own."""
        store = self._opened()
        try:
            with store.transaction(is_synced=False):
                answers = self._pruner.step(store.writer.shelves)
        except BaseException:
            self._pruner.forget()
            raise
        self._note_commit(has_written=store.has_written, is_synced=False)
        self._count_pruned()
        for reply, count in answers:
            reply.set(count)
        with store.translated():
            store.after_commit()

    def _count_pruned(self) -> None:
        pruned = self._pruner.take_pruned()
        if pruned:
            self._delivery.tally.count("pruned", by=pruned)

    # Syncs, and what is told after them

    @property
    def untold(self) -> list[Effects]:
        """Effects of commits that have to be synced before anybody hears of them."""
        return self._untold

    def to_tell(self, effects: Effects, *, is_synced: bool) -> None:
        """Somebody has to hear of a commit: after a sync, where one is asked for."""
        self._untold.append(effects)
        self._is_sync_due |= is_synced

    def take_told(self) -> list[Effects]:
        """Sync where somebody relies on it; the effects of which everybody may hear from now on."""
        if self._is_sync_due and self._unsynced_since is not None:
            self._sync()
        self._is_sync_due = False
        untold, self._untold = self._untold, []
        return untold

    def after_telling(self) -> None:
        """Everybody has been answered: copy the log into the file where it has grown long."""
        store = self._opened()
        with store.translated():
            store.after_commit()

    def sync_in(self) -> float | None:
        """Seconds until what nobody waited for is to be synced; None: everything is."""
        if self._unsynced_since is None:
            return None
        return max(0.0, self._unsynced_since + SYNC_EVERY_S - self._times.monotonic())

    def ask_sync(self) -> None:
        """Whatever is told next is synced before."""
        self._is_sync_due = True

    def _note_commit(self, *, has_written: bool, is_synced: bool) -> None:
        """A commit that writes nothing syncs nothing, and needs no sync."""
        if has_written and is_synced:
            self._unsynced_since = None
        elif has_written and self._unsynced_since is None:
            self._unsynced_since = self._times.monotonic()

    def _sync(self) -> None:
        """Sync all commits so far: a commit of its own, that changes something, as SQLite neither writes nor syncs else."""
        store = self._opened()
        with store.transaction(is_synced=True):
            store.writer.add_meta("syncs", 1)
        self._note_commit(has_written=store.has_written, is_synced=True)


def _open_cascades(ledger: Ledger) -> list[int]:
    """The parents with children that have still to be told of the end."""
    return [
        parent_id
        for parent_id in dict.fromkeys(ledger.effects.cascades)
        if (row := ledger.row(parent_id)) is not None and row.cascade
    ]
