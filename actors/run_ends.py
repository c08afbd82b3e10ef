"""How the ends of runs are taken up: what each outcome means for its task, all those of a turn in one go.

What comes back without an end is here too: starts that never began, retries that are given up. The rules are ``policy.ends``;
what follows for the task and for those above it is ``settling``'s.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from millrace.actors import pausing
from millrace.actors.counting import note_bytes, tell_child_settled
from millrace.actors.ledger import Ledger
from millrace.actors.policy import ends
from millrace.actors.policy.ends import Step
from millrace.actors.reruns import begin_rerun
from millrace.actors.settling import advance, close, park, settle
from millrace.actors.telling import news_of
from millrace.model import events
from millrace.model.durations import latest_due_ms
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Phase, PlainEnd, Row
from millrace.model.statuses import TaskStatus

_name_of: Final = attrgetter("name")


def apply_outcomes(ledger: Ledger, outcomes: Sequence[RunOutcome]) -> list[RunOutcome]:
    """Carry out what the ends of these runs mean. Returns those that were of no current run: late, and dropped."""
    plain = _settle_leaves(ledger, [outcome for outcome in outcomes if _may_be_plain(ledger, outcome)])
    rest = [outcome for outcome in outcomes if outcome.task_id not in plain]
    ledger.load([outcome.task_id for outcome in rest])
    late: list[RunOutcome] = []
    for outcome in rest:
        row = ledger.row(outcome.task_id)
        if row is None or not ends.is_current(row, outcome):
            late.append(outcome)
        else:
            _apply(ledger, row, outcome)
    return late


# The short way of plain ends


def _may_be_plain(ledger: Ledger, outcome: RunOutcome) -> bool:
    if outcome.kind is not RunKind.RETURNED or outcome.phase != Phase.BODY:
        return False
    if ledger.is_heard and outcome.claim is None:
        return False
    traits = ledger.catalog.traits(outcome.name)
    return traits is not None and not traits.has_finalizer


def _settle_leaves(ledger: Ledger, outcomes: Sequence[RunOutcome]) -> set[int]:
    """The short way of leaves that returned: two statements for all of them, and one step of their parents."""
    if not outcomes:
        return set()
    plain = [
        PlainEnd(
            end.task_id,
            end.run,
            end.memo,
            end.duration_s,
            end.progress,
            end.actual_io,
            end.bytes_done,
            end.bytes_total,
            end.log,
        )
        for end in outcomes
    ]
    moved = ledger.writer.settle_plain(plain, ledger.now_ms)
    ledger.edges.ended_well += moved
    settled = [outcome for outcome in outcomes if outcome.task_id in moved]
    _note_leaves(ledger, settled)
    ledger.load(outcome.parent_id for outcome in settled if outcome.parent_id is not None)
    parents: dict[int, Row] = {}
    tells_progress = ledger.has_reports and ledger.hears(events.Progress)
    tells_end = ledger.hears(events.Completed)
    told, now = ledger.effects.events, ledger.now()
    for outcome in settled if ledger.is_heard else [one for one in settled if one.parent_id is not None]:
        claim = outcome.claim
        if claim is not None:
            if tells_progress:
                ledger.tell_progress(claim)
            if tells_end:
                told.append(news_of(events.Completed, now, claim, claim.effective, memo=outcome.memo))
        if outcome.parent_id is not None:
            _count_leaf(ledger, outcome, outcome.parent_id, parents)
    for parent in parents.values():
        ledger.children_counted(parent, is_all=True)
    for parent in parents.values():
        if ledger.row(parent.id) is parent:  # not settled already, with another of them
            advance(ledger, [parent])
    return moved


def _note_leaves(ledger: Ledger, settled: Sequence[RunOutcome]) -> None:
    """What others have to know of leaves that have completed."""
    effects, now_ms = ledger.effects, ledger.now_ms
    effects.settled += [(outcome.task_id, "completed") for outcome in settled]
    effects.completed += [(outcome.name, outcome.duration_s, outcome.actual_io) for outcome in settled]
    for name, same in groupby(settled, _name_of):
        ages_s = [(now_ms - outcome.since_ms) / 1000 for outcome in same]
        effects.count("tasks_finished", name, "completed", by=len(ages_s))
        effects.settled_after(name, ages_s)


def _count_leaf(ledger: Ledger, outcome: RunOutcome, parent_id: int, parents: dict[int, Row]) -> None:
    effects = ledger.effects
    effects.count("children_settled", outcome.name, "completed")
    parent = ledger.row(parent_id)
    if parent is not None and parent.round == outcome.parent_round:
        parents[parent_id] = parent
        parent.child_active -= 1
        note_bytes(parent, outcome.bytes_done)
        if ledger.is_heard:
            tell_child_settled(ledger, parent, outcome.task_id, TaskStatus.COMPLETED)


# One outcome


def _apply(ledger: Ledger, row: Row, outcome: RunOutcome) -> None:  # noqa: C901 - one arm a decision
    """One outcome, of the current run."""
    decision = ends.decide_end(row, outcome)
    row.executing = 0
    row.crashes = 0
    row.duration_s = outcome.duration_s
    _keep_reports(ledger, row, outcome)
    ledger.changed(row)
    match decision:
        case ends.Succeeded():
            _succeeded(ledger, row, outcome)
        case ends.Retry(delay_s):
            _retry(ledger, row, outcome, delay_s)
        case ends.GiveUp(status):
            row.error, row.traceback = outcome.error or status, outcome.traceback
            close(ledger, row, status)
        case ends.PutBack(reason):
            put_back(ledger, row, reason)
        case ends.CancelItself():
            row.cancel_requested_at_ms = ledger.now_ms
            close(ledger, row, "cancelled")
            if ledger.has_settled(row.id) is None:
                ledger.tell(events.CancelRequested, row)
        case ends.Park(reason):
            park(ledger, row, reason)
        case ends.WindDown():
            if outcome.abandoned and outcome.error is not None:
                # Why it ends comes first: S-183.
                row.error = outcome.error if row.error is None else f"{row.error}; {outcome.error}"
            row.phase = Phase.CHILDREN
            advance(ledger, [row])
        case ends.HookDone(error):
            if error is not None:
                row.error = f"on_cancel: {error}"
            settle(ledger, row, row.closing or "cancelled")


def _keep_reports(ledger: Ledger, row: Row, outcome: RunOutcome) -> None:
    """What the run has said of itself. A finalizer or hook that says nothing of IO, bytes or logs leaves what the body said."""
    is_body = outcome.phase == Phase.BODY
    if is_body or outcome.actual_io is not None:
        row.actual_io = outcome.actual_io
    if is_body or outcome.log is not None:
        row.log = outcome.log
    if row.child_total:
        if is_body and row.bytes_done is None:
            # No tick has come to write them, and no child that has settled has any: until one does, they are its own.
            row.bytes_done, row.bytes_total = outcome.bytes_done, outcome.bytes_total
        return
    row.progress = outcome.progress
    if is_body or outcome.bytes_done is not None:
        row.bytes_done, row.bytes_total = outcome.bytes_done, outcome.bytes_total
    ledger.tell_progress(row)


def _forget_reports(row: Row) -> None:
    """The next run of the body begins without any; with children in its round the row shows theirs."""
    if row.phase == Phase.BODY and not row.child_total:
        row.bytes_done = row.bytes_total = None


def _succeeded(ledger: Ledger, row: Row, outcome: RunOutcome) -> None:
    if row.phase == Phase.FINALIZER:
        if outcome.memo is not None:
            row.memo = outcome.memo
        row.phase = Phase.TAIL
    else:
        row.memo = outcome.memo
        row.phase = Phase.CHILDREN
    row.error = row.traceback = None
    row.phase_runs = 0
    if ends.next_step(row, ledger.catalog.traits(row.name)) is Step.FINALIZE:
        _finalize_in_slot(ledger, row)
    else:
        advance(ledger, [row])


def _finalize_in_slot(ledger: Ledger, row: Row) -> None:
    """No child is active when the body ends: the finalizer goes on in its slot, its start committed with the body's end.

    Not where a pause applies to it: nothing of a paused scope starts.
    """
    if ledger.catalog.traits(row.name) is None or ledger.limits.holds(row.name, row.grp):
        advance(ledger, [row])
        return
    row.phase, row.status, row.executing = Phase.FINALIZER, TaskStatus.RUNNING.value, 1
    row.run += 1
    row.phase_runs, row.retries, row.started_at_ms = 1, 0, ledger.now_ms
    if not row.child_total:
        row.progress = None
    ledger.changed(row)
    ledger.effects.continues.append(row.id)


def _retry(ledger: Ledger, row: Row, outcome: RunOutcome, delay_s: float) -> None:
    row.error, row.traceback = outcome.error, outcome.traceback
    ledger.tell(events.Failed, row, error=outcome.error or "", will_retry=True, retry_after=delay_s)
    ledger.effects.count("retries", row.name)
    if row.rerun is not None:
        _end_round_early(ledger, row)
        return
    row.retries += 1
    row.retry_run = row.run
    _forget_reports(row)
    row.status = TaskStatus.PENDING.value
    row.run_at_ms = latest_due_ms(ledger.steady_ms, delay_s)
    row.delayed = ledger.delay_until(row.run_at_ms)
    ledger.ready(row)


def _end_round_early(ledger: Ledger, row: Row) -> None:
    """The task would run again, and a newer submission waits: its round begins now, once this one's children are gone."""
    if row.child_active:
        close(ledger, row, TaskStatus.FAILED.value)
    else:
        begin_rerun(ledger, row)


