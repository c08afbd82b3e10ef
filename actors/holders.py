"""Who is there already: the holders of keys, and the children that an earlier run of the same spawner has made."""

from collections.abc import Iterable, Sequence

from millrace.actors.ledger import Ledger
from millrace.actors.stored import Stored
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Row
from millrace.model.statuses import FAILED_ENDS, SubmitKind
from millrace.store.keys import KeyScope


def scope_of(task: NewTask, parent: Row | None) -> KeyScope:
    """Within what the submission's key is unique."""
    return (task.name, 0, 0, task.key) if parent is None else (task.name, parent.id, parent.round, task.key)


def find_holders(ledger: Ledger, scopes: Sequence[KeyScope]) -> tuple[dict[int, Row], set[int]]:
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


# Children of an earlier run


def find_respawned(
    ledger: Ledger, tasks: Sequence[NewTask], scopes: Sequence[KeyScope]
) -> tuple[dict[int, Stored], dict[int, int]]:
    """Submissions that an earlier run of the same spawner has made already: they are that child, whatever the policy.

    So the totals over children are those of an undisturbed run. In a retry a child that failed before it is spawned anew: the
    second result has these, by their places.
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
        for at, child in spawned.items():
            # A run that repeats an interrupted one is of the same attempt: what failed in that has failed.
            if child.status in FAILED_ENDS and child.run <= spawner.retry_run:
                failed[places[at]] = child.id
            else:
                found[places[at]] = Stored(SubmitKind.DUPLICATE, child.id)
    return found, failed


def forget_failures(ledger: Ledger, respawned: Iterable[tuple[NewTask, Stored | None, int]]) -> None:
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
