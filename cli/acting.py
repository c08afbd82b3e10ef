"""`millrace cancel` and `millrace retry`: of tasks by their ids, or of all that meet a filter."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from millrace.cli.asking import acting, confirm, ids_in, parsed, wall_ms
from millrace.cli.errors import debug_option
from millrace.cli.filters import Query
from millrace.cli.output import db_option, json_option, say, say_json
from millrace.model.errors import InvalidDependency, InvalidTask, TaskNotFound
from millrace.model.filters import Filters
from millrace.model.records import TaskId
from millrace.model.statuses import FAILED_ENDS, TERMINAL, SubmitKind, TaskStatus
from millrace.viewer import Viewer

_ACTIVE: Final = frozenset(TaskStatus) - TERMINAL
_REPEATABLE: Final = FAILED_ENDS | {TaskStatus.CANCELLED}
_PAGE: Final = 500


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--dry-run", is_flag=True, help="Say how many there are, and do nothing."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        json_option,
        db_option,
        click.argument("terms", metavar="ID...|FILTER...", nargs=-1, required=True),
    ):
        function = option(function)
    return function


@click.command("cancel")
@_options
@debug_option
def cancel(*, terms: tuple[str, ...], db: Path, wants_json: bool, yes: bool, dry_run: bool) -> None:
    """Cancel tasks and all that is below them, by id or by a filter; `millrace ls --help` tells of filters.

    A process that runs the store stops their bodies. Exit code 1 where one of the ids, or all that a filter found, was not
    cancelled; what is wrong with it is said on standard error.
    """
    ids = ids_in(terms)
    if ids is not None:
        _each(db, ids, "cancelled", _would_cancel if dry_run else _cancel_one, wants_json=wants_json, dry_run=dry_run)
        return
    filters = _chosen(terms, _ACTIVE).filters(wall_ms())
    with Viewer(db) as viewer:
        count = viewer.count(filters)
    if _goes_on("cancel", count, wants_json=wants_json, yes=yes, dry_run=dry_run):
        with acting(db) as scheduler:
            cancelled = scheduler.__cancel__(filters)
        _report("cancelled", cancelled, wants_json=wants_json)
        if not cancelled:
            raise click.exceptions.Exit(1)


@click.command("retry")
@_options
@debug_option
def retry(*, terms: tuple[str, ...], db: Path, wants_json: bool, yes: bool, dry_run: bool) -> None:
    """Repeat tasks that failed, each as a new task with all its options, by id or by a filter.

    A filter means failed ones that nobody has repeated yet; status:cancelled repeats cancelled ones. Exit code 1 where one
    was not repeated; what is wrong with it is said on standard error.
    """
    ids = ids_in(terms)
    if ids is not None:
        _each(db, ids, "repeated", _would_retry if dry_run else _retry_one, wants_json=wants_json, dry_run=dry_run)
        return
    query = _chosen(terms, _REPEATABLE if parsed(terms).statuses else FAILED_ENDS)
    filters = replace(query.filters(wall_ms()), unrepeated=True)
    with Viewer(db) as viewer:
        count = viewer.count(filters)
        # Oldest first: what a task depends on has to be repeated before it.
        chosen = sorted(_pages(viewer, filters)) if count and not dry_run else []
    if _goes_on("retry", count, wants_json=wants_json, yes=yes, dry_run=dry_run):
        _each(db, chosen, "repeated", _retry_one, wants_json=wants_json, dry_run=False)


def _chosen(terms: tuple[str, ...], statuses: frozenset[TaskStatus]) -> Query:
    query = parsed(terms)
    if query == Query():  # a variable of a script that is empty, and not everything there is
        raise click.UsageError("expected ids or a filter, got an empty one", click.get_current_context())
    chosen = query.within(statuses)
    if not chosen.statuses:
        words = ", ".join(sorted(status.value for status in statuses))
        raise click.UsageError(f"expected a status that this can be done with ({words})", click.get_current_context())
    return chosen


def _pages(viewer: Viewer, filters: Filters) -> Iterator[TaskId]:
    """All ids, newest first, read a page at a time."""
    before: int | None = None
    while True:
        page = viewer.tasks(filters, limit=_PAGE, before=before)
        yield from (record.id for record in page)
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _goes_on(what: str, count: int, *, wants_json: bool, yes: bool, dry_run: bool) -> bool:
    if dry_run or not count:
        _say_count(what, count, wants_json=wants_json)
        return False
    if not yes:
        confirm(f"{what} {count} tasks?")
    return True


# One by one


class _Refused(Exception):
    """This cannot be done with this task; the message says why."""


def _each(
    db: Path, ids: list[TaskId], done: str, act: Callable[[Any, TaskId], TaskId], *, wants_json: bool, dry_run: bool
) -> None:
    """Each by itself: one that is refused keeps the others from nothing, and whatever ends this, what was done is said."""
    found: list[TaskId] = []
    try:
        with Viewer(db) if dry_run else acting(db) as store:
            for id in ids:
                try:
                    found.append(act(store, id))
                except (_Refused, TaskNotFound, InvalidTask, InvalidDependency) as error:
                    click.echo(f"task {id}: {str(error).removeprefix(f'task {id}: ')}", err=True)
    except BaseException:
        if found and not dry_run:
            _report(done, found, wants_json=wants_json)
        raise
    if dry_run:
        _say_count(f"be {done}", len(found), wants_json=wants_json)
    else:
        _report(done, found, wants_json=wants_json)
    if len(found) < len(ids):
        raise click.exceptions.Exit(1)


def _cancel_one(scheduler: Any, id: TaskId) -> TaskId:
    result = scheduler.cancel(id)
    if not result.accepted:
        raise _Refused(result.reason)
    return id


def _would_cancel(viewer: Any, id: TaskId) -> TaskId:
    status = viewer.task(id).status
    if status in TERMINAL and status is not TaskStatus.CANCELLED and not viewer.active_ids(Filters(parent=id)):
        raise _Refused(f"it ended {status} before")
    return id


def _retry_one(scheduler: Any, id: TaskId) -> TaskId:
    outcome = scheduler.retry(id)
    if outcome.kind is not SubmitKind.INSERTED:
        raise _Refused(f"expected that no active task has its key, task {outcome.id} has; it stands for this one")
    new: TaskId = outcome.id
    return new


def _would_retry(viewer: Any, id: TaskId) -> TaskId:
    status = viewer.task(id).status
    if status not in _REPEATABLE:
        ends = " or ".join(sorted(end.value for end in _REPEATABLE))
        raise _Refused(f"expected one that ended {ends}, it is {status}")
    return id


# What was done


def _say_count(what: str, count: int, *, wants_json: bool) -> None:
    if wants_json:
        say_json({"count": count, "ids": []})
    else:
        say(f"{count} tasks to {what}" + ("; nothing was done" if count else ""))


def _report(done: str, ids: list[TaskId], *, wants_json: bool) -> None:
    if wants_json:
        say_json({"count": len(ids), "ids": ids})
    else:
        shown = ", ".join(map(str, ids[:20])) + (", ..." if len(ids) > 20 else "")  # noqa: PLR2004 - a line of them
        say(f"{len(ids)} {done}" + (f": {shown}" if ids else ""))
