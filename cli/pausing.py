"""`millrace pause` and `millrace resume`: all of it, a group, or a domain."""

from pathlib import Path

import click

from millrace.cli.asking import acting
from millrace.cli.errors import debug_option
from millrace.cli.output import db_option, json_option, one_line, say, say_json
from millrace.model.filters import Filters
from millrace.viewer import Viewer

scope_argument = click.argument("scope", metavar="[group:NAME|domain:NAME]", required=False)


@click.command("pause")
@scope_argument
@db_option
@json_option
@debug_option
def pause(*, scope: str | None, db: Path, wants_json: bool) -> None:
    """Start nothing more, of everything or of a group or domain, until `millrace resume`; also over restarts.

    Running bodies are asked to stop, and go on from their beginning later.
    """
    _change(db, scope, is_pause=True, wants_json=wants_json)


@click.command("resume")
@scope_argument
@db_option
@json_option
@debug_option
def resume(*, scope: str | None, db: Path, wants_json: bool) -> None:
    """End the pause of everything, or of a group or domain."""
    _change(db, scope, is_pause=False, wants_json=wants_json)


def _check_name(db: Path, kind: str, name: str) -> None:
    """A pause may come before the first task, and so may a slip of the pen."""
    with Viewer(db) as viewer:
        if not viewer.tasks(Filters(domain=name) if kind == "domain" else Filters(group=name), limit=1):
            click.echo(f"there is no task of {one_line(f'{kind}:{name}')} yet", err=True)


def _change(db: Path, scope: str | None, *, is_pause: bool, wants_json: bool) -> None:
    from millrace import Domain  # noqa: PLC0415 - heavy, and only needed here

    kind, colon, name = (scope or "").partition(":")
    if scope is not None and (kind not in ("group", "domain") or not colon or not name):
        raise click.UsageError(f"expected group:NAME or domain:NAME, got {scope!r}", click.get_current_context())
    with acting(db, *([Domain(name)] if kind == "domain" else [])) as scheduler:
        if kind == "group":
            count = scheduler.pause_group(name) if is_pause else scheduler.resume_group(name)
        elif kind == "domain":
            handle = scheduler.domain(name)
            count = handle.pause() if is_pause else handle.resume()
        else:
            count = scheduler.pause() if is_pause else scheduler.resume()
    if is_pause and scope is not None:
        _check_name(db, kind, name)
    if wants_json:
        say_json({"count": count})
    else:
        say(f"{one_line(scope) or 'everything'} {'paused' if is_pause else 'resumed'}: {count} active tasks")
