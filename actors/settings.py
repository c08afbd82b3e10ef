"""What a runtime and its dispatcher are made with, and the phases of a runtime's life."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from math import inf
from typing import Literal

from millrace.actors.policy.limits import Limits
from millrace.model.limits import DEFAULT_THROTTLE, Aging, RateLimit, ResourceSampler, Throttle
from millrace.model.records import IoBudget, Restarts
from millrace.model.retention import Retention


def _unknown(_name: str) -> None:
    """Nothing is known of any task."""


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


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """What a dispatcher is made with besides its limits."""

    cancel_timeout_s: float
    """How long a run that was asked to stop for good may take."""
    max_crashes: int
    """A task one crash short of this starts only while no other such task runs."""
    aging: Aging | None = None
    preempt_at: int | None = 0
    throttle: Throttle = DEFAULT_THROTTLE
    has_resources: bool = False
    """Whether anything reads what the machine moves, so that the IO gate can hold bodies."""
    bandwidth_limit: float | None = None
    means: Callable[[str], IoBudget | None] = _unknown
    """What runs of a task have moved on average, by its name."""


class Phases(Enum):
    """Where a runtime stands."""

    NEW = auto()
    OPEN = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    STOPPED = auto()
    FAILED = auto()
