"""Defining tasks: ``Domain``, ``Task`` and ``Submission``."""

from collections.abc import Callable, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

import msgspec

from millrace.context import Context
from millrace.handle import Outcome
from millrace.model.catalog import Traits
from millrace.model.codec import MemoCodec, PayloadCodec, UndecodablePayload, check_task_name
from millrace.model.durations import Seconds, to_seconds
from millrace.model.errors import InvalidTask
from millrace.model.retry import Retry
from millrace.model.schedule import Schedule
from millrace.model.statuses import DependencyPolicy, DuplicatePolicy, TtlFrom
from millrace.options import (
    Options,
    TextOf,
    check_child_concurrency,
    check_max_failures,
    check_options,
    check_policy,
    check_priority,
    check_texts,
    check_ttl,
)

encode_plain = msgspec.json.Encoder().encode
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Domain:
    """A named family of task types with its own defaults (a module of an application).

    Task names are stored qualified: domain "media", task "thumbnail" -> "media::thumbnail". Precedence of an option: the
    submission's > the task's > the domain's > the scheduler's. One domain may serve several schedulers.

    Args:
        name: 1 to 128 characters, no "::", not "flow".
        priority: 0 (most urgent) .. 255 of its tasks.
        retry: how failed runs of its tasks are repeated.
        timeout: seconds that each run of its tasks may take; math.inf for none.
        ttl: seconds within which a run of its tasks must start; math.inf for any time, whatever the scheduler says.

    Raises:
        InvalidTask, ValueError, TypeError: an argument is not as said.
    """

    name: str

    def __init__(
        self,
        name: str,
        *,
        priority: int | None = None,
        retry: Retry | None = None,
        timeout: Seconds | None = None,
        ttl: Seconds | None = None,
    ) -> None:
        self.name = check_task_name(name, "domain")
        if name == "flow":
            raise InvalidTask('domain: expected another name than "flow", which is that of flows; choose another')
        self.priority = None if priority is None else int(check_priority(priority))
        self.retry = retry
        self.timeout = None if timeout is None else to_seconds(timeout, "timeout", allow_zero=False, allow_inf=True)
        self.ttl = check_ttl(ttl)
        self.tasks: dict[str, Task[..., Any]] = {}
        """By qualified name."""

    def task(
        self,
        name: str | None = None,
        *,
        priority: int | None = None,
        retry: Retry | None = None,
        timeout: Seconds | None = None,
        key: TextOf | None = None,
        label: TextOf | None = None,
        on_duplicate: DuplicatePolicy = DuplicatePolicy.SKIP,
        schedule: Schedule | None = None,
        ttl: Seconds | None = None,
        ttl_from: TtlFrom = TtlFrom.SUBMISSION,
        fail_fast: bool = True,
        max_failures: float | None = None,
        child_concurrency: int | None = None,
    ) -> Callable[[Callable[Concatenate[Context, P], R]], "Task[P, R]"]:
        """Decorator: turns ``def body(ctx, ...payload) -> memo`` into a Task.

        Args:
            name: within the domain; the function's where left out.
            priority: 0 (most urgent) .. 255, in place of the domain's.
            retry: how failed runs are repeated, in place of the domain's.
            timeout: seconds that each run may take, in place of the domain's; math.inf for none.
            key: called with the payload, gives the key of a submission; the payload's digest where left out.
            label: called with the payload, gives what people are shown; the key or the name where left out.
            on_duplicate: what a submission does where an active task holds its key.
            schedule: it recurs: by itself from ``start()`` on, or from a submit on where its payload must be given.
            ttl: seconds within which a run must start, in place of the domain's; math.inf for any time.
            ttl_from: whether that counts from the submit or from the first start.
            fail_fast: whether one failed child fails the task.
            max_failures: failed children that are tolerated: an int is their number, a float their share, judged at the end.
            child_concurrency: children that may run at once.

        Raises:
            InvalidTask: the name is taken or no name, or the body's payload is of types that JSON cannot carry.
            TypeError: used without parentheses.
        """
        given: object = name
        if given is not None and not isinstance(given, str):
            raise TypeError(
                f"task: expected a name or none, got {type(given).__name__}; write @domain.task() with parentheses"
            )
        check_texts("key", key)
        check_texts("label", label)
        check_max_failures(max_failures)
        check_child_concurrency(child_concurrency)
        options = check_options(
            priority=priority,
            retry=retry,
            timeout=timeout,
            schedule=schedule,
            ttl=ttl,
            ttl_from=ttl_from,
            fail_fast=fail_fast,
        )
        policy = check_policy(on_duplicate)

        def define(fn: Callable[Concatenate[Context, P], R]) -> Task[P, R]:
            local = check_task_name(name if name is not None else fn.__name__, "task")
            qualified = f"{self.name}::{local}"
            if qualified in self.tasks:
                raise InvalidTask(f"task: expected a new name in domain {self.name!r}, {local!r} is defined already")
            defined: Task[P, R] = Task(
                self,
                qualified,
                fn,
                defaults=Options(
                    priority=options.priority,
                    retry=options.retry,
                    timeout=options.timeout,
                    schedule=options.schedule,
                    ttl=options.ttl,
                    ttl_from=options.ttl_from,
                    on_duplicate=policy,
                    fail_fast=fail_fast,
                    max_failures=max_failures,
                    child_concurrency=child_concurrency,
                ),
                key=key,
                label=label,
            )
            self.tasks[qualified] = defined
            return defined

        return define

    def __repr__(self) -> str:
        return f"Domain({self.name!r})"


