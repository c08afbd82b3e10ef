"""What a program or a body gives by mistake: the message names the argument, what was expected and what came."""

from collections.abc import Callable
from typing import Any

import pytest
from staging import WAIT_S, Stage

from millrace import Context, Domain, InvalidTask, Scheduler
from millrace.metrics import App, Exporter, Server

WORDS = Domain("words")

MADE: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "one domain": (
        lambda: Scheduler(domains=WORDS),  # type: ignore[arg-type]  # the point, as below
        TypeError,
        "domains: expected an iterable of Domain objects, got Domain; put a single one into a list",
    ),
    "no domains": (
        lambda: Scheduler(domains=None),  # type: ignore[arg-type]
        TypeError,
        "domains: expected an iterable of Domain objects, got NoneType",
    ),
    "one state": (
        lambda: Scheduler(state=5),  # type: ignore[arg-type]
        TypeError,
        "state: expected an iterable of objects, got int",
    ),
    "one text as state": (
        lambda: Domain("other", state="text"),
        TypeError,
        "state: expected an iterable of objects, got str",
    ),
    "a number as exported": (
        lambda: Exporter(5),  # type: ignore[arg-type]
        TypeError,
        "scheduler: expected a Scheduler, got int",
    ),
    "a port below": (lambda: Server(App(Exporter()), port=-1), ValueError, "port: expected at least 0, got -1"),
    "a port beyond": (
        lambda: Server(App(Exporter()), port=70_000),
        ValueError,
        "port: expected at most 65535, got 70000",
    ),
    "a port as text": (
        lambda: Server(App(Exporter()), port="9470"),  # type: ignore[arg-type]
        TypeError,
        "port: expected an int, got str",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_what_a_program_is_made_of(name: str) -> None:
    """It is refused where it is made; nothing is opened."""
    make, kind, message = MADE[name]
    with pytest.raises(kind, match=f"^{message}"):
        make()


TOLD: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "text as fraction": (lambda c: c.progress("x"), TypeError, "fraction: expected a number from 0.0 to 1.0, got str"),
    "nothing to track": (lambda c: c.track(5), TypeError, "items: expected an iterable, got int"),
    "text as total": (lambda c: c.track([1], total="x"), TypeError, "total: expected an int, got str"),
    "a total below": (lambda c: c.track([1], total=-1), ValueError, "total: expected at least 0, got -1"),
    "a number to show": (lambda c: c.track([1], message=5), TypeError, "message: expected text, got int"),
    "no class of state": (lambda c: c.state(5), TypeError, "kind: expected a class, got int"),
    "no name of a domain": (lambda c: c.state(int, domain=5), TypeError, "domain: expected text, got int"),
    "results of a number": (lambda c: c.child_results(5), TypeError, "task: expected a Task, .*, got int"),
    "results of a name": (lambda c: c.child_results("play::x"), TypeError, "task: expected a Task, .*, got str"),
    "no status": (
        lambda c: c.child_results(status="nope"),
        InvalidTask,
        "status: expected one of 'blocked', .*, got 'nope'",
    ),
    "no status of a list": (
        lambda c: c.scheduler.tasks(status=["nope"]),
        InvalidTask,
        "status: expected one of 'blocked'",
    ),
    "a number as status": (
        lambda c: c.scheduler.tasks(status=5),
        TypeError,
        "status: expected an iterable of TaskStatus",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_a_body_gives(stage: Stage, domain: Domain, name: str) -> None:
    """It is refused by the call itself: not by the first step of what it returns, and no empty answer."""
    call, kind, message = TOLD[name]

    @domain.task()
    def body(ctx: Context) -> str:
        with pytest.raises(kind, match=f"^{message}"):
            call(ctx)
        return "refused"

    assert stage.started(domain).submit(body).result(WAIT_S) == "refused"


def test_what_can_be_gone_through_by_number_is_tracked(stage: Stage, domain: Domain) -> None:
    """Python goes through an object that has nothing but ``__getitem__`` too."""

    class Pages:
        def __getitem__(self, number: int) -> str:
            return "ab"[number]

    pages: Any = Pages()

    @domain.task()
    def body(ctx: Context) -> list[str]:
        return [*ctx.track(pages, total=2), *ctx.track("cd")]

    assert stage.started(domain).submit(body).result(WAIT_S) == ["a", "b", "c", "d"]
