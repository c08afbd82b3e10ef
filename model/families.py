"""The metric families: one table of what is measured, by which labels, and what each is called.

Names are without the prefix ``millrace_`` that Prometheus sees. Labels are those besides ``scheduler``; each takes its values
from a closed set (statuses, outcomes, configured groups, registered tasks), never from data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from millrace.model.statuses import TERMINAL, SubmitKind, TaskStatus

PREFIX: Final = "millrace_"

RUN_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
WAIT_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0)
COMMIT_BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
BATCH_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)

RUN_RESULTS: Final = ("succeeded", "failed", "timed_out", "cancelled", "interrupted", "crashed", "preempted")
SUBMIT_RESULTS: Final = (*(kind.value for kind in SubmitKind), "invalid")
ENDS: Final = tuple(status.value for status in TaskStatus if status in TERMINAL)
ACTIVE: Final = ("blocked", "pending", "delayed", "running", "paused", "waiting", "cancelling", "parked")
RECOVERIES: Final = ("requeued", "dead_lettered", "parked", "cancelled", "finalized")
BLOCKERS: Final = ("concurrency", "domain", "group", "parent", "rate", "io", "pressure", "paused", "no_worker")
DIRECTIONS: Final = ("disk_read", "disk_write", "net_rx", "net_tx")

Kind = Literal["counter", "gauge", "histogram", "info"]
Labels = tuple[str, ...]
"""The values of a family's labels, in the order of its table entry."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family.

    Attributes:
        name: without the prefix; of a counter with ``_total``.
        kind: what Prometheus calls its type.
        help: one sentence.
        labels: besides ``scheduler``.
        values: the closed sets that some of the labels have: all of a set are there at 0 from the start.
        bounds: of a histogram.
        whole: how the value over all labels comes about: as the sum, the greatest, or the one of these labels.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    bounds: tuple[float, ...] = ()
    whole: Literal["sum", "max", "none"] | Labels = "sum"


_TASK: Final = ("domain", "task")


def _counter(name: str, text: str, *labels: str, **values: tuple[str, ...]) -> Family:
    return Family(name, "counter", text, labels, MappingProxyType(values))


def _gauge(
    name: str,
    text: str,
    *labels: str,
    whole: Literal["sum", "max", "none"] | Labels = "sum",
    **values: tuple[str, ...],
) -> Family:
    return Family(name, "gauge", text, labels, MappingProxyType(values), whole=whole)


def _histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str, **values: tuple[str, ...]) -> Family:
    return Family(name, "histogram", text, labels, MappingProxyType(values), bounds)


