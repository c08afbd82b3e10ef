"""Limits, weights and rates: what is refused, what is told, and what holds over restarts."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from staging import WAIT_S, Stage

from millrace import Aging, Context, Domain, GroupWeightChanged, InvalidTask, RateLimit, Scheduler, Throttle


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"max_concurrency": 0}, ValueError, "max_concurrency: expected at least 1, got 0"),
        ({"group_concurrency": {"a": 0}}, ValueError, r"group_concurrency\['a'\]: expected at least 1"),
        ({"group_concurrency": {"": 1}}, InvalidTask, "1 to 256"),
        ({"group_concurrency": 5}, TypeError, "group_concurrency: expected a mapping, got int"),
        ({"default_group_concurrency": 0}, ValueError, "default_group_concurrency: expected at least 1"),
        ({"group_weights": {"a": 0}}, ValueError, r"group_weights\['a'\]: expected at least 1"),
        ({"group_weights": {"a": 1.5}}, TypeError, "expected an int, got float"),
        ({"default_group_weight": 0}, ValueError, "default_group_weight: expected at least 1"),
        ({"group_min_slots": {"a": -1}}, ValueError, r"group_min_slots\['a'\]: expected at least 0"),
        ({"rate_limits": {"play::body": 5}}, TypeError, "expected a RateLimit, got int"),
        ({"rate_limits": {5: RateLimit(1)}}, TypeError, "rate_limits: expected names"),
        ({"group_rate_limits": {"a": None}}, TypeError, "expected a RateLimit, got NoneType"),
        ({"preempt_at": 256}, ValueError, "0..255"),
        ({"preempt_at": "0"}, TypeError, "priority: expected an int"),
        ({"aging": 5}, TypeError, "aging: expected an Aging"),
        ({"throttle": ()}, TypeError, "throttle: expected a Throttle"),
        ({"pressure": {"load": 0.5}}, TypeError, "expected a callable"),
        ({"resources": "top"}, ValueError, "'psutil'"),
        ({"resources": object()}, TypeError, r"sample\(\)"),
        ({"bandwidth_limit": 0}, ValueError, "more than 0"),
        ({"bandwidth_limit": math.nan}, ValueError, "more than 0"),
        ({"bandwidth_limit": math.inf}, ValueError, "finite"),
        ({"bandwidth_limit": "1"}, TypeError, "a number"),
    ],
)
def test_what_is_not_as_said_is_refused_before_there_is_a_store(
    tmp_path: Path, settings: dict[str, Any], error: type[Exception], match: str
) -> None:
    """S-255, S-259, S-262, S-272, S-274, S-291."""
    path = tmp_path / "tasks.db"
    with pytest.raises(error, match=match):
        Scheduler(path, **settings)
    assert not path.exists()


def test_a_scheduler_takes_all_that_bounds_its_starts(stage: Stage, domain: Domain) -> None:
    """S-254: and runs with it."""

    class Still:
        def sample(self) -> Any:
            raise OSError

    @domain.task(rate_limit=RateLimit.per_second(100))
    def body(ctx: Context) -> int:
        return 1

    scheduler = stage.started(
        domain,
        preempt_at=None,
        aging=Aging(),
        throttle=Throttle(()),
        group_concurrency={"a": 2},
        default_group_concurrency=3,
        group_weights={"a": 4},
        default_group_weight=5,
        group_min_slots={"a": 0},
        rate_limits={"play::body": RateLimit.per_second(1000)},
        group_rate_limits={"a": RateLimit.per_minute(5)},
        pressure={"none": lambda: 0.0},
        resources=Still(),
        bandwidth_limit=1e6,
    )
    assert scheduler.submit(body).result(WAIT_S) == 1


def test_rates_are_of_tasks_that_there_are(stage: Stage, domain: Domain) -> None:
    """S-265: a name of no registered task is a ValueError at the start, and where a rate is set."""
    scheduler = stage.scheduler(domain, rate_limits={"play::body": RateLimit(1.0)})
    with pytest.raises(ValueError, match="'play::body'"):
        scheduler.start()
    with pytest.raises(ValueError, match="'play::other'"):
        scheduler.set_rate_limit("play::other", RateLimit(1.0))

    @domain.task()
    def body(ctx: Context) -> int:
        return 1

    scheduler.start()
    scheduler.set_rate_limit(body, RateLimit(1.0))


def test_a_rate_finds_its_task_by_a_former_name(stage: Stage, domain: Domain) -> None:
    """S-265: given to the scheduler or set, the rate is that of the task as it is called now."""

    @domain.task(aliases=["old"])
    def body(ctx: Context) -> None: ...

    scheduler = stage.started(domain, rate_limits={"play::old": RateLimit(1.0)})
    assert scheduler._runtime.limits.task_rates == {"play::body": RateLimit(1.0)}
    scheduler.set_rate_limit("play::old", RateLimit(2.0))
    assert scheduler._runtime.limits.task_rates == {"play::body": RateLimit(2.0)}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda scheduler: scheduler.set_group_limit("a", 0), ValueError),
        (lambda scheduler: scheduler.set_group_limit("", 1), InvalidTask),
        (lambda scheduler: scheduler.set_group_weight("a", 0), ValueError),
        (lambda scheduler: scheduler.set_group_weight("a", 0.5), TypeError),
        (lambda scheduler: scheduler.set_group_min_slots("a", -1), ValueError),
        (lambda scheduler: scheduler.set_group_rate_limit("a", 5), TypeError),
        (lambda scheduler: scheduler.set_rate_limit("play::none", None), ValueError),
        (lambda scheduler: setattr(scheduler, "max_concurrency", 0), ValueError),
    ],
)
def test_what_is_set_is_checked(stage: Stage, domain: Domain, call: Callable[[Any], object], error: Any) -> None:
    """S-255, S-262, S-274: and nothing of it is stored."""
    scheduler = stage.started(domain)
    before = scheduler._runtime.limits
    with pytest.raises(error):
        call(scheduler)
    assert scheduler._runtime.limits == before


def test_a_weight_that_differs_is_told(stage: Stage, domain: Domain) -> None:
    """S-281, S-329: the weights in force before and after; None is the default."""
    scheduler = stage.started(domain, group_weights={"a": 3}, default_group_weight=2)
    subscription = scheduler.subscribe(kinds=[GroupWeightChanged])
    scheduler.set_group_weight("a", 3)
    scheduler.set_group_weight("a", 5)
    scheduler.set_group_weight("b", 2)
    scheduler.set_group_weight("a", None)
    scheduler.stop()
    told = [(event.group, event.before, event.after) for event in subscription if isinstance(event, GroupWeightChanged)]
    assert told == [("a", 3, 5), ("a", 5, 2)]


def test_what_is_set_holds_over_restarts(stage: Stage, domain: Domain) -> None:
    """S-260: until the program's own value differs from the one that was replaced; and then that holds, for good."""

    @domain.task(rate_limit=RateLimit(1.0))
    def body(ctx: Context) -> None: ...

    before = stage.started(domain, max_concurrency=4)
    before.max_concurrency = 7
    before.set_group_limit("a", 2)
    before.set_group_weight("a", 3)
    before.set_group_min_slots("a", 1)
    before.set_rate_limit(body, None)
    before.set_group_rate_limit("a", RateLimit(2.5, 3))
    limits = before._runtime.limits
    assert (limits.slots, limits.groups, limits.task_rates) == (7, {"a": 2}, {})
    before.stop()
    same = stage.started(domain, max_concurrency=4)
    assert same._runtime.limits == limits
    same.stop()
    other = stage.started(domain, max_concurrency=5, group_concurrency={"a": 9})
    assert (other.max_concurrency, other._runtime.limits.groups) == (5, {"a": 9})
    assert other._runtime.limits.weights == {"a": 3}
    other.stop()
    assert stage.started(domain, max_concurrency=4).max_concurrency == 4


