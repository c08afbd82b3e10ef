"""The scheduler: what an application makes, starts and submits to."""

from __future__ import annotations

import atexit
import queue
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from os import PathLike
from types import FrameType, TracebackType
from typing import Any, Literal, Self

from millrace.acting import Acting, check_retention
from millrace.actors.actor import LOOK_UP_S
from millrace.actors.runtime import Runtime
from millrace.actors.settings import Settings
from millrace.core import Core
from millrace.domains import DomainHandle
from millrace.limits import (
    NOTHING,
    check_aging,
    check_bandwidth,
    check_limits,
    check_names,
    check_preempt_at,
    check_pressure,
    check_resources,
    check_throttle,
)
from millrace.logs import TASKS, Capture
from millrace.looking import Looking
from millrace.model.durations import Seconds, to_seconds
from millrace.model.errors import ForkedProcess
from millrace.model.limits import Aging, RateLimit, ResourceSampler, Throttle
from millrace.model.records import Restarts
from millrace.model.retention import Retention
from millrace.model.retry import Retry
from millrace.operations import at_least, expect_several, expect_text
from millrace.options import check_ttl
from millrace.pausing import Pausing
from millrace.schedules import Scheduling
from millrace.store.connection import check_path
from millrace.submitting import Submitting
from millrace.task import Domain
from millrace.tuning import Tuning


