"""Reading tasks as their callers see them. Each function is one consistent read on a reader's connection, in any thread."""

from array import array
from collections.abc import Iterator
from typing import Any, Final, Literal

import apsw
import msgspec

from millrace.model.durations import ms_to_datetime
from millrace.model.errors import TaskNotFound
from millrace.model.io import decode_io
from millrace.model.priority import Priority
from millrace.model.records import ChildSummary, TaskRecord
from millrace.model.statuses import TaskStatus
from millrace.model.tags import decode_tags
from millrace.store.readers import Readers
from millrace.store.statements import SQL

PAGE: Final = 256
"""Rows that a streaming reader fetches at once."""
_decode = msgspec.json.decode
_encode = msgspec.json.encode


def _json(text: str | None) -> Any:
    return None if text is None else _decode(text)


def make_record(row: tuple[Any, ...]) -> TaskRecord:
    """A record from a row of ``select_record``."""
    (
        task_id,
        name,
        key,
        label,
        status,
        priority,
        payload,
        memo,
        parent_id,
        fail_fast,
        retries,
        max_retries,
        error,
        traceback,
        created,
        run_at,
        started,
        finished,
        cancelled,
        duration,
        progress,
        retry_of,
        group,
        tags,
        effective,
        expires,
        depends_on,
        series_id,
        expected_io,
        actual_io,
        _bytes_done,
        _bytes_total,
    ) = row
    return TaskRecord(
        id=task_id,
        task_name=name,
        key=key,
        label=label,
        status=TaskStatus(status),
        priority=Priority(priority),
        effective_priority=Priority(priority if effective is None else effective),
        payload=_json(payload),
        memo=_json(memo),
        parent_id=parent_id,
        group=group,
        tags=decode_tags(tags),
        fail_fast=bool(fail_fast),
        attempt=0 if started is None else 1 + retries,
        retries=retries,
        max_retries=max_retries,
        error=error,
        traceback=traceback,
        created_at=ms_to_datetime(created),
        run_at=None if run_at is None else ms_to_datetime(run_at),
        started_at=None if started is None else ms_to_datetime(started),
        finished_at=None if finished is None else ms_to_datetime(finished),
        expires_at=None if expires is None else ms_to_datetime(expires),
        cancel_requested_at=None if cancelled is None else ms_to_datetime(cancelled),
        duration=duration,
        expected_io=decode_io(expected_io),
        actual_io=decode_io(actual_io),
        progress=progress,
        depends_on=() if depends_on is None else tuple(_decode(depends_on)),
        retry_of=retry_of,
        schedule_id=series_id,
    )


def not_found(
    connection: apsw.Connection, task_id: int, kind: Literal["task", "flow", "series"] = "task"
) -> TaskNotFound:
    """The error for an id without a row: whether it never was, is pruned, or is of a task of another kind."""
    if kind != "task" and _fits(task_id) and connection.execute(SQL["select_status"], {"id": task_id}).get is not None:
        return TaskNotFound(task_id, kind=kind, exists=True)
    newest: int | None = connection.execute(SQL["select_max_id"]).get
    return TaskNotFound(task_id, pruned=0 < task_id <= (newest or 0), kind=kind)


def read_record(readers: Readers, task_id: int) -> TaskRecord:
    """The record of a task; TaskNotFound."""
    with readers.borrow() as connection:
        row = _fits(task_id) and connection.execute(SQL["select_record"], {"id": task_id}).fetchone()
        if not row:
            raise not_found(connection, task_id)
        return make_record(row)


def _asked(**given: Any) -> dict[str, Any]:
    """Bindings from what a caller asks for: what SQLite cannot hold becomes something that equals nothing stored.

    Integers are cut to 64 bits, which no id, limit or page reaches; text with lone surrogates is bound as bytes.
    """
    return {name: holdable(value) for name, value in given.items()}


def holdable(value: Any) -> Any:
    """The value as SQLite can hold it; see ``_asked``."""
    if isinstance(value, int):
        return max(-(1 << 63), min(value, (1 << 63) - 1))
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode(errors="surrogatepass")
    return value


def _fits(task_id: int) -> bool:
    """Whether SQLite can hold the id at all."""
    return -(1 << 63) <= task_id < 1 << 63