_TABLE: Final = (
    # Counted as it happens
    _counter("submissions_total", "Submissions, by what became of each.", *_TASK, "result", result=SUBMIT_RESULTS),
    _counter("batches_total", "Batches submitted."),
    _histogram("batch_size", "Submissions in a batch.", BATCH_BOUNDS),
    _counter("runs_started_total", "Bodies and finalizers that began to run.", *_TASK),
    _counter(
        "runs_finished_total", "Runs that ended, each in exactly one outcome.", *_TASK, "outcome", outcome=RUN_RESULTS
    ),
    _counter("tasks_finished_total", "Tasks that left the queue, by their end.", *_TASK, "status", status=ENDS),
    _counter("retries_total", "Retries scheduled.", *_TASK),
    _counter("late_outcomes_total", "Outcomes of runs that were no longer the current one, dropped.", "domain"),
    _counter(
        "dispatch_blocked_seconds_total",
        "Seconds in which ready work could not start for that reason.",
        "reason",
        reason=BLOCKERS,
    ),
    _counter("rate_limited_total", "Starts put off by a rate limit.", "kind", kind=("task", "group")),
    _counter("recovered_total", "Tasks that a start found left over.", "action", action=RECOVERIES),
    _counter("schedule_runs_total", "Due times of schedules, by what became of each.", "task", "result"),
    _counter("task_bytes_total", "Bytes moved, as bodies reported them.", *_TASK, "direction", direction=DIRECTIONS),
    _counter("children_settled_total", "Children that ended, by their end.", "domain", "status", status=ENDS),
    _counter(
        "actor_restarts_total",
        "Actors of the runtime that failed and were replaced.",
        "actor",
        actor=("persistence", "clock", "dispatcher", "sampler", "supervisor"),
    ),
    _counter("store_errors_total", "Errors of the store, by SQLite's result code.", "code"),
    _counter("store_busy_total", "Waits for another program's lock on the store that ended well."),
    _counter("pruned_total", "Rows of the history removed by retention."),
    _counter("events_dropped_total", "Events that slow subscribers lost."),
    _counter("collector_errors_total", "Scrapes in which something could not be read."),
    _histogram("run_duration_seconds", "How long runs took.", RUN_BOUNDS, *_TASK),
    _histogram("wait_seconds", "From eligible to started, deliberate delays excluded.", WAIT_BOUNDS, "domain"),
    _histogram("end_to_end_seconds", "From first eligible to settled.", RUN_BOUNDS, "domain"),
    _histogram(
        "cancel_latency_seconds",
        "From asked to stop to stopped.",
        WAIT_BOUNDS,
        "executor",
        executor=("thread", "hook"),
    ),
    _histogram("commit_duration_seconds", "How long commits of the store took, deciding included.", COMMIT_BOUNDS),
    _histogram("commit_batch_size", "Requests in one commit.", BATCH_BOUNDS),
    # Read at the scrape
    _gauge("tasks", "Active tasks; the sum is the backlog.", "domain", "status", status=ACTIVE),
    _gauge("oldest_ready_age_seconds", "How long the oldest ready task has waited; 0: none.", "domain", whole="max"),
    _gauge("oldest_run_age_seconds", "How long the oldest run takes by now; 0: none.", "domain", whole="max"),
    _gauge("concurrency_limit", "Runs that there may be at once.", "scope", whole=("global",)),
    _gauge("running", "Runs under way: started less finished.", "scope", whole=("global",)),
    _gauge("group_running", "Runs under way of a configured group.", "group"),
    _gauge("group_limit", "Runs of a configured group that there may be at once.", "group"),
    _gauge("group_paused", "1 where the group is paused.", "group"),
    _gauge("pressure_ratio", "How busy a resource is, from 0 to 1.", "source", whole="max"),
    _gauge("rate_limit_tokens", "Starts that a rate limit allows at once now.", "kind", "name", whole="none"),
    _gauge("io_budget_bytes_per_second", "What the IO gate lets run at once.", "direction", whole="none"),
    _gauge("io_reserved_bytes", "What runs under way are expected to move.", "direction", whole="none"),
    _gauge(
        "workers",
        "Workers of an executor; abandoned ones ignored a cancel or a time-out.",
        "executor",
        "state",
        executor=("thread", "hook"),
        state=("busy", "idle", "starting", "abandoned"),
    ),
    _gauge("schedule_next_run_timestamp_seconds", "When the next run of a schedule is due.", "task", whole="none"),
    _gauge(
        "schedule_last_success_timestamp_seconds", "When a run of a schedule last ended well.", "task", whole="none"
    ),
    _gauge("supervisors", "Supervisors of parents.", "state", state=("awake", "asleep")),
    _gauge(
        "actor_inbox_messages",
        "Messages that wait in an actor's inbox.",
        "actor",
        actor=("persistence", "clock", "dispatcher", "sampler", "guardian"),
    ),
    _gauge("dispatcher_heartbeat_timestamp_seconds", "When the dispatcher's loop last turned.", whole="max"),
    _gauge("owner", "1 on the process that runs the store, 0 on others."),
    _gauge("store_size_bytes", "Size of the store's file."),
    _gauge("store_wal_bytes", "Size of the write-ahead log."),
    _gauge("store_free_bytes", "Free space of the store's file system."),
    _gauge("collector_duration_seconds", "How long this scrape took to read."),
    Family("build_info", "info", "Versions of what runs.", ("version", "python", "sqlite", "apsw"), whole="none"),
)

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType({family.name: family for family in _TABLE})
"""All families by name, in the order in which they are shown."""


def domain_of(task_name: str) -> str:
    """The domain of a qualified task name: its first part."""
    return task_name.partition("::")[0]
