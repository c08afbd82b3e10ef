"""State that bodies share: found by type in the domain, else in the scheduler (behaviour.md, section 29)."""

from typing import Any

import pytest
from staging import WAIT_S, Stage

from millrace import Context, Domain, Scheduler, UnknownTask
from millrace.state import States


class Pool:
    """Something that an application shares."""

    def __init__(self, name: str = "pool") -> None:
        self.name = name


class SlowPool(Pool):
    """A kind of it."""


class Cache:
    """Something else."""


def asked(scheduler: Scheduler, by: Domain, kind: type, **where: Any) -> object:
    """What a body of the domain gets. The object itself comes back through a list, as memos are JSON."""
    found: list[object] = []

    @by.task(f"ask {len(by.tasks)}")
    def ask(ctx: Context) -> None:
        try:
            found.append(ctx.state(kind, **where))
        except LookupError as error:
            found.append(error)

    scheduler.submit(ask).wait(WAIT_S)
    return found[0]


def test_the_domains_comes_before_the_schedulers(stage: Stage) -> None:
    """S-384, S-386: the very object, not a copy; where the domain has none, the scheduler's."""
    ours, theirs, cache = Pool(), Pool(), Cache()
    domain, bare = Domain("play", state=[ours]), Domain("bare")
    scheduler = stage.started(domain, bare, state=[theirs, cache])
    assert asked(scheduler, domain, Pool) is ours
    assert asked(scheduler, domain, Cache) is cache
    assert asked(scheduler, bare, Pool) is theirs


def test_another_domain_can_be_asked(stage: Stage) -> None:
    """S-384: `domain=` asks that one, and then the scheduler; one that is not registered is UnknownTask."""
    domain, other = Domain("play", state=[Pool("play")]), Domain("other", state=[Pool("other")])
    empty, general = Domain("empty"), Pool("general")
    scheduler = stage.started(domain, other, empty, state=[general])
    found = asked(scheduler, domain, Pool, domain="other")
    assert isinstance(found, Pool)
    assert found.name == "other"
    assert asked(scheduler, domain, Pool, domain="empty") is general
    assert isinstance(asked(scheduler, domain, Pool, domain="nobody"), UnknownTask)


def test_none_is_a_lookup_error(stage: Stage) -> None:
    """S-385, S-437: with the type that was asked for, and the types that there are."""
    domain = Domain("play", state=[Pool()])
    scheduler = stage.started(domain, state=[SlowPool()])
    error = asked(scheduler, domain, Cache)
    assert isinstance(error, LookupError)
    for part in ("Cache", "'play' has Pool", "scheduler SlowPool", "register_state"):
        assert part in str(error)


def test_registered_state_is_seen_by_running_bodies(stage: Stage, domain: Domain, tmp_path: Any) -> None:
    """S-386, S-393: at once, and by this scheduler's alone."""
    gate = stage.gate()
    found: list[object] = []

    @domain.task()
    def work(ctx: Context) -> None:
        gate.hold()
        found.append(ctx.state(Pool))

    first, second = Pool("first"), Pool("second")
    scheduler = stage.started(domain, state=[first])
    other = stage.started(domain, path=str(tmp_path / "other.db"))
    task = scheduler.submit(work)
    gate.await_arrivals()
    scheduler.register_state(second)
    gate.open()
    task.result(WAIT_S)
    assert found == [second]
    assert isinstance(asked(other, domain, Pool), LookupError)


@pytest.mark.parametrize(
    ("kind", "expected"), [(Pool, 1), (SlowPool, 4), (Cache, 3), (object, 4), (dict, None)], ids=str
)
def test_exact_type_first_then_the_newest_that_fits(kind: type, expected: int | None) -> None:
    """S-384: of several the latest; a subclass stands in only where there is none of the type itself."""
    values = [Pool("old"), Pool(), SlowPool("old"), Cache(), SlowPool()]
    found: object = States(values).find(kind)
    assert found is (None if expected is None else values[expected])


def test_adding_anew_makes_it_the_newest() -> None:
    """S-384: an object in place of one of its type is later than all that came between."""
    first, second, third = Pool(), Cache(), Pool()
    states = States([first, second])
    states.add(third)
    found: object = states.find(object)
    assert found is third
    assert states.kinds() == ["Cache", "Pool"]
