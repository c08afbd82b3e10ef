"""The scheduler's methods for what recurs or is due later: list series, run now, pause, resume, cancel them."""

from __future__ import annotations

from typing import Literal

from millrace.actors.mailbox import Reply
from millrace.actors.requests import ChangeSeries, RunNow
from millrace.model.records import TaskId
from millrace.model.schedule import ScheduleInfo
from millrace.operations import Operations, expect_id
from millrace.store.series import read_schedules


class Scheduling(Operations):
    """See the module. From any thread."""

    def schedules(self) -> list[ScheduleInfo]:
        """The series that have not ended, by id; one consistent read."""
        return read_schedules(self._runtime.readers())

    def run_now(self, id: TaskId) -> bool:
        """Make a delayed task, a pending retry, or a series' next run (by the series' id or the run's) due at once.

        A Cron goes on with its next time as if nothing had been.

        Returns:
            False where nothing waits for its time: it runs, has ended, never was, or its series is paused.
        """
        reply: Reply[bool] = Reply()
        return self._runtime.ask(RunNow(expect_id(id), reply), reply)

    def pause_schedule(self, id: TaskId) -> None:
        """Make no more runs, until ``resume_schedule``: a run that has not begun is PAUSED, one under way goes on.

        Args:
            id: of the series, or of any of its runs.

        Raises:
            TaskNotFound: there is no such task, or it is of no series.
        """
        self._change(id, "pause")

    def resume_schedule(self, id: TaskId) -> None:
        """Go on. What fell due meanwhile is dropped: a Cron waits for its next time, an Every for one interval.

        Raises:
            TaskNotFound: as for ``pause_schedule``.
        """
        self._change(id, "resume")

    def cancel_schedule(self, id: TaskId) -> None:
        """End the series for good, and cancel its active run.

        Raises:
            TaskNotFound: as for ``pause_schedule``.
        """
        self._change(id, "cancel")

    def _change(self, id: TaskId, change: Literal["pause", "resume", "cancel"]) -> None:
        reply: Reply[None] = Reply()
        self._runtime.ask(ChangeSeries(expect_id(id), change, reply), reply)
