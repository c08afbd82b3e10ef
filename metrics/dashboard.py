"""The Grafana dashboard that comes with millrace: what `millrace grafana` prints, to be imported as it is.

It asks for the Prometheus data source and the schedulers at the top, and has a row for each question: is it well, what moves,
what waits and why, what fails, what does the machinery do.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from millrace.model.families import PREFIX

UID: Final = "millrace"
WIDTH: Final = 24
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4

_RATE: Final = "[$__rate_interval]"
_CHOSEN: Final = 'scheduler=~"$scheduler"'
_FAMILY: Final = re.compile(r"\b([a-z][a-z_]*)\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: (expression, legend). In an expression a family is without its prefix, and its braces have other labels than the
            scheduler, with a comma after them, or nothing.
        unit: Grafana's name for it.
        about: how to read it.
        kind: lines over time, or one number.
        width: of 24.
        is_stacked: the lines add up.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    about: str = ""
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 8
    is_stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


def _quantile(share: float, family: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({family}_bucket{{}}{_RATE})))"


ROWS: Final = (
    Row(
        "Is it well?",
        (
            Panel(
                "Owner",
                [("sum by (scheduler) (owner{})", "{{scheduler}}")],
                about="1: a process runs it.",
                kind="stat",
                width=4,
            ),
            Panel(
                "Running",
                [('sum(running{scope="global",})', "running"), ('sum(concurrency_limit{scope="global",})', "limit")],
                kind="stat",
                width=4,
            ),
            Panel("Backlog", [("sum(tasks{})", "tasks")], about="All active tasks.", kind="stat", width=4),
            Panel("Oldest ready task", [("max(oldest_ready_age_seconds{})", "age")], "s", kind="stat", width=4),
            Panel(
                "Failed runs",
                [
                    (
                        (
                            'sum(rate(runs_finished_total{outcome=~"failed|timed_out|crashed",}[$__rate_interval])) '
                            "/ sum(rate(runs_finished_total{}[$__rate_interval]))"
                        ),
                        "share",
                    )
                ],
                "percentunit",
                kind="stat",
                width=4,
            ),
            Panel(
                "Dispatcher's heartbeat",
                [("max(time() - dispatcher_heartbeat_timestamp_seconds{})", "ago")],
                "s",
                "It is asked at each scrape: as old as the last one, unless the loop is stuck.",
                kind="stat",
                width=4,
            ),
        ),
    ),
    Row(
        "What moves?",
        (
            Panel(
                "Submissions",
                [(f"sum by (result) (rate(submissions_total{{}}{_RATE}))", "{{result}}")],
                "ops",
                is_stacked=True,
            ),
            Panel(
                "Runs that ended",
                [(f"sum by (outcome) (rate(runs_finished_total{{}}{_RATE}))", "{{outcome}}")],
                "ops",
                is_stacked=True,
            ),
            Panel(
                "Tasks that ended",
                [(f"sum by (status) (rate(tasks_finished_total{{}}{_RATE}))", "{{status}}")],
                "ops",
                is_stacked=True,
            ),
            Panel(
                "Running, by domain",
                [
                    ('sum by (scope) (running{scope!="global",})', "{{scope}}"),
                    ('sum(concurrency_limit{scope="global",})', "limit"),
                ],
            ),
            Panel("How long runs take (95 %)", [(_quantile(0.95, "run_duration_seconds", "task"), "{{task}}")], "s"),
            Panel(
                "Bytes moved",
                [(f"sum by (direction) (rate(task_bytes_total{{}}{_RATE}))", "{{direction}}")],
                "Bps",
                "As bodies report them.",
            ),
        ),
    ),
    Row(
        "What waits, and why?",
        (
            Panel("Active tasks", [("sum by (status) (tasks{})", "{{status}}")], is_stacked=True),
            Panel(
                "Oldest ready task, by domain", [("max by (domain) (oldest_ready_age_seconds{})", "{{domain}}")], "s"
            ),
            Panel(
                "From eligible to started",
                [(_quantile(share, "wait_seconds", "scheduler"), f"{share:.0%}") for share in (0.5, 0.95, 0.99)],
                "s",
            ),
            Panel(
                "What ready tasks wait for",
                [(f"sum by (reason) (rate(dispatch_blocked_seconds_total{{}}{_RATE}))", "{{reason}}")],
                "percentunit",
                "The share of the time in which ready work existed that could not start for that reason.",
            ),
            Panel("Pressure", [("max by (source) (pressure_ratio{})", "{{source}}")], "percentunit"),
            Panel(
                "Groups",
                [
                    ("sum by (group) (group_running{})", "{{group}} runs"),
                    ("sum by (group) (group_limit{})", "{{group}} limit"),
                ],
            ),
            Panel(
                "Rate limits",
                [
                    ("min by (kind, name) (rate_limit_tokens{})", "{{kind}} {{name}}: tokens"),
                    (f"sum by (kind) (rate(rate_limited_total{{}}{_RATE}))", "{{kind}}: put off a second"),
                ],
            ),
            Panel(
                "IO gate",
                [
                    ("sum by (direction) (io_budget_bytes_per_second{})", "{{direction}} budget"),
                    ("sum by (direction) (io_reserved_bytes{})", "{{direction}} reserved"),
                ],
                "bytes",
            ),
            Panel(
                "Next run of schedules, in",
                [("min by (task) (schedule_next_run_timestamp_seconds{}) - time()", "{{task}}")],
                "s",
            ),
        ),
    ),
    Row(
        "What fails?",
        (
            Panel(
                "Failed runs, by task",
                [
                    (
                        (
                            'sum by (task, outcome) (rate(runs_finished_total{outcome=~"failed|timed_out|crashed",}'
                            "[$__rate_interval])) > 0"
                        ),
                        "{{task}} {{outcome}}",
                    )
                ],
                "ops",
            ),
            Panel("Retries", [(f"sum by (task) (rate(retries_total{{}}{_RATE})) > 0", "{{task}}")], "ops"),
            Panel(
                "Dead letters in an hour",
                [('sum by (task) (increase(tasks_finished_total{status="dead_letter",}[1h])) > 0', "{{task}}")],
            ),
            Panel(
                "Taken up after a crash",
                [("sum by (action) (increase(recovered_total{}[1h]))", "{{action}}")],
                about="In an hour.",
            ),
            Panel(
                "Abandoned threads",
                [('sum by (executor) (workers{state="abandoned",})', "{{executor}}")],
                about="They ignore that they were asked to stop.",
            ),
            Panel(
                "Late outcomes and lost events",
                [
                    ("sum(increase(late_outcomes_total{}[1h]))", "late outcomes"),
                    ("sum(increase(events_dropped_total{}[1h]))", "lost events"),
                ],
                about="In an hour.",
            ),
        ),
    ),
    Row(
        "What does the machinery do?",
        (
            Panel(
                "Commits take",
                [(_quantile(share, "commit_duration_seconds", "scheduler"), f"{share:.0%}") for share in (0.5, 0.99)],
                "s",
            ),
            Panel(
                "Requests in a commit",
                [(_quantile(share, "commit_batch_size", "scheduler"), f"{share:.0%}") for share in (0.5, 0.99)],
            ),
            Panel("Inboxes", [("sum by (actor) (actor_inbox_messages{})", "{{actor}}")]),
            Panel("Workers", [("sum by (executor, state) (workers{})", "{{executor}} {{state}}")], is_stacked=True),
            Panel(
                "Supervisors and restarts",
                [
                    ("sum by (state) (supervisors{})", "{{state}}"),
                    ("sum by (actor) (increase(actor_restarts_total{}[1h])) > 0", "{{actor}} restarts in an hour"),
                ],
            ),
            Panel(
                "Store",
                [
                    ("sum(store_size_bytes{})", "file"),
                    ("sum(store_wal_bytes{})", "log"),
                    ("min(store_free_bytes{})", "free"),
                ],
                "bytes",
            ),
            Panel(
                "Errors of the store",
                [
                    ("sum by (code) (increase(store_errors_total{}[1h])) > 0", "{{code}}"),
                    ("sum(increase(store_busy_total{}[1h]))", "waits for a lock"),
                ],
                about="In an hour.",
            ),
            Panel(
                "Cancels take (95 %)", [(_quantile(0.95, "cancel_latency_seconds", "executor"), "{{executor}}")], "s"
            ),
            Panel("Scrapes take", [("max by (scheduler) (collector_duration_seconds{})", "{{scheduler}}")], "s"),
        ),
    ),
)


def expressions() -> list[str]:
    """Every expression, as Grafana asks it."""
    return [_expression(expr) for row in ROWS for panel in row.panels for expr, _ in panel.queries]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana's JSON."""
    return {
        "uid": UID,
        "title": "millrace",
        "description": "Durable background tasks: queue, runs, waits and the machinery below.",
        "tags": ["millrace"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_data_source(), _schedulers()]},
        "panels": _lay_out(),
    }


