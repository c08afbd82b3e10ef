"""How ends of runs become ends of tasks: outcomes, the counters of parents, and what follows for each, in one transaction.

The rules are ``policy.ends``; this module carries their decisions out on a ledger. Everything climbs by a work list,
never by recursion: a chain of ten thousand parents settles like one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from millrace.actors import pausing
from millrace.actors.ledger import Ledger
from millrace.actors.policy import deadlines, ends
from millrace.actors.policy.ends import Step
from millrace.model import events
from millrace.model.durations import latest_due_ms
from millrace.model.lanes import lane_of
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Hold, NewTask, Phase, PlainEnd, Row, Stop, Tell
from millrace.model.statuses import FAILED_ENDS, TaskStatus
from millrace.model.tags import encode_tags

decode_rerun = msgspec.json.Decoder(NewTask).decode
_ERROR_LINE: Final = 500
"""Characters of a child's error that its parent's error quotes."""


# Outcomes


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
    ledger.ended_well += moved
    effects = ledger.effects
    ledger.load(end.parent_id for end in outcomes if end.parent_id is not None and end.task_id in moved)
    parents: dict[int, Row] = {}
    for outcome in outcomes:
        if outcome.task_id in moved:
            effects.settled.append((outcome.task_id, "completed"))
            effects.completed.append((outcome.name, outcome.duration_s, outcome.actual_io))
            effects.count("tasks_finished", outcome.name, "completed")
            effects.settled_after(outcome.name, ledger.now_ms - outcome.since_ms)
            if ledger.is_heard and outcome.claim is not None:
                ledger.tell_progress(outcome.claim)
                if ledger.hears(events.Completed):
                    ledger.tell(events.Completed, outcome.claim, memo=_memo_of(outcome.memo))
            if outcome.parent_id is not None:
                _count_leaf(ledger, outcome, outcome.parent_id, parents)
    for parent in parents.values():
        _child_moved(ledger, parent)
    for parent in parents.values():
        if ledger.row(parent.id) is parent:  # not settled already, with another of them
            advance(ledger, [parent])
    return moved


def _count_leaf(ledger: Ledger, outcome: RunOutcome, parent_id: int, parents: dict[int, Row]) -> None:
    effects = ledger.effects
    effects.count("children_settled", outcome.name, "completed")
    parent = ledger.row(parent_id)
    if parent is not None and parent.round == outcome.parent_round:
        parents[parent_id] = parent
        parent.child_active -= 1
        _note_bytes(parent, outcome.bytes_done)
        if ledger.is_heard:
            _tell_child_settled(ledger, parent, outcome.task_id, TaskStatus.COMPLETED)


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
            if outcome.abandoned:
                row.error = outcome.error
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


def park(ledger: Ledger, row: Row, reason: str) -> None:
    """This program cannot run the task: it is kept until one starts that can."""
    row.status, row.error, row.traceback = TaskStatus.PARKED.value, reason, None
    ledger.changed(row)
    ledger.tell(events.Parked, row, reason=reason)


# Ends


def close(ledger: Ledger, row: Row, status: str) -> None:
    """Decide the end of a task whose body is not executing: its children are told, and it settles after the last of them."""
    row.closing = status
    row.paused = Stop.NONE
    if status in ends.WITHDRAWN:
        row.status = TaskStatus.CANCELLING.value
        row.holds_key = Hold.LOST if row.holds_key else Hold.NEVER
        row.rerun = None
    if row.unmet and row.rerun is None:
        ledger.drop_edges(row)
    row.delayed = 0
    if not row.executing:
        row.phase = Phase.CHILDREN
    if row.child_active:
        row.cascade = Tell.CANCELLED if status in ends.WITHDRAWN else Tell.FAILED
        ledger.effects.cascades.append(row.id)
    ledger.changed(row)
    advance(ledger, [row])


def settle(ledger: Ledger, row: Row, status: str) -> None:
    """The end: a rerun begins its round in place of it; otherwise the row moves to the history and its parent moves on."""
    parent = _settle_one(ledger, row, status)
    if parent is not None:
        advance(ledger, [parent])


def advance(ledger: Ledger, rows: Iterable[Row]) -> None:
    """Do what follows for tasks whose run or child has ended, and for every task above that follows from it."""
    work = list(rows)
    while work:
        row = work.pop()
        step = ends.next_step(row, ledger.catalog.traits(row.name))
        match step:
            case Step.STAY:
                pass
            case Step.WAIT:
                if row.status not in (TaskStatus.WAITING, TaskStatus.CANCELLING):
                    row.status = TaskStatus.WAITING.value
                    ledger.changed(row)
                    ledger.tell(events.Waiting, row, children=row.child_active)
            case Step.FINALIZE:
                _queue_finalizer(ledger, row)
            case Step.HOOK:
                row.phase, row.phase_runs = Phase.HOOK, 0
                ledger.changed(row)
                ledger.effects.hooks.append(row.id)
            case Step.FAIL:
                row.status = TaskStatus.WAITING.value  # its run is over, and looking for the failure writes the row
                row.error = ends.failure_of_children(row, _first_failure(ledger, row))
                row.closing = TaskStatus.FAILED.value
                work.append(row)
            case Step.SETTLE:
                parent = _settle_one(ledger, row, row.closing or TaskStatus.COMPLETED.value)
                if parent is not None:
                    work.append(parent)


def _queue_finalizer(ledger: Ledger, row: Row) -> None:
    row.phase, row.phase_runs, row.retries = Phase.FINALIZER, 0, 0
    row.run_at_ms = None
    ledger.changed(row)
    if ledger.catalog.traits(row.name) is None:
        park(ledger, row, f"this program has no task {row.name!r}: its finalizer runs where one that has it starts")
        return
    row.status = TaskStatus.PENDING.value
    ledger.ready(row)


def _settle_one(ledger: Ledger, row: Row, status: str) -> Row | None:
    """Settle a row; its parent, with the child counted, where there is one."""
    if row.rerun is not None and status not in ends.WITHDRAWN:
        if status != TaskStatus.COMPLETED:
            ledger.tell(events.Failed, row, error=row.error or status, will_retry=True, retry_after=0.0)
        begin_rerun(ledger, row)
        return None
    if status in ends.WITHDRAWN:
        _release_key(ledger, row)
    ledger.settled_now(row, status)
    if status == TaskStatus.COMPLETED and row.duration_s is not None:
        ledger.effects.completed.append((row.name, row.duration_s, row.actual_io))
    _tell_end(ledger, row, status)
    if row.parent_id is None:
        return None
    parent = ledger.row(row.parent_id)
    if parent is None or parent.round != row.parent_round:
        return None
    count_child(ledger, parent, row, status)
    return parent


def count_child(ledger: Ledger, parent: Row, child: Row, status: str) -> None:
    """A child has settled: the parent's counters move, and where it is one failure too many, the parent is closed."""
    parent.child_active -= 1
    _note_bytes(parent, child.bytes_done)
    _child_moved(ledger, parent)
    _tell_child_settled(ledger, parent, child.id, TaskStatus(status))
    if TaskStatus(status) in FAILED_ENDS:
        parent.child_failed += 1
        if parent.child_failed == 1:
            parent.first_failure = _describe_failure(child.id, child.name, child.label, status, child.error)
        if parent.closing is None and ends.fails_now(parent):
            _fail_by_children(ledger, parent)


