"""The series that the tasks of a scheduler have by their decorators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from millrace.model.catalog import CodeSeries
from millrace.model.schedule import encode_schedule
from millrace.model.statuses import DuplicatePolicy

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.model.new_tasks import NewTask


def code_series(core: Core) -> CodeSeries:
    """As the code stands now. In the thread of the start's caller, as keys and labels may be the user's functions.

    Raises:
        InvalidTask: a task's own key or label function fails.
    """
    schedules: dict[str, str] = {}
    submissions: list[NewTask] = []
    for domain in core.domains.values():
        for task in tuple(domain.tasks.values()):
            schedule = task.definition.defaults.schedule
            if schedule is None:
                continue
            schedules[task.name] = encode_schedule(schedule)
            try:
                submission = task.call()
            except TypeError:
                continue  # its payload must be given: it begins with a submit
            new = core.prepare(submission)
            is_shared = new.policy == DuplicatePolicy.ALLOW
            new = msgspec.structs.replace(
                new, schedule_from="start", policy=new.policy if is_shared else DuplicatePolicy.SKIP.value
            )
            submissions.append(new)
    return CodeSeries(frozenset(core.domains), schedules, tuple(submissions))
