"""What the end of a dependency means for the tasks that wait for it (behaviour.md, section 16)."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from millrace.model.statuses import DependencyPolicy, TaskStatus

_FIRST: Final = "; first failure: "
_ERROR_LINE: Final = 500
"""Characters of a dependency's error that its dependents' errors quote."""


@dataclass(frozen=True, slots=True)
class BadEnd:
    """A task that ended otherwise than COMPLETED."""

    id: int
    name: str
    status: str
    error: str | None
    policy: str
    """Its own, for its dependencies."""


class Meaning(Enum):
    """What becomes of a dependent."""

    MET = auto()
    """It waits no more for this one."""
    FAILED = auto()
    """It ends DEPENDENCY_FAILED."""
    KEPT = auto()
    """It stays blocked, for somebody to decide."""


def decide(end: BadEnd, policy: str) -> Meaning:
    """What a bad end means for a dependent of that policy.

    A task that ended DEPENDENCY_FAILED under FAIL leaves its dependents blocked: retried by hand, it is waited for again.
    """
    if policy == DependencyPolicy.IGNORE:
        return Meaning.MET
    if end.status == TaskStatus.DEPENDENCY_FAILED and end.policy == DependencyPolicy.FAIL:
        return Meaning.KEPT
    return Meaning.FAILED


def failure_of_dependency(end: BadEnd) -> str:
    """The error of a dependent: it names the direct dependency, and the first failure of the chain."""
    what = f"dependency {end.id} ({end.name}) ended {end.status}"
    if end.status == TaskStatus.DEPENDENCY_FAILED:
        # An error of this very form: what follows the first mark is the origin, whatever a message further on contains.
        _, _, origin = (end.error or "").partition(_FIRST)
        return f"{what}{_FIRST}{origin or end.error or 'unknown'}"
    line = (end.error or "").partition("\n")[0][:_ERROR_LINE]
    return f"{what}: {line}" if line else what