def _tell_child_settled(ledger: Ledger, parent: Row, child_id: int, status: TaskStatus) -> None:
    done = parent.child_total - parent.child_active
    ledger.tell(
        events.ChildSettled, parent, child_id=child_id, child_status=status, done=done, total=parent.child_total
    )


def _describe_failure(child_id: int, name: str, label: str, status: str, error: str | None) -> str:
    line = (error or status).partition("\n")[0][:_ERROR_LINE]
    return f"child {child_id} ({name}, {label!r}) ended {status}: {line}"


def _first_failure(ledger: Ledger, parent: Row) -> str:
    """What the parent's error quotes: looked for where the one that was noted counts no more."""
    if parent.first_failure is None:
        ledger.flush()
        found = ledger.writer.first_failure(parent.id, parent.round)
        parent.first_failure = "a child failed" if found is None else _describe_failure(*found)
    return parent.first_failure


def _note_bytes(parent: Row, done: int | None) -> None:
    """From now on the row says that there are bytes to sum up below it: at its end, and after a restart."""
    if done is not None:
        parent.bytes_done = max(parent.bytes_done or 0, done)


def _child_moved(ledger: Ledger, parent: Row) -> None:
    ledger.children_counted(parent)


def _fail_by_children(ledger: Ledger, parent: Row) -> None:
    """The verdict: the parent is closed, its run is asked to stop, its other children are cancelled; it settles with the last."""
    parent.error = ends.failure_of_children(parent, _first_failure(ledger, parent))
    parent.traceback = None
    parent.closing = TaskStatus.FAILED.value
    if parent.unmet and parent.rerun is None:
        ledger.drop_edges(parent)
    parent.delayed = 0
    parent.paused = Stop.NONE
    if parent.executing:
        ledger.effects.interrupts.append((parent.id, parent.run, "child_failed"))
    else:
        parent.phase = Phase.CHILDREN
    if parent.child_active:
        parent.cascade = Tell.FAILED
        ledger.effects.cascades.append(parent.id)


