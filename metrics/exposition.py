"""Readings as text, in Prometheus' format 0.0.4 and as OpenMetrics 1.0.

prometheus_client can write both, and takes 60 ms for 200 tasks. Here the part of a line before its value is made once, and lines
of what is 0, which most are, are kept whole: 3 ms.
"""

from collections.abc import Iterator, Sequence
from math import inf, isnan

from millrace.metrics.readings import Readings
from millrace.model.families import FAMILIES, PREFIX, Family, Labels
from millrace.model.histograms import Histogram

Place = tuple[str, str, Labels]
"""Scheduler, family, labels."""


class Exposition:
    """See the module. One thread at a time. What it keeps grows with the series, which are bounded."""

    def __init__(self) -> None:
        self._heads: dict[Place, tuple[str, str]] = {}
        self._histogram_heads: dict[Place, tuple[list[str], str, str, str]] = {}

    def render(self, readings: Sequence[tuple[str, Readings]], *, is_openmetrics: bool) -> str:
        """All families of all schedulers, by name of the scheduler."""
        lines: list[str] = []
        for family in FAMILIES.values():
            samples: list[str] = []
            for scheduler, read in readings:
                if family.kind == "histogram":
                    for labels, histogram in read.histograms[family.name].items():
                        self._add_histogram(samples, (scheduler, family.name, labels), family, histogram)
                else:
                    self._add_numbers(samples, scheduler, family, read.numbers[family.name])
            if samples:
                lines += _header(family, is_openmetrics=is_openmetrics)
                lines += samples
        if is_openmetrics:
            lines.append("# EOF\n")
        return "".join(lines)

    def _add_numbers(self, samples: list[str], scheduler: str, family: Family, series: dict[Labels, float]) -> None:
        name, heads = family.name, self._heads
        for labels, value in series.items():
            place = (scheduler, name, labels)
            found = heads.get(place)
            if found is None:
                head = f"{PREFIX}{name}{{{_labels(scheduler, family, labels)}}} "
                found = heads[place] = (head, f"{head}0\n")
            samples.append(f"{found[0]}{number(value)}\n" if value else found[1])

    def _add_histogram(self, samples: list[str], place: Place, family: Family, histogram: Histogram) -> None:
        found = self._histogram_heads.get(place)
        if found is None:
            found = self._histogram_heads[place] = _histogram_heads(place[0], family, place[2])
        buckets, count, total, empty = found
        cumulative = histogram.cumulative()
        if not cumulative[-1]:
            samples.append(empty)
            return
        samples += [f"{head}{below}\n" for head, below in zip(buckets, cumulative, strict=True)]
        samples.append(f"{count}{cumulative[-1]}\n{total}{number(histogram.total)}\n")


def _histogram_heads(scheduler: str, family: Family, labels: Labels) -> tuple[list[str], str, str, str]:
    name, own = f"{PREFIX}{family.name}", _labels(scheduler, family, labels)
    bounds = [*(repr(bound) for bound in family.bounds), "+Inf"]
    buckets = [f'{name}_bucket{{{own},le="{bound}"}} ' for bound in bounds]
    count, total = f"{name}_count{{{own}}} ", f"{name}_sum{{{own}}} "
    return buckets, count, total, "".join(f"{head}0\n" for head in (*buckets, count, total))


def _labels(scheduler: str, family: Family, labels: Labels) -> str:
    names = ("scheduler", *family.labels)
    return ",".join(f'{name}="{escape(value)}"' for name, value in zip(names, (scheduler, *labels), strict=True))


def _header(family: Family, *, is_openmetrics: bool) -> Iterator[str]:
    """OpenMetrics names a counter without ``_total`` and an info without ``_info``; the older format knows no info."""
    name, kind = f"{PREFIX}{family.name}", str(family.kind)
    if is_openmetrics:
        name = name.removesuffix("_total") if kind == "counter" else name
        name = name.removesuffix("_info") if kind == "info" else name
    elif kind == "info":
        kind = "gauge"
    yield f"# HELP {name} {family.help}\n"
    yield f"# TYPE {name} {kind}\n"


def escape(value: str) -> str:
    """A label's value, as both formats quote it."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number(value: float) -> str:
    """A value, as both formats write it."""
    if value == inf:
        return "+Inf"
    if value == -inf:
        return "-Inf"
    return "NaN" if isnan(value) else repr(value)
