"""Calling the functions of tasks: what the executors run. Whatever a function raises ends its run and nothing else."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from millrace.context import Context
from millrace.model.codec import UndecodablePayload
from millrace.model.errors import InterruptReason, InvalidTask, TaskInterrupted
from millrace.model.io import encode_moved
from millrace.model.migration import Unmigratable
from millrace.model.names import storable
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Phase, since_ms
from millrace.retrying import Policy, decode_options

if TYPE_CHECKING:
    from millrace.core import Core
    from millrace.executors.run import Run
    from millrace.model.rows import Claim
    from millrace.task import Task

log = logging.getLogger("millrace.tasks")

_here = threading.local()


def current_run(core: Core) -> Run | None:
    """The run of this scheduler that the calling thread executes."""
    if getattr(_here, "core", None) is core:
        run: Run | None = getattr(_here, "run", None)
        return run
    return None


class Calls:
    """Calls bodies, finalizers and hooks of one scheduler's tasks, in the executors' threads."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def run(self, run: Run) -> RunOutcome:
        """Call the function of a run and say how it ended; never raises."""
        before = (getattr(_here, "core", None), getattr(_here, "run", None))
        _here.core, _here.run = self._core, run
        capture = self._core.capture
        entered = None if capture is None else capture.enter(run)
        started = time.monotonic()
        try:
            return self._call(run, started)
        except BaseException as error:  # noqa: BLE001 - also what breaks while a failure is being described
            return self._failed(run, error, started)
        finally:
            if capture is not None and entered is not None:
                capture.leave(entered)
            _here.core, _here.run = before

    def timeout_s(self, run: Run) -> float | None:
        """See ``Bodies``."""
        claim = run.claim
        if claim.phase == Phase.HOOK:
            return self._core.cancel_timeout_s
        task = self._core.task_named(claim.name)
        if claim.options is not None:
            stored = decode_options(claim.options).timeout
            if stored is not None:
                return None if stored < 0 else stored
        if task is None:
            return None
        own = task.definition.defaults.timeout
        timeout = own if own is not None else task.domain.defaults.timeout
        return None if timeout is None or timeout == float("inf") else timeout

    def given_up(self, run: Run, why: str) -> RunOutcome:
        """See ``Bodies``."""
        claim = run.claim
        elapsed = 0.0 if run.begun_at is None else time.monotonic() - run.begun_at
        policy = self._policy(claim)
        error = TimeoutError(why)
        return RunOutcome(
            claim.id,
            claim.run,
            claim.phase,
            claim.name,
            RunKind.FAILED,
            error=why,
            retryable=policy.is_retryable(error),
            retry_delay_s=policy.delay_s(error, claim.retries),
            asked=run.asked,
            duration_s=elapsed,
            progress=run.fraction,
            actual_io=encode_moved(run.recorded_io),
            bytes_done=run.bytes_done,
            bytes_total=run.bytes_total,
            log=None if run.log is None else run.log.text(),
            abandoned=True,
        )

    def _call(self, run: Run, started: float) -> RunOutcome:
        claim = run.claim
        task = self._core.task_named(claim.name)
        if task is None:
            return self._unrunnable(run, f"this program has no task {claim.name!r}")
        definition = task.definition
        try:
            args, kwargs = definition.arguments(claim.payload, claim.version)
            if claim.phase == Phase.FINALIZER:
                args = (definition.memo_codec.decode(claim.memo) if claim.memo is not None else None, *args)
        except Unmigratable as error:
            return self._unrunnable(run, str(error))
        except (UndecodablePayload, ValueError) as error:
            return self._unrunnable(run, f"its payload or memo does not decode: {error}")
        ctx = Context(self._core, run)
        function = self._function(task, claim.phase)
        try:
            value = function(ctx, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - a body's SystemExit or KeyboardInterrupt is that run's end only
            return self._raised(run, error, started)
        if run.asked == "timeout":
            return self._timed_out(run, None, started)
        return self._returned(run, task, value, started)

    @staticmethod
    def _function(task: Task[..., Any], phase: int) -> Callable[..., Any]:
        if phase == Phase.BODY:
            return task.fn
        function = task.definition.finalizer if phase == Phase.FINALIZER else task.definition.hook
        return _nothing if function is None else function

    # Ends

    def _returned(self, run: Run, task: Task[..., Any], value: Any, started: float) -> RunOutcome:
        claim = run.claim
        memo = None
        if claim.phase == Phase.BODY or (claim.phase == Phase.FINALIZER and value is not None):
            try:
                memo = self._encode_memo(task, claim.phase, value)
            except InvalidTask as error:
                return self._outcome(run, RunKind.FAILED, started, error=_describe(error), trace=None)
        return RunOutcome(
            claim.id,
            claim.run,
            claim.phase,
            claim.name,
            RunKind.RETURNED,
            memo,
            asked=run.asked,
            duration_s=time.monotonic() - started,
            progress=run.fraction,
            actual_io=encode_moved(run.recorded_io),
            bytes_done=run.bytes_done,
            bytes_total=run.bytes_total,
            log=None if run.log is None else run.log.text(),
            parent_id=claim.parent_id,
            parent_round=claim.parent_round,
            claim=claim,
            since_ms=since_ms(claim.created_at_ms, claim.run_at_ms, claim.retries),
        )

    def _encode_memo(self, task: Task[..., Any], phase: int, value: Any) -> str:
        definition = task.definition
        codec = definition.memo_codec if phase == Phase.BODY else (definition.final_codec or definition.memo_codec)
        return codec.encode(value, max_bytes=self._core.max_payload)

    def _raised(self, run: Run, error: BaseException, started: float) -> RunOutcome:
        if run.asked == "timeout":
            return self._timed_out(run, error, started)
        if any(_is_interruption(link, run) for link in _chain(error)):
            return self._outcome(run, RunKind.INTERRUPTED, started)
        return self._failed(run, error, started)

    def _failed(self, run: Run, error: BaseException, started: float) -> RunOutcome:
        policy = self._policy(run.claim)
        log.info("task %d (%s) run %d failed: %s", run.claim.id, run.claim.name, run.claim.run, type(error).__name__)
        return self._outcome(
            run,
            RunKind.FAILED,
            started,
            error=_describe(error),
            trace=_trace(error),
            retryable=policy.is_retryable(error),
            delay=policy.delay_s(error, run.claim.retries),
        )

    def _timed_out(self, run: Run, error: BaseException | None, started: float) -> RunOutcome:
        seconds = self.timeout_s(run)
        text = f"TimeoutError: timed out after {seconds:g} s" if seconds is not None else "TimeoutError: timed out"
        if error is not None and not isinstance(error, TaskInterrupted):
            text = f"{text}; then {_describe(error)}"
        policy = self._policy(run.claim)
        timeout = TimeoutError(text)
        return self._outcome(
            run,
            RunKind.FAILED,
            started,
            error=storable(text),
            trace=None if error is None else _trace(error),
            retryable=policy.is_retryable(timeout),
            delay=policy.delay_s(timeout, run.claim.retries),
        )

    def _unrunnable(self, run: Run, reason: str) -> RunOutcome:
        return self._outcome(run, RunKind.UNRUNNABLE, time.monotonic(), error=storable(reason))

    def _outcome(
        self,
        run: Run,
        kind: RunKind,
        started: float,
        *,
        error: str | None = None,
        trace: str | None = None,
        retryable: bool = False,
        delay: float | None = None,
    ) -> RunOutcome:
        claim = run.claim
        return RunOutcome(
            claim.id,
            claim.run,
            claim.phase,
            claim.name,
            kind,
            error=error,
            traceback=trace,
            retryable=retryable,
            retry_delay_s=delay,
            asked=run.asked,
            duration_s=time.monotonic() - started,
            progress=run.fraction,
            actual_io=encode_moved(run.recorded_io),
            bytes_done=run.bytes_done,
            bytes_total=run.bytes_total,
            log=None if run.log is None else run.log.text(),
        )

    def _policy(self, claim: Claim) -> Policy:
        if claim.options is not None:
            stored = decode_options(claim.options).retry
            if stored is not None:
                return Policy.of_stored(stored)
        task = self._core.task_named(claim.name)
        own = None if task is None else (task.definition.defaults.retry or task.domain.defaults.retry)
        return Policy(own or self._core.retry)


def _nothing(*_args: Any, **_payload: Any) -> None:
    """The finalizer or hook of a task that has none: who queued it did not have the task's code."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from; each once."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            pending += [link.__cause__, link.__context__]


class Interruption(TaskInterrupted):
    """The interruption of one run, by which it is known again when it comes out of the body."""

    def __init__(self, reason: InterruptReason, run: Run) -> None:
        super().__init__(reason)
        self.run = run


def _is_interruption(error: BaseException, run: Run) -> bool:
    """One of this run, or one that the body raised of its own; that of another run is an error like any other."""
    return isinstance(error, TaskInterrupted) and (not isinstance(error, Interruption) or error.run is run)


def _describe(error: BaseException) -> str:
    """Type and message, cut; also of an exception that cannot print itself."""
    name = type(error).__name__
    try:
        message = str(error)
    except BaseException:  # noqa: BLE001 - somebody's __str__ may raise anything
        return f"<unprintable {name}>"
    return storable(f"{name}: {message}" if message else name)


def _trace(error: BaseException) -> str:
    """The traceback's text, from the body's own frame on, cut."""
    try:
        frames = error.__traceback__
        inner = frames.tb_next if frames is not None else None
        lines = traceback.TracebackException(type(error), error, inner or frames).format()
        return storable("".join(lines))
    except BaseException:  # noqa: BLE001 - the same, while its parts are printed
        return f"<unprintable traceback of {type(error).__name__}>"
