"""Defining tasks: ``Domain``, ``Task`` and ``Submission``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import msgspec

from millrace.context import Context
from millrace.definition import Definition, check_names, qualify
from millrace.handle import Outcome
from millrace.model.codec import check_task_name
from millrace.model.durations import Seconds
from millrace.model.errors import InvalidTask
from millrace.model.functions import name_of
from millrace.model.limits import RateLimit
from millrace.model.migration import Step
from millrace.model.new_tasks import NewTask
from millrace.model.records import IoBudget
from millrace.model.redaction import REDACTED
from millrace.model.redaction import redact as hide
from millrace.model.retry import Retry
from millrace.model.schedule import Schedule
from millrace.model.statuses import DependencyPolicy, DuplicatePolicy, TtlFrom
from millrace.model.tags import NO_TAGS
from millrace.operations import at_least
from millrace.options import NO_OPTIONS, Options, TagsOf, TextOf, check_callable
from millrace.state import States

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Domain:
    """A named family of task types with its own defaults, limits and state (a module of an application).

    Task names are stored qualified: domain "media", task "thumbnail" -> "media::thumbnail". Precedence of an option: the
    submission's > the task's > the domain's > the scheduler's. One domain may serve several schedulers; a task that is added
    to it can be submitted to them at once.

    Args:
        name: 1 to 128 characters, no "::", not "flow".
        max_concurrency: bodies and finalizers of its tasks that run at once, at least 1; None for no bound of its own.
        priority: 0 (most urgent) .. 255 of its tasks.
        retry: how failed runs of its tasks are repeated.
        timeout: seconds that each run of its tasks may take; math.inf for none.
        ttl: seconds within which a run of its tasks must start; math.inf for any time, whatever the scheduler says.
        group: of its tasks, 1 to 256 characters.
        tags: of its tasks, at most 32: keys of 1 to 64 characters, values of up to 256.
        state: objects that its tasks ask for by type, with ``ctx.state``.

    Raises:
        InvalidTask, ValueError, TypeError: an argument is not as said.
    """

    name: str

    def __init__(
        self,
        name: str,
        *,
        max_concurrency: int | None = None,
        priority: int | None = None,
        retry: Retry | None = None,
        timeout: Seconds | None = None,
        ttl: Seconds | None = None,
        group: str | None = None,
        tags: Mapping[str, str] = NO_TAGS,
        state: Sequence[object] = (),
    ) -> None:
        self.name = check_task_name(name, "domain")
        if name == "flow":
            raise InvalidTask('domain: expected another name than "flow", which is that of flows; choose another')
        self.max_concurrency = None if max_concurrency is None else at_least("max_concurrency", max_concurrency, 1)
        self.defaults = NO_OPTIONS.extended(
            priority=priority, retry=retry, timeout=timeout, ttl=ttl, group=group, tags=tags
        )
        self.state = States(state)
        self.tasks: dict[str, Task[..., Any]] = {}
        """By qualified name."""
        self.aliases: dict[str, Task[..., Any]] = {}
        """By the qualified names that they had before."""

    def task(
        self,
        name: str | None = None,
        *,
        priority: int | None = None,
        retry: Retry | None = None,
        timeout: Seconds | None = None,
        io: IoBudget | None = None,
        group: str | None = None,
        key: TextOf | None = None,
        label: TextOf | None = None,
        on_duplicate: DuplicatePolicy = DuplicatePolicy.SKIP,
        schedule: Schedule | None = None,
        ttl: Seconds | None = None,
        ttl_from: TtlFrom = TtlFrom.SUBMISSION,
        tags: Mapping[str, str] | TagsOf = NO_TAGS,
        fail_fast: bool = True,
        max_failures: float | None = None,
        child_concurrency: int | None = None,
        executor: str = "thread",
        rate_limit: RateLimit | None = None,
        version: int = 1,
        aliases: Sequence[str] = (),
        redact: Sequence[str] = (),
    ) -> Callable[[Callable[Concatenate[Context, P], R]], "Task[P, R]"]:
        """Decorator: turns ``def body(ctx, ...payload) -> memo`` into a Task.

        Args:
            name: within the domain; the function's where left out.
            priority: 0 (most urgent) .. 255, in place of the domain's.
            retry: how failed runs are repeated, in place of the domain's.
            timeout: seconds that each run may take, in place of the domain's; math.inf for none.
            io: bytes that a run is expected to move.
            group: in place of the domain's, 1 to 256 characters.
            key: called with the payload, gives the key of a submission; the payload's digest where left out.
            label: called with the payload, gives what people are shown; the key or the name where left out.
            on_duplicate: what a submission does where an active task holds its key.
            schedule: it recurs: by itself from ``start()`` on, or from a submit on where its payload must be given.
            ttl: seconds within which a run must start, in place of the domain's; math.inf for any time.
            ttl_from: whether that counts from the submit or from the first start.
            tags: over the domain's and the parent's; or a callable that gives them from the payload.
            fail_fast: whether one failed child fails the task.
            max_failures: failed children that are tolerated: an int is their number, a float their share, judged at the end.
            child_concurrency: children that may run at once.
            executor: what runs it, one of the scheduler's.
            rate_limit: how fast bodies may start, where the scheduler's ``rate_limits`` has none for it.
            version: of its payload, 1 or more; with ``Task.migrate``, payloads queued by older code still run.
            aliases: names it had before, "domain::task" or, in this domain, "task": what is stored under them is its own.
            redact: parameters whose values are shown as "***" in logs, events, commands and pages.

        Raises:
            InvalidTask: a name is taken or no name, the body is async, a generator or does not take the context first, its
                payload is of types that JSON cannot carry, or an argument is not as said.
            ValueError, TypeError: an argument is not as said, or it is used without parentheses.
        """
        given: object = name
        if given is not None and not isinstance(given, str):
            raise TypeError(
                f"task: expected a name or none, got {type(given).__name__}; write @domain.task() with parentheses"
            )
        defaults = NO_OPTIONS.extended(
            priority=priority,
            retry=retry,
            timeout=timeout,
            io=io,
            group=group,
            on_duplicate=on_duplicate,
            schedule=schedule,
            ttl=ttl,
            ttl_from=ttl_from,
            tags=None if callable(tags) else tags,
            fail_fast=fail_fast,
            max_failures=max_failures,
            child_concurrency=child_concurrency,
            executor=executor,
        )
        check_callable("key", key)
        check_callable("label", label)
        if rate_limit is not None and not isinstance(rate_limit, RateLimit):
            raise TypeError(f"rate_limit: expected a RateLimit, got {type(rate_limit).__name__}")
        before = check_names("aliases", aliases)

        def define(fn: Callable[Concatenate[Context, P], R]) -> Task[P, R]:
            local = check_task_name(name if name is not None else name_of(fn), "task")
            qualified = f"{self.name}::{local}"
            former = [qualify(self.name, alias) for alias in before]
            self._check_free(qualified, *former)
            definition = Definition(
                qualified,
                fn,
                defaults=defaults,
                key=key,
                label=label,
                tags=tags if callable(tags) else None,
                rate_limit=rate_limit,
                version=version,
                redact=redact,
            )
            defined: Task[P, R] = Task(self, fn, definition)
            # New dicts: the schedulers that the domain serves may be going through the old ones.
            self.tasks = {**self.tasks, qualified: defined}
            self.aliases = {**self.aliases, **dict.fromkeys(former, defined)}
            return defined

        return define

    def _check_free(self, name: str, *aliases: str) -> None:
        """Each name stands for one task, now and before."""
        taken = {**self.aliases, **self.tasks}
        if name in taken:
            how = "is defined already" if name in self.tasks else f"is an alias of {taken[name].name!r}"
            raise InvalidTask(f"task: expected a new name in domain {self.name!r}, {name!r} {how}")
        for alias in aliases:
            if alias == name or alias in taken:
                whose = name if alias == name else taken[alias].name
                raise InvalidTask(
                    f"task {name}: aliases: expected names that no task has, {alias!r} is one of {whose!r}"
                )

    def __repr__(self) -> str:
        return f"Domain({self.name!r})"


class Task(Generic[P, R]):
    """A task type, made by ``Domain.task``. The payload is what the body takes after ``ctx``; it and the memo are JSON."""

    name: str
    """Qualified: "domain::task"."""
    domain: Domain
    fn: Callable[Concatenate[Context, P], R]

    def __init__(
        self,
        domain: Domain,
        fn: Callable[Concatenate[Context, P], R],
        definition: Definition,
        own_options: Options = NO_OPTIONS,
    ) -> None:
        """Made by ``Domain.task``, and by ``options``."""
        self.domain = domain
        self.name = definition.name
        self.fn = fn
        self.definition = definition
        self.own_options = own_options
        self.common: tuple[object, NewTask] | None = None
        """What the scheduler that was submitted to last has found out of the options: kept by it, for the next submission."""

    def call(self, *args: P.args, **kwargs: P.kwargs) -> "Submission[R]":
        """One submission as a value.

        Raises:
            TypeError: the arguments do not fit the body.
        """
        return Submission(self, self.definition.payload_codec.bind(args, kwargs), self.own_options)

    def options(
        self,
        *,
        key: str | None = None,
        label: str | None = None,
        priority: int | None = None,
        group: str | None = None,
        tags: Mapping[str, str] | None = None,
        io: IoBudget | None = None,
        retry: Retry | None = None,
        timeout: Seconds | None = None,
        run_after: Seconds | None = None,
        run_at: Any = None,
        schedule: Schedule | None = None,
        ttl: Seconds | None = None,
        ttl_from: TtlFrom | None = None,
        depends_on: Iterable[int | Outcome[Any]] = (),
        on_dependency_failure: DependencyPolicy | None = None,
        on_duplicate: DuplicatePolicy | None = None,
        fail_fast: bool | None = None,
        max_failures: float | None = None,
        child_concurrency: int | None = None,
        parent: int | Context | None = None,
        sibling_of: Context | None = None,
        executor: str | None = None,
    ) -> "Task[P, R]":
        """The same task with these options for the submissions made from it. None means not given; later ones win.

        Args:
            key: 1 to 512 bytes of UTF-8: unique among active tasks of this type and parent.
            label: what people are shown, cut to 512 characters.
            priority: 0 (most urgent) .. 255.
            group: 1 to 256 characters.
            tags: over those of options before, the task, the domain and the parent.
            io: bytes that a run is expected to move.
            retry: how failed runs are repeated.
            timeout: seconds for each run; math.inf for none.
            run_after: seconds from the submit until it can start.
            run_at: an aware datetime from which on it can start; not together with ``run_after``.
            schedule: the submission starts a series of runs; not together with ``parent`` or ``sibling_of``.
            ttl: seconds within which a run must start; math.inf for any time.
            ttl_from: whether that counts from the submit or from the first start.
            depends_on: tasks that must complete before it can start, by their ids or outcomes; none where left out.
            on_dependency_failure: what it means where one of them ends otherwise; by default CANCEL.
            on_duplicate: what it does where an active task holds its key.
            fail_fast: whether one failed child fails the task.
            max_failures: failed children that are tolerated, as in ``Domain.task``.
            child_concurrency: children that may run at once.
            parent: the task (or its context) whose child it is to be.
            sibling_of: the context of a running task whose sibling it is to be.
            executor: what runs it, one of the scheduler's.

        Raises:
            InvalidTask, ValueError, TypeError: an option is not as said.
        """
        options = self.own_options.extended(
            key=key,
            label=label,
            priority=priority,
            group=group,
            tags=tags,
            io=io,
            retry=retry,
            timeout=timeout,
            run_after=run_after,
            run_at=run_at,
            schedule=schedule,
            ttl=ttl,
            ttl_from=ttl_from,
            depends_on=depends_on,
            on_dependency_failure=on_dependency_failure,
            on_duplicate=on_duplicate,
            fail_fast=fail_fast,
            max_failures=max_failures,
            child_concurrency=child_concurrency,
            executor=executor,
            parent=parent,
            sibling_of=sibling_of,
        )
        return Task(self.domain, self.fn, self.definition, options)

    def finalize(self, fn: Callable[Concatenate[Context, R, P], T]) -> Callable[Concatenate[Context, R, P], T]:
        """Decorator: ``fn(ctx, memo, ...payload)`` runs once all children have settled.

        What it returns, when not None, becomes the task's memo.

        Raises:
            InvalidTask: the task has a finalizer already, or this one is async, a generator or cannot be called so.
        """
        self.definition.set_finalizer(fn)
        return fn

    def migrate(self, from_version: int) -> Callable[[Step], Step]:
        """Decorator: turns a payload of that version, as plain JSON, into one of the next. Runs before each run that needs it.

        Args:
            from_version: 1 or more, below the task's ``version``.

        Raises:
            InvalidTask: it is not below, or there is one for it already. ValueError, TypeError: it is no such number.
        """
        self.definition.check_migration(from_version)

        def define(fn: Step) -> Step:
            self.definition.set_migration(from_version, fn)
            return fn

        return define

    def on_cancel(self, fn: Callable[Concatenate[Context, P], None]) -> Callable[Concatenate[Context, P], None]:
        """Decorator: ``fn(ctx, ...payload)`` runs when a started task is cancelled or superseded.

        It has ``cancel_timeout`` seconds.

        Raises:
            InvalidTask: the task has such a function already, or this one is async, a generator or cannot be called so.
        """
        self.definition.set_hook(fn)
        return fn

    def __call__(self, ctx: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the body as the plain function that it is."""
        return self.fn(ctx, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


class Submission(Generic[R]):
    """What to run, with its options: an immutable value that can be used many times."""

    __slots__ = ("bound", "options", "task")

    def __init__(self, task: Task[..., R], bound: msgspec.Struct, options: Options) -> None:
        """Made by ``Task.call``."""
        self.task = task
        self.bound = bound
        self.options = options

    @property
    def task_name(self) -> str:
        """The qualified name of its task."""
        return self.task.name

    def __repr__(self) -> str:
        codec = self.task.definition.payload_codec
        shown = hide(codec.as_mapping(self.bound), codec.redact)
        payload = ", ".join(f"{name}={value if value is REDACTED else repr(value)}" for name, value in shown.items())
        return f"<Submission of {self.task.name}({payload})>"


def expect_submission(submission: Submission[Any]) -> Submission[Any]:
    """The value, where it is a submission; else TypeError."""
    given: object = submission
    if not isinstance(given, Submission):
        raise TypeError(f"expected submissions, which task.call(...) makes, got {type(given).__name__}")
    return submission
