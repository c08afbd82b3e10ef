"""Errors carry their facts, say what to do, and survive the way between processes."""

import pickle
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from millrace.model import errors
from millrace.model.errors import (
    CommitUnknown,
    CyclicDependency,
    ForkedProcess,
    InternalError,
    InvalidDependency,
    InvalidTask,
    MillraceError,
    NoParent,
    ParentClosed,
    PayloadTooLarge,
    PermanentError,
    RetryableError,
    RevisionConflict,
    SchedulerFailed,
    SchedulerStopped,
    StoreError,
    StoreLocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TaskInterrupted,
    TaskNotFound,
    UnknownTask,
)
from millrace.model.statuses import TaskStatus


@dataclass(frozen=True)
class Record:
    """What TaskFailed reads of a record."""

    id: int = 7
    task_name: str = "media::thumbnail"
    status: TaskStatus = TaskStatus.DEAD_LETTER
    error: str | None = "ValueError: no such image"


EXAMPLES = [
    RetryableError("try later", retry_after=3),
    PermanentError("never"),
    TaskInterrupted("preempted"),
    InvalidTask("key: expected text", field="key"),
    PayloadTooLarge(1_048_577, 1_048_576),
    UnknownTask("media::thumbnail", ["mail", "files"]),
    TaskNotFound(7, pruned=True),
    TaskNotFound("import-7", kind="flow"),
    NoParent(7, "media::thumbnail"),
    ParentClosed(7, TaskStatus.CANCELLING),
    InvalidDependency(7, TaskStatus.FAILED),
    CyclicDependency([7, 8, 9]),
    RevisionConflict(3, 4),
    StoreError("it went wrong", path="/s", code=778),
    StoreLocked("/s", pid=7, host="box", since=datetime(2026, 1, 2, tzinfo=UTC)),
    CommitUnknown("sync failed", key="import-7", path="/s", code=1034),
    ForkedProcess(7, 8),
    SchedulerStopped(),
    SchedulerFailed("actors failed"),
    InternalError("a row without a task"),
    TaskFailed(Record()),  # type: ignore[arg-type]  # a record's fields that the error reads
    TaskCancelled(Record(status=TaskStatus.CANCELLED, error=None)),  # type: ignore[arg-type]  # as above
    TaskNotFound(7, kind="flow", exists=True),
    ParentClosed(7, TaskStatus.FAILED, is_change=True),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: BaseException) -> None:
    """Type, message and every attribute come back."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (EXAMPLES[4], ["1,048,577", "1,048,576"]),
        (EXAMPLES[5], ["media::thumbnail", "'media'", "files, mail"]),
        (EXAMPLES[6], ["7", "pruned"]),
        (EXAMPLES[7], ["import-7", "ever"]),
        (EXAMPLES[8], ["7", "media::thumbnail"]),
        (EXAMPLES[9], ["7", "cancelling"]),
        (EXAMPLES[10], ["7", "failed"]),
        (EXAMPLES[11], ["7 -> 8 -> 9 -> 7"]),
        (EXAMPLES[12], ["3", "4"]),
        (EXAMPLES[14], ["/s", "pid 7", "host box", "2026-01-02"]),
        (EXAMPLES[16], ["process 7", "process 8", "in the child"]),
        (EXAMPLES[19], ["report"]),
        (EXAMPLES[20], ["media::thumbnail", "task 7", "dead_letter", "no such image"]),
    ],
)
def test_a_message_names_its_facts(error: BaseException, facts: list[str]) -> None:
    """What was expected and what came stands in the message."""
    for fact in facts:
        assert fact in str(error)


def test_every_error_is_of_the_family() -> None:
    """All errors are MillraceErrors but TaskInterrupted, which `except Exception` does not catch."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
    assert len(kinds) >= 29
    assert [kind for kind in kinds if not issubclass(kind, MillraceError)] == [TaskInterrupted]
    assert not issubclass(TaskInterrupted, Exception)


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (InvalidTask, (ValueError,)),
        (PayloadTooLarge, (InvalidTask,)),
        (UnknownTask, (LookupError,)),
        (TaskNotFound, (LookupError,)),
        (CyclicDependency, (InvalidDependency,)),
        (CommitUnknown, (StoreError,)),
        (SchedulerFailed, (SchedulerStopped,)),
        (TaskExpired, (TaskFailed,)),
    ],
)
def test_an_error_can_be_caught_by_its_kind(kind: type[BaseException], bases: tuple[type[BaseException], ...]) -> None:
    """Callers may catch the wider kind, or the built-in one."""
    for base in bases:
        assert issubclass(kind, base)


@pytest.mark.parametrize(
    ("given", "kept"), [(None, None), (2, 2.0), (-1, 0.0), (timedelta(minutes=1), 60.0), (timedelta(-1), 0.0)]
)
def test_retry_after_is_seconds(given: float | timedelta | None, kept: float | None) -> None:
    """A number or a timedelta becomes seconds, a negative one 0."""
    assert RetryableError("x", retry_after=given).retry_after == kept


def test_retry_after_is_a_number() -> None:
    """NaN is refused where it is written."""
    with pytest.raises(ValueError, match="retry_after"):
        RetryableError("x", retry_after=float("nan"))


def test_a_failed_task_shows_its_record() -> None:
    """The record and its error text are attributes; without an error text it is empty."""
    failed = EXAMPLES[20]
    assert isinstance(failed, TaskFailed)
    assert failed.record.id == 7
    assert failed.error == "ValueError: no such image"
    cancelled = EXAMPLES[21]
    assert isinstance(cancelled, TaskCancelled)
    assert cancelled.error == ""
