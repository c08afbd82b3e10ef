"""Readings as ``Scheduler.metrics()`` gives them."""

from millrace.metrics.readings import Readings, total
from millrace.model.families import FAMILIES, Labels
from millrace.model.metrics import MetricsSnapshot


def snapshot(readings: Readings) -> MetricsSnapshot:
    """See ``MetricsSnapshot`` for how its names are made."""
    counters: dict[str, int] = {}
    gauges: dict[str, float] = {}
    for name, family in FAMILIES.items():
        if family.kind == "histogram":
            for labels, histogram in readings.histograms[name].items():
                counters[_named(f"{name}_count", family.labels, labels)] = histogram.count
                gauges[_named(f"{name}_sum", family.labels, labels)] = histogram.total
            if family.labels:
                every = readings.histograms[name].values()
                counters[f"{name}_count"] = sum(histogram.count for histogram in every)
                gauges[f"{name}_sum"] = sum(histogram.total for histogram in every)
            continue
        series = readings.numbers[name]
        whole = total(family, series)
        if family.kind == "counter":
            counters[name] = int(whole or 0)
            counters |= {_named(name, family.labels, labels): int(value) for labels, value in series.items()}
        else:
            gauges |= {_named(name, family.labels, labels): value for labels, value in series.items()}
            if whole is not None:
                gauges[name] = whole
    return MetricsSnapshot(counters, gauges)


def _named(name: str, labels: tuple[str, ...], values: Labels) -> str:
    if not labels:
        return name
    return f"{name}{{{','.join(f'{label}={_quoted(value)}' for label, value in zip(labels, values, strict=True))}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
