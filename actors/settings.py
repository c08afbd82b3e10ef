"""What a runtime is made with, and the phases of its life."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from math import inf
from typing import Literal

from millrace.actors.policy.limits import Limits
from millrace.model.limits import Aging, RateLimit, ResourceSampler, Throttle
from millrace.model.records import Restarts
from millrace.model.retention import Retention


@dataclass(frozen=True, slots=True)
class Settings:
    """What a runtime is made with; api.pyi tells what each means."""

    limits: Limits
    """The program's own; what is set at run time, and what is paused, is in the store."""
    cancel_timeout_s: float
    is_power_safe: bool
    restarts: Restarts
    max_crashes: int
    progress_interval_s: float | None = 0.5
    retention: Retention = Retention()  # noqa: RUF009 - frozen
    preempt_at: int | None = 0
    aging: Aging | None = None
    throttle: Throttle = Throttle()  # noqa: RUF009 - frozen
    pressure: Mapping[str, Callable[[], float]] = field(default_factory=dict[str, Callable[[], float]])
    resources: Literal["psutil"] | ResourceSampler | None = None
    bandwidth_limit: float | None = None
    task_rates: Callable[[], Mapping[str, RateLimit]] = dict
    """The rates of the tasks' decorators, by name: those of ``limits`` come before them."""
    sweep_interval_s: float = inf

    def code_limits(self, aliases: Mapping[str, str]) -> Limits:
        """The program's own limits, with the rates that its tasks have now.

        Args:
            aliases: former names of tasks, to the present ones.
        """
        given = {aliases.get(name, name): rate for name, rate in self.limits.task_rates.items()}
        return replace(self.limits, task_rates={**self.task_rates(), **given})


class Phases(Enum):
    """Where a runtime stands."""

    NEW = auto()
    OPEN = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    STOPPED = auto()
    FAILED = auto()
