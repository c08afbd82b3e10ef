"""What a transaction leads to once it is committed: collected while it is decided, told after COMMIT, dropped with a rollback."""

from collections.abc import Callable
from dataclasses import dataclass, field

from millrace.model.errors import InterruptReason
from millrace.model.events import Event
from millrace.model.rows import Claim, Ready
from millrace.store.writer import SettledRow


@dataclass(slots=True)
class Effects:
    """Everything somebody has to hear of after the commit."""

    ready: list[Ready] = field(default_factory=list)
    """For the dispatcher: tasks that can start."""
    offers: dict[int, list[Ready]] = field(default_factory=dict)
    """For the supervisors of bounded parents: children that can start, by parent."""
    slots_left: dict[int, list[int]] = field(default_factory=dict)
    """For the supervisors of bounded parents: children that take no slot any more, by parent."""
    interrupts: list[tuple[int, int, InterruptReason]] = field(default_factory=list)
    """(task, run, reason): runs to be asked to stop."""
    cascades: list[int] = field(default_factory=list)
    """Parents with children that have still to be told of the end."""
    closed: list[int] = field(default_factory=list)
    """Parents that accept no child any more, though they have not settled."""
    settled: list[tuple[int, str]] = field(default_factory=list)
    """(task, terminal status)."""
    awaited: dict[int, SettledRow] = field(default_factory=dict)
    """The rows of settled tasks that somebody waits for."""
    claims: list[Claim] = field(default_factory=list)
    """Committed starts, for the executor."""
    hooks: list[int] = field(default_factory=list)
    """Tasks whose cancel hook is due."""
    continues: list[int] = field(default_factory=list)
    """Tasks whose finalizer starts in the slot of the body that has just ended."""
    moved_parents: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Parents with settled children: (settled, total) of the present round."""
    next_due_ms: int | None = None
    """A delayed task was stored: the earliest time that one of them is due."""
    events: list[Event] = field(default_factory=list)
    answers: list[Callable[[], object]] = field(default_factory=list)
    """Callers to be answered."""
    messages: list[Callable[[], None]] = field(default_factory=list)
    """Answers to actors."""
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(counter, task name, value) to how often."""

    def count(self, counter: str, name: str, value: str = "") -> None:
        """One more of something."""
        entry = (counter, name, value)
        self.counts[entry] = self.counts.get(entry, 0) + 1
