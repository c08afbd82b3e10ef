"""Snapshots of a scheduler or of one of its domains: what the store has, and what only the running scheduler knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.model.snapshots import GroupInfo, RateLimitInfo, Snapshot
from millrace.store.snapshots import StoredGroup, StoredSnapshot, read_snapshot

if TYPE_CHECKING:
    from millrace.actors.live import Live
    from millrace.core import Core


def make_snapshot(core: Core, domain: str | None = None) -> Snapshot:
    """Of all domains, or of one."""
    runtime = core.runtime
    stored = read_snapshot(runtime.readers(), domain)
    live = runtime.live()
    return Snapshot(
        counts=dict(stored.counts),
        running=[runtime.with_progress(record) for record in stored.running],
        progress=runtime.progress.progress_of([*stored.running, *stored.waiting]),
        pressure=live.pressure,
        pressure_by_source=dict(live.measured.pressure_by_source),
        max_concurrency=live.limits.slots,
        paused=stored.is_paused,
        groups=_groups(live, stored, domain),
        rate_limits=_rates(live, stored, domain),
        schedules=list(stored.schedules),
        aging=live.aging,
        resources=live.measured.resources,
    )


def _groups(live: Live, stored: StoredSnapshot, domain: str | None) -> list[GroupInfo]:
    """Those that are paused or have tasks; of the scheduler those that something is set for as well."""
    names = set(stored.groups)
    if domain is None:
        names |= live.configured_groups
    return [live.group(stored.groups.get(name, StoredGroup(name))) for name in sorted(names)]


def _rates(live: Live, stored: StoredSnapshot, domain: str | None) -> list[RateLimitInfo]:
    """Of a domain those of its tasks and of the groups that they are in."""
    return [
        rate
        for rate in live.rates()
        if domain is None
        or (rate.scope in stored.groups if rate.kind == "group" else rate.scope.startswith(f"{domain}::"))
    ]
