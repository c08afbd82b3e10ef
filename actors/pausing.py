"""Pauses: what holds, what goes on, and when a timed one ends.

A pause writes one row. Queued tasks stay as they are stored: that they are paused follows from that row whoever looks, and the
dispatcher starts none. Running bodies are asked to stop by the dispatcher; what they were stopped for is kept in their task's
row (``millrace.model.rows.Stop``) until nothing pauses it any more.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from millrace.actors.ledger import Ledger
from millrace.actors.policy.limits import Limits
from millrace.model import events
from millrace.model.pauses import Pause, Scope
from millrace.model.rows import Row, Stop
from millrace.model.statuses import TaskStatus
from millrace.store.writer import Writer

LOOK_AGAIN_MS: Final = 60_000
"""The end of a timed pause is looked at this often: the wall clock, which decides, may be set meanwhile."""


class Armed(NamedTuple):
    """A timer to be set."""

    delay_s: float
    number: int


class Timer:
    """Which timer is set for the end of the next pause: an earlier one takes the place of a later one, whose ring is ignored."""

    def __init__(self) -> None:
        self._number = 0
        self._at_ms: int | None = None

    def set(self, end_ms: int, now_ms: int) -> Armed | None:
        """The timer that is to be set for a pause that ends then; None where an earlier one is set."""
        at_ms = max(now_ms, min(end_ms, now_ms + LOOK_AGAIN_MS))
        if self._at_ms is not None and self._at_ms <= at_ms:
            return None
        self._number += 1
        self._at_ms = at_ms
        return Armed((at_ms - now_ms) / 1000, self._number)

    def is_of(self, number: int | None) -> bool:
        """Whether a ring is that of the present timer; one of no timer (a clock that begins) stands for all."""
        return number is None or number == self._number

    def is_over(self) -> None:
        """It has rung, or is lost."""
        self._at_ms = None


def load(writer: Writer, limits: Limits) -> Limits:
    """The limits with what the store says is paused."""
    for pause in writer.pauses.load():
        limits = limits.with_pause(pause.scope, pause.name)
    return limits


def pause(ledger: Ledger, scope: Scope, name: str, until_ms: int | None) -> int:
    """Pause a scope, or give its pause another end. How many tasks, queued and running, it newly holds."""
    known = ledger.limits.pauses(scope, name)
    count = 0 if known or ledger.limits.is_paused else _count(ledger, scope, name)
    ledger.writer.pauses.put(Pause(scope, name, ledger.steady_ms, until_ms))
    if until_ms is not None:
        ledger.effects.note_pause_end(until_ms)
    if not known:
        ledger.set_limits(ledger.limits.with_pause(scope, name))
        _tell(ledger, scope, name, is_paused=True)
    return count


def resume(ledger: Ledger, scope: Scope, name: str) -> int:
    """End the pause of a scope. How many tasks, queued and running, nothing pauses any more."""
    found = [each for each in ledger.writer.pauses.load() if (each.scope, each.name) == (scope, name)]
    return _end(ledger, found[0]) if found else 0


def end_due(ledger: Ledger) -> int | None:
    """End the pauses whose time has come by the wall clock. When the next of the others ends; None: none does by itself."""
    timed = [each for each in ledger.writer.pauses.load() if each.until_ms is not None]
    for each in timed:
        if each.until_ms is not None and each.until_ms <= ledger.now_ms:
            _end(ledger, each)
    return min(
        (each.until_ms for each in timed if each.until_ms is not None and each.until_ms > ledger.now_ms), default=None
    )


def startable(ledger: Ledger, ids: Sequence[int]) -> list[int]:
    """Those of the tasks that no pause holds."""
    return [] if ledger.limits.is_paused else ledger.writer.pauses.select_unpaused(ids)


def resume_preempted(ledger: Ledger) -> None:
    """Tasks that were preempted are pending again; those that are paused as well wait for the end of that."""
    ids = ledger.writer.pauses.select_preempted()
    ledger.load(ids)
    for task_id in ids:
        row = ledger.row(task_id)
        if row is None or row.paused != Stop.PREEMPTED:
            continue
        if ledger.limits.holds(row.name, row.grp):
            row.paused = Stop.PAUSED
            ledger.changed(row)
        else:
            _go_on(ledger, row)


def take_up(ledger: Ledger) -> None:
    """At a start: pauses that ended meanwhile are over, and nothing is left of preemptions."""
    end_due(ledger)
    ledger.flush()
    resume_preempted(ledger)
    ledger.flush()
    _resume_stopped(ledger)


def stop(ledger: Ledger, row: Row, reason: str) -> None:
    """A run that was asked to stop by a pause, or for a more urgent task, has ended."""
    is_held = ledger.limits.holds(row.name, row.grp)
    row.status = TaskStatus.PAUSED.value
    row.paused = Stop.PAUSED if is_held or reason == "paused" else Stop.PREEMPTED
    ledger.changed(row)
    ledger.tell(events.Preempted if reason == "preempted" else events.Paused, row)
    if row.paused == Stop.PREEMPTED:
        ledger.effects.preempted.append(row.priority)
    elif not is_held:
        _go_on(ledger, row)  # the pause was over before its body was


def _end(ledger: Ledger, over: Pause) -> int:
    ledger.flush()
    ledger.writer.pauses.delete(over.scope, over.name)
    ledger.writer.pauses.shift_ready(over.scope, over.name, since=over.since_ms, now=ledger.steady_ms)
    ledger.forget()
    ledger.set_limits(ledger.limits.without_pause(over.scope, over.name))
    count = 0 if ledger.limits.is_paused else _count(ledger, over.scope, over.name)
    _tell(ledger, over.scope, over.name, is_paused=False)
    _resume_stopped(ledger)
    return count


def _resume_stopped(ledger: Ledger) -> None:
    ids = ledger.writer.pauses.select_stopped()
    ledger.load(ids)
    for task_id in ids:
        row = ledger.row(task_id)
        if row is not None and row.paused == Stop.PAUSED:
            _go_on(ledger, row)


def _go_on(ledger: Ledger, row: Row) -> None:
    row.status, row.paused = TaskStatus.PENDING.value, Stop.NONE
    ledger.changed(row)
    ledger.tell(events.Resumed, row)
    ledger.ready(row)


def _count(ledger: Ledger, scope: Scope, name: str) -> int:
    ledger.flush()
    return ledger.writer.pauses.count_startable(scope, name)


def _tell(ledger: Ledger, scope: Scope, name: str, *, is_paused: bool) -> None:
    if not ledger.is_heard:
        return
    at = ledger.now()
    event: events.Event
    if scope == "scheduler":
        event = events.SchedulerPaused(at=at) if is_paused else events.SchedulerResumed(at=at)
    elif scope == "domain":
        event = events.DomainPaused(at=at, domain=name) if is_paused else events.DomainResumed(at=at, domain=name)
    else:
        event = events.GroupPaused(at=at, group=name) if is_paused else events.GroupResumed(at=at, group=name)
    ledger.effects.events.append(event)
