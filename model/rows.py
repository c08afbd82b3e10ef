"""Rows as the runtime moves them: what the store gives and takes, one class a shape; fields are in the order of columns."""

from enum import IntEnum
from typing import Literal, NamedTuple

import msgspec

from millrace.model.lanes import Lane


class Phase(IntEnum):
    """What of a task executes, or executes next. The first two order the queue: finalizers start before bodies."""

    FINALIZER = 0
    BODY = 1
    CHILDREN = 2
    """The body has returned or the end is decided; nothing executes, children are active."""
    TAIL = 3
    """The finalizer has ended well; children it spawned are active."""
    HOOK = 4
    """The cancel hook is due or executes."""


class Hold(IntEnum):
    """Whether a task holds its key."""

    NEVER = 0
    """Its policy is ALLOW: it is in nobody's way, also while it winds down."""
    HOLDS = 1
    LOST = 2
    """Its withdrawal is recorded: the next task of the key waits until it has wound down."""


class Tell(IntEnum):
    """Whether a closed parent's active children have still to be told of its end, and why it ends."""

    NOTHING = 0
    CANCELLED = 1
    """It, or something above it, was cancelled or superseded."""
    FAILED = 2
    """It, or something above it, failed."""


class Delay(IntEnum):
    """What a task waits for before it can start: nothing, or until a clock says its time."""

    NONE = 0
    STEADY = 1
    """Its time is one of the clock that nobody sets."""
    WALL = 2
    """Its time is one of the wall clock."""
    SERIES = 3
    """The same, and its series is looked at first: the time may have been missed."""


class Ageing(IntEnum):
    """Which rows of a store can be read in the order of how long they have waited, as one that runs it with ageing does.

    It stands in the store: who adds to it without running it follows the one that does, or did last.
    """

    OFF = 0
    BEGUN = 1
    """Those that are stored from now on; older ones may lack it."""
    ON = 2
    """All."""


class Stop(IntEnum):
    """What a task was stopped for that is stored as paused: queued tasks of a paused group or domain are stored as pending."""

    NONE = 0
    PREEMPTED = 1
    """It made room for a more urgent task."""
    PAUSED = 2
    """A pause applies to it: it goes on when none does any more."""
    SERIES = 3
    """It has not begun, and its series is paused: it goes on when that does."""


class Row(msgspec.Struct, array_like=True):
    """The mutable part of a queue row, as a transaction holds it. SQLite's 0 and 1 stand for False and True."""

    id: int
    name: str
    key: str
    label: str
    status: str
    phase: int
    phase_runs: int
    executing: int
    priority: int
    memo: str | None
    parent_id: int | None
    parent_round: int
    run: int
    round: int
    round_run: int
    holds_key: int
    held: int
    limited: int
    delayed: int
    run_at_ms: int | None
    retries: int
    max_retries: int
    crashes: int
    fail_fast: int
    max_failures: int | float | None
    child_concurrency: int | None
    child_total: int
    child_active: int
    child_failed: int
    first_failure: str | None
    closing: str | None
    cascade: int
    error: str | None
    traceback: str | None
    cancel_requested_at_ms: int | None
    superseded_by: int | None
    rerun: str | None
    options: str | None
    is_flow: int
    flow_open: int
    created_at_ms: int
    started_at_ms: int | None
    duration_s: float | None
    progress: float | None
    grp: str | None
    lane: int
    tags: str | None
    ready_ms: int | None
    waited_ms: int
    ages: int
    effective: int | None
    paused: int
    ttl_ms: int | None
    ttl_first: int
    expires_at_ms: int | None
    depends_on: str | None
    unmet: int
    on_dependency_failure: str
    failed_dependency: int | None
    series_id: int | None
    version: int
    expected_io: str | None
    actual_io: str | None
    bytes_done: int | None
    bytes_total: int | None
    log: str | None
    retry_run: int

    @property
    def is_ready(self) -> bool:
        """True where nothing but a slot (or its parent's offer) is between the task and a start."""
        return self.status == "pending" and not self.delayed and not self.held


class SeriesRow(msgspec.Struct, array_like=True):
    """A series of runs; fields are in the order of columns."""

    id: int
    name: str
    key: str
    schedule: str
    submission: str
    in_code: int
    holds_key: int
    state: Literal["active", "paused", "ended"] = "active"
    paused_at_ms: int | None = None
    run_id: int | None = None
    next_run_ms: int | None = None
    watch: int = 0
    last_run_ms: int | None = None
    runs: int = 0
    skipped: int = 0
    owed: str | None = None


class PlainEnd(msgspec.Struct, array_like=True, frozen=True):
    """The end of a run of a leaf that returned: all that the history needs besides its row."""

    id: int
    run: int
    memo: str | None
    duration_s: float
    progress: float | None
    actual_io: str | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    log: str | None = None


