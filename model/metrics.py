"""What ``Scheduler.metrics()`` gives."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricsSnapshot:
    """The counters and gauges of one scheduler, as one read saw them.

    A name is that of the metric family without the prefix ``millrace_``. By itself it is the value over all labels: the sum,
    or for ages the greatest, for ``running`` and ``concurrency_limit`` that of the whole scheduler. With labels it is one
    series, written as Prometheus writes it, labels in the order of the family:

        metrics.counters["runs_finished_total"]
        metrics.counters['runs_finished_total{domain="media",task="media::encode",outcome="failed"}']

    ``runs_started_total`` less ``runs_finished_total`` is ``running``, in all labels and at every moment.
    Of histograms there are ``_count`` among the counters, and ``_sum`` among the gauges.
    """

    counters: Mapping[str, int]
    """Since this scheduler was made, whole numbers; seconds are rounded down."""
    gauges: Mapping[str, float]
