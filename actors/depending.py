"""How dependencies hold tasks back and let them go, in the transaction in which they settle.

Table ``edge`` has what a task still waits for, and a task's ``unmet`` counts it; so the end of a task costs a look at who waits
for it, and nothing where nobody waits for anything. Everything goes on by a work list, level by level and never by recursion: a
chain of a thousand tasks ends like one. The rules are ``policy.dependencies`` and ``policy.circles``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from millrace.actors import reruns, series, settling
from millrace.actors.ledger import Ledger
from millrace.actors.policy import circles, dependencies
from millrace.actors.policy.circles import Newcomer
from millrace.actors.policy.dependencies import BadEnd, Meaning
from millrace.model import events
from millrace.model.errors import CyclicDependency, InvalidDependency
from millrace.model.new_tasks import NewTask
from millrace.model.rows import Row, Stop
from millrace.model.statuses import DependencyPolicy, TaskStatus

# Ends


def follow(ledger: Ledger) -> None:
    """What follows for dependents from all that has ended in this transaction, at any depth."""
    while ledger.edges.ended_well or ledger.edges.ended_badly:
        well, ledger.edges.ended_well = ledger.edges.ended_well, []
        badly, ledger.edges.ended_badly = ledger.edges.ended_badly, []
        if not ledger.edges.are_there():
            continue
        met = _fail_dependents(ledger, badly) if badly else []
        if well:
            ledger.flush()  # what has been dropped must not be found
            met += ledger.writer.edges.select_dependents(well)
        if met:
            _meet(ledger, met)


def _fail_dependents(ledger: Ledger, ended: Sequence[BadEnd]) -> list[tuple[int, int]]:
    """End those for whom a bad end of a dependency is one too; the (task, dependency) that do not mind it."""
    by_id = {end.id: end for end in ended}
    ledger.edges.write()
    pairs = ledger.writer.edges.select_dependents(list(by_id))
    ledger.load(task_id for task_id, _ in pairs)
    met: list[tuple[int, int]] = []
    for task_id, dependency in pairs:
        row = ledger.row(task_id)
        if row is None or not row.unmet:
            continue  # it has ended, or was let go, in this transaction
        end = by_id[dependency]
        meaning = dependencies.decide(end, _policy(row))
        if meaning is Meaning.MET:
            met.append((task_id, dependency))
        elif meaning is Meaning.FAILED:
            _fail(ledger, row, end)
    return met


def _policy(row: Row) -> str:
    """A task's, or that of the rerun that waits for its round to end."""
    return row.on_dependency_failure if row.rerun is None else reruns.decode_rerun(row.rerun).on_dependency_failure


def _fail(ledger: Ledger, row: Row, end: BadEnd) -> None:
    if row.rerun is not None:
        # The round under way is none of the dependency's business: the rerun alone is dropped.
        row.rerun = None
        ledger.drop_edges(row)
        ledger.tell(events.DependencyFailed, row, dependency=end.id)
        return
    row.failed_dependency = end.id
    row.error, row.traceback = dependencies.failure_of_dependency(end), None
    settling.close(ledger, row, TaskStatus.DEPENDENCY_FAILED.value)


def _meet(ledger: Ledger, pairs: Sequence[tuple[int, int]]) -> None:
    """Dependencies have settled well, or are ignored: who waits for nothing more is pending."""
    ledger.flush()
    freed = ledger.meet(Counter(task_id for task_id, _ in pairs))
    ledger.writer.edges.delete_edges(pairs)
    ledger.load(freed)
    for task_id in freed:
        row = ledger.row(task_id)
        if row is not None:
            _unblock(ledger, row)


def _unblock(ledger: Ledger, row: Row) -> None:
    if row.paused == Stop.SERIES:
        row.status = TaskStatus.PAUSED.value  # its series says at the resume when it is due
    else:
        row.status = TaskStatus.PENDING.value
        row.delayed = ledger.delay_until(row.run_at_ms, series.delay_of(ledger, row))
    row.ready_ms = None if row.delayed else ledger.steady_ms
    ledger.moved(row)
    ledger.tell(events.Unblocked, row)
    ledger.ready(row)


# Submissions


