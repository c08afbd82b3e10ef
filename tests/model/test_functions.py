"""What a task consists of is looked at where it is defined: not by the first run, nor by a finalizer after all children."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import Any, Protocol

import pytest

from millrace import Context, Domain, InvalidTask, Scheduler, Task, TaskStatus


class LikeContext(Protocol):
    """What a body may ask for in place of a Context."""

    id: int


class Asked:
    """An object that can be called, and does nothing then."""

    async def __call__(self, ctx: Context) -> None:
        """See the class."""


async def asynchronous(ctx: Context) -> None:
    """Its call makes a coroutine."""


def generating(ctx: Context) -> Iterator[int]:
    """Its call makes a generator."""
    yield 1


async def both(ctx: Context) -> AsyncIterator[int]:
    """Its call makes an asynchronous one."""
    yield 1


PROMISES: dict[str, Any] = {
    "an async function": asynchronous,
    "a generator": generating,
    "an async generator": both,
    "an async function; call": Asked(),
}


@pytest.fixture
def domain() -> Domain:
    """One without tasks."""
    return Domain("play")


@pytest.fixture
def add(domain: Domain) -> Task[..., Any]:
    """A task with parameters of every kind."""

    @domain.task()
    def add(ctx: Context, first: int, *more: int, sign: int = 1, **others: int) -> int:
        return first

    return add


@pytest.mark.parametrize("kind", PROMISES)
def test_a_function_whose_call_does_no_work_is_refused(domain: Domain, add: Task[..., Any], kind: str) -> None:
    """A body, a finalizer or a hook that is async or a generator would end well, and have done nothing."""
    fn = PROMISES[kind]
    for define in (domain.task("promised"), add.finalize, add.on_cancel):
        with pytest.raises(InvalidTask, match=f"expected a plain function, .* got {kind}"):
            define(fn)
    assert "play::promised" not in domain.tasks


def test_a_plain_function_around_an_async_one_is_a_body(domain: Domain) -> None:
    """What is wrapped does not count: the wrapper is called, and does the work."""

    @wraps(asynchronous)
    def run(ctx: Context) -> None:
        asynchronous(ctx).close()

    assert domain.task()(run).name == "play::asynchronous"


def test_a_forgotten_context_is_noticed(domain: Domain) -> None:
    """A first parameter of a type that JSON has is payload: the message says what the function begins with."""

    def count(n: int) -> int:
        return n

    with pytest.raises(InvalidTask, match=r"got n: int; begin with \(ctx: Context, n: int\)"):
        domain.task()(count)  # type: ignore[arg-type]  # the point


def test_a_forgotten_context_without_annotation_is_told_by_the_submit(domain: Domain) -> None:
    """It may be the context, whatever its name. Arguments that do not fit tell what is left for them."""

    def count(n: Any) -> Any:
        return n

    arguments: Any = (1,)
    with pytest.raises(TypeError, match=r"too many positional arguments; after the context it takes \(\)"):
        domain.task()(count).call(*arguments)


@pytest.mark.parametrize("annotation", [Any, object, Context, Context | None, LikeContext, "NoSuchName"])
def test_what_may_be_a_context_is_accepted(domain: Domain, annotation: object) -> None:
    """Names that only type checkers know, protocols and Any too."""

    def body(ctx: Any, n: int = 1) -> int:
        return n

    body.__annotations__["ctx"] = annotation
    assert domain.task()(body).name == "play::body"


def test_what_is_no_function_is_a_type_error(domain: Domain, add: Task[..., Any]) -> None:
    """With the name of what it was to be."""
    wrong: Any = 5
    for what, define in {"task": domain.task(), "finalizer": add.finalize, "on_cancel": add.on_cancel}.items():
        with pytest.raises(TypeError, match=f"^{what}.*: expected a function, got int"):
            define(wrong)


def test_a_function_without_a_name_needs_one(domain: Domain, add: Task[..., Any]) -> None:
    """A partial has none."""
    body: Any = partial(add.fn, sign=-1)
    with pytest.raises(InvalidTask, match=r"expected a function with a name, .*task\('name'\)"):
        domain.task()(body)
    assert domain.task("subtract")(body).name == "play::subtract"


def too_few(ctx: Context) -> None:
    """Takes no payload."""


def without_sign(ctx: Context, memo: int, *payload: int) -> None:
    """Takes no parameter by name."""


@pytest.mark.parametrize("fn", [too_few, without_sign])
def test_a_finalizer_or_hook_that_cannot_be_called_so_is_refused(add: Task[..., Any], fn: Callable[..., Any]) -> None:
    """It would fail after all children have ended, or be no hook where one is needed."""
    with pytest.raises(
        InvalidTask, match=r"finalizer of play::add: .* called with \(ctx, memo, first, \*more, sign=, "
    ):
        add.finalize(fn)
    with pytest.raises(InvalidTask, match=r"on_cancel of play::add: .* called with \(ctx, first, \*more, sign=, "):
        add.on_cancel(fn)


def test_refused_functions_leave_the_task_as_it_was(domain: Domain) -> None:
    """A second one, right this time, is the first."""

    @domain.task()
    def work(ctx: Context, n: int) -> int:
        return n

    refused: Any = too_few
    with pytest.raises(InvalidTask):
        work.finalize(refused)
    with pytest.raises(InvalidTask):
        work.on_cancel(refused)

    @work.finalize
    def double(ctx: Context, memo: int, n: int) -> int:
        return memo + n

    @work.on_cancel
    def forget(ctx: Context, n: int) -> None:
        """Nothing to do."""

    with Scheduler(":memory:", domains=[domain]) as scheduler:
        record = scheduler.submit(work, 2).wait(30)
    assert (record.status, record.memo) == (TaskStatus.COMPLETED, 4)


def test_a_wrapper_is_called_as_itself(add: Task[..., Any]) -> None:
    """What it gives to the function that it wraps is its own business."""

    def with_pool(fn: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            return fn("pool", *args, **kwargs)

        return call

    def done(pool: str, ctx: Context, memo: int, first: int) -> str:
        return pool

    wrapped = with_pool(done)
    assert add.finalize(wrapped) is wrapped