class Definition:
    """What all views of one task share: its functions and codecs."""

    __slots__ = (
        "defaults",
        "final_codec",
        "finalizer",
        "hook",
        "key",
        "label",
        "memo_codec",
        "name",
        "payload_codec",
        "traits",
    )

    def __init__(
        self, name: str, fn: Callable[..., Any], defaults: Options, key: TextOf | None, label: TextOf | None
    ) -> None:
        self.name = name
        self.payload_codec = PayloadCodec(fn, task_name=name)
        self.memo_codec = MemoCodec(fn, task_name=name)
        self.defaults = defaults
        self.key = key
        self.label = label
        self.finalizer: Callable[..., Any] | None = None
        self.final_codec: MemoCodec | None = None
        self.hook: Callable[..., Any] | None = None
        self.traits = Traits(has_finalizer=False, has_hook=False)

    def decode_memo(self, memo: Any) -> Any:
        """A memo, as plain JSON, in the type that the finalizer (where it gave one) or the body returns.

        A memo that fits neither comes as plain JSON: a finalizer without annotation may have replaced the body's.
        """
        text = encode_plain(memo).decode()
        for codec in (self.final_codec, self.memo_codec):
            if codec is not None:
                try:
                    return codec.decode(text)
                except UndecodablePayload:
                    continue
        return memo


class Task(Generic[P, R]):
    """A task type, made by ``Domain.task``. The payload is what the body takes after ``ctx``; it and the memo are JSON."""

    name: str
    """Qualified: "domain::task"."""
    domain: Domain
    fn: Callable[Concatenate[Context, P], R]

    def __init__(
        self,
        domain: Domain,
        name: str,
        fn: Callable[Concatenate[Context, P], R],
        *,
        defaults: Options,
        key: TextOf | None,
        label: TextOf | None,
    ) -> None:
        """Made by ``Domain.task``."""
        self.domain = domain
        self.name = name
        self.fn = fn
        self.definition = Definition(name, fn, defaults, key, label)
        self.own_options = Options()

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
    ) -> "Task[P, R]":
        """The same task with these options for the submissions made from it. None means not given; later ones win.

        Args:
            key: 1 to 512 bytes of UTF-8: unique among active tasks of this type and parent.
            label: what people are shown, cut to 512 characters.
            priority: 0 (most urgent) .. 255.
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

        Raises:
            InvalidTask, ValueError, TypeError: an option is not as said.
        """
        if parent is not None and sibling_of is not None:
            raise InvalidTask("expected parent or sibling_of, got both; give one of them")
        options = check_options(
            key=key,
            label=label,
            priority=priority,
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
        )
        place = Options(parent=_parent(parent), sibling_of=_context(sibling_of))
        return self._with(self.own_options.merged(options).merged(place))

    def _with(self, options: Options) -> "Task[P, R]":
        copy = cast("Task[P, R]", Task.__new__(Task))
        copy.domain, copy.name, copy.fn = self.domain, self.name, self.fn
        copy.definition, copy.own_options = self.definition, options
        return copy

    def finalize(self, fn: Callable[Concatenate[Context, R, P], T]) -> Callable[Concatenate[Context, R, P], T]:
        """Decorator: ``fn(ctx, memo, ...payload)`` runs once all children have settled.

        What it returns, when not None, becomes the task's memo.

        Raises:
            InvalidTask: the task has a finalizer already.
        """
        if self.definition.finalizer is not None:
            raise InvalidTask(f"task {self.name}: expected one finalizer, a second came; remove one")
        self.definition.final_codec = MemoCodec(fn, task_name=self.name)
        self.definition.finalizer = fn
        self.definition.traits = Traits(has_finalizer=True, has_hook=self.definition.traits.has_hook)
        return fn

    def on_cancel(self, fn: Callable[Concatenate[Context, P], None]) -> Callable[Concatenate[Context, P], None]:
        """Decorator: ``fn(ctx, ...payload)`` runs when a started task is cancelled or superseded.

        It has ``cancel_timeout`` seconds.

        Raises:
            InvalidTask: the task has such a function already.
        """
        if self.definition.hook is not None:
            raise InvalidTask(f"task {self.name}: expected one on_cancel, a second came; remove one")
        self.definition.hook = fn
        self.definition.traits = Traits(has_finalizer=self.definition.traits.has_finalizer, has_hook=True)
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
        return f"<Submission of {self.task.name}>"


def _parent(parent: int | Context | None) -> int | Context | None:
    if parent is None or isinstance(parent, Context):
        return parent
    if isinstance(parent, bool) or not isinstance(parent, int):
        raise TypeError(f"parent: expected a task's id or a Context, got {type(parent).__name__}")
    return parent


def _context(context: Context | None) -> Context | None:
    if context is not None and not isinstance(context, Context):
        raise TypeError(f"sibling_of: expected a Context, got {type(cast('object', context)).__name__}")
    return context