class Resolved:
    """What the dependencies of the submissions of one request stand for now: which of them are unsettled.

    Args:
        ledger: of the transaction.
        tasks: the submissions.
        is_new: False for later runs of a series, for which what is satisfied stays so, be it pruned since.

    Raises:
        InvalidDependency: of new ones, one is not there, or has failed.
    """

    def __init__(self, ledger: Ledger, tasks: Sequence[NewTask], *, is_new: bool = True) -> None:
        asked = {dependency for task in tasks for dependency in task.depends_on}
        self._found: Mapping[int, tuple[int, str | None, int | None]] = {}
        if asked:
            ledger.flush()
            self._found = ledger.writer.edges.resolve_dependencies(list(asked))
            for task in tasks if is_new else ():
                self._check(task)

    def _check(self, task: NewTask) -> None:
        for dependency in task.depends_on:
            _, status, _ = self._found[dependency]
            if status is None:
                raise InvalidDependency(dependency)
            is_bad = TaskStatus(status).is_terminal and status != TaskStatus.COMPLETED
            if is_bad and task.on_dependency_failure != DependencyPolicy.IGNORE:
                raise InvalidDependency(dependency, TaskStatus(status))

    def unsettled(self, task: NewTask) -> frozenset[int]:
        """The tasks that it has to wait for: the newest of each line."""
        newest = [self._found[dependency] for dependency in task.depends_on]
        return frozenset(
            task_id for task_id, status, _ in newest if status is not None and not TaskStatus(status).is_terminal
        )

    def are_siblings(self, task: NewTask) -> bool:
        """Whether all that it has to wait for are children of its own parent, which waits for them already."""
        wanted = self.unsettled(task)
        parents = {parent for task_id, _, parent in self._found.values() if task_id in wanted}
        return task.parent_id is not None and parents <= {task.parent_id}


def check_circles(
    ledger: Ledger, resolved: Resolved, tasks: Sequence[NewTask], holders: Mapping[int, tuple[Row, bool]]
) -> None:
    """No submission of a request may wait for itself; CyclicDependency.

    Nobody waits for a new root task, so that nothing is looked for where it only depends on older ones. Its parent waits for a
    child; but where all that the child depends on are siblings, the parent waits for these too, and none of them can wait for it
    without a circle that was there before.

    Args:
        ledger: of the transaction.
        resolved: the dependencies of the submissions.
        tasks: the submissions.
        holders: by place: the active task of a submission's key, and whether that is replaced (else it runs once more).
    """
    if not any(task.depends_on for task in tasks):
        return
    replaced = {row.id: -1 - place for place, (row, is_replaced) in holders.items() if is_replaced}
    newcomers: list[Newcomer] = []
    is_open = False
    for place, task in enumerate(tasks):
        waits_for = frozenset(replaced.get(task_id, task_id) for task_id in resolved.unsettled(task))
        if not waits_for:
            continue
        holder, is_replaced = holders.get(place, (None, False))
        taken_over = _taken_over(ledger, task, holder if is_replaced else None)
        waited_by = {task_id for task_id, _ in taken_over}
        if holder is not None and not is_replaced:
            waited_by.add(holder.id)
        elif task.parent_id is not None:
            waited_by.add(task.parent_id)
        stands_for = holder.id if holder is not None and is_replaced else None
        newcomers.append(Newcomer(-1 - place, waits_for, frozenset(waited_by), stands_for))
        is_open |= holder is not None or bool(taken_over) or (bool(waited_by) and not resolved.are_siblings(task))
    if is_open:
        writer = ledger.writer
        circle = circles.find_circle(newcomers, writer.edges.select_all_waiters, writer.edges.select_waiters)
        if circle is not None:
            raise CyclicDependency(circle)


def _taken_over(ledger: Ledger, task: NewTask, replaced: Row | None) -> Sequence[tuple[int, int]]:
    """Who waits for the tasks whose place a submission takes."""
    if not ledger.edges.are_there():
        return ()
    if replaced is not None:
        ledger.edges.write()
        return ledger.writer.edges.select_dependents([replaced.id])
    if task.retry_of is not None:
        ledger.edges.write()
        return ledger.writer.edges.select_dependents(ledger.writer.edges.select_line(task.retry_of))
    return ()


def take_over(ledger: Ledger, old: Sequence[int], new_id: int) -> None:
    """Who waits for any of the old tasks waits for the new one from this transaction on."""
    if not ledger.edges.are_there():
        return
    ledger.flush()
    pairs = ledger.writer.edges.select_dependents(old)
    if not pairs:
        return
    ledger.writer.edges.move_edges(old, new_id)
    for task_id, count in Counter(task_id for task_id, _ in pairs).items():
        row = ledger.row(task_id) if count > 1 else None
        if row is not None:
            row.unmet -= count - 1
            ledger.changed(row)


def wait_for(ledger: Ledger, row: Row, dependencies_: Iterable[int]) -> None:
    """The rerun of a task waits for these, and no more for what an earlier rerun waited for."""
    if row.unmet:
        ledger.drop_edges(row)
    row.unmet = ledger.edges.add(row.id, dependencies_)
    ledger.changed(row)
