"""Reading what of a snapshot is in the store: of all domains or of one, of one moment."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import apsw

from millrace.model.durations import ms_to_datetime
from millrace.model.filters import Filters
from millrace.model.records import TaskRecord
from millrace.model.schedule import ScheduleInfo
from millrace.model.statuses import TaskStatus
from millrace.store.looking import bind, count_active, load_records, reading, select_ids
from millrace.store.readers import Readers
from millrace.store.series import list_schedules
from millrace.store.statements import SQL

PARENTS: Final = 200
"""The newest parents that wait for their children, of which a snapshot shows the progress."""


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group as the store knows it."""

    name: str
    running: int = 0
    pending: int = 0
    is_paused: bool = False
    paused_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """See the module."""

    counts: Mapping[TaskStatus, int]
    running: Sequence[TaskRecord]
    waiting: Sequence[TaskRecord]
    groups: Mapping[str, StoredGroup]
    """Those that are paused or have active tasks; of one domain, those that have active tasks of it."""
    schedules: Sequence[ScheduleInfo]
    is_paused: bool
    """The scheduler, or the domain itself."""
    paused_domains: Sequence[str]
    """All that are, whether they have tasks or not."""


def read_snapshot(readers: Readers, domain: str | None) -> StoredSnapshot:
    """All of it in one read transaction."""
    filters = Filters(domain=domain)
    with readers.borrow() as connection, reading(connection):
        pauses = {(scope, name): until for scope, name, _, until in connection.execute(SQL["select_pauses"])}
        running = [task_id for (task_id,) in connection.execute(SQL["select_running"], bind(filters))]
        waiting = select_ids(
            connection, Filters(domain=domain, statuses=frozenset({TaskStatus.WAITING.value})), limit=PARENTS
        )
        return StoredSnapshot(
            counts=count_active(connection, filters),
            running=load_records(connection, running),
            waiting=load_records(connection, waiting),
            groups=_read_groups(connection, filters, pauses),
            schedules=[
                schedule
                for schedule in list_schedules(connection)
                if domain is None or schedule.task_name.startswith(f"{domain}::")
            ],
            is_paused=(("scheduler", "") if domain is None else ("domain", domain)) in pauses,
            paused_domains=sorted(name for scope, name in pauses if scope == "domain"),
        )


def _read_groups(
    connection: apsw.Connection, filters: Filters, pauses: Mapping[tuple[str, str], int | None]
) -> dict[str, StoredGroup]:
    bindings = bind(filters)
    statement = "select_active_groups" if filters.domain is None else "select_active_groups_of_domain"
    active: dict[str, int] = dict(connection.execute(SQL[statement], bindings))
    started: Counter[str] = Counter()
    running: Counter[str] = Counter()
    for group, is_running, count in connection.execute(SQL["count_not_pending_by_group"], bindings):
        started[group] += count
        if is_running:
            running[group] += count
    names = set(active)
    if filters.domain is None:
        names.update(name for scope, name in pauses if scope == "group")
    found: dict[str, StoredGroup] = {}
    for name in sorted(names):
        until = pauses.get(("group", name))
        found[name] = StoredGroup(
            name,
            running=running[name],
            pending=active.get(name, 0) - started[name],
            is_paused=("group", name) in pauses,
            paused_until=None if until is None else ms_to_datetime(until),
        )
    return found
