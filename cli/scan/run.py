"""One scan, from its start or where it was, to its report."""

import shlex
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

import msgspec

from millrace import (
    DuplicatePolicy,
    MillraceError,
    Outcome,
    Scheduler,
    SubmitKind,
    TaskRecord,
    TaskStatus,
)
from millrace.cli.interrupts import Interrupts
from millrace.cli.scan.activity import Activity, Progress
from millrace.cli.scan.limits import MAX_PAYLOAD
from millrace.cli.scan.names import to_line
from millrace.cli.scan.roots import Roots
from millrace.cli.scan.tasks import ScanTasks
from millrace.cli.scan.totals import Report
from millrace.model.filters import Filters
from millrace.viewer import Viewer

GRACE_S: Final = 30.0
_LOOK_S: Final = 0.2  # between two looks at progress and signals
_TERMINAL: Final = tuple(status for status in TaskStatus if status.is_terminal)
_ACTIVE: Final = tuple(status for status in TaskStatus if not status.is_terminal)


class ScanFailed(MillraceError):
    """The scan's own task has not completed; the message has its error."""


class OtherScan(MillraceError):
    """The store has an unfinished scan of other paths, which this command would go on with unasked."""


class OtherWork(MillraceError):
    """The store has tasks of an application: a scan would prune its history by its own rule, and park what it has queued."""


class ScanPaused(MillraceError):
    """The store is paused: the scan would begin nothing, for as long as that lasts."""


class ScanStopped(Exception):
    """A signal came, and what was running has ended. The scan can be resumed."""

    def __init__(self, signal_number: int, progress: Progress) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number
        self.progress = progress


@dataclass(frozen=True)
class Watcher:
    """Whom a scan tells how it goes, from the caller's thread."""

    note: Callable[[str], None]
    """Something to know, once."""
    show: Callable[[Progress], None]
    """A reading, every 0.2 s."""


def run_scan(
    roots: Roots, store: Path, *, resume: bool, workers: int, interrupts: Interrupts, watcher: Watcher
) -> Report:
    """Scans; returns the report once it is durable in the store.

    Args:
        roots: what to scan.
        store: the store's file; made where there is none.
        resume: go on with the unfinished scan of these roots in the store, or give the report of a finished one; where
            there is neither, and without it, the scan begins anew, and an unfinished one is given up.
        workers: directories read at a time, at least 1.
        interrupts: its first signal drains.
        watcher: hears of progress.

    Raises:
        ScanStopped: by a signal.
        ScanFailed, OtherScan, OtherWork, ScanPaused: see there.
        StoreError: of many kinds; StoreLocked where another process uses the store.
    """
    activity = Activity()
    tasks = ScanTasks(activity)
    _refuse_other_work(store, tasks)
    scheduler = _scheduler(store, tasks, workers)
    with _running(scheduler):
        _refuse_others(scheduler, tasks, store, roots)
        finished = _finished(scheduler, tasks, roots) if resume else None
        if finished is not None:
            watcher.note("this scan has finished already: here is its result; without --resume it begins anew")
            return _report_of(finished)
        _refuse_pause(scheduler, tasks, store)
        outcome = _submit(scheduler, tasks, roots, resume=resume)
        _begin(scheduler, outcome, activity, watcher, resume=resume)
        while interrupts.received is None:
            watcher.show(activity.progress())
            with suppress(TimeoutError):
                return _report_of(outcome.wait(timeout=_LOOK_S))
        watcher.note("finishing the directories being read; interrupt again to stop at once")
    raise ScanStopped(interrupts.received, activity.progress())


@contextmanager
def _running(scheduler: Scheduler) -> Generator[None, None, None]:
    scheduler.start()
    try:
        yield
    except KeyboardInterrupt:
        raise  # the second signal, before the drain has begun: there is none, as if it had been cut short
    except BaseException:
        _stop(scheduler)
        raise
    _stop(scheduler)