class Scheduler(Submitting, Looking, Acting, Pausing, Scheduling, Tuning):
    """Opens the store, recovers it, and runs tasks between ``start()`` and ``stop()``; usable from any thread.

    ``with Scheduler("tasks.db", domains=[media]) as scheduler:`` starts and stops it. Submitting before ``start()`` queues.

    Args:
        path: the store's file, made where there is none, by the working directory of this moment; ":memory:" keeps everything until
            ``stop()``.
        domains: whose tasks it runs.
        state: objects that bodies ask for by type, with ``ctx.state``, where their domain has none.
        max_concurrency: bodies and finalizers that run at once, at least 1.
        retry: how failed runs are repeated where neither submission, task nor domain says.
        preempt_at: tasks of this priority, and more urgent ones, make a running body of a less urgent one stop where no slot is
            free; None: none does.
        aging: how tasks become more urgent by waiting; None: not at all.
        throttle: which priorities wait under which pressure.
        group_concurrency: bodies and finalizers of a group that run at once, by group, at least 1 each.
        default_group_concurrency: the same of every other group; None: no bound.
        group_weights: shares of the slots, by group, at least 1 each.
        default_group_weight: the share of every other group, and of all ungrouped tasks together.
        group_min_slots: slots that a group has at least where it has work for them, by group.
        rate_limits: how fast bodies of a task start, by its qualified name, in place of the decorator's.
        group_rate_limits: the same of all tasks of a group together.
        pressure: sources of pressure by name; each is called about once a second, in threads of its own, and gives 0..1.
        resources: what reads the machine's load: "psutil", or an object with ``sample()``; None: nothing.
        bandwidth_limit: bytes a second of the network, more than 0: adds the source "network".
        ttl: seconds within which a run must start where neither submission, task, parent nor domain says; None for any time.
        retention: how much of the history is kept; by default the newest 10,000 rows, and as many dead letters.
        progress_interval: seconds between two Progress events of a task at least; None: no such events.
        sweep_interval: seconds between two looks for tasks past their time to live; none of them starts in any case.
        cancel_timeout: seconds that a body has to end after a cancel, and a cancel hook to run, before it is given up.
        durability: "power" syncs before it acknowledges; "process" at least once a second.
        max_payload: bytes that an encoded payload, memo or flow's state may have.
        restarts: how many failures of the runtime's own actors are put up with.
        max_crashes: a task that was running when the process died so many times in a row goes to the dead letters.
        name: shown in metrics and logs.
        capture_logs: loggers whose lines are kept with the run that logs them, all below each too: the newest 200 lines, and
            64 KiB, of each task's last run, as ``log`` gives them. Empty: none are kept.

    Raises:
        ValueError, TypeError: an argument is not as said. Nothing is opened before the first call that needs the store.
        InvalidTask: a group's name is empty or longer than 256 characters.
    """

    def __init__(
        self,
        path: str | PathLike[str] = "millrace.db",
        *,
        domains: Iterable[Domain] = (),
        state: Iterable[object] = (),
        max_concurrency: int = 4,
        retry: Retry | None = None,
        ttl: Seconds | None = None,
        retention: Retention | None = None,
        preempt_at: int | None = 0,
        aging: Aging | None = None,
        throttle: Throttle | None = None,
        group_concurrency: Mapping[str, int] = NOTHING,
        default_group_concurrency: int | None = None,
        group_weights: Mapping[str, int] = NOTHING,
        default_group_weight: int = 1,
        group_min_slots: Mapping[str, int] = NOTHING,
        rate_limits: Mapping[str, RateLimit] = NOTHING,
        group_rate_limits: Mapping[str, RateLimit] = NOTHING,
        pressure: Mapping[str, Callable[[], float]] = NOTHING,
        resources: Literal["psutil"] | ResourceSampler | None = None,
        bandwidth_limit: float | None = None,
        progress_interval: Seconds | None = 0.5,
        sweep_interval: Seconds = 30.0,
        cancel_timeout: Seconds = 30.0,
        durability: Literal["power", "process"] = "power",
        max_payload: int = 1 << 20,
        restarts: Restarts | None = None,
        max_crashes: int = 3,
        name: str = "default",
        capture_logs: Iterable[str] = (TASKS,),
    ) -> None:
        if durability not in ("power", "process"):
            raise ValueError(f"durability: expected 'power' or 'process', got {durability!r}")
        self.name = expect_text("name", name)
        domains = _domains(domains)
        settings = Settings(
            limits=check_limits(
                max_concurrency=max_concurrency,
                domains=domains,
                group_concurrency=group_concurrency,
                default_group_concurrency=default_group_concurrency,
                group_weights=group_weights,
                default_group_weight=default_group_weight,
                group_min_slots=group_min_slots,
                rate_limits=rate_limits,
                group_rate_limits=group_rate_limits,
            ),
            preempt_at=check_preempt_at(preempt_at),
            aging=check_aging(aging),
            throttle=check_throttle(throttle),
            pressure=check_pressure(pressure),
            resources=check_resources(resources),
            bandwidth_limit=check_bandwidth(bandwidth_limit),
            sweep_interval_s=to_seconds(sweep_interval, "sweep_interval", allow_zero=False),
            cancel_timeout_s=to_seconds(cancel_timeout, "cancel_timeout"),
            is_power_safe=durability == "power",
            restarts=_restarts(restarts),
            max_crashes=at_least("max_crashes", max_crashes, 1),
            progress_interval_s=None
            if progress_interval is None
            else to_seconds(progress_interval, "progress_interval"),
            retention=check_retention(retention if retention is not None else Retention()),
        )
        if retry is not None and not isinstance(retry, Retry):
            raise TypeError(f"retry: expected a Retry, got {type(retry).__name__}")
        self._capture = Capture(capture_logs)
        self._core = Core(
            self,
            check_path(path),
            domains=domains,
            state=state,
            retry=retry,
            ttl=check_ttl(ttl),
            max_payload=at_least("max_payload", max_payload, 1),
            settings=settings,
            capture=self._capture if self._capture.names else None,
        )
        self._runtime = self._core.runtime
        self._rate_limits = tuple(settings.limits.task_rates)
        self._stops_at_exit = False

    # Life

    def start(self) -> Self:
        """Take the store, take up what the last process left, and begin to run tasks. Repeated, it does nothing.

        Raises:
            ValueError: ``rate_limits`` names a task that no domain has.
            StoreLocked: another live scheduler, in this process or another, runs this store.
            StoreError: the store cannot be opened.
        """
        check_names(self._rate_limits, self._core.task_named)
        self._capture.attach()
        try:
            self._runtime.start()
        except BaseException:
            self._capture.detach()
            raise
        if not self._stops_at_exit:
            self._stops_at_exit = True
            atexit.register(_stop_at_exit, weakref.ref(self._runtime))
        return self

    def stop(self, grace: Seconds = 30.0) -> bool:
        """Start nothing more, wait for what runs, interrupt the rest, close. A second call waits for the first.

        Args:
            grace: seconds that bodies are left alone for; then they are asked to stop.

        Returns:
            Whether all had ended within the grace. What was interrupted is pending again, at no cost.

        Raises:
            RuntimeError: called from a body, which would wait for itself.
        """
        seconds = to_seconds(grace, "grace")
        if self._core.is_body():
            raise RuntimeError("stop() from a body would wait for that body; stop from another thread")
        ended = self._runtime.stop(seconds)
        self._capture.detach()
        self._core.futures.stop()
        return ended

    def run(self, grace: Seconds = 30.0) -> None:
        """``start()``, then block until SIGINT or SIGTERM (in the main thread) or ``stop()`` from another thread.

        A first signal drains with ``grace``, a second one stops at once.
        """
        seconds = to_seconds(grace, "grace")
        self.start()
        # A simple queue, as a signal handler may put into it whatever the thread it interrupts is doing.
        happened: queue.SimpleQueue[str] = queue.SimpleQueue()
        signals: list[None] = []

        def on_signal() -> None:
            signals.append(None)
            if len(signals) > 1:
                self._runtime.hurry()
            happened.put("signal")

        def tell_after(wait: Callable[[], object], name: str) -> None:
            def work() -> None:
                try:
                    wait()
                finally:
                    happened.put(name)

            threading.Thread(target=work, name=f"millrace-{name}", daemon=True).start()

        with _Signals(on_signal):
            tell_after(self._runtime.wait_stopped, "stopped")
            if _next(happened) == "signal":
                # In another thread: the second signal is handled in this one.
                tell_after(lambda: self.stop(seconds), "drained")
                while _next(happened) == "signal":
                    pass
            self.stop(seconds)  # waits for the one under way

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except ForkedProcess:
            # A child that leaves its block by an error, as ``sys.exit`` is one, ends with that.
            if error is None:
                raise

    # Domains

    def domain(self, name: str) -> DomainHandle:
        """The same operations, on one domain's tasks.

        Raises:
            UnknownTask: it is not among ``domains``.
        """
        return DomainHandle(self._core, name)

    def __repr__(self) -> str:
        return f"<Scheduler {self.name!r} on {str(self._core.path)!r}>"


