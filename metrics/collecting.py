"""Readings as the families of prometheus_client, for registries of its own."""

from collections.abc import Iterator, Sequence

from prometheus_client import Metric

from millrace.metrics.readings import Readings
from millrace.model.families import FAMILIES, PREFIX, Family, Labels
from millrace.model.histograms import Histogram


def to_prometheus(readings: Sequence[tuple[str, Readings]]) -> Iterator[Metric]:
    """All families that have a series, each with those of all schedulers."""
    for family in FAMILIES.values():
        name = f"{PREFIX}{family.name}"
        metric = Metric(name.removesuffix("_total").removesuffix("_info"), family.help, family.kind)
        for scheduler, read in readings:
            if family.kind == "histogram":
                for labels, histogram in read.histograms[family.name].items():
                    _add_histogram(metric, name, _labelled(scheduler, family, labels), histogram)
            else:
                for labels, value in read.numbers[family.name].items():
                    metric.add_sample(name, _labelled(scheduler, family, labels), value)
        if metric.samples:
            yield metric


def _labelled(scheduler: str, family: Family, labels: Labels) -> dict[str, str]:
    return {"scheduler": scheduler, **dict(zip(family.labels, labels, strict=True))}


def _add_histogram(metric: Metric, name: str, labels: dict[str, str], histogram: Histogram) -> None:
    cumulative = histogram.cumulative()
    bounds = [*(repr(bound) for bound in histogram.bounds), "+Inf"]
    for bound, below in zip(bounds, cumulative, strict=True):
        metric.add_sample(f"{name}_bucket", {**labels, "le": bound}, below)
    metric.add_sample(f"{name}_count", labels, cumulative[-1])
    metric.add_sample(f"{name}_sum", labels, histogram.total)
