"""How submissions become rows: parents, duplicates and inheritance are settled in the transaction that inserts them.

A request is decided whole before anything of it is written, so a refusal leaves no trace: not of the request, and not in
the other requests of the same commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from millrace.actors import cancelling, depending, expiring, reruns, series, settling
from millrace.actors.ledger import Ledger
from millrace.actors.policy import deadlines, duplicates
from millrace.model import events
from millrace.model.errors import MillraceError, ParentClosed, TaskNotFound
from millrace.model.lanes import make_lane
from millrace.model.rows import Delay, NewRow, NewTask, Phase, Row
from millrace.model.statuses import FAILED_ENDS, DuplicatePolicy, SubmitKind, TaskStatus
from millrace.model.tags import decode_tags, encode_tags, merge_tags
from millrace.store.keys import KeyScope

NORMAL: Final = 128
_encode = msgspec.json.Encoder().encode


class Stored(msgspec.Struct, frozen=True):
    """What became of one submission: the kind, the task that holds the key, and the task it replaced."""

    kind: SubmitKind
    id: int
    replaced: int | None = None
    group_paused: bool = False


class RunOver(MillraceError):
    """A run spawned that is over, or was given up: its submission came too late. Callers hear of it in other words."""

    def __init__(self, task_id: int, run: int) -> None:
        super().__init__(f"run {run} of task {task_id} is over: nothing that it spawns is stored any more")
        self.task_id = task_id
        self.run = run


def open_parent(ledger: Ledger, parent_id: int | None) -> Row | None:
    """The parent of a submission, checked: None for a root task.

    Raises:
        TaskNotFound: there is no such parent, or it is pruned.
        ParentClosed: its end is decided, or that of something above it.
    """
    if parent_id is None:
        return None
    parent = ledger.row(parent_id)
    if parent is None:
        status = ledger.has_settled(parent_id) or ledger.writer.load_settled([parent_id]).get(parent_id)
        if status is None:
            raise not_found(ledger, parent_id)
        raise ParentClosed(parent_id, TaskStatus(status))
    status = closed_status(ledger, parent)
    if status is not None:
        raise ParentClosed(parent_id, TaskStatus(status))
    return parent


def not_found(ledger: Ledger, task_id: int) -> TaskNotFound:
    """The error for an id that has no row: whether it never was or is pruned is told by the sequence of ids."""
    return TaskNotFound(task_id, pruned=0 < task_id < ledger.writer.next_id())


def closed_status(ledger: Ledger, parent: Row) -> str | None:
    """Why a parent takes no child: its status, or None where it takes one."""
    if parent.closing is not None:
        return parent.status
    if parent.is_flow and not parent.flow_open:
        return parent.status
    if ledger.has_open_cascades():
        # Somewhere a cancel is on its way down: it may not have reached this parent yet, but it closes it already.
        ledger.flush()
        if ledger.writer.closed_ancestor(parent.id) is not None:
            return TaskStatus.CANCELLING.value
    return None


def enqueue(ledger: Ledger, tasks: Sequence[NewTask]) -> list[Stored]:
    """Store submissions, all or none. The results are in the order of the submissions.

    Raises:
        TaskNotFound, ParentClosed, RunOver, InvalidTask, InvalidDependency: of any of them; then nothing of any is stored.
    """
    ledger.load(task.parent_id for task in tasks if task.parent_id is not None)
    _check_spawners(ledger, tasks)
    parents = {parent_id: open_parent(ledger, parent_id) for parent_id in {task.parent_id for task in tasks}}
    tasks = _inherit_tags(tasks, parents)
    scopes = [_scope(task, parents[task.parent_id]) for task in tasks]
    last_of = {scope: place for place, scope in enumerate(scopes) if tasks[place].policy != DuplicatePolicy.ALLOW}
    respawned, failed = _find_respawned(ledger, tasks, scopes)
    counted = [
        place
        for place, scope in enumerate(scopes)
        if place not in respawned and (tasks[place].policy == DuplicatePolicy.ALLOW or last_of[scope] == place)
    ]
    holders, winding = _find_holders(ledger, [scopes[place] for place in counted])
    if expiring.expire_late(ledger, [holder.id for holder in holders.values() if _is_late(ledger, holder)]):
        return enqueue(ledger, tasks)  # keys are free now, and a parent may have failed by it
    resolved = _check_dependencies(ledger, tasks, counted, respawned, holders)
    _check_not_replaced(
        ledger,
        parents,
        {holder.id for at, holder in holders.items() if tasks[counted[at]].policy == DuplicatePolicy.SUPERSEDE},
    )
    results: list[Stored | None] = [None] * len(tasks)
    for place, stored in respawned.items():
        results[place] = stored
    for at, place in enumerate(counted):
        task = tasks[place]
        holder = None if task.policy == DuplicatePolicy.ALLOW else holders.get(at)
        results[place] = _store(
            ledger,
            task,
            parents[task.parent_id],
            holder,
            resolved=resolved,
            is_held=at in winding and task.policy != DuplicatePolicy.ALLOW,
        )
    _forget_failures(ledger, [(tasks[place], results[place], child_id) for place, child_id in failed.items()])
    final: list[Stored] = []
    for place, scope in enumerate(scopes):
        result = results[place]
        if result is None:
            decided = results[last_of[scope]]
            if decided is None:
                raise AssertionError("the last entry of a key is always decided")
            result = Stored(SubmitKind.DUPLICATE, decided.id)
        ledger.effects.count("submissions", tasks[place].name, result.kind.value)
        final.append(result)
    return _note_pauses(ledger, final)


def _note_pauses(ledger: Ledger, stored: list[Stored]) -> list[Stored]:
    """Say of which tasks the group is paused: asked for only where one is."""
    paused = ledger.limits.paused_groups
    if not paused:
        return stored
    ledger.flush()
    groups = ledger.writer.pauses.select_groups([one.id for one in stored])
    return [msgspec.structs.replace(one, group_paused=groups.get(one.id) in paused) for one in stored]


def tell_batch(ledger: Ledger, stored: Sequence[Stored]) -> None:
    """The event of a batch, where it stored anything new and anybody listens."""
    if ledger.is_heard:
        inserted = sum(one.kind in (SubmitKind.INSERTED, SubmitKind.SUPERSEDED) for one in stored)
        if inserted:
            ledger.effects.events.append(events.BatchSubmitted(at=ledger.now(), inserted=inserted))


def _check_not_replaced(ledger: Ledger, parents: Iterable[int | None], replaced: set[int]) -> None:
    """No parent of a request is closed by the same request; ParentClosed."""
    if not replaced:
        return
    for parent_id in parents:
        if parent_id is not None and not replaced.isdisjoint(ledger.writer.ancestors(parent_id)):
            raise ParentClosed(parent_id, TaskStatus.CANCELLING)


def _check_spawners(ledger: Ledger, tasks: Sequence[NewTask]) -> None:
    """The fence, for spawns: a spawner is active until it settles, so its parent never ends before its last child is here."""
    runs = {(task.spawner_id, task.spawner_run) for task in tasks}
    ledger.load(spawner_id for spawner_id, _ in runs if spawner_id is not None)
    for spawner_id, run in runs:
        if spawner_id is not None and run is not None:
            row = ledger.row(spawner_id)
            if row is None or not row.executing or row.run != run:
                raise RunOver(spawner_id, run)


def _inherit_tags(tasks: Sequence[NewTask], parents: Mapping[int | None, Row | None]) -> Sequence[NewTask]:
    """The parents' tags come under the submissions' own. InvalidTask where there are too many together."""
    inherited = {row.id: decode_tags(row.tags) for row in parents.values() if row is not None and row.tags is not None}
    if not inherited:
        return tasks
    return [
        msgspec.structs.replace(task, tags=merge_tags(inherited[task.parent_id], task.tags))
        if task.parent_id in inherited
        else task
        for task in tasks
    ]


def _scope(task: NewTask, parent: Row | None) -> KeyScope:
    return (task.name, 0, 0, task.key) if parent is None else (task.name, parent.id, parent.round, task.key)


def _find_holders(ledger: Ledger, scopes: Sequence[KeyScope]) -> tuple[dict[int, Row], set[int]]:
    """The active holders of keys and the places whose key a cancelled task still winds down under."""
    ledger.flush()
    if not scopes:
        return {}, set()
    former, places = _former_scopes(ledger, scopes)
    next_id, found, winding = ledger.writer.keys.find_holders([*scopes, *former])
    ledger.note_next_id(next_id)
    ledger.load(found.values())
    rows: dict[int, Row] = {}
    for at, task_id in sorted(found.items()):
        row = ledger.row(task_id)
        if row is not None:
            rows.setdefault(places.get(at, at), row)
    return rows, {places.get(at, at) for at in winding}


def _former_scopes(ledger: Ledger, scopes: Sequence[KeyScope]) -> tuple[list[KeyScope], dict[int, int]]:
    """The same keys under the names that the tasks had before, and whose place each stands for.

    From a start on there are none: rows get the present name then. Until then, a key is unique over all names of a task.
    """
    aliases = ledger.catalog.aliases()
    if not aliases:
        return [], {}
    former: list[KeyScope] = []
    places: dict[int, int] = {}
    by_name: dict[str, list[str]] = {}
    for alias, name in aliases.items():
        by_name.setdefault(name, []).append(alias)
    for place, (name, parent_id, parent_round, key) in enumerate(scopes):
        for alias in by_name.get(name, ()):
            places[len(scopes) + len(former)] = place
            former.append((alias, parent_id, parent_round, key))
    return former, places


def _find_respawned(
    ledger: Ledger, tasks: Sequence[NewTask], scopes: Sequence[KeyScope]
) -> tuple[dict[int, Stored], dict[int, int]]:
    """Submissions that an earlier run of the same spawner has made already: they are that child, whatever the policy.

    So the totals over children are those of an undisturbed run. In a retry a child that failed is spawned anew: the second
    result has these, by their places.
    """
    by_spawner: dict[tuple[int, int], list[int]] = {}
    for place, task in enumerate(tasks):
        if task.spawner_id is not None and task.spawner_run is not None and task.parent_id is not None:
            by_spawner.setdefault((task.spawner_id, task.spawner_run), []).append(place)
    if not by_spawner:
        return {}, {}
    ledger.load(spawner_id for spawner_id, _ in by_spawner)
    found: dict[int, Stored] = {}
    failed: dict[int, int] = {}
    for (spawner_id, run), places in by_spawner.items():
        spawner = ledger.row(spawner_id)
        if spawner is None or run - spawner.round_run <= 1:
            continue
        ledger.flush()
        spawned = ledger.writer.keys.find_spawned(
            [scopes[place] for place in places], spawner=spawner_id, round_run=spawner.round_run, run=run
        )
        for at, children in spawned.items():
            place = places[at]
            child_id, status = max(children)
            if status in FAILED_ENDS and spawner.retries > 0:
                failed[place] = child_id
            else:
                found[place] = Stored(SubmitKind.DUPLICATE, child_id)
    return found, failed


def _forget_failures(ledger: Ledger, respawned: Iterable[tuple[NewTask, Stored | None, int]]) -> None:
    """Children that failed and were spawned anew count no more: each once, though one batch may name its key twice.

    One whose key another child holds by now is not spawned anew, and goes on counting.
    """
    forgotten: set[int] = set()
    for task, stored, child_id in respawned:
        parent = None if task.parent_id is None else ledger.row(task.parent_id)
        is_anew = stored is not None and stored.kind in (SubmitKind.INSERTED, SubmitKind.SUPERSEDED)
        if is_anew and parent is not None and child_id not in forgotten:
            forgotten.add(child_id)
            _forget_failure(ledger, parent, child_id)


def _forget_failure(ledger: Ledger, parent: Row, child_id: int) -> None:
    parent.child_failed = max(0, parent.child_failed - 1)
    parent.child_total -= 1
    if parent.bytes_done is not None:
        ledger.effects.child_bytes[parent.id] = None
    if parent.first_failure is not None and parent.first_failure.startswith(f"child {child_id} "):
        parent.first_failure = None
    ledger.children_counted(parent)


def _is_late(ledger: Ledger, holder: Row) -> bool:
    return deadlines.is_late(holder, ledger.steady_ms)


def _check_dependencies(
    ledger: Ledger,
    tasks: Sequence[NewTask],
    counted: Sequence[int],
    respawned: Mapping[int, Stored],
    holders: Mapping[int, Row],
) -> depending.Resolved:
    """What the submissions have to wait for; InvalidDependency, CyclicDependency. What is there already is not asked again."""
    resolved = depending.Resolved(ledger, [task for place, task in enumerate(tasks) if place not in respawned])
    kept: dict[int, tuple[Row, bool]] = {}
    stored: list[NewTask] = []
    for at, place in enumerate(counted):
        task, holder = tasks[place], holders.get(at)
        if holder is not None and task.policy != DuplicatePolicy.ALLOW:
            is_replaced = task.policy == DuplicatePolicy.SUPERSEDE
            if not is_replaced and (task.policy == DuplicatePolicy.REJECT or not duplicates.is_under_way(holder)):
                continue  # nothing of it is stored
            kept[len(stored)] = (holder, is_replaced)
        stored.append(task)
    depending.check_circles(ledger, resolved, stored, kept)
    return resolved


def _store(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    holder: Row | None,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> Stored:
    if task.schedule is not None and parent is None:
        return _store_recurring(ledger, task, holder, resolved=resolved, is_held=is_held)
    return _store_one(ledger, task, parent, holder, resolved=resolved, is_held=is_held)


def _store_recurring(
    ledger: Ledger, task: NewTask, holder: Row | None, *, resolved: depending.Resolved, is_held: bool
) -> Stored:
    """A submission with a schedule: where its key has a series already, that is the duplicate, and not the run that is active."""
    known = series.of_key(ledger, task)
    if known is not None and task.policy != DuplicatePolicy.SUPERSEDE:
        is_rejected = task.policy == DuplicatePolicy.REJECT
        return Stored(SubmitKind.REJECTED if is_rejected else SubmitKind.DUPLICATE, known.id)
    if holder is not None and task.policy == DuplicatePolicy.REJECT:
        return Stored(SubmitKind.REJECTED, holder.id)
    if holder is not None and task.policy == DuplicatePolicy.SKIP:
        once = msgspec.structs.replace(task, schedule=None, schedule_from="submission")
        stored = _store_one(ledger, once, None, holder, resolved=resolved, is_held=is_held)
        series.adopt(ledger, task, holder)
        return stored
    if known is not None:
        series.end(ledger, known)
    first = series.with_first_due(ledger, task)
    stored = _store_one(ledger, first, None, holder, resolved=resolved, is_held=is_held)
    series.start(ledger, first, stored.id)
    if known is not None and stored.replaced is None:
        stored = Stored(SubmitKind.SUPERSEDED, stored.id, replaced=known.id)
    return stored


def _store_one(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    holder: Row | None,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> Stored:
    priority = task.priority
    if priority is None:
        priority = _inherited_priority(parent)
    if holder is None:
        return Stored(SubmitKind.INSERTED, _insert(ledger, task, parent, priority, resolved=resolved, is_held=is_held))
    rerun = None if holder.rerun is None else reruns.decode_rerun(holder.rerun)
    again = _as_rerun(ledger, task, parent)
    decision = duplicates.decide(
        holder,
        task.policy,
        priority=priority,
        rerun_priority=None if rerun is None else rerun.priority,
        is_same_as_rerun=rerun is not None and _is_same(again, rerun),
    )
    match decision:
        case duplicates.Keep(is_rejected):
            return Stored(SubmitKind.REJECTED if is_rejected else SubmitKind.DUPLICATE, holder.id)
        case duplicates.Upgrade(more_urgent):
            holder.priority = more_urgent
            reruns.find_lane(holder)
            ledger.changed(holder)
            ledger.still_ready(holder)
            return Stored(SubmitKind.UPGRADED, holder.id)
        case duplicates.Requeue(rerun_priority):
            holder.rerun = _encode(msgspec.structs.replace(again, priority=rerun_priority)).decode()
            depending.wait_for(ledger, holder, resolved.unsettled(task))
            return Stored(SubmitKind.REQUEUED, holder.id)
        case duplicates.Replace():
            return _supersede(ledger, task, parent, holder, priority, resolved=resolved, is_held=is_held)


def _inherited_priority(parent: Row | None) -> int:
    """That of the parent's last start; flows never start."""
    if parent is None or parent.is_flow:
        return NORMAL
    return parent.priority if parent.effective is None else parent.effective


