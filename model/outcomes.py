"""How one run ended, as a value: the executor reports it, the rules decide by it."""

from enum import StrEnum
from typing import Final

import msgspec

from millrace.model.rows import Claim


class RunKind(StrEnum):
    """What the function did."""

    RETURNED = "returned"
    FAILED = "failed"
    """It raised, or ran out of time."""
    INTERRUPTED = "interrupted"
    """It raised the ``TaskInterrupted`` of its own run."""
    UNRUNNABLE = "unrunnable"
    """This program cannot run it: unknown task, or a payload or memo that does not decode."""


class RunOutcome(msgspec.Struct, frozen=True):
    """The end of a run. ``task_id`` and ``run`` are the fence: the outcome of any other run than the present is dropped."""

    task_id: int
    run: int
    phase: int
    name: str
    kind: RunKind
    memo: str | None = None
    """JSON text of what it returned; None where nothing is to be recorded."""
    error: str | None = None
    traceback: str | None = None
    retryable: bool = False
    retry_delay_s: float | None = None
    """Seconds until the repetition; None where there is none."""
    asked: str | None = None
    """What the run had been asked to stop for when it ended."""
    duration_s: float = 0.0
    progress: float | None = None
    actual_io: str | None = None
    """As ``model.io`` keeps what it has recorded; None where it has recorded nothing."""
    bytes_done: int | None = None
    bytes_total: int | None = None
    log: str | None = None
    """Its captured log lines; None where there are none."""
    abandoned: bool = False
    """The run was given up: its thread may still be going."""
    parent_id: int | None = None
    """Where the task hangs in its tree, as claimed: with its round, all that a leaf's end has to know of it."""
    parent_round: int = 0
    claim: Claim | None = None
    """Its start, of which events of a leaf's good end are made; None where its row is loaded for that."""
    since_ms: int = 0
    """When the task could first have started, in ms by the wall clock, as far as its claim tells."""


_STOPPED: Final = {"shutdown": "interrupted", "paused": "interrupted", "preempted": "preempted", "timeout": "timed_out"}
"""What a run comes to that was asked to stop and did; for all other reasons it is cancelled."""


def result_of(outcome: RunOutcome) -> str:
    """What a run came to, as it is counted: one of ``model.families.RUN_RESULTS``."""
    match outcome.kind:
        case RunKind.RETURNED:
            return "succeeded"
        case RunKind.INTERRUPTED:
            return _STOPPED.get(outcome.asked or "", "cancelled")
        case RunKind.FAILED:
            return "timed_out" if outcome.asked == "timeout" else "failed"
        case RunKind.UNRUNNABLE:
            return "failed"


def result_of_given_up(asked: str | None) -> str:
    """The same for a run that was asked to stop, did not, and was given up."""
    return _STOPPED.get(asked or "", "cancelled")