def dashboard_json() -> str:
    """The same as text."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _schedulers() -> dict[str, Any]:
    query = f"label_values({PREFIX}owner, scheduler)"
    return {
        "name": "scheduler",
        "label": "Scheduler",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": "schedulers"},
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _lay_out() -> list[dict[str, Any]]:
    """Rows below each other, their panels from left to right, a new line where the width is used up."""
    laid: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        laid.append(
            {"id": len(laid) + 1, "type": "row", "title": row.title, "gridPos": _at(0, y, WIDTH, 1), "panels": []}
        )
        y += 1
        x = 0
        height = STAT_HEIGHT if row.panels[0].kind == "stat" else HEIGHT
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            laid.append(_panel(panel, len(laid) + 1, _at(x, y, panel.width, height)))
            x += panel.width
        y += height
    return laid


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    defaults: dict[str, Any] = {"unit": panel.unit}
    options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.is_stacked else "none"}
        defaults |= {"min": 0, "custom": {"fillOpacity": 20 if panel.is_stacked else 0, "stacking": stacking}}
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": source, "expr": _expression(expr), "legendFormat": legend}
            for at, (expr, legend) in enumerate(panel.queries)
        ],
    }


def _expression(short: str) -> str:
    """As Prometheus is asked: families with their prefix, and of the chosen schedulers only."""
    return _FAMILY.sub(lambda match: f"{PREFIX}{match[1]}{{{match[2]}{_CHOSEN}}}", short)