def read_status(readers: Readers, task_id: int) -> TaskStatus:
    """The status of a task; TaskNotFound."""
    with readers.borrow() as connection:
        status = connection.execute(SQL["select_status"], {"id": task_id}).get if _fits(task_id) else None
        if status is None:
            raise not_found(connection, task_id)
        return TaskStatus(status)


def read_dependents(readers: Readers, task_id: int) -> list[int]:
    """The active tasks that wait for a task, by id. Of an unknown one there are none."""
    if not _fits(task_id):
        return []
    with readers.borrow() as connection:
        return [waiter for (waiter,) in connection.execute(SQL["select_dependents_of"], {"id": task_id})]


def read_children(readers: Readers, parent: int) -> Iterator[TaskRecord]:
    """Every child a task had when this was called, by id.

    The ids are read at once (8 bytes each), the records page by page. An index by parent and id would spare the ids, and cost
    every child that ever settles a write.
    """
    if not _fits(parent):
        return
    with readers.borrow() as connection:
        ids = array("q", (task_id for (task_id,) in connection.execute(SQL["select_child_ids"], {"parent": parent})))
    for start in range(0, len(ids), PAGE):
        with readers.borrow() as connection:
            page = _encode(ids[start : start + PAGE].tolist()).decode()
            records = [make_record(row) for row in connection.execute(SQL["select_records"], {"ids": page})]
        yield from records


def read_child_results(
    readers: Readers, parent: int, parent_round: int, status: str | None
) -> Iterator[tuple[int, str, str, str, str, str | None, str | None]]:
    """Settled children of a round in the order of their commits: id, name, key, label, status, memo text, error."""
    after = 0
    while True:
        with readers.borrow() as connection:
            bindings = {"parent": parent, "round": parent_round, "after": after, "status": status, "limit": PAGE}
            page: list[Any] = connection.execute(SQL["select_child_results"], bindings).fetchall()
        for row in page:
            yield row[1:]
        if len(page) < PAGE:
            return
        after = page[-1][0]


def read_round(readers: Readers, task_id: int) -> int:
    """The present round of a task; TaskNotFound."""
    with readers.borrow() as connection:
        found = connection.execute(SQL["select_round"], {"id": task_id}).fetchone() if _fits(task_id) else None
        if found is None:
            raise not_found(connection, task_id)
        round_now: int = found[0]
        return round_now


def summarize_children(readers: Readers, parent: int, parent_round: int) -> ChildSummary:
    """One consistent count of the children of a round."""
    with readers.borrow() as connection:
        bindings = {"parent": parent, "round": parent_round}
        connection.execute(SQL["begin_read"])
        try:
            active: int = connection.execute(SQL["count_active_children"], bindings).get
            settled = {
                TaskStatus(status): count
                for status, count in connection.execute(SQL["count_settled_children"], bindings)
            }
            errors: Any = tuple(connection.execute(SQL["count_child_errors"], bindings).fetchall())
        finally:
            connection.execute(SQL["commit"])
        return ChildSummary(active + sum(settled.values()), active, settled, errors)


def read_flow(readers: Readers, flow_id: int) -> tuple[Any, int]:
    """State and revision of a flow; TaskNotFound."""
    with readers.borrow() as connection:
        found = connection.execute(SQL["load_flow"], {"id": flow_id}).fetchone() if _fits(flow_id) else None
        if found is None:
            raise not_found(connection, flow_id, "flow")
        return _decode(found[0]), found[1]


def read_log(readers: Readers, task_id: int) -> str | None:
    """The captured log lines of a task's last run; TaskNotFound."""
    with readers.borrow() as connection:
        found = connection.execute(SQL["select_log"], {"id": task_id}).fetchone() if _fits(task_id) else None
        if found is None:
            raise not_found(connection, task_id)
        log: str | None = found[0]
        return log


def find_flow(readers: Readers, key: str) -> int:
    """The newest active flow under a key, else the newest; TaskNotFound."""
    with readers.borrow() as connection:
        found: int | None = connection.execute(SQL["find_flow"], _asked(key=key)).get
        if found is None:
            raise TaskNotFound(key, kind="flow")
        return found
