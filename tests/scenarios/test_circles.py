"""Circles of waiting: a submit that would close one is refused whole, and everything else is not (S-251, S-059, S-063)."""

from typing import Any

import pytest
from staging import Gate, Stage, settle

from millrace import (
    Context,
    CyclicDependency,
    Domain,
    DuplicatePolicy,
    Outcome,
    PermanentError,
    Retry,
    Scheduler,
    SubmitKind,
    Task,
    TaskStatus,
)

SUPERSEDE = DuplicatePolicy.SUPERSEDE


class Play:
    """A scheduler whose bodies stop at a gate, so that everything stands as it was submitted."""

    def __init__(self, stage: Stage, domain: Domain) -> None:
        self.gate: Gate = stage.gate()

        @domain.task("act", fail_fast=False)
        def act(ctx: Context, name: str) -> str:
            self.gate.hold()
            if name.startswith("bad"):
                raise PermanentError(name)
            return name

        self.act: Task[Any, str] = act
        self.scheduler: Scheduler = stage.scheduler(domain, retry=Retry.none(), max_concurrency=8)

    def submit(self, name: str, *after: Outcome[Any], **options: Any) -> Outcome[str]:
        return self.scheduler.submit(self.act.options(key=name, depends_on=after, **options), name)

    def finish(self, *outcomes: Outcome[Any]) -> list[TaskStatus]:
        """Let everything run; how these ended."""
        self.scheduler.start()
        self.gate.open()
        return [record.status for record in settle(outcomes)]


@pytest.fixture
def play(stage: Stage, domain: Domain) -> Play:
    return Play(stage, domain)


def stored(play: Play) -> tuple[int, dict[int, list[int]]]:
    """What is stored: how many tasks, and who waits for whom."""
    ids = [record.id for record in play.scheduler.tasks()]
    return play.scheduler.count(), {task_id: play.scheduler.dependents(task_id) for task_id in ids}


def test_a_child_depends_on_its_ancestors_never(play: Play) -> None:
    """S-251: its parent waits for it, so it must not wait for its parent, nor for what is above."""
    top = play.submit("top")
    middle = play.submit("middle", parent=top.id)
    before = stored(play)
    for ancestor in (middle, top):
        with pytest.raises(CyclicDependency) as refused:
            play.submit("leaf", ancestor, parent=middle.id)
        assert refused.value.cycle[0] == ancestor.id
        assert refused.value.cycle[-1] == middle.id
        assert f"the circle {ancestor.id} -> " in str(refused.value)
    assert stored(play) == before, "S-037"


def test_a_child_depends_on_nothing_that_waits_for_its_ancestors(play: Play) -> None:
    """S-251: through dependencies and children alike; the error shows who waits for whom."""
    top = play.submit("top")
    after_top = play.submit("after", top)
    other = play.submit("other")
    play.submit("child of other", after_top, parent=other.id)
    last = play.submit("last", other)
    with pytest.raises(CyclicDependency) as refused:
        play.submit("leaf", last, parent=top.id)
    child = next(iter(play.scheduler.children(other.id)))
    assert refused.value.cycle == (last.id, other.id, child.id, after_top.id, top.id)


def test_what_closes_no_circle_is_taken(play: Play) -> None:
    """S-251: siblings, cousins, other trees and their leaves may be waited for."""
    top, other = play.submit("top"), play.submit("other")
    first = play.submit("first", parent=top.id)
    second = play.submit("second", first, parent=top.id)
    third = play.submit("third", first, second, other, parent=top.id)
    below = play.submit("below", first, parent=second.id)
    cousin = play.submit("cousin", first, parent=other.id)
    last = play.submit("last", top, third)
    assert set(play.finish(top, other, first, second, third, below, cousin, last)) == {TaskStatus.COMPLETED}


