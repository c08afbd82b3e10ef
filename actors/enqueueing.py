"""How submissions are taken up: a request is decided whole before anything of it is written, so a refusal leaves no trace.

Not of the request, and not in the other requests of the same commit. Who is there already is found by ``holders``; what is
stored of each submission is ``storing``'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec

from millrace.actors import depending, expiring
from millrace.actors.holders import find_holders, find_respawned, forget_failures, scope_of
from millrace.actors.ledger import Ledger
from millrace.actors.parents import open_parent
from millrace.actors.policy import deadlines, duplicates
from millrace.actors.stored import RunOver, Stored
from millrace.actors.storing import store
from millrace.model import events
from millrace.model.errors import ParentClosed
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Row
from millrace.model.statuses import DuplicatePolicy, SubmitKind, TaskStatus
from millrace.model.tags import decode_tags, merge_tags

_NEW: Final = (SubmitKind.INSERTED, SubmitKind.SUPERSEDED)
"""What becomes of a submission that makes a task."""


def enqueue(ledger: Ledger, tasks: Sequence[NewTask]) -> list[Stored]:
    """Store submissions, all or none. The results are in the order of the submissions.

    Raises:
        TaskNotFound, ParentClosed, RunOver, InvalidTask, InvalidDependency: of any of them; then nothing of any is stored.
    """
    ledger.load(task.parent_id for task in tasks if task.parent_id is not None)
    _check_spawners(ledger, tasks)
    parents = {parent_id: open_parent(ledger, parent_id) for parent_id in {task.parent_id for task in tasks}}
    tasks = _inherit_tags(tasks, parents)
    scopes = [scope_of(task, parents[task.parent_id]) for task in tasks]
    last_of = {scope: place for place, scope in enumerate(scopes) if tasks[place].policy != DuplicatePolicy.ALLOW}
    respawned, failed = find_respawned(ledger, tasks, scopes)
    counted = [
        place
        for place, scope in enumerate(scopes)
        if place not in respawned and (tasks[place].policy == DuplicatePolicy.ALLOW or last_of[scope] == place)
    ]
    holders, winding = find_holders(ledger, [scopes[place] for place in counted])
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
        results[place] = store(
            ledger,
            task,
            parents[task.parent_id],
            holder,
            resolved=resolved,
            is_held=at in winding and task.policy != DuplicatePolicy.ALLOW,
        )
    forget_failures(ledger, [(tasks[place], results[place], child_id) for place, child_id in failed.items()])
    final: list[Stored] = []
    for place, scope in enumerate(scopes):
        result = results[place]
        if result is None:
            decided = results[last_of[scope]]
            if decided is None:
                raise AssertionError("the last entry of a key is always decided")
            result = Stored(SubmitKind.DUPLICATE, decided.id)
        final.append(result)
    for (name, kind), same in groupby((task.name, result.kind) for task, result in zip(tasks, final, strict=True)):
        ledger.effects.count("submissions", name, kind.value, by=sum(1 for _ in same))
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
        inserted = sum(one.kind in _NEW for one in stored)
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
