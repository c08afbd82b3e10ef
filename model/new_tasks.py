"""What a submit brings: tasks that have no row yet."""

from typing import Literal

import msgspec

from millrace.model.rows import Unshown


class NewTask(Unshown, msgspec.Struct):
    """A submission, checked, encoded and with its options resolved, on its way into the queue."""

    name: str
    key: str
    label: str
    priority: int | None
    """None: the parent's, else NORMAL."""
    payload: str
    max_retries: int
    policy: str
    fail_fast: bool = True
    max_failures: int | float | None = None
    child_concurrency: int | None = None
    options: str | None = None
    run_at_ms: int | None = None
    parent_id: int | None = None
    spawner_id: int | None = None
    spawner_run: int | None = None
    retry_of: int | None = None
    group: str | None = None
    tags: dict[str, str] | None = None
    """The submission's own, with its task's and its domain's: its parent's come in when it is stored."""
    ttl_ms: int | None = None
    ttl_source: Literal["own", "domain", "scheduler", "none"] = "none"
    """Who gave ``ttl_ms``: the submission or its task come before the parent's deadline, domain and scheduler after it.
    "own" with None: math.inf, so none at all."""
    ttl_first: bool = False
    """The time to live begins with the first attempt."""
    expires_at_ms: int | None = None
    """The deadline of a rerun, which counts from the submit that asked for it."""
    depends_on: tuple[int, ...] = ()
    on_dependency_failure: str = "cancel"
    schedule: str | None = None
    """JSON text of the schedule (model.schedule): the submission starts a series."""
    schedule_from: Literal["submission", "task", "start"] = "submission"
    """Who gave ``schedule``: that of the task's decorator follows what the code says at each start, which submits it itself
    ("start") where no payload must be given."""
    delay: int = 1
    """Which clock ``run_at_ms`` is a time of (``Delay``)."""
    series_id: int | None = None
    version: int = 1
    expected_io: str | None = None
    """JSON text of [disk_read, disk_write, net_rx, net_tx]; None: not declared."""
