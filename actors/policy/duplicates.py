"""What a submission does to the active task that holds its key (behaviour.md, section 2)."""

from dataclasses import dataclass
from typing import TypeAlias

from millrace.model.rows import Row
from millrace.model.statuses import DuplicatePolicy


@dataclass(frozen=True, slots=True)
class Keep:
    """The holder stays as it is."""

    is_rejected: bool = False


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The holder becomes as urgent as the submission."""

    priority: int


@dataclass(frozen=True, slots=True)
class Requeue:
    """The holder runs once more after this round, with the submission; ``priority`` is that of the rerun."""

    priority: int


@dataclass(frozen=True, slots=True)
class Replace:
    """The holder is superseded."""


Duplicate: TypeAlias = Keep | Upgrade | Requeue | Replace


def is_under_way(holder: Row) -> bool:
    """Whether the round of the holder has got further than waiting for its body's start or repetition."""
    return holder.status in ("running", "waiting") or (holder.status in ("pending", "paused") and holder.phase != 1)


def decide(holder: Row, policy: str, *, priority: int, rerun_priority: int | None, is_same_as_rerun: bool) -> Duplicate:
    """What becomes of a submission on a held key.

    Args:
        holder: the active task that holds the key.
        policy: the submission's.
        priority: the submission's, resolved.
        rerun_priority: of the rerun that is stored already, None without one.
        is_same_as_rerun: whether the submission differs from that rerun in nothing but priority.
    """
    if policy == DuplicatePolicy.REJECT:
        return Keep(is_rejected=True)
    if policy == DuplicatePolicy.SUPERSEDE:
        return Replace()
    if not is_under_way(holder):
        return Upgrade(priority) if priority < holder.priority else Keep()
    if rerun_priority is None:
        # The run under way may have read its input already: only a later one is sure to see the world as it is now.
        return Requeue(priority)
    if priority < rerun_priority or not is_same_as_rerun:
        return Requeue(min(priority, rerun_priority))
    return Keep()