def begin_rerun(ledger: Ledger, row: Row) -> None:
    """A new round: the submission that came while the task ran takes its place."""
    if row.rerun is None:
        return
    new = decode_rerun(row.rerun)
    row.rerun = None
    row.round += 1
    row.round_run = row.run
    row.label, row.priority = new.label, new.priority if new.priority is not None else row.priority
    row.max_retries, row.options, row.max_failures = new.max_retries, new.options, new.max_failures
    row.fail_fast, row.child_concurrency = int(new.fail_fast), new.child_concurrency
    row.grp, row.version, row.expected_io = new.group, new.version, new.expected_io
    _replace_tags(ledger, row, encode_tags(new.tags))
    find_lane(row)
    row.status, row.phase, row.phase_runs, row.executing = TaskStatus.PENDING.value, Phase.BODY, 0, 0
    row.retries = row.crashes = row.child_total = row.child_active = row.child_failed = row.cascade = 0
    row.closing = row.first_failure = row.memo = row.error = row.traceback = row.progress = None
    row.bytes_done = row.bytes_total = None
    row.ttl_ms, row.ttl_first, row.expires_at_ms = new.ttl_ms, int(new.ttl_first), new.expires_at_ms
    row.depends_on, row.on_dependency_failure = encode_ids(new.depends_on), new.on_dependency_failure
    row.run_at_ms = new.run_at_ms
    row.waited_ms, row.ready_ms, row.effective, row.ages = 0, None, None, int(ledger.ages)
    if row.unmet:
        row.status, row.delayed = TaskStatus.BLOCKED.value, 0
    else:
        row.delayed = ledger.delay_until(new.run_at_ms, new.delay)
    ledger.children_counted(row)
    ledger.begin_round((row.id, new.label, new.payload, new.fail_fast, new.max_failures, new.child_concurrency))
    ledger.changed(row)
    ledger.ready(row)


def _replace_tags(ledger: Ledger, row: Row, tags: str | None) -> None:
    if tags != row.tags:
        row.tags = tags
        ledger.retagged(row)


def encode_ids(ids: Sequence[int]) -> str | None:
    """Ids as the store keeps them; None for none."""
    return msgspec.json.encode(ids).decode() if ids else None


def find_lane(row: Row) -> None:
    """Its priority or group is another: so is the lane that it waits in."""
    row.lane = lane_of(row.name, row.grp, row.parent_id if row.limited else None, row.priority)


def _release_key(ledger: Ledger, row: Row) -> None:
    """A cancelled task no longer winds down: a task of its key that waited for that can start."""
    scopes = [(row.name, row.parent_id or 0, row.parent_round, row.key)]
    present = ledger.catalog.aliases().get(row.name)
    if present is not None:
        scopes.append((present, *scopes[0][1:]))  # what replaced it before a start gave it its present name
    held = ledger.writer.find_held(scopes)
    if not held:
        return
    winding = set[int]().union(*ledger.writer.find_holders(scopes).winding.values()) - {row.id}
    if any(ledger.has_settled(task_id) is None for task_id in winding):
        return
    ledger.load(held)
    for task_id in held:
        waiting = ledger.row(task_id)
        if waiting is not None:
            waiting.held = 0
            ledger.changed(waiting)
            ledger.still_ready(waiting)


def _tell_end(ledger: Ledger, row: Row, status: str) -> None:
    if not ledger.is_heard:
        return
    has_children = row.child_total > 0
    ledger.tell_progress(row, settled=(row.child_total - row.child_active) / row.child_total if has_children else None)
    match status:
        case "completed":
            ledger.tell(events.Completed, row, memo=_memo_of(row.memo))
        case "failed":
            ledger.tell(events.Failed, row, error=row.error or "", will_retry=False, retry_after=None)
        case "dead_letter":
            ledger.tell(events.DeadLettered, row, error=row.error or "", retries=row.retries)
        case "superseded":
            ledger.tell(events.Superseded, row, by=row.superseded_by or 0)
        case "expired":
            ledger.tell(events.Expired, row, age=deadlines.age_s(row, ledger.steady_ms))
        case "dependency_failed":
            ledger.tell(events.DependencyFailed, row, dependency=row.failed_dependency or 0)
        case _:
            ledger.tell(events.Cancelled, row)


def _memo_of(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
