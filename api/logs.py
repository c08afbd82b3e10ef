"""Logging from inside a task: the standard library's, with the task bound, and the lines of each run kept with its task.

``ctx.log`` is a ``LoggerAdapter`` of the logger ``millrace.task.DOMAIN.TASK``. Levels, handlers and formatters are the
application's: nothing here sets any, and the root logger is never touched. To be captured, a line must pass the level of its
logger, as everywhere: ``logging.getLogger("millrace.task").setLevel("INFO")`` captures INFO.

Capturing adds one handler to the loggers that are named, from the scheduler's start to its stop. It takes only what is logged
in the context of a run of that scheduler: in the run's own thread, or in another one that was started by
``contextvars.copy_context().run``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, MutableMapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final

from millrace.executors.log_tail import LogTail

if TYPE_CHECKING:
    from millrace.executors.run import Run

TASKS: Final = "millrace.task"
"""The logger above those of all tasks."""

_run: ContextVar[tuple[Capture, Run] | None] = ContextVar("millrace_run", default=None)
_Entered = Token[tuple["Capture", "Run"] | None]


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger of one run: each record has ``task_id``, ``task_name`` and ``run`` (the number of the run), for formatters.

    What a call gives as ``extra`` is added to these. From any thread.
    """

    def __init__(self, run: Run) -> None:
        claim = run.claim
        self._bound: Mapping[str, object] = {"task_id": claim.id, "task_name": claim.name, "run": claim.run}
        super().__init__(logging.getLogger(f"{TASKS}.{claim.name.replace('::', '.')}"), self._bound)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Bind the task."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **self._bound}
        return msg, kwargs


class Capture(logging.Handler):
    """Keeps the newest log lines of each run of one scheduler.

    Args:
        names: the loggers to capture from, with all below them.

    Raises:
        ValueError: the root logger is among them: a handler on it would keep ``basicConfig`` from doing anything.
        TypeError: it is no iterable of names.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = _top_names(names)
        own, other = "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%(name)s: "
        self._own = _formatter(own)
        self._other = _formatter(own.replace("%(message)s", other + "%(message)s"))

    def createLock(self) -> None:  # noqa: N802 - the name is logging's
        """None: each run's lines have their own, so that runs do not wait for each other."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """As the base class does, but for the lock, which newer versions of Python take without asking whether there is one."""
        passed: object = self.filter(record)  # from Python 3.12 on it may be another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def attach(self) -> None:
        """Begin to capture. Idempotent."""
        for name in self.names:
            logging.getLogger(name).addHandler(self)

    def detach(self) -> None:
        """Capture no more. Idempotent."""
        for name in self.names:
            logging.getLogger(name).removeHandler(self)

    def enter(self, run: Run) -> _Entered:
        """What is logged in this context is the run's, until ``leave``."""
        return _run.set((self, run))

    @staticmethod
    def leave(entered: _Entered) -> None:
        """The run is over."""
        _run.reset(entered)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's lines with the run in whose context it was made."""
        here = _run.get()
        if here is not None and here[0] is self:
            try:
                self._keep(here[1], record)
            except Exception:  # noqa: BLE001 - a message that does not format is logging's own to report
                self.handleError(record)
        self._pass_on(record)

    def _keep(self, run: Run, record: logging.LogRecord) -> None:
        if run.has_ended or run.is_abandoned:
            return
        is_own = record.name == TASKS or record.name.startswith(TASKS + ".")
        text = (self._own if is_own else self._other).format(record)
        if run.log is None:
            run.log = LogTail()
        run.log.add(text)

    def _pass_on(self, record: logging.LogRecord) -> None:
        """Where the application has no handlers at all, warnings go to standard error: this one must not change that."""
        last = logging.lastResort
        if last is None or record.levelno < last.level:
            return
        logger: logging.Logger | None = logging.getLogger(record.name)
        first: Capture | None = None
        while logger is not None:
            for handler in logger.handlers:
                if not isinstance(handler, Capture):
                    return
                first = first or handler
            logger = logger.parent if logger.propagate else None
        if first is self:
            last.handle(record)


def _formatter(text: str) -> logging.Formatter:
    formatter = logging.Formatter(text, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


def _top_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names without those below another of them, whose records would come twice."""
    if isinstance(names, str):
        raise TypeError(f"capture_logs: expected names of loggers, got one text {names!r}; give it in a list")
    given = tuple(dict.fromkeys(names))
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"capture_logs: expected names of loggers, got {type(name).__name__}")
        if name in ("", "root"):
            raise ValueError("capture_logs: expected names of loggers, got the root logger; name your own loggers")
    return tuple(name for name in given if not any(name.startswith(other + ".") for other in given))
