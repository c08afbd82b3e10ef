"""`millrace status`: one screen, and an exit code for health checks."""

import socket
from pathlib import Path
from typing import Any

import click

from millrace.cli.errors import debug_option
from millrace.cli.output import ago, db_option, json_option, one_line, say, say_json, size_of, styled, table
from millrace.cli.tasks import brief
from millrace.viewer import Viewer

_SHOWN = 15


@click.command("status")
@db_option
@json_option
@click.option("--quiet", "-q", is_flag=True, help="Print nothing: the exit code says it.")
@debug_option
def command(*, db: Path, wants_json: bool, quiet: bool) -> None:
    """Show who runs the store, what is in it, and what runs.

    Exit code 0: a process runs it. 1: nobody does, or it cannot be read.
    """
    with Viewer(db) as viewer:
        facts = read(viewer)
    if quiet:
        pass
    elif wants_json:
        say_json(facts)
    else:
        for line in lines(db, facts):
            say(line)
    if facts["owner"] is None:
        raise click.exceptions.Exit(1)


def read(viewer: Viewer) -> dict[str, Any]:
    """What is shown, as JSON can hold it."""
    owner = viewer.owner()
    stored = viewer.snapshot()
    sizes = viewer.sizes()
    return {
        "owner": None if owner is None else {"pid": owner.pid, "host": owner.host, "since": owner.since},
        "paused": stored.is_paused,
        "paused_domains": stored.paused_domains,
        "active": {status.value: count for status, count in stored.counts.items()},
        "settled": {status.value: count for status, count in viewer.settled_counts().items()},
        "groups": [
            {
                "group": group.name,
                "running": group.running,
                "pending": group.pending,
                "paused": group.is_paused,
                "paused_until": group.paused_until,
            }
            for group in stored.groups.values()
        ],
        "running": [brief(record) for record in stored.running],
        "schedules": len(stored.schedules),
        "store_bytes": sizes.store,
        "log_bytes": sizes.log,
        "free_bytes": sizes.free,
    }


def lines(db: Path, facts: dict[str, Any]) -> list[str]:
    """The screen."""
    shown = [_owner(db, facts["owner"])]
    if facts["paused"]:
        shown.append(click.style("paused: nothing starts until `millrace resume`", fg="yellow"))
    domains = [one_line(name) for name in facts["paused_domains"]]
    shown += [
        click.style(f"paused: nothing of domain {name} starts until `millrace resume domain:{name}`", fg="yellow")
        for name in domains[:_SHOWN]
    ] + _more(len(domains))
    shown.append(f"active    {_counts(facts['active'])}")
    shown.append(f"settled   {_counts(facts['settled'])}")
    shown.append(
        f"store     {size_of(facts['store_bytes'])}, log {size_of(facts['log_bytes'])}, "
        f"{size_of(facts['free_bytes'])} free; {facts['schedules']} schedules"
    )
    if facts["groups"]:
        groups = sorted(facts["groups"], key=lambda group: -(group["running"] + group["pending"]))
        cells = [
            (
                one_line(group["group"], 60),
                f"{group['running']}",
                f"{group['pending']}",
                _paused(group),
            )
            for group in groups[:_SHOWN]
        ]
        shown += ["", *table(("GROUP", "RUNNING", "PENDING", ""), cells), *_more(len(groups))]
    if facts["running"]:
        tasks = [
            (
                f"{task['id']}",
                one_line(task["task_name"], 48),
                one_line(task["label"], 48),
                "-" if task["progress"] is None else f"{task['progress']:.0%}",
                ago(task["started_at"]).removesuffix(" ago"),
            )
            for task in facts["running"][:_SHOWN]
        ]
        shown += ["", *table(("RUNNING", "TASK", "LABEL", "PROGRESS", "FOR"), tasks), *_more(len(facts["running"]))]
    return shown


def _owner(db: Path, owner: dict[str, Any] | None) -> str:
    if owner is None:
        return f"{one_line(str(db))}: nobody runs it"
    host = "" if owner["host"] in (None, socket.gethostname()) else f" on {owner['host']}"
    return f"{one_line(str(db))}: run by process {owner['pid']}{host}, for {_since(owner['since'])}"


def _paused(group: dict[str, Any]) -> str:
    if not group["paused"]:
        return ""
    return "paused" if group["paused_until"] is None else f"paused, ends {ago(group['paused_until'])}"


def _since(moment: Any) -> str:
    return "?" if moment is None else ago(moment).removesuffix(" ago")


def _counts(counts: dict[str, int]) -> str:
    return "  ".join(f"{count} {styled(status)}" for status, count in counts.items() if count) or "none"


def _more(count: int) -> list[str]:
    return [f"... and {count - _SHOWN} more"] if count > _SHOWN else []
