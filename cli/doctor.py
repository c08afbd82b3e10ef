"""`millrace doctor`: is the store sound, and will it be run?"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from millrace.cli.application import app_option, load_scheduler
from millrace.cli.errors import debug_option
from millrace.cli.output import ago, db_option, json_option, one_line, say, say_json, size_of
from millrace.model.errors import StoreCorrupt, StoreError
from millrace.model.filters import Filters
from millrace.viewer import Viewer

_LONG_LOG: Final = 256 << 20
"""Bytes of the log from which on something keeps it from being copied into the file: it is, from 32 MiB on."""
_LITTLE_ROOM: Final = 256 << 20
_SET_BACK_S: Final = 60.0
"""A clock that is behind the newest task by less is one that is kept in time."""
_Check = Callable[[Viewer], tuple[bool, str]]


@click.command("doctor")
@db_option
@json_option
@app_option
@debug_option
def command(*, db: Path, wants_json: bool, app: str | None) -> None:
    """Check the file, what must hold in it, its log and its place, and with --app whether the program knows all queued tasks.

    It reads all of the file, and changes nothing. A check that damage keeps from its end is wrong, and the others go on.
    Exit code 1 where anything is wrong.
    """
    found = _examine(db, app)
    if wants_json:
        say_json({name: {"ok": ok, "found": text} for name, ok, text in found})
    else:
        for name, ok, text in found:
            say(f"{click.style('ok   ' if ok else 'WRONG', fg='green' if ok else 'red')} {name}: {one_line(text)}")
    if not all(ok for _, ok, _ in found):
        raise click.exceptions.Exit(1)


def _examine(db: Path, app: str | None) -> list[tuple[str, bool, str]]:
    try:
        viewer = Viewer(db)
    except StoreCorrupt as error:
        return [("file", False, str(error))]
    with viewer:
        return [(name, *_outcome(check, viewer)) for name, check in _checks(app).items()]


def _outcome(check: _Check, viewer: Viewer) -> tuple[bool, str]:
    try:
        return check(viewer)
    except (StoreError, OSError) as error:
        return False, str(error)


def _checks(app: str | None) -> dict[str, _Check]:
    checks: dict[str, _Check] = {
        "pages": _pages,
        "rules": _rules,
        "schema": lambda of: (True, f"version {of.schema_version()}"),
        "place": _place,
        "log": _log,
        "room": _room,
        "clock": _clock,
        "owner": _owner,
    }
    if app is not None:
        scheduler = load_scheduler(app)
        checks["tasks"] = lambda of: _tasks(of, scheduler)
    return checks


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


def _clock(viewer: Viewer) -> tuple[bool, str]:
    newest = viewer.tasks(Filters(), limit=1)
    if not newest:
        return True, "no task has a time to compare it with"
    stored, now = newest[0].created_at, datetime.now(UTC)
    if (stored - now).total_seconds() > _SET_BACK_S:
        return False, (
            f"it is {now:%Y-%m-%d %H:%M:%S}Z by this machine, and the newest task was stored at "
            f"{stored:%Y-%m-%d %H:%M:%S}Z; set it, or what waits for a time waits longer than it should"
        )
    return True, f"the newest task was stored {ago(stored, max(now, stored))}"


def _owner(viewer: Viewer) -> tuple[bool, str]:
    owner = viewer.owner()
    return True, "nobody runs it" if owner is None else f"process {owner.pid} on {owner.host} runs it"


def _tasks(viewer: Viewer, scheduler: Any) -> tuple[bool, str]:
    names = [name for name in viewer.queued_names() if not name.startswith("flow::")]
    unknown = [name for name in names if scheduler.__task__(name) is None]
    if unknown:
        return False, f"the program has no {', '.join(unknown)}: what is queued of it is parked; add it, or an alias"
    return True, f"the program knows all {len(names)} that are queued"
