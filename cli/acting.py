"""`millrace cancel` and `millrace retry`: of tasks by their ids, or of all that meet a filter."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from millrace.cli.asking import acting, ids_in, parsed, wall_ms
from millrace.cli.errors import debug_option
from millrace.cli.filters import Query
from millrace.cli.output import db_option, json_option, say, say_json
from millrace.model.filters import Filters
from millrace.model.records import TaskId
from millrace.model.statuses import FAILED_ENDS, TERMINAL, TaskStatus
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

    A process that runs the store stops their bodies. Exit code 1 where no cancel was accepted.
    """
    ids = ids_in(terms)
    if ids is not None:
        _each(db, ids, "cancelled", _cancel_one, wants_json=wants_json, dry=dry_run)
        return
    filters = _chosen(terms, _ACTIVE).filters(wall_ms())
    with Viewer(db) as viewer:
        count = viewer.count(filters)
    if _goes_on("cancel", count, wants_json=wants_json, yes=yes, dry_run=dry_run):
        with acting(db) as scheduler:
            _report("cancelled", scheduler.__cancel__(filters), wants_json=wants_json)


@click.command("retry")
@_options
@debug_option
def retry(*, terms: tuple[str, ...], db: Path, wants_json: bool, yes: bool, dry_run: bool) -> None:
    """Repeat tasks that failed, each as a new task with all its options, by id or by a filter.

    A filter means failed ones; status:cancelled repeats cancelled ones.
    """
    ids = ids_in(terms)
    if ids is not None:
        _each(db, ids, "repeated", _retry_one, wants_json=wants_json, dry=dry_run)
        return
    query = _chosen(terms, _REPEATABLE if parsed(terms).statuses else FAILED_ENDS)
    filters = query.filters(wall_ms())
    with Viewer(db) as viewer:
        count = viewer.count(filters)
        chosen = list(_pages(viewer, filters)) if count and not dry_run else []
    if _goes_on("retry", count, wants_json=wants_json, yes=yes, dry_run=dry_run):
        _each(db, chosen, "repeated", _retry_one, wants_json=wants_json, dry=False)


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
        if wants_json:
            say_json({"count": count, "ids": []})
        else:
            say(f"{count} tasks to {what}" + ("; nothing was done" if dry_run and count else ""))
        return False
    if not yes:
        click.confirm(f"{what} {count} tasks?", abort=True, err=True)
    return True


def _cancel_one(scheduler: Any, id: TaskId) -> TaskId | None:
    result = scheduler.cancel(id)
    if not result.accepted:
        click.echo(f"task {id}: {result.reason}", err=True)
    return id if result.accepted else None


def _retry_one(scheduler: Any, id: TaskId) -> TaskId:
    new: TaskId = scheduler.retry(id).id
    return new


def _each(
    db: Path, ids: list[TaskId], done: str, act: Callable[[Any, TaskId], TaskId | None], *, wants_json: bool, dry: bool
) -> None:
    if dry:
        _goes_on(f"be {done}", len(ids), wants_json=wants_json, yes=True, dry_run=True)
        return
    with acting(db) as scheduler:
        found = [act(scheduler, id) for id in ids]
    _report(done, [id for id in found if id is not None], wants_json=wants_json)


def _report(done: str, ids: list[TaskId], *, wants_json: bool) -> None:
    if wants_json:
        say_json({"count": len(ids), "ids": ids})
    else:
        shown = ", ".join(map(str, ids[:20])) + (", ..." if len(ids) > 20 else "")  # noqa: PLR2004 - a line of them
        say(f"{len(ids)} {done}" + (f": {shown}" if ids else ""))
    if not ids:
        raise click.exceptions.Exit(1)
