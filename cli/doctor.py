"""`millrace doctor`: is the store sound, and will it be run?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from millrace.cli.application import app_option, load_scheduler
from millrace.cli.errors import debug_option
from millrace.cli.output import db_option, json_option, one_line, say, say_json, size_of
from millrace.model.errors import StoreError
from millrace.viewer import Viewer

_LONG_LOG: Final = 256 << 20
"""Bytes of the log from which on something keeps it from being copied into the file: it is, from 32 MiB on."""
_LITTLE_ROOM: Final = 256 << 20


@click.command("doctor")
@db_option
@json_option
@app_option
@debug_option
def command(*, db: Path, wants_json: bool, app: str | None) -> None:
    """Check the file, what must hold in it, its log and its place, and with --app whether the program knows all queued tasks.

    It reads all of the file, and changes nothing. Exit code 1 where anything is wrong.
    """
    with Viewer(db) as viewer:
        found = _examine(viewer, app)
    if wants_json:
        say_json({name: {"ok": ok, "found": text} for name, ok, text in found})
    else:
        for name, ok, text in found:
            say(f"{click.style('ok   ' if ok else 'WRONG', fg='green' if ok else 'red')} {name}: {one_line(text)}")
    if not all(ok for _, ok, _ in found):
        raise click.exceptions.Exit(1)


def _examine(viewer: Viewer, app: str | None) -> list[tuple[str, bool, str]]:
    checks: dict[str, Callable[[Viewer], tuple[bool, str]]] = {
        "pages": _pages,
        "rules": _rules,
        "schema": lambda of: (True, f"version {of.schema_version()}"),
        "place": _place,
        "log": _log,
        "room": _room,
        "owner": _owner,
    }
    found = [(name, *check(viewer)) for name, check in checks.items()]
    if app is not None:
        found.append(("tasks", *_tasks(viewer, load_scheduler(app))))
    return found


def _pages(viewer: Viewer) -> tuple[bool, str]:
    damage = viewer.damage()
    return (False, f"{'; '.join(damage)}; restore a backup") if damage else (True, "SQLite finds no damage")


def _rules(viewer: Viewer) -> tuple[bool, str]:
    rules = viewer.broken_rules()
    broken = {rule: ids for rule, ids in rules.items() if ids}
    if not broken:
        return True, f"all {len(rules)} hold"
    text = "; ".join(f"expected that {rule}, tasks {', '.join(map(str, ids))} break it" for rule, ids in broken.items())
    return False, f"{text}: please report it"


def _place(viewer: Viewer) -> tuple[bool, str]:
    try:
        viewer.check_place()
    except StoreError as error:
        return False, str(error)
    return True, "a local file system"


def _log(viewer: Viewer) -> tuple[bool, str]:
    size = viewer.sizes().log
    if size > _LONG_LOG:
        return False, f"{size_of(size)}: a reader that never ends keeps it from being copied into the file"
    return True, size_of(size)


def _room(viewer: Viewer) -> tuple[bool, str]:
    free = viewer.sizes().free
    return free > _LITTLE_ROOM, f"{size_of(free)} free"


def _owner(viewer: Viewer) -> tuple[bool, str]:
    owner = viewer.owner()
    return True, "nobody runs it" if owner is None else f"process {owner.pid} on {owner.host} runs it"


def _tasks(viewer: Viewer, scheduler: Any) -> tuple[bool, str]:
    names = [name for name in viewer.queued_names() if not name.startswith("flow::")]
    unknown = [name for name in names if scheduler.__task__(name) is None]
    if unknown:
        return False, f"the program has no {', '.join(unknown)}: what is queued of it is parked; add it, or an alias"
    return True, f"the program knows all {len(names)} that are queued"