# Without an outcome


def give_up_retry(ledger: Ledger, task_id: int, why: str) -> None:
    """A retry that has not started, and will not: a thread of an earlier run stands in its way."""
    row = ledger.row(task_id)
    if row is None or row.status != TaskStatus.PENDING or row.closing is not None or not row.retries:
        return
    row.error = f"{row.error}; {why}" if row.error else why
    close(ledger, row, TaskStatus.DEAD_LETTER.value)


def put_back(ledger: Ledger, row: Row, reason: str) -> None:
    """Interrupted: the task is pending or paused, else as it was: attempt, retries and error unchanged. A hook is due again."""
    if row.phase == Phase.HOOK:
        ledger.effects.hooks.append(row.id)
        return
    if row.rerun is not None:
        row.error = row.error or f"interrupted ({reason}), and replaced by a newer submission"
        _end_round_early(ledger, row)
        return
    _forget_reports(row)
    if reason in ends.PAUSING:
        pausing.stop(ledger, row, reason)
        return
    row.status = TaskStatus.PENDING.value
    ledger.tell(events.Interrupted, row, reason=reason)
    ledger.ready(row)


def withdraw(ledger: Ledger, runs: Iterable[tuple[int, int]]) -> None:
    """Starts that were committed and whose function was never called: as if they had not been."""
    wanted = dict(runs)
    ledger.load(wanted)
    for task_id, run in wanted.items():
        row = ledger.row(task_id)
        if row is None or not row.executing or row.run != run:
            continue
        row.executing = 0
        row.phase_runs -= 1
        if row.phase == Phase.BODY and row.phase_runs == 0 and row.round_run == 0:
            row.started_at_ms = None
        if row.phase == Phase.BODY and row.phase_runs == 0 and row.ttl_first:
            row.expires_at_ms = None  # its time has not begun after all
        ledger.changed(row)
        if row.phase == Phase.HOOK:
            ledger.effects.hooks.append(row.id)
        elif row.closing is not None:
            row.phase = Phase.CHILDREN
            advance(ledger, [row])
        elif row.phase == Phase.FINALIZER and row.phase_runs == 0 and row.child_active:
            row.phase = Phase.CHILDREN  # a child came meanwhile: a finalizer that has not started waits for it
            advance(ledger, [row])
        else:
            row.status = TaskStatus.PENDING.value
            ledger.still_ready(row)
