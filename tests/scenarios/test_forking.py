"""Programs that fork while a scheduler runs (behaviour.md, S-373)."""

import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable

import pytest
from staging import WAIT_S, Stage

from millrace import Context, Domain, ForkedProcess, Scheduler


def in_child(check: Callable[[], None]) -> str:
    """Fork, run ``check`` in the child and let it end there; what went wrong in it, "" for nothing."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads: just that is tested
        pid = os.fork()
    if pid == 0:
        said = b""
        try:
            check()
        except BaseException as error:
            said = repr(error).encode() or b"?"
        os.write(writer, said[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said_by_child = pipe.read().decode()
    os.waitpid(pid, 0)
    return said_by_child


def test_every_call_in_a_forked_child_is_refused(any_stage: Stage, domain: Domain) -> None:
    """The message has both pids; the parent is undisturbed, and goes on to submit, run and stop."""
    gate = any_stage.gate()

    @domain.task()
    def quick(ctx: Context, n: int) -> int:
        return n

    @domain.task()
    def held(ctx: Context) -> str:
        gate.hold()
        return "undisturbed"

    scheduler = any_stage.started(domain)
    task = scheduler.submit(held)
    done = scheduler.submit(quick, 1)
    done.wait(WAIT_S)
    flow = scheduler.flow("f", key="k")
    events = scheduler.subscribe()
    gate.await_arrivals()
    calls: dict[str, Callable[[], object]] = {
        "start": scheduler.start,
        "stop": scheduler.stop,
        "stop at once": lambda: scheduler.stop(0),
        "submit": lambda: scheduler.submit(quick, 2),
        "submit_batch": lambda: scheduler.submit_batch([quick.call(3)]),
        "spawn_child": lambda: scheduler.spawn_child(task.id, quick.call(4)),
        "task": lambda: scheduler.task(task.id),
        "find": lambda: scheduler.find(quick, "k"),
        "tasks": scheduler.tasks,
        "count": scheduler.count,
        "children": lambda: list(scheduler.children(task.id)),
        "cancel": lambda: scheduler.cancel(task.id),
        "retry": lambda: scheduler.retry(done.id),
        "retry_dead_letter": lambda: scheduler.retry_dead_letter(done.id),
        "flow": lambda: scheduler.flow("g"),
        "open_flow": lambda: scheduler.open_flow("k"),
        "wait": lambda: task.wait(1),
        "result": lambda: task.result(1),
        "flow.state": lambda: flow.state,
        "flow.update": lambda: flow.update(1),
        "flow.cancel": flow.cancel,
        "max_concurrency": lambda: setattr(scheduler, "max_concurrency", 2),
        "subscribe": scheduler.subscribe,
        "subscription.get": lambda: events.get(0),
        "subscription.close": events.close,
        "with": scheduler.__enter__,
    }
    for name, call in calls.items():

        def check(call: Callable[[], object] = call) -> None:
            with pytest.raises(ForkedProcess) as refused:
                call()
            assert str(os.getpid()) in str(refused.value)
            assert str(os.getppid()) in str(refused.value)

        assert in_child(check) == "", name
    gate.open()
    assert task.result(WAIT_S) == "undisturbed"
    assert scheduler.submit(quick, 5).result(WAIT_S) == 5
    assert scheduler.count() == 4
    assert scheduler.stop() is True


def test_a_forked_child_keeps_no_lock(stage: Stage, domain: Domain) -> None:
    """S-366: while a child lives on, the store is free as soon as its owner has stopped."""
    scheduler = stage.started(domain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        time.sleep(WAIT_S)
        os._exit(0)
    try:
        scheduler.stop()
        stage.started(domain)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_child_that_leaves_by_an_error_ends_with_that(stage: Stage, domain: Domain) -> None:
    """``sys.exit`` in a child that was forked inside of ``with`` is its exit status; a child that goes on to the end is told."""

    def leave(how: Callable[[], object]) -> int:
        try:
            with stage.started(domain) as scheduler, scheduler.subscribe():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    pid = os.fork()
                if pid == 0:
                    how()
        except SystemExit as error:
            os._exit(int(error.code or 0))
        except ForkedProcess:
            os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert leave(lambda: sys.exit(7)) == 7
    assert leave(lambda: None) == 99


def test_a_child_of_a_stopped_scheduler_opens_one_of_its_own(stage: Stage, domain: Domain) -> None:
    """What was made before the fork is of no use there; what is made after it is."""

    @domain.task()
    def quick(ctx: Context, n: int) -> int:
        return n

    scheduler = stage.started(domain)
    scheduler.stop()

    def check() -> None:
        with Scheduler(stage.path, domains=[domain], durability="process") as other:
            assert other.submit(quick, 7).result(WAIT_S) == 7

    assert in_child(check) == ""
    assert scheduler.start().task(1).memo == 7


def _ends_well(path: str) -> None:
    """The target of a multiprocessing child: nothing of millrace's may keep it from ending."""


def test_children_of_multiprocessing_end(stage: Stage, domain: Domain) -> None:
    """A forked worker ends by itself, though its parent's scheduler would be stopped at the end of a program."""
    scheduler = stage.started(domain)
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        worker = context.Process(target=_ends_well, args=(stage.path,))
        worker.start()
    worker.join(WAIT_S)
    assert worker.exitcode == 0
    worker.close()
    assert scheduler.count() == 0
