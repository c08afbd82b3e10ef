"""Rows as the runtime moves them: what the store gives and takes, one class a shape; fields are in the order of columns."""

from enum import IntEnum
from typing import NamedTuple

import msgspec


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

    @property
    def is_ready(self) -> bool:
        """True where nothing but a slot (or its parent's offer) is between the task and a start."""
        return self.status == "pending" and not self.delayed and not self.held


class PlainEnd(msgspec.Struct, array_like=True, frozen=True):
    """The end of a run of a leaf that returned: all that the history needs besides its row."""

    id: int
    run: int
    memo: str | None
    duration_s: float
    progress: float | None


class Claim(msgspec.Struct, array_like=True, frozen=True):
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


class NewTask(msgspec.Struct):
    """A submission, checked, encoded and with its options resolved, on its way into the queue."""

    name: str
    key: str
    label: str
    priority: int | None
    """None: the parent's, else NORMAL."""
    payload: str
    max_retries: int
    policy: str
    fail_fast: bool = True
    max_failures: int | float | None = None
    child_concurrency: int | None = None
    options: str | None = None
    run_at_ms: int | None = None
    parent_id: int | None = None
    spawner_id: int | None = None
    spawner_run: int | None = None
    retry_of: int | None = None


class Ready(NamedTuple):
    """A task that can start, as the dispatcher orders them: finalizers before bodies, then the lower id."""

    priority: int
    phase: int
    id: int
    crashes: int


class ParentCount(msgspec.Struct, array_like=True, frozen=True):
    """How many children of its present round a task has, and how many of them have settled."""

    id: int
    parent_id: int | None
    settled: int
    total: int


class OldRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of the history as its pruning sees it."""

    seq: int
    finished_at_ms: int
    holder: int | None
    """Its parent, where that is active: the row stays as long."""


class RetryFields(msgspec.Struct, array_like=True):
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
    retried_as: int | None
