"""What a dashboard shows of a scheduler, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from millrace.model.limits import Aging, ResourceSnapshot
from millrace.model.records import TaskProgress, TaskRecord
from millrace.model.schedule import ScheduleInfo
from millrace.model.statuses import TaskStatus


@dataclass(frozen=True)
class GroupInfo:
    """A group that is configured, paused, or has active tasks."""

    group: str
    running: int
    """Tasks whose body or finalizer executes."""
    pending: int
    """PENDING and PAUSED ones."""
    limit: int | None
    """How many may run at once; None: as many as slots are free."""
    weight: int
    slots: int | None
    """Its share of the slots; None while no weight or minimum is set."""
    min_slots: int | None
    paused: bool
    paused_until: datetime | None


@dataclass(frozen=True)
class RateLimitInfo:
    """A token bucket in force."""

    scope: str
    """The qualified name of the task, or the group's."""
    kind: Literal["task", "group"]
    rate: float
    """Tokens a second."""
    burst: int
    available: float
    """Tokens that it has now."""


@dataclass(frozen=True)
class Snapshot:
    """Everything a dashboard shows, in one consistent read; `dataclasses.asdict` of it is JSON but for datetimes."""

    counts: Mapping[TaskStatus, int]
    """Active statuses, each of them."""
    running: Sequence[TaskRecord]
    """Those whose body or finalizer executes, by id."""
    progress: Sequence[TaskProgress]
    """Of these, and of the newest 200 WAITING parents."""
    pressure: float
    """0 to 1: that of the source with the most."""
    pressure_by_source: Mapping[str, float]
    max_concurrency: int
    paused: bool
    groups: Sequence[GroupInfo]
    """By name."""
    rate_limits: Sequence[RateLimitInfo]
    """Tasks' before groups', by name."""
    schedules: Sequence[ScheduleInfo]
    aging: Aging | None
    resources: ResourceSnapshot | None