def _as_rerun(ledger: Ledger, task: NewTask, parent: Row | None) -> NewTask:
    """The submission as the rerun of a running task: its time to live begins now, and its place is that of the task."""
    limit = deadlines.deadline(task, None if parent is None else parent.expires_at_ms, ledger.submitted_ms)
    return msgspec.structs.replace(
        task,
        parent_id=None,
        spawner_id=None,
        spawner_run=None,
        ttl_ms=limit.ttl_ms,
        ttl_source="own",
        ttl_first=limit.is_from_first_start,
        expires_at_ms=limit.expires_at_ms,
    )


def _is_same(again: NewTask, rerun: NewTask) -> bool:
    """Whether it differs in nothing but how urgent it is and when it came."""
    return msgspec.structs.replace(again, priority=rerun.priority, expires_at_ms=rerun.expires_at_ms) == rerun


def _supersede(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    holder: Row,
    priority: int,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> Stored:
    """The holder's end (or its intent) and the new row, in one transaction.

    The new one waits until the old has wound down, and what the old one waited for (``is_held``).
    """
    new_id = ledger.new_id()
    holder.superseded_by = new_id
    holder.cancel_requested_at_ms = ledger.now_ms
    if parent is not None:
        # Counted before the old one settles: a parent whose only child is replaced has not lost its last child.
        _count_new_child(ledger, parent)
    if holder.executing:
        ledger.effects.interrupts.append((holder.id, holder.run, "superseded"))
    depending.take_over(ledger, [holder.id], new_id)
    ledger.replaced[holder.id] = new_id
    settling.close(ledger, holder, "superseded")
    cancelling.cascade(ledger, [holder.id])
    is_winding = ledger.has_settled(holder.id) is None
    if is_winding:
        ledger.tell(events.CancelRequested, holder)
    ledger.flush()
    insert_row(ledger, task, parent, priority, new_id, resolved=resolved, is_held=is_held or is_winding)
    return Stored(SubmitKind.SUPERSEDED, new_id, replaced=holder.id)


def _insert(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    priority: int,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> int:
    if parent is not None:
        _count_new_child(ledger, parent)
    new_id = ledger.new_id()
    insert_row(ledger, task, parent, priority, new_id, resolved=resolved, is_held=is_held)
    return new_id


def _count_new_child(ledger: Ledger, parent: Row) -> None:
    parent.child_total += 1
    parent.child_active += 1
    if parent.phase == Phase.FINALIZER and not parent.executing and parent.phase_runs == 0:
        # The finalizer has not started: it waits for this child too.
        parent.phase, parent.status = Phase.CHILDREN, TaskStatus.WAITING.value
        ledger.tell(events.Waiting, parent, children=parent.child_active)
    ledger.children_counted(parent)


def insert_row(
    ledger: Ledger,
    task: NewTask,
    parent: Row | None,
    priority: int,
    new_id: int,
    *,
    resolved: depending.Resolved,
    is_held: bool,
) -> None:
    """A new row, and its Submitted; the clock, the dispatcher or its parent's supervisor hears of it."""
    unmet = ledger.add_edges(new_id, resolved.unsettled(task)) if task.depends_on else 0
    delay = Delay.NONE if unmet else ledger.delay_until(task.run_at_ms, task.delay)
    # That of a run of a series begins when it is due: nobody submits it then, and it may wait for a month.
    is_run = task.schedule is not None or task.series_id is not None
    began_ms = max(ledger.submitted_ms, task.run_at_ms or 0) if is_run else ledger.submitted_ms
    limit = deadlines.deadline(task, None if parent is None else parent.expires_at_ms, began_ms)
    is_limited = parent is not None and parent.child_concurrency is not None
    parent_id, parent_round = (None, 0) if parent is None else (parent.id, parent.round)
    lane = make_lane(task.name, task.group, parent_id if is_limited else None, priority)
    row = NewRow(
        id=new_id,
        name=task.name,
        key=task.key,
        label=task.label,
        status="blocked" if unmet else "pending",
        phase=1,
        priority=priority,
        payload=task.payload,
        parent_id=parent_id,
        parent_round=parent_round,
        spawner_id=task.spawner_id,
        spawner_run=task.spawner_run,
        holds_key=task.policy != "allow",
        held=is_held,
        limited=is_limited,
        delayed=delay,
        run_at_ms=task.run_at_ms,
        max_retries=task.max_retries,
        fail_fast=task.fail_fast,
        max_failures=task.max_failures,
        child_concurrency=task.child_concurrency,
        options=task.options,
        retry_of=task.retry_of,
        created_at_ms=ledger.now_ms,
        grp=task.group,
        lane=lane.number,
        tags=encode_tags(task.tags),
        ready_ms=None if delay or unmet else ledger.steady_ms,
        ttl_ms=limit.ttl_ms,
        ttl_first=limit.is_from_first_start,
        expires_at_ms=limit.expires_at_ms,
        depends_on=reruns.encode_ids(task.depends_on),
        unmet=unmet,
        on_dependency_failure=task.on_dependency_failure,
        ages=ledger.ages,
        series_id=new_id if task.schedule is not None else task.series_id,
        version=task.version,
        expected_io=task.expected_io,
    )
    ledger.insert(row)
    if limit.ttl_ms == 0:
        ledger.effects.at_once.append(new_id)
    if not delay and not is_held and not unmet:
        ledger.ready_new(row, lane, parent.child_concurrency if parent is not None and is_limited else None)
    if ledger.is_heard:
        ledger.tell_new(events.Submitted, row)
