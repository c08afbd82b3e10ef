"""What is measured of a scheduler, and how it gets out: Prometheus, alerts, dashboard. Listens only; changes nothing.

Counters are the runtime's own (``actors.tally``, ``executors.counts``), kept whether anybody asks or not. Gauges are read when
somebody asks. A failure in here is counted, and never reaches the runtime.

| module | knows |
|---|---|
| ``readings`` | one scheduler at one moment: every family, with all series of registered tasks |
| ``stored`` | of these what the store says |
| ``beside`` | the same of a store alone, for an exporter that runs no tasks |
| ``queue`` | the gauges that the store has to be asked for, at most as often as they are worth |
| ``labels`` | which task names have series of their own |
| ``snapshot`` | readings as ``Scheduler.metrics()`` gives them |
| ``exporter`` | several schedulers as one Prometheus collector, cached for a second |
| ``exposition`` | readings as text, in Prometheus' format and as OpenMetrics |
| ``compression`` | that text as a gzip file, of which only what has changed is compressed anew |
| ``app`` | ``/metrics``, ``/healthz`` and ``/readyz`` as a WSGI application |
| ``server`` | the same on a port of its own |
| ``alerts``, ``alert_tests`` | alert rules, and what promtool tests them with |
| ``dashboard`` | the Grafana dashboard |

    from millrace.metrics import App, Exporter, Server, export

    export(scheduler)                                  # with everything else on prometheus_client's registry
    Server(App(Exporter(scheduler)), port=9464).start()  # or on a port of its own
"""

from millrace.metrics.app import App
from millrace.metrics.exporter import Exporter, export
from millrace.metrics.server import Server

__all__ = ["App", "Exporter", "Server", "export"]