def test_a_superseding_task_does_not_wait_for_those_it_takes_over(play: Play) -> None:
    """S-063: its predecessor's dependents wait for it, so it must not wait for them; nothing is superseded then."""
    first = play.submit("first")
    second = play.submit("second", first)
    third = play.submit("third", second)
    before = stored(play)
    for dependency in (first, second, third):
        with pytest.raises(CyclicDependency):
            play.submit("first", dependency, on_duplicate=SUPERSEDE)
    assert stored(play) == before
    assert first.handle.status() is TaskStatus.PENDING
    other = play.submit("other")
    new = play.submit("first", other, on_duplicate=SUPERSEDE)
    assert play.finish(new, second, third) == [TaskStatus.COMPLETED] * 3


def test_two_that_supersede_in_one_batch_do_not_wait_for_each_other(play: Play) -> None:
    """S-063, S-251, S-067: a circle that no entry closes alone is found, and the batch refused whole."""
    first, second = play.submit("first"), play.submit("second")
    between = play.submit("between", second)
    before = stored(play)
    calls = [
        play.act.options(key=one, depends_on=[other], on_duplicate=SUPERSEDE).call(one)
        for one, other in (("first", second), ("second", first))
    ]
    for batch in (calls, calls[::-1]):
        with pytest.raises(CyclicDependency):
            play.scheduler.submit_batch(batch)
    longer = play.act.options(key="first", depends_on=[between], on_duplicate=SUPERSEDE).call("first")
    with pytest.raises(CyclicDependency):
        play.scheduler.submit_batch([longer, calls[1]])
    assert stored(play) == before
    assert [one.kind for one in play.scheduler.submit_batch([longer, calls[0]])] == [
        SubmitKind.DUPLICATE,
        SubmitKind.SUPERSEDED,
    ]


def test_an_entry_waits_for_what_another_entry_puts_in_place(play: Play) -> None:
    """S-063: in whichever order, who depends on a task that the same batch supersedes waits for the new one."""
    for order in (1, -1):
        old = play.submit(f"old {order}")
        entries = [
            play.act.options(key=f"old {order}", on_duplicate=SUPERSEDE).call("new"),
            play.act.options(key=f"after {order}", depends_on=[old]).call("after"),
        ][::order]
        new, after = play.scheduler.submit_batch(entries)[::order]
        assert new.kind is SubmitKind.SUPERSEDED
        assert play.scheduler.dependents(new.id) == [after.id]
        assert play.scheduler.dependents(old.id) == []


def test_a_rerun_does_not_wait_for_what_waits_for_the_task(play: Play) -> None:
    """S-059: not for itself, nor its dependents or ancestors; for others it does."""
    scheduler = play.scheduler.start()
    parent = play.submit("parent")
    running = play.submit("running", parent=parent.id)
    play.gate.await_arrivals(2)
    after = play.submit("after", running)
    other = play.submit("other", after)
    before = stored(play)
    for dependency in (running, after, other, parent):
        with pytest.raises(CyclicDependency):
            play.submit("running", dependency, parent=parent.id)
    assert stored(play) == before
    free = play.submit("free")
    again = play.submit("running", free, parent=parent.id)
    assert (again.kind, again.id) == (SubmitKind.REQUEUED, running.id)
    assert scheduler.dependents(free.id) == [running.id]


def test_a_retry_by_hand_does_not_wait_for_those_that_wait_for_it(play: Play) -> None:
    """S-138, S-251: what it depended on may have been replaced by something that waits for its own dependents."""
    scheduler = play.scheduler.start()
    base = play.submit("bad base")
    failing = play.submit("failing", base, on_dependency_failure="fail")
    last = play.submit("last", failing)
    play.gate.let_pass()
    settle([base, failing])
    retried = scheduler.retry(base.id)
    newest = play.submit("bad base", last, on_duplicate=SUPERSEDE)
    assert newest.replaced == retried.id
    with pytest.raises(CyclicDependency) as refused:
        scheduler.retry(failing.id)
    assert refused.value.cycle == (newest.id, last.id)
    assert scheduler.dependents(failing.id) == [last.id], "as it was"
