"""What a transaction leads to once it is committed: collected while it is decided, told after COMMIT, dropped with a rollback."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from millrace.actors.mailbox import Reply
from millrace.actors.means import Completed
from millrace.actors.policy.limits import Limits
from millrace.model.errors import InterruptReason
from millrace.model.events import Event
from millrace.model.families import domain_of
from millrace.model.rows import ChildBytes, Claim, ParentCount, Ready
from millrace.store.writer import SettledRow

CountKey = tuple[str, str, str]
"""What is counted: counter (a family of ``model.families`` without ``_total``), task name or "", value of its other label or "".
"""


class Report(NamedTuple):
    """How far a task is, where that is known."""

    fraction: float | None = None
    message: str | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    bytes_per_second: float | None = None
    eta_s: float | None = None

    @property
    def facts(self) -> tuple[float | None, str | None, int | None, int | None]:
        """What does not change by time alone."""
        return self[:4]

    def is_news_after(self, told: "Report") -> bool:
        """Whether it says anything else: what is left of the time follows from the rest, but for its passing."""
        return self[:5] != told[:5]


NO_REPORT = Report()


@dataclass(slots=True)
class Effects:
    """Everything somebody has to hear of after the commit."""

    ready: list[Ready] = field(default_factory=list[Ready])
    """For the dispatcher: tasks that can start."""
    started: list[Ready] = field(default_factory=list[Ready])
    """Tasks that started in the transaction that made them ready."""
    freed: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(task, seconds): runs that are over, of which the dispatcher need not hear at once."""
    interrupts: list[tuple[int, int, InterruptReason]] = field(default_factory=list[tuple[int, int, InterruptReason]])
    """(task, run, reason): runs to be asked to stop."""
    preempted: list[int] = field(default_factory=list[int])
    """Priorities of tasks that have stopped for more urgent ones."""
    cascades: list[int] = field(default_factory=list[int])
    """Parents with children that have still to be told of the end."""
    settled: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """(task, terminal status)."""
    completed: list[Completed] = field(default_factory=list[Completed])
    """What completed runs took and moved."""
    tells_end: bool = False
    """Whether an answer tells of an end that an earlier commit made."""
    awaited: dict[int, SettledRow] = field(default_factory=dict[int, SettledRow])
    """The rows of settled tasks that somebody waits for."""
    claims: list[Claim] = field(default_factory=list[Claim])
    """Committed starts, for the executor."""
    claim_requests: int = 0
    """How many of the dispatcher's were carried out."""
    at_once: list[int] = field(default_factory=list[int])
    """Tasks with a time to live of 0 that can start: by the claim that their submit brings about, or never."""
    hooks: list[int] = field(default_factory=list[int])
    """Tasks whose cancel hook is due."""
    continues: list[int] = field(default_factory=list[int])
    """Tasks whose finalizer starts in the slot of the body that has just ended."""
    moved_parents: dict[int, ParentCount] = field(default_factory=dict[int, ParentCount])
    """Parents whose children were counted anew."""
    child_bytes: dict[int, ChildBytes | None] = field(default_factory=dict[int, ChildBytes | None])
    """Parents some of whose settled children count no more, with the bytes of the others: None until they are summed up."""
    ended_runs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """(task, run) that are over; kept only where some run has reported progress."""
    reports: dict[int, Report] = field(default_factory=dict[int, Report])
    """What events of progress said last."""
    next_due_ms: int | None = None
    """A delayed task was stored: the earliest time that one of them is due."""
    limits: Limits | None = None
    """All limits and pauses, where the transaction has changed them."""
    pause_end_ms: int | None = None
    """The first end (by the wall clock) of the pauses that end by themselves, as far as this transaction knows of them."""
    next_wall_ms: int | None = None
    """The same of tasks and series that are due by the wall clock."""
    events: list[Event] = field(default_factory=list[Event])
    """As ``telling`` makes them: whoever reads them finishes them."""
    answers: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    """Callers to be answered."""
    messages: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    """Answers to actors."""
    counts: dict[CountKey, float] = field(default_factory=dict[CountKey, float])
    """How often what happened."""
    observed: dict[tuple[str, str], list[float]] = field(default_factory=dict[tuple[str, str], list[float]])
    """Histogram and the value of its label, or "", to the values that were measured."""

    def answer(self, reply: Reply[Any], value: object) -> None:
        """The caller gets its answer."""
        self.answers.append(lambda: reply.set(value))

    def refuse(self, reply: Reply[Any], error: BaseException) -> None:
        """The caller gets an error instead."""
        self.answers.append(lambda: reply.fail(error))

    def note_pause_end(self, end_ms: int) -> None:
        """A pause ends by itself at this time."""
        self.pause_end_ms = end_ms if self.pause_end_ms is None else min(self.pause_end_ms, end_ms)

    def count(self, counter: str, name: str = "", value: str = "", by: float = 1) -> None:
        """One more of something, or so many more."""
        entry = (counter, name, value)
        self.counts[entry] = self.counts.get(entry, 0) + by

    def observe(self, family: str, value: float, label: str = "") -> None:
        """One more value of a histogram."""
        self.observed.setdefault((family, label), []).append(value)

    def settled_after(self, name: str, ages_s: Iterable[float]) -> None:
        """Tasks of that name have settled, so many seconds after they could first have started."""
        values = [age_s if age_s > 0 else 0.0 for age_s in ages_s]
        self.observed.setdefault(("end_to_end_seconds", domain_of(name)), []).extend(values)