def _stop(scheduler: Scheduler) -> None:
    """Drains, in a thread of its own: the second signal's KeyboardInterrupt ends the wait for that and not the drain.

    The drain is then cut short by the interpreter's exit, which stops every scheduler at once.
    """
    stopped: Future[bool] = Future()

    def stop() -> None:
        try:
            stopped.set_result(scheduler.stop(GRACE_S))
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            stopped.set_exception(error)

    Thread(target=stop, name="millrace-scan-stop", daemon=True).start()
    stopped.result()


def _scheduler(store: Path, tasks: ScanTasks, workers: int) -> Scheduler:
    return Scheduler(
        store,
        domains=[tasks.domain],
        max_concurrency=workers,
        name="scan",
        # A scan can be begun again: a power cut takes a second's work of it, and no result that was told.
        durability="process",
        # The report is one memo.
        max_payload=MAX_PAYLOAD,
        # No directory brings a process down: people do, as often as they like.
        max_crashes=1_000_000,
    )


def _refuse_other_work(store: Path, tasks: ScanTasks) -> None:
    """Before the scheduler starts, as that prunes and parks."""
    if not store.exists() or store.stat().st_size == 0:
        return  # (an empty file is taken for a new store)
    with Viewer(store) as viewer:
        # All first: should another process scan there, its tasks only become more between the two.
        has_others = (
            viewer.count(Filters()) > viewer.count(Filters(names=tuple(tasks.domain.tasks))) or viewer.schedules()
        )
    if has_others:
        raise OtherWork(
            f"{store} is the store of an application: it has tasks that are no scan's; give another --db FILE, or none"
        )


def _refuse_pause(scheduler: Scheduler, tasks: ScanTasks, store: Path) -> None:
    domain = tasks.domain.name
    for is_paused, scope in (
        (scheduler.snapshot().paused, ""),
        (scheduler.domain(domain).is_paused, f" domain:{domain}"),
    ):
        if is_paused:
            words = shlex.join(["millrace", "resume", "--db", str(store)])
            raise ScanPaused(f"{store} is paused, so that no scan goes on there; first: {words}{scope}")


def _refuse_others(scheduler: Scheduler, tasks: ScanTasks, store: Path, roots: Roots) -> None:
    for record in scheduler.tasks(task=tasks.scan, status=_ACTIVE):
        if record.key != roots.key and record.status is not TaskStatus.CANCELLING:
            raise OtherScan(
                f"{store} has an unfinished scan of other paths or options, {to_line(record.label)}; "
                "--resume that one, or give another --db FILE"
            )


def _finished(scheduler: Scheduler, tasks: ScanTasks, roots: Roots) -> TaskRecord | None:
    record = scheduler.find(tasks.scan, roots.key)
    return record if record is not None and record.status is TaskStatus.COMPLETED else None


def _submit(scheduler: Scheduler, tasks: ScanTasks, roots: Roots, *, resume: bool) -> Outcome[None]:
    # REJECT, not SKIP: SKIP would have a scan that is under way run once more after its end.
    policy = DuplicatePolicy.REJECT if resume else DuplicatePolicy.SUPERSEDE
    task = tasks.scan.options(key=roots.key, label=" ".join(roots.texts), on_duplicate=policy)
    return scheduler.submit(task, roots.texts, roots.one_file_system)


def _begin(scheduler: Scheduler, outcome: Outcome[None], activity: Activity, watcher: Watcher, *, resume: bool) -> None:
    if outcome.kind is SubmitKind.REJECTED:
        done = scheduler.count(parent=outcome.id, status=_TERMINAL)
        found = scheduler.count(parent=outcome.id)
        activity.take_over(done=done, found=found)
        watcher.note(f"going on: {done:,} of {found:,} directories are done")
    elif outcome.kind is SubmitKind.SUPERSEDED:
        watcher.note("an unfinished scan of the same is given up; --resume would have gone on with it")
    elif resume:
        watcher.note("there is nothing to resume: the scan begins")


def _report_of(record: TaskRecord) -> Report:
    if record.status is not TaskStatus.COMPLETED:
        raise ScanFailed(f"the scan ended {record.status}: {record.error}; start it again without --resume")
    return msgspec.convert(record.memo, Report)
