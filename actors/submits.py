"""The submits of one turn: those that do not disturb each other are stored together, and each is answered for itself."""

from collections.abc import Sequence

from millrace.actors.enqueueing import enqueue, tell_batch
from millrace.actors.ledger import Ledger
from millrace.actors.requests import Submit
from millrace.actors.stored import Stored
from millrace.model.errors import MillraceError


def submit(ledger: Ledger, submits: Sequence[Submit]) -> None:
    """Submits that do not meet on a key are stored together; the others one after the other."""
    left = list(submits)
    while len(left) > 1:
        together: list[Submit] = []
        later: list[Submit] = []
        taken: set[tuple[str, int | None, str]] = set()
        for request in left:
            keys = {(task.name, task.parent_id, task.key) for task in request.tasks}
            if taken.isdisjoint(keys):
                taken |= keys
                together.append(request)
            else:
                later.append(request)
        _submit_together(ledger, together)
        left = later
    for request in left:
        _submit_one(ledger, request)


def _submit_together(ledger: Ledger, submits: Sequence[Submit]) -> None:
    """All in one go; where one of them is refused, nothing is stored yet, and each goes by itself."""
    try:
        stored = enqueue(ledger, [task for request in submits for task in request.tasks])
    except MillraceError:
        for request in submits:
            _submit_one(ledger, request)
        return
    at = 0
    for request in submits:
        _answer(ledger, request, stored[at : at + len(request.tasks)])
        at += len(request.tasks)


def _submit_one(ledger: Ledger, request: Submit) -> None:
    try:
        stored = enqueue(ledger, request.tasks)
    except MillraceError as error:
        for task in request.tasks:
            ledger.effects.count("submissions", task.name, "invalid")
        ledger.effects.refuse(request.reply, error)
    else:
        _answer(ledger, request, stored)


def _answer(ledger: Ledger, request: Submit, stored: list[Stored]) -> None:
    if request.is_batch:
        tell_batch(ledger, stored)
        ledger.effects.count("batches")
        ledger.effects.observe("batch_size", len(stored))
    ledger.effects.answer(request.reply, stored)
