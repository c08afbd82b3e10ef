"""Records of tasks: each column in its field, active or settled."""

import inspect
from datetime import UTC, datetime, timedelta

from millrace.model.records import IoBudget
from millrace.model.statuses import TaskStatus
from millrace.store import records


def test_a_record_has_each_value_in_its_field() -> None:
    """Times are aware UTC, flags booleans, texts of JSON values."""
    row = (
        1, "play::body", "key", "label", "failed", 7, '{"n":[1]}', '"memo"', 2, 1, 3, 4, "error", "traceback",
        1_000, 2_000, 3_000, 4_000, 5_000, 6.5, 0.5, 8,
        "group", '{"k":"v"}', 5, 6_000, "[3,4]", 9, "[1,2,3,4]", None, 10, 20,
    )  # fmt: skip
    record = records.make_record(row)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (record.id, record.task_name, record.key, record.label) == (1, "play::body", "key", "label")
    assert (record.status, record.priority, record.effective_priority) == (TaskStatus.FAILED, 7, 5)
    assert (record.payload, record.memo, record.parent_id, record.fail_fast) == ({"n": [1]}, "memo", 2, True)
    assert (record.attempt, record.retries, record.max_retries) == (4, 3, 4)
    assert (record.error, record.traceback, record.retry_of) == ("error", "traceback", 8)
    times = (record.created_at, record.run_at, record.started_at, record.finished_at, record.cancel_requested_at)
    assert times == tuple(epoch + timedelta(seconds=n) for n in range(1, 6))
    assert (record.duration, record.progress) == (6.5, 0.5)
    assert (record.group, record.tags, record.depends_on, record.schedule_id) == ("group", {"k": "v"}, (3, 4), 9)
    assert record.expires_at == epoch + timedelta(seconds=6)
    assert (record.expected_io, record.actual_io) == (IoBudget(1, 2, 3, 4), IoBudget())


def test_the_attempt_is_nought_before_the_first_start() -> None:
    """S-129: then one more than the retries."""
    row = (1, "play::body", "k", "l", "pending", 7, "{}", None, None, 0, 0, 4, None, None, 1, *[None] * 17)
    assert records.make_record(row).attempt == 0
    assert records.make_record((*row[:16], 5, *row[17:])).attempt == 1


def test_the_readers_of_records_give_what_they_say() -> None:
    """Every public function says in a line what it reads."""
    for name, function in inspect.getmembers(records, inspect.isfunction):
        if function.__module__ == records.__name__ and not name.startswith("_"):
            assert function.__doc__, name
