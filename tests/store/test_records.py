"""Records of tasks: each column in its field, active or settled."""

import inspect
import re
from datetime import UTC, datetime, timedelta

from millrace.model.statuses import TaskStatus
from millrace.store import records
from millrace.store.statements import SQL

COLUMNS = [
    "id", "name", "key", "label", "status", "priority", "payload", "memo", "parent_id", "fail_fast", "retries",
    "max_retries", "error", "traceback", "created_at_ms", "run_at_ms", "started_at_ms", "finished_at_ms",
    "cancel_requested_at_ms", "duration_s", "progress", "retry_of",
]  # fmt: skip
"""As `make_record` takes them apart."""


def columns_of(select: str) -> list[str]:
    """The columns of one SELECT."""
    inner = re.search(r"SELECT\s+((?:\w+,\s*)+\w+)\s+FROM", select)
    assert inner is not None, select
    return [column.strip() for column in inner.group(1).split(",")]


def test_every_statement_of_records_has_the_columns_in_their_order() -> None:
    """From the queue there is no end yet; from the history all of them."""
    checked = 0
    for name, sql in SQL.items():
        for select in re.findall(r"SELECT\s+(?:\w+,\s*)+\w+\s+FROM", sql):
            columns = columns_of(select)
            if "traceback" in columns and "label" in columns and "payload" in columns and len(columns) == len(COLUMNS):
                finished = [column if column != "NULL" else "finished_at_ms" for column in columns]
                assert finished == COLUMNS, name
                checked += 1
    assert checked >= 4


def test_a_record_has_each_value_in_its_field() -> None:
    """Times are aware UTC, flags booleans, texts of JSON values."""
    row = (
        1, "play::body", "key", "label", "failed", 7, '{"n":[1]}', '"memo"', 2, 1, 3, 4, "error", "traceback",
        1_000, 2_000, 3_000, 4_000, 5_000, 6.5, 0.5, 8,
    )  # fmt: skip
    record = records.make_record(row)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (record.id, record.task_name, record.key, record.label) == (1, "play::body", "key", "label")
    assert (record.status, record.priority, record.effective_priority) == (TaskStatus.FAILED, 7, 7)
    assert (record.payload, record.memo, record.parent_id, record.fail_fast) == ({"n": [1]}, "memo", 2, True)
    assert (record.attempt, record.retries, record.max_retries) == (4, 3, 4)
    assert (record.error, record.traceback, record.retry_of) == ("error", "traceback", 8)
    times = (record.created_at, record.run_at, record.started_at, record.finished_at, record.cancel_requested_at)
    assert times == tuple(epoch + timedelta(seconds=n) for n in range(1, 6))
    assert (record.duration, record.progress) == (6.5, 0.5)


def test_the_attempt_is_nought_before_the_first_start() -> None:
    """S-129: then one more than the retries."""
    row = (1, "play::body", "k", "l", "pending", 7, "{}", None, None, 0, 0, 4, None, None, 1, *[None] * 7)
    assert records.make_record(row).attempt == 0
    assert records.make_record((*row[:16], 5, *row[17:])).attempt == 1


def test_the_readers_of_records_give_what_they_say() -> None:
    """Every public function says in a line what it reads."""
    for name, function in inspect.getmembers(records, inspect.isfunction):
        if function.__module__ == records.__name__ and not name.startswith("_"):
            assert function.__doc__, name
