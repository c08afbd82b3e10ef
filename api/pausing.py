"""The scheduler's methods that pause and resume: all of it, or a group."""

from __future__ import annotations

from datetime import datetime

from millrace.actors.mailbox import Reply
from millrace.actors.requests import Pause, Resume
from millrace.actors.runtime import Runtime
from millrace.model.durations import datetime_to_ms, ms_to_datetime
from millrace.model.names import check_group
from millrace.model.pauses import Scope
from millrace.operations import Operations


class Pausing(Operations):
    """See the module. From any thread."""

    def pause(self) -> int:
        """Start nothing more until ``resume()``, also over restarts. Queued tasks stay PENDING.

        Running bodies are asked to stop with "paused", and their tasks are PAUSED when they end; what ends otherwise counts.
        Cancels, expiry, dependencies, timed resumes and schedules go on.

        Returns:
            How many active tasks, queued and running, this newly holds; 0 where the scheduler is paused already.
        """
        return pause_scope(self._runtime, "scheduler", "")

    def resume(self) -> int:
        """End the scheduler's pause; pauses of domains and groups stay.

        Returns:
            How many active tasks, queued and running, nothing pauses any more; 0 where the scheduler was not paused.
        """
        return resume_scope(self._runtime, "scheduler", "")

    def pause_group(self, group: str, *, until: datetime | None = None) -> int:
        """Start nothing of the group, in any domain; its queued tasks, present and future, are PAUSED, also over restarts.

        Args:
            group: 1 to 256 characters; there need be no task of it yet.
            until: aware; the pause ends by itself then, by the wall clock, also under a pause of the scheduler. Pausing again
                sets the new end, or none.

        Returns:
            How many active tasks, queued and running, this newly holds; 0 where the group is paused already.

        Raises:
            ValueError: ``until`` is naive, or is past. InvalidTask: the name is not as said.
        """
        name = check_group(group)
        until_ms = None if until is None else datetime_to_ms(until, "until")
        now_ms = self._runtime.times.wall_ms()
        if until_ms is not None and until_ms <= now_ms:
            raise ValueError(
                f"until: expected a time to come, got {ms_to_datetime(until_ms)}, and it is {ms_to_datetime(now_ms)}; "
                "leave it out to pause until resume_group()"
            )
        return pause_scope(self._runtime, "group", name, until_ms)

    def resume_group(self, group: str) -> int:
        """End a group's pause; a pause of the scheduler or of a task's domain stays.

        Returns:
            How many active tasks, queued and running, nothing pauses any more; 0 where the group was not paused.
        """
        return resume_scope(self._runtime, "group", check_group(group))


def pause_scope(runtime: Runtime, scope: Scope, name: str, until_ms: int | None = None) -> int:
    """Pause it; how many tasks that newly holds."""
    reply: Reply[int] = Reply()
    return runtime.ask(Pause(scope, name, until_ms, reply), reply)


def resume_scope(runtime: Runtime, scope: Scope, name: str) -> int:
    """End its pause; how many tasks nothing pauses any more."""
    reply: Reply[int] = Reply()
    return runtime.ask(Resume(scope, name, reply), reply)
