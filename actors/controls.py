"""Requests that callers wait for, one by one: each is carried out whole, or refused before it writes."""

from typing import assert_never

from millrace.actors import cancelling, flows, pausing, repeating, schedules
from millrace.actors.ledger import Ledger
from millrace.actors.parents import not_found
from millrace.actors.requests import (
    Cancel,
    CancelFlow,
    CancelMany,
    ChangeSeries,
    EndFlow,
    OpenFlow,
    Pause,
    Repeat,
    Resume,
    RunNow,
    UpdateFlow,
)
from millrace.actors.stored import Stored
from millrace.model.records import CancelResult

__all__ = ["carry_out", "not_found"]

Controlled = (
    Cancel | CancelMany | Repeat | OpenFlow | UpdateFlow | EndFlow | CancelFlow | Pause | Resume | RunNow | ChangeSeries
)


def carry_out(  # noqa: C901, PLR0911, PLR0912 - one a request
    ledger: Ledger, request: Controlled
) -> CancelResult | list[int] | Stored | int | None:
    """The answer to a request; a MillraceError refuses it."""
    match request:
        case Cancel(task_id):
            return cancelling.cancel(ledger, task_id)
        case CancelMany(ids):
            return cancelling.cancel_many(ledger, ids)
        case Repeat(task_id, dead_letters_only):
            return repeating.repeat(ledger, task_id, dead_letters_only=dead_letters_only)
        case OpenFlow(flow):
            return flows.open_flow(ledger, flow)
        case UpdateFlow(flow_id, state, expected):
            return flows.update(ledger, flow_id, state, expected)
        case EndFlow(flow_id, "finish", memo, state):
            flows.finish(ledger, flow_id, memo, state)
            return None
        case EndFlow(flow_id, _, error, state):
            flows.fail(ledger, flow_id, error or "failed", state)
            return None
        case CancelFlow(flow_id, state):
            return flows.cancel(ledger, flow_id, state)
        case RunNow(task_id):
            return schedules.run_now(ledger, task_id)
        case ChangeSeries(task_id, change):
            schedules.change(ledger, task_id, change)
            return None
        case Pause(scope, name, until_ms):
            return pausing.pause(ledger, scope, name, until_ms)
        case Resume(scope, name):
            return pausing.resume(ledger, scope, name)
        case _:
            assert_never(request)
