"""What becomes of requests that the store cannot take: those whose callers wait are refused, the others kept and tried again."""

import copy
from collections.abc import Sequence
from typing import Final, get_args

from millrace.actors.controls import Controlled
from millrace.actors.mailbox import Reply
from millrace.actors.requests import (
    AskAncestors,
    Cascade,
    ClaimHooks,
    ClaimTasks,
    EndPauses,
    ExpireDue,
    FindHooks,
    FindLanes,
    Flush,
    FollowOthers,
    GiveUpRetry,
    PromoteDue,
    PutBack,
    Reconcile,
    Refill,
    RefreshLimits,
    Request,
    ResumePreempted,
    SampleProgress,
    Submit,
    Tune,
    Unwatch,
    Watch,
    WithdrawLost,
)
from millrace.model.errors import CommitUnknown, StoreError
from millrace.model.outcomes import RunKind, RunOutcome

_ANSWERED: Final = (Submit, Tune, *get_args(Controlled))
"""Requests that change something, and whose callers wait."""
_KEPT: Final = (
    RunOutcome,
    ClaimTasks,
    ClaimHooks,
    PutBack,
    GiveUpRetry,
    Cascade,
    PromoteDue,
    RefreshLimits,
    EndPauses,
    ResumePreempted,
    ExpireDue,
    FindLanes,
    FindHooks,
    Refill,
    Reconcile,
    FollowOthers,
    WithdrawLost,
    SampleProgress,
    Watch,
    Unwatch,
    AskAncestors,
    Flush,
)
"""Requests that nobody can repeat, and waits: where the store cannot take them, they are kept and tried again. They are as many
as there are runs, waits and actors, each of which waits for what comes of its own."""


def is_answered(request: Request) -> bool:
    """Whether it changes something, and its caller waits."""
    return isinstance(request, _ANSWERED)


def is_kept(request: Request) -> bool:
    """Whether nobody can repeat it, so that it is tried until the store can take it."""
    return isinstance(request, _KEPT)


def refuse(requests: Sequence[Request], error: StoreError) -> None:
    """An error of its own for each: a raised one carries its traceback, and one in doubt the key to look for."""
    for request in requests:
        reply = getattr(request, "reply", None)
        if isinstance(reply, Reply):
            own = copy.copy(error)
            own.__cause__ = error.__cause__
            if isinstance(own, CommitUnknown) and isinstance(request, Submit) and not request.is_batch:
                own.key = request.tasks[0].key
            reply.fail(own)


def unrecordable(outcome: RunOutcome, error: Exception) -> RunOutcome:
    """What stands in for an outcome that could not be recorded: the task is parked, and tried again at the next start."""
    return RunOutcome(
        outcome.task_id,
        outcome.run,
        outcome.phase,
        outcome.name,
        RunKind.UNRUNNABLE,
        error=f"InternalError: the end of its run could not be recorded: {error!r}; please report it",
        duration_s=outcome.duration_s,
        abandoned=outcome.abandoned,
    )