def _domains(domains: Iterable[Domain]) -> tuple[Domain, ...]:
    given: tuple[object, ...] = tuple(expect_several("domains", domains, "Domain objects"))
    for one in given:
        if not isinstance(one, Domain):
            raise TypeError(f"domains: expected Domain objects, got {type(one).__name__}")
    return tuple(domain for domain in given if isinstance(domain, Domain))


def _restarts(restarts: object) -> Restarts:
    if restarts is not None and not isinstance(restarts, Restarts):
        raise TypeError(f"restarts: expected a Restarts, got {type(restarts).__name__}")
    return restarts or Restarts()


def _next(happened: queue.SimpleQueue[str]) -> str:
    """What happens next. Looks up now and then.

    The system may give a signal to any thread, as it does with a second one that comes at once after the first. Its handler runs
    in this thread all the same, but wakes it from no wait.
    """
    while True:
        with suppress(queue.Empty):
            return happened.get(timeout=LOOK_UP_S)


class _Signals:
    """SIGINT and SIGTERM for as long as ``run`` blocks, in the main thread only; the old handlers come back."""

    def __init__(self, on_signal: Any) -> None:
        self._on_signal = on_signal
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._on_signal()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _stop_at_exit(runtime: weakref.ref[Runtime]) -> None:
    """A program that ends without ``stop()`` ends as after ``stop(0)``: nothing keeps the interpreter from its exit."""
    alive = runtime()
    if alive is not None:
        alive.stop_at_exit()
