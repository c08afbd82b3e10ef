"""What a scheduler is told of limits, weights, rates and the machine's load, checked before there is a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, cast

from millrace.actors.policy.limits import Limits
from millrace.model.limits import Aging, RateLimit, ResourceSampler, Throttle
from millrace.model.names import check_group
from millrace.operations import at_least
from millrace.options import check_priority
from millrace.task import Domain

T = TypeVar("T")

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
"""No entry: the default of arguments that are mappings."""


def check_limits(
    *,
    max_concurrency: int,
    domains: Iterable[Domain],
    group_concurrency: Mapping[str, int],
    default_group_concurrency: int | None,
    group_weights: Mapping[str, int],
    default_group_weight: int,
    group_min_slots: Mapping[str, int],
    rate_limits: Mapping[str, RateLimit],
    group_rate_limits: Mapping[str, RateLimit],
) -> Limits:
    """The program's own limits.

    Raises:
        ValueError, TypeError: a number is too small, a name or a value is not as it must be; the message names the argument.
    """
    default = default_group_concurrency
    return Limits(
        slots=at_least("max_concurrency", max_concurrency, 1),
        domains={domain.name: domain.max_concurrency for domain in domains if domain.max_concurrency is not None},
        groups=_of_groups("group_concurrency", group_concurrency, lambda what, n: at_least(what, n, 1)),
        default_group=None if default is None else at_least("default_group_concurrency", default, 1),
        weights=_of_groups("group_weights", group_weights, lambda what, n: at_least(what, n, 1)),
        default_weight=at_least("default_group_weight", default_group_weight, 1),
        minimums=_of_groups("group_min_slots", group_min_slots, lambda what, n: at_least(what, n, 0)),
        task_rates={
            _text("rate_limits", name): check_rate(f"rate_limits[{name!r}]", limit)
            for name, limit in _mapping("rate_limits", rate_limits).items()
        },
        group_rates=_of_groups("group_rate_limits", group_rate_limits, check_rate),
    )


def check_rate(what: str, limit: object) -> RateLimit:
    """The value, where it is a RateLimit; else TypeError."""
    if not isinstance(limit, RateLimit):
        raise TypeError(f"{what}: expected a RateLimit, got {type(limit).__name__}")
    return limit


def check_names(names: Iterable[str], known: Callable[[str], object]) -> None:
    """Rates are of tasks that there are; ValueError names the first that is of none."""
    for name in names:
        if known(name) is None:
            raise ValueError(
                f'rate_limits: expected names of registered tasks as "domain::task", got {name!r}; no domain has that task'
            )


def check_preempt_at(preempt_at: int | None) -> int | None:
    """A priority, or None for never; ValueError outside 0..255."""
    return None if preempt_at is None else int(check_priority(preempt_at))


def check_aging(aging: object) -> Aging | None:
    """An Aging, or None for none."""
    if aging is not None and not isinstance(aging, Aging):
        raise TypeError(f"aging: expected an Aging or None, got {type(aging).__name__}")
    return aging


def check_throttle(throttle: object) -> Throttle:
    """A Throttle; None is the default one."""
    if throttle is None:
        return Throttle()
    if not isinstance(throttle, Throttle):
        raise TypeError(f"throttle: expected a Throttle, got {type(throttle).__name__}; Throttle(()) holds nothing")
    return throttle


def check_pressure(pressure: Mapping[str, Callable[[], float]]) -> dict[str, Callable[[], float]]:
    """Sources of pressure by name, each a callable without arguments."""
    sources: dict[str, Callable[[], float]] = {}
    for name, source in _mapping("pressure", pressure).items():
        if not callable(source):
            raise TypeError(f"pressure[{name!r}]: expected a callable that gives 0..1, got {type(source).__name__}")
        sources[_text("pressure", name)] = cast("Callable[[], float]", source)
    return sources


def check_resources(resources: object) -> Literal["psutil"] | ResourceSampler | None:
    """What samples the machine: "psutil", an object with ``sample()``, or nothing."""
    if isinstance(resources, str):
        if resources != "psutil":
            raise ValueError(f"resources: expected 'psutil', a sampler or None, got {resources!r}")
        return "psutil"
    if resources is not None and not callable(getattr(resources, "sample", None)):
        raise TypeError(
            f"resources: expected 'psutil', an object with sample() or None, got {type(resources).__name__}"
        )
    return cast("ResourceSampler | None", resources)


def check_bandwidth(limit: object) -> float | None:
    """Bytes a second, more than 0 and finite; None for unknown."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        raise TypeError(f"bandwidth_limit: expected a number of bytes a second, got {type(limit).__name__}")
    if not 0 < limit < math.inf:  # NaN is neither
        raise ValueError(f"bandwidth_limit: expected more than 0 bytes a second, and a finite number, got {limit!r}")
    return float(limit)


def _of_groups(what: str, given: Mapping[str, Any], check: Callable[[str, Any], T]) -> dict[str, T]:
    return {check_group(group): check(f"{what}[{group!r}]", value) for group, value in _mapping(what, given).items()}


def _mapping(what: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise TypeError(f"{what}: expected a mapping, got {type(given).__name__}")
    return given


def _text(what: str, name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{what}: expected names as keys, got {type(name).__name__}")
    return name