def test_a_limit_that_is_taken_back_is_the_programs_own(stage: Stage, domain: Domain) -> None:
    """S-255: of a group; where the program says nothing, the default of all groups is in force."""
    scheduler = stage.started(domain, group_concurrency={"a": 3})
    scheduler.set_group_limit("a", 1)
    scheduler.set_group_limit("b", 1)
    assert scheduler._runtime.limits.groups == {"a": 1, "b": 1}
    scheduler.set_group_limit("a", None)
    scheduler.set_group_limit("b", None)
    assert scheduler._runtime.limits.groups == {"a": 3}


def test_a_domain_is_bounded_at_run_time(stage: Stage) -> None:
    """S-255, S-393: of this scheduler; what is set is kept, and taken back."""
    domain = Domain("play", max_concurrency=3)
    scheduler = stage.started(domain, Domain("other"))
    play, other = scheduler.domain("play"), scheduler.domain("other")
    assert (play.max_concurrency, other.max_concurrency) == (3, None)
    play.max_concurrency = 1
    other.max_concurrency = 2
    assert (play.max_concurrency, other.max_concurrency, domain.max_concurrency) == (1, 2, 3)
    with pytest.raises(ValueError, match="max_concurrency: expected at least 1"):
        play.max_concurrency = 0
    scheduler.stop()
    again = stage.started(domain, Domain("other"))
    assert (again.domain("play").max_concurrency, again.domain("other").max_concurrency) == (1, 2)
    again.domain("play").max_concurrency = None
    again.domain("other").max_concurrency = None
    assert (again.domain("play").max_concurrency, again.domain("other").max_concurrency) == (3, None)


def test_the_rate_of_a_task_that_comes_later_is_known_when_it_is_submitted(stage: Stage, domain: Domain) -> None:
    """S-392, S-265: as its decorator says, without a restart."""
    scheduler = stage.started(domain)
    assert scheduler._runtime.limits.task_rates == {}

    @domain.task(rate_limit=RateLimit(1000.0, 1000))
    def late(ctx: Context) -> int:
        return 1

    scheduler.submit(late).result(WAIT_S)
    assert scheduler._runtime.limits.task_rates == {"play::late": RateLimit(1000.0, 1000)}
