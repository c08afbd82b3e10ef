"""A real Prometheus scrapes a running scheduler over HTTP, loads the shipped rules, and answers queries on it."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_server import Prometheus, free_port
from staging import WAIT_S, Stage

from millrace import Context, Domain, Retry
from millrace.metrics import App, Exporter, Server
from millrace.metrics.alerts import ALERTS, rule_file
from millrace.metrics.dashboard import expressions

PROGRAM = Path(__file__).with_name("measured_program.py")
RUNNING = (
    'millrace_running{scope="global"} - on () (sum(millrace_runs_started_total) - sum(millrace_runs_finished_total))'
)


def test_prometheus_scrapes_a_running_scheduler(stage: Stage, domain: Domain, tmp_path: Path) -> None:
    """What runs, what ended and what failed is what Prometheus answers; rules and dashboard evaluate there."""
    gate = stage.gate()

    @domain.task()
    def held(ctx: Context, n: int) -> None:
        gate.hold()

    @domain.task(retry=Retry.none())
    def fails(ctx: Context) -> None:
        raise ValueError("it broke")

    scheduler = stage.started(domain, name="mine", max_concurrency=3)
    scheduler.submit_batch(held.call(n) for n in range(5))
    gate.await_arrivals(3)
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with (
        Server(App(Exporter(scheduler))) as server,
        Prometheus(folder, f"127.0.0.1:{server.port}", rules=rule_file()) as prometheus,
    ):
        prometheus.await_value("up", 1)
        prometheus.await_value('millrace_running{scope="global",scheduler="mine"}', 3)
        assert prometheus.value(RUNNING) == 0
        assert prometheus.value('sum(millrace_tasks{scheduler="mine"})') == 5
        assert prometheus.value("millrace_owner") == 1
        assert prometheus.value('millrace_runs_finished_total{task="play::fails",outcome="failed"}') == 0, (
            "from the start"
        )
        gate.open()
        scheduler.submit(fails).wait(WAIT_S)
        prometheus.await_value('sum(millrace_runs_finished_total{outcome="succeeded"})', 5)
        prometheus.await_value('millrace_tasks_finished_total{task="play::fails",status="dead_letter"}', 1)
        assert prometheus.value(RUNNING) == 0
        assert prometheus.value("sum(millrace_run_duration_seconds_count)") == 6
        loaded = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert [rule["name"] for rule in loaded] == [alert.name for alert in ALERTS]
        assert [rule["lastError"] for rule in loaded if rule.get("lastError")] == []
        for expr in expressions():
            prometheus.query(expr.replace("$__rate_interval", "1m").replace("$scheduler", ".*"))
        targets = prometheus.get("targets")["activeTargets"]
        assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]


@pytest.mark.crash
def test_started_less_finished_is_running_at_every_scrape(tmp_path: Path) -> None:
    """S-345, under a process that is killed and started again as soon as it was scraped a few times."""
    lives = iter(range(1, 4))

    def live(prometheus: Prometheus) -> bool:
        prometheus.await_scrapes(4 * next(lives))
        return True

    scraped = _scrape_what_is_killed(tmp_path, 3, live, interval="250ms")
    assert scraped >= 12


@pytest.mark.crash
@pytest.mark.long
@pytest.mark.timeout(600)
def test_started_less_finished_is_running_at_every_scrape_for_five_minutes(tmp_path: Path) -> None:
    """The same, killed every few seconds; and what the deaths ended is counted as crashed."""
    ends_at = time.monotonic() + 300
    rnd = random.Random(345)

    def live(prometheus: Prometheus) -> bool:
        del prometheus
        time.sleep(rnd.uniform(5, 15))
        return time.monotonic() < ends_at

    def look(prometheus: Prometheus) -> None:
        crashed = prometheus.value('sum(max_over_time(millrace_runs_finished_total{outcome="crashed"}[10m]))')
        assert crashed is not None
        assert crashed > 0

    scraped = _scrape_what_is_killed(tmp_path, 60, live, look=look)
    assert scraped > 100


def _scrape_what_is_killed(
    folder: Path,
    most_lives: int,
    live: Callable[[Prometheus], bool],
    *,
    interval: str = "1s",
    look: Callable[[Prometheus], None] = lambda _: None,
) -> int:
    """Starts a busy program and kills it, again and again; each scrape of all of them agrees. How many there were.

    Args:
        folder: for the store and Prometheus' data.
        most_lives: how often at most.
        live: returns when a life is over: whether there is to be another.
        interval: between scrapes.
        look: at Prometheus in the end.
    """
    data = folder / "prometheus"
    data.mkdir()
    port = free_port()
    with Prometheus(data, f"127.0.0.1:{port}", interval=interval) as prometheus:
        for _ in range(most_lives):
            program = subprocess.Popen([sys.executable, str(PROGRAM), str(folder / "tasks.db"), str(port)])
            try:
                goes_on = live(prometheus)
                assert program.poll() is None, f"the program ended by itself with {program.returncode}"
            finally:
                program.kill()
                program.wait(WAIT_S)
            if not goes_on:
                break
        (running,) = prometheus.scrapes('millrace_running{scope="global"}')
        started = prometheus.scrapes("millrace_runs_started_total")
        finished = prometheus.scrapes("millrace_runs_finished_total")
        look(prometheus)
    counted: dict[float, float] = {}
    for sign, series in ((1, started), (-1, finished)):
        for samples in series:
            for at, value in samples:
                counted[at] = counted.get(at, 0) + sign * value
    assert {at: counted[at] for at, _ in running} == dict(running)
    assert any(value > 0 for _, value in running), "it was busy"
    return len(running)
