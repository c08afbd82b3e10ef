"""What the store says of a scheduler, as series: its queue, its schedules, its files."""

from collections.abc import Iterable
from itertools import product
from typing import Final

from millrace.metrics.labels import Names
from millrace.model.families import Family, Labels
from millrace.model.measures import FileSizes, QueueState

Numbers = dict[str, dict[Labels, float]]
"""Family to the values of its labels to the value."""

_SIZES: Final = ("store_size_bytes", "store_wal_bytes", "store_free_bytes")


def series_of(family: Family, names: Names) -> Iterable[Labels]:
    """The labels of a family's series that are known before anything has happened.

    By the last label first: what seldom changes then stands together, such as the failures of all tasks.
    """
    parts: list[Iterable[Labels]] = []
    labels = list(family.labels)
    if labels[:2] == ["domain", "task"]:
        parts.append(names.tasks)
        del labels[:2]
    for label in labels:
        if label == "domain":
            parts.append((domain,) for domain in names.domains if domain != "flow")
        elif label == "scope":
            parts.append((scope,) for scope in ("global", *names.domains) if scope != "flow")
        elif label in family.values:
            parts.append((value,) for value in family.values[label])
        else:
            return []  # configured, or found out
    return [sum(reversed(combination), ()) for combination in product(*reversed(parts))]


def put_files(numbers: Numbers, files: FileSizes | None) -> None:
    """The sizes, or no series where they are not known."""
    for family, size in zip(_SIZES, files or (None, None, None), strict=True):
        if size is None:
            numbers[family].clear()
        else:
            numbers[family][()] = size


def put_queue(numbers: Numbers, state: QueueState, names: Names, now_ms: int) -> None:
    """Active tasks, how long the oldest ready one has waited, and the times of schedules."""
    tasks, ages = numbers["tasks"], numbers["oldest_ready_age_seconds"]
    for entry in state.counts:
        domain = names.domain(entry.name)
        tasks[domain, entry.status] = tasks.get((domain, entry.status), 0.0) + entry.tasks
        if entry.ready_since_ms is not None:
            ages[domain,] = max(ages.get((domain,), 0.0), (now_ms - entry.ready_since_ms) / 1000)
    for times in state.schedules:
        task = names.task(times.name)[1:]
        for family, at_ms in (
            ("schedule_next_run_timestamp_seconds", times.next_run_ms),
            ("schedule_last_success_timestamp_seconds", times.last_success_ms),
        ):
            if at_ms is not None:
                numbers[family][task] = at_ms / 1000
