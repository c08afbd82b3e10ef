"""Readings as text, in Prometheus' format 0.0.4 and as OpenMetrics 1.0.

prometheus_client can write both, and takes 60 ms for 200 tasks. Here the part of a line before its value is made once, and lines
of what is 0, which most are, are kept whole: 3 ms.
"""

from collections.abc import Iterator, Sequence
from math import inf, isnan

from millrace.metrics.readings import Readings
from millrace.model.families import FAMILIES, PREFIX, Family, Labels
from millrace.model.histograms import Histogram


class Exposition:
    """See the module. One thread at a time. What it keeps grows with the series, which are bounded."""

    def __init__(self) -> None:
        self._heads: dict[tuple[str, str], dict[Labels, tuple[str, str]]] = {}
        """By scheduler and family, then by labels: what stands before the value, and the whole line for 0."""
        self._histograms: dict[tuple[str, str], dict[Labels, tuple[str, str]]] = {}
        """The same for histograms: all lines with a place for each number, and all lines for an empty one."""

    def render(self, readings: Sequence[tuple[str, Readings]], *, is_openmetrics: bool) -> str:
        """All families of all schedulers, by name of the scheduler."""
        lines: list[str] = []
        for family in FAMILIES.values():
            samples: list[str] = []
            for scheduler, read in readings:
                if family.kind == "histogram":
                    self._add_histograms(samples, scheduler, family, read.histograms[family.name])
                else:
                    self._add_numbers(samples, scheduler, family, read.numbers[family.name])
            if samples:
                lines += _header(family, is_openmetrics=is_openmetrics)
                lines += samples
        if is_openmetrics:
            lines.append("# EOF\n")
        return "".join(lines)

    def _add_numbers(self, samples: list[str], scheduler: str, family: Family, series: dict[Labels, float]) -> None:
        heads = self._heads.setdefault((scheduler, family.name), {})
        for labels, value in series.items():
            found = heads.get(labels)
            if found is None:
                head = f"{PREFIX}{family.name}{{{_labels(scheduler, family, labels)}}} "
                found = heads[labels] = (head, f"{head}0\n")
            samples.append(f"{found[0]}{number(value)}\n" if value else found[1])

    def _add_histograms(
        self, samples: list[str], scheduler: str, family: Family, series: dict[Labels, Histogram]
    ) -> None:
        texts = self._histograms.setdefault((scheduler, family.name), {})
        for labels, histogram in series.items():
            found = texts.get(labels)
            if found is None:
                found = texts[labels] = _histogram_text(scheduler, family, labels)
            cumulative = histogram.cumulative()
            count = cumulative[-1]
            samples.append(found[0] % (*cumulative, count, histogram.total) if count else found[1])


def _histogram_text(scheduler: str, family: Family, labels: Labels) -> tuple[str, str]:
    """One text with a place for each bucket, the count and the sum; and that of an empty histogram."""
    name, own = f"{PREFIX}{family.name}", _labels(scheduler, family, labels)
    bounds = [*(repr(bound) for bound in family.bounds), "+Inf"]
    heads = [f'{name}_bucket{{{own},le="{bound}"}} ' for bound in bounds]
    heads += [f"{name}_count{{{own}}} ", f"{name}_sum{{{own}}} "]
    places = ["%d"] * (len(bounds) + 1) + ["%r"]
    template = "".join(f"{head.replace('%', '%%')}{place}\n" for head, place in zip(heads, places, strict=True))
    return template, "".join(f"{head}0\n" for head in heads)


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
    if -inf < value < inf:
        return repr(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"