class Unshown:
    """Rows that carry a payload: none of it is in their ``repr``, which logs may show."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = (f"{field}={getattr(self, field)!r}" for field in ("id", "name", "key") if hasattr(self, field))
        return f"{type(self).__name__}({', '.join(shown)})"


class NewRow(Unshown, msgspec.Struct, kw_only=True):
    """A row that is to be inserted: the columns that an insert gives; the others have their defaults.

    First those that differ from row to row, then those that rows made together mostly share (``store.inserts``).
    """

    id: int
    key: str
    label: str
    payload: str | None
    priority: int
    lane: int
    grp: str | None = None
    parent_id: int | None = None
    spawner_id: int | None = None
    run_at_ms: int | None = None
    tags: str | None = None
    depends_on: str | None = None
    max_failures: int | float | None = None

    name: str
    status: str
    phase: int
    parent_round: int = 0
    spawner_run: int | None = None
    holds_key: int = 1
    held: int = 0
    limited: int = 0
    delayed: int = 0
    max_retries: int = 0
    fail_fast: int = 1
    child_concurrency: int | None = None
    options: str | None = None
    retry_of: int | None = None
    is_flow: int = 0
    flow_open: int = 0
    created_at_ms: int
    ready_ms: int | None = None
    ages: int = 0
    ttl_ms: int | None = None
    ttl_first: int = 0
    expires_at_ms: int | None = None
    unmet: int = 0
    on_dependency_failure: str = "cancel"
    series_id: int | None = None
    version: int = 1
    expected_io: str | None = None


class Claim(Unshown, msgspec.Struct, array_like=True, frozen=True):
    """A committed start: all that an executor needs to run it and to show the record of the run."""

    id: int
    run: int
    phase: int
    phase_runs: int
    name: str
    key: str
    label: str
    priority: int
    payload: str
    memo: str | None
    parent_id: int | None
    parent_round: int
    round: int
    round_run: int
    limited: int
    fail_fast: int
    retries: int
    max_retries: int
    crashes: int
    options: str | None
    error: str | None
    created_at_ms: int
    run_at_ms: int | None
    started_at_ms: int | None
    cancel_requested_at_ms: int | None
    child_total: int
    grp: str | None = None
    tags: str | None = None
    effective: int | None = None
    ready_ms: int | None = None
    expires_at_ms: int | None = None
    depends_on: str | None = None
    retry_of: int | None = None
    series_id: int | None = None
    version: int = 1
    expected_io: str | None = None


class Renamed(msgspec.Struct, array_like=True, frozen=True):
    """A row of the queue that gets its task's present name: what its lane is made of besides."""

    id: int
    grp: str | None
    bounded_parent: int | None
    priority: int
    loses_key: int
    """A task of the present name holds its key already."""


class Ready(NamedTuple):
    """A task that can start, as the dispatcher orders them: finalizers before bodies, then the lower id."""

    priority: int
    phase: int
    id: int
    crashes: int
    lane: Lane
    bound: int | None = None
    """How many children its parent lets run at once, where the lane has that parent."""
    since_ms: int = 0
    """Since when it waits, by the steady clock, less what it had waited before."""
    io: str | None = None
    """JSON text of the bytes it is expected to move; None: not declared."""


class ParentCount(msgspec.Struct, array_like=True, frozen=True):
    """How many children of its present round a task has, and how many of them have settled."""

    id: int
    parent_id: int | None
    settled: int
    total: int
    round: int = 1
    has_bytes: int = 0
    """Whether a child has told of bytes."""


class ChildBytes(msgspec.Struct, array_like=True):
    """The bytes of a task's settled children, and how many of them have told of some, and of all there are."""

    done: int = 0
    counted: int = 0
    size: int = 0
    sized: int = 0


class OldRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of the history as its pruning sees it."""

    seq: int
    finished_at_ms: int
    holder: int | None
    """Its parent, where that is active, else a task that still waits for it: the row stays as long."""


class RetryFields(Unshown, msgspec.Struct, array_like=True):
    """What a task that is repeated by hand takes over from the settled row."""

    id: int
    name: str
    key: str
    label: str
    status: str
    priority: int
    payload: str | None
    """None: it was a flow."""
    parent_id: int | None
    max_retries: int
    fail_fast: int
    max_failures: int | float | None
    child_concurrency: int | None
    options: str | None
    grp: str | None
    tags: str | None
    version: int
    expected_io: str | None
    retried_as: int | None
    ttl_ms: int | None
    ttl_first: int
    depends_on: str | None
    on_dependency_failure: str


def since_ms(created_at_ms: int, run_at_ms: int | None, retries: int) -> int:
    """When a task could first have started. Of a task that was retried ``run_at_ms`` is the last retry's: it tells nothing."""
    return created_at_ms if run_at_ms is None or retries else max(created_at_ms, run_at_ms)
